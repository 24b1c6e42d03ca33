"""What every synthesizer offers, and what they share: running a program, finding a package's files."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
import io
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from host.errors import TokayError
from host.places import cache_folder

_TIMEOUT_S = 120


@dataclass(frozen=True)
class Voice:
    """One way of saying a word. ``speed`` and ``pitch`` are factors of the speaker's own."""

    engine: str
    speaker: str
    speed: float = 1.0
    pitch: float = 1.0
    mark: str = ""  # "?", "!" or "." after the word: another melody, where the engine follows it

    def __str__(self) -> str:
        return f"{self.engine}/{self.speaker}"


class Synthesizer(Protocol):
    """A speech synthesizer. All but ``problem`` may be called only where ``problem()`` is None."""

    name: str
    licence: str  # of the program and of its voices
    install: str  # how to get it

    def problem(self) -> str | None:
        """Why it cannot be used here; None where it can."""

    def identity(self, speaker: str) -> str:
        """What its sound depends on beside the voice: versions. Part of the cache's keys."""

    def speakers(self) -> tuple[str, ...]:
        """Every speaker, in an order that is the same on each call."""

    def held_out(self, speaker: str) -> bool:
        """Whether it is kept for demonstrations, and so never trains."""

    def blend(self, first: str, second: str) -> str | None:
        """The speaker between two; None where the engine has no such thing."""

    def say(self, text: str, voice: Voice) -> tuple[np.ndarray, int]:
        """float32 mono and its rate. The same for the same arguments."""


def voices_folder() -> Path:
    """Where users put voice models: ``TOKAY_VOICES``, else ``voices`` in the cache folder."""
    return Path(os.environ.get("TOKAY_VOICES") or cache_folder() / "voices")


def run(engine: str, command: Sequence[str], any_status: bool = False) -> bytes:
    """A program's output; TokayError if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, check=not any_status, timeout=_TIMEOUT_S)
        return done.stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise TokayError(f"{engine} failed: {error}", hint="is it installed whole?") from error


def decode(engine: str, wav: bytes) -> tuple[np.ndarray, int]:
    """A WAV file's samples and rate."""
    import soundfile

    try:
        return soundfile.read(io.BytesIO(wav), dtype="float32")
    except soundfile.LibsndfileError as error:
        raise TokayError(f"{engine} gave no audio") from error


def tape(audio: np.ndarray, pitch: float) -> np.ndarray:
    """Played ``pitch`` times as fast: the pitch of engines that cannot change it. Shorter by as much, so
    their ``say`` speaks slower first; formants move along, as with a smaller head."""
    import soxr

    return audio if pitch == 1.0 else soxr.resample(audio, 1000 * pitch, 1000, quality="HQ")


@functools.cache
def package(name: str) -> Path | None:
    """The folder of an installed Python package, without importing it."""
    found = importlib.util.find_spec(name)
    places = list(found.submodule_search_locations or ()) if found else []
    return Path(places[0]) if places else None


def package_version(name: str) -> str:
    return importlib.metadata.version(name)


@functools.cache
def file_digest(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
