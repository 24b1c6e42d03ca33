"""What a detector is judged by in use: words missed and alarms raised on a long stream of audio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from host.dataset.augment import loudness, noise, to_int16


@dataclass(frozen=True)
class Spoken:
    """A word in a stream: from the start of its clip to the end, in milliseconds."""

    label: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True)
class StreamResult:
    """Detections held against what was said."""

    spoken: int
    hits: int
    false_rejects: int
    false_accepts: int
    repeats: int  # further detections of a word that was already heard
    hours: float
    delays_ms: tuple[int, ...]  # of the hits, from the end of the clip

    @property
    def false_accepts_per_hour(self) -> float:
        return self.false_accepts / self.hours if self.hours else 0.0


def compose(
    words: Sequence[tuple[str, np.ndarray]], rate: int, seconds: float, snr_db: tuple[float, float],
    noises: Sequence[np.ndarray], rng: np.random.Generator,
) -> tuple[np.ndarray, list[Spoken]]:  # fmt: skip
    """A stream with the words spread over it in their order, in noise whose level changes each minute.

    Words are as loud as each other; the noise is below them by a drawn ratio. Returns int16 PCM and
    where each word is.
    """
    level = 2000.0
    signal = np.zeros(round(seconds * rate), np.float32)
    for start in range(0, len(signal), 60 * rate):
        piece = signal[start : start + 60 * rate]
        piece += noise(len(piece), rng, noises) * (level * 10 ** (-rng.uniform(*snr_db) / 20))
    slot = len(signal) // max(len(words), 1)
    spoken = []
    for index, (label, clip) in enumerate(words):
        room = slot - len(clip)
        if room < 0:
            raise ValueError(f"{len(words)} clips do not fit in {seconds:g} s")
        start = index * slot + int(rng.integers(room + 1))
        signal[start : start + len(clip)] += clip * (level / max(loudness(clip), 1.0))
        spoken.append(Spoken(label, round(1000 * start / rate), round(1000 * (start + len(clip)) / rate)))
    return to_int16(signal), spoken


def match(
    detections: Sequence[tuple[str, int]], spoken: Sequence[Spoken], keywords: Sequence[str],
    duration_ms: int, patience_ms: int = 750,
) -> StreamResult:  # fmt: skip
    """Counts hits and alarms. A detection (label, time) hits a word of its label that began before it
    and ended at most ``patience_ms`` before it; any other detection is a false accept."""
    targets = [word for word in spoken if word.label in keywords]
    heard: dict[int, int] = {}
    false_accepts = repeats = 0
    for label, time_ms in detections:
        index = next(
            (
                i
                for i, word in enumerate(targets)
                if word.label == label and word.start_ms < time_ms <= word.end_ms + patience_ms
            ),
            None,
        )
        if index is None:
            false_accepts += 1
        elif index in heard:
            repeats += 1
        else:
            heard[index] = time_ms - targets[index].end_ms
    hits = len(heard)
    return StreamResult(
        len(targets), hits, len(targets) - hits, false_accepts, repeats, duration_ms / 3.6e6,
        tuple(heard.values()),
    )
