"""SVOX Pico: two women, US and British, from a Python package that bundles their models."""

from __future__ import annotations

import sys

import numpy as np

from host.dataset.synthesizers.base import Voice, package, package_version, run

_RATE = 16000
# A process of its own for each clip: the engine carries state from one text to the next, which would
# make a clip depend on what was said before. Half the volume: at the usual one it clips.
_SCRIPT = (
    "import sys; from py_nanotts import NanoTTS; text, voice, speed, pitch = sys.argv[1:]; "
    "sys.stdout.buffer.write("
    "NanoTTS().speak(text, voice=voice, speed=float(speed), pitch=float(pitch), volume=0.5))"
)


class Pico:
    """Speakers en-US and en-GB."""

    name = "pico"
    licence = "Apache-2.0"
    install = "python -m host.dataset voices --install"

    def problem(self) -> str | None:
        return None if package("py_nanotts") else "the package py-nanotts is not installed"

    def identity(self, speaker: str) -> str:
        return package_version("py-nanotts")

    def speakers(self) -> tuple[str, ...]:
        return ("en-US", "en-GB")

    def held_out(self, speaker: str) -> bool:
        return False

    def blend(self, first: str, second: str) -> str | None:
        return None

    def say(self, text: str, voice: Voice) -> tuple[np.ndarray, int]:
        values = [text + voice.mark, voice.speaker, f"{voice.speed:.3f}", f"{voice.pitch:.3f}"]
        pcm = run(self.name, [sys.executable, "-c", _SCRIPT, *values])
        return np.frombuffer(pcm, np.int16).astype(np.float32) / 32768, _RATE
