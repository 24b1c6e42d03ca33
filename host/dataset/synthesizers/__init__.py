"""The speech synthesizers that Tokay can use, each only where it is installed; by name."""

from __future__ import annotations

from host.dataset.synthesizers.base import Synthesizer, Voice
from host.dataset.synthesizers.espeak import Espeak
from host.dataset.synthesizers.festival import Festival
from host.dataset.synthesizers.flite import Flite
from host.dataset.synthesizers.kokoro import Kokoro
from host.dataset.synthesizers.pico import Pico
from host.dataset.synthesizers.piper import Piper

__all__ = ["ENGINES", "Synthesizer", "Voice"]

ENGINES: dict[str, Synthesizer] = {
    engine.name: engine for engine in (Espeak(), Flite(), Festival(), Pico(), Piper(), Kokoro())
}
