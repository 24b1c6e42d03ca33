"""Keeps what was heard on disk: audio as WAV, spectrograms as NumPy arrays and as pictures.

    DIR/NAME.wav            the samples as the front end got them (after the gain), 16-bit mono
    DIR/NAME.npy            int8 [columns, channels]: the network's input (--dump-spectrograms)
    DIR/NAME.raw.npy        uint16 [columns, channels]: before quantizing (--dump-raw-spectrograms)
    DIR/NAME.png, .raw.png  the same as a picture: time to the right, frequency up, brighter is louder

What a slow line lost is silence in the audio and the lowest value in the spectrograms, and is counted.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from host.device import messages as m
from host.errors import TokayError
from host.files import write_atomic
from host.listening import Heard
from host.media import png, wav


@dataclass(frozen=True)
class Folders:
    """Where to keep what; None: nowhere."""

    audio: Path | None = None
    spectrograms: Path | None = None
    raw_spectrograms: Path | None = None

    @property
    def streams(self) -> m.Stream:
        """The events that this needs."""
        wanted = m.Stream(0)
        wanted |= m.Stream.AUDIO if self.audio else m.Stream(0)
        wanted |= m.Stream.FEATURES if self.spectrograms else m.Stream(0)
        wanted |= m.Stream.SPECTROGRAM if self.raw_spectrograms else m.Stream(0)
        return wanted

    def make(self) -> None:
        """Makes them, so that one that cannot be made is known before anything was heard."""
        for folder in filter(None, (self.audio, self.spectrograms, self.raw_spectrograms)):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise TokayError(f"cannot write into {folder}: {error.strerror}") from error


@dataclass
class Recording:
    """Gathers the events of one listening."""

    folders: Folders
    name: str
    sample_rate_hz: int
    # By the number of the first sample or of the column; arrays, so that a night fits in memory.
    audio: dict[int, np.ndarray] = field(default_factory=dict)
    features: dict[int, np.ndarray] = field(default_factory=dict)
    spectrogram: dict[int, np.ndarray] = field(default_factory=dict)

    def take(self, event: Heard) -> None:
        """Keeps an event if it is wanted."""
        if isinstance(event, m.Audio) and self.folders.audio:
            self.audio[event.index] = np.array(event.samples, np.int16)
        elif isinstance(event, m.Features) and self.folders.spectrograms:
            self.features[event.column] = np.array(event.values, np.int8)
        elif isinstance(event, m.Spectrogram) and self.folders.raw_spectrograms:
            self.spectrogram[event.column] = np.array(event.values, np.uint16)

    def write(self) -> dict[str, Any]:
        """Writes the files; says which, and how much of each is missing."""
        written: dict[str, Any] = {}
        if self.folders.audio:
            samples, missing = joined(self.audio)
            path = self.folders.audio / f"{self.name}.wav"
            write_atomic(path, wav(samples, self.sample_rate_hz))
            written["audio"] = {"file": str(path), "samples": samples.size, "missing": missing}
        for key, folder, suffix, columns, dtype in (
            ("spectrogram", self.folders.spectrograms, "", self.features, np.int8),
            ("raw_spectrogram", self.folders.raw_spectrograms, ".raw", self.spectrogram, np.uint16),
        ):
            if folder:
                values, missing = table(columns, dtype)
                stream = io.BytesIO()
                np.save(stream, values)
                path = folder / f"{self.name}{suffix}.npy"
                write_atomic(path, stream.getvalue())
                if values.size:
                    write_atomic(path.with_suffix(".png"), png(picture(values)))
                written[key] = {"file": str(path), "columns": len(values), "missing": missing}
        return written


def joined(pieces: Mapping[int, np.ndarray | tuple[int, ...]]) -> tuple[np.ndarray, int]:
    """Samples by the number of the first in each piece, as one int16 array from the first piece on, and
    how many are missing between them."""
    if not pieces:
        return np.zeros(0, np.int16), 0
    first = min(pieces)
    size = max(at + len(piece) for at, piece in pieces.items()) - first
    samples = np.zeros(size, np.int16)
    for at, piece in pieces.items():
        samples[at - first : at - first + len(piece)] = piece
    return samples, size - sum(map(len, pieces.values()))


def table(columns: Mapping[int, np.ndarray | tuple[int, ...]], dtype: Any) -> tuple[np.ndarray, int]:
    """Columns by their number as [columns, channels] from number 0 on, and how many are missing."""
    if not columns:
        return np.zeros((0, 0), dtype), 0
    count = max(columns) + 1
    values = np.full((count, len(next(iter(columns.values())))), np.iinfo(dtype).min, dtype)
    for number, column in columns.items():
        values[number] = column
    return values, count - len(columns)


def picture(values: np.ndarray) -> np.ndarray:
    """uint8 [channels, columns] with the lowest channel at the bottom, from least to most."""
    low, high = float(values.min()), float(values.max())
    scaled = (values.astype(np.float64) - low) * (255 / (high - low if high > low else 1))
    return np.ascontiguousarray(scaled.round().astype(np.uint8).T[::-1])
