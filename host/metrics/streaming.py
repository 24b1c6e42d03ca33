"""What a detector is judged by in use: words missed and alarms raised on a long stream of audio."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from host.metrics import intervals

PATIENCE_MS = 750  # a word may be detected so long after the end of its clip


@dataclass(frozen=True)
class Spoken:
    """A word in a stream: from the start of its clip to the end, in milliseconds."""

    label: str
    start_ms: int
    end_ms: int
    voice_end_ms: int | None = None  # where the voice ends in the clip, estimated from its energy


@dataclass(frozen=True)
class Heard:
    """A detection held against what was said."""

    label: str
    time_ms: int
    verdict: str  # "hit", "repeat" or "false accept"
    word: int | None = None  # index of the spoken word that it hit


@dataclass(frozen=True)
class StreamResult:
    """Detections held against what was said. Results of several streams add up."""

    spoken: int = 0
    hits: int = 0
    false_rejects: int = 0
    false_accepts: int = 0
    repeats: int = 0  # further detections of a word that was already heard
    hours: float = 0.0
    delays_ms: tuple[int, ...] = ()  # of the hits, from the end of the voice (of the clip, if not known)
    by_label: dict[str, tuple[int, int, int]] = field(default_factory=dict)  # spoken, hits, false accepts

    @property
    def false_accepts_per_hour(self) -> float:
        return self.false_accepts / self.hours if self.hours else 0.0

    @property
    def miss_rate(self) -> float:
        return self.false_rejects / self.spoken if self.spoken else 0.0

    def __add__(self, other: StreamResult) -> StreamResult:
        labels = {**self.by_label, **other.by_label}
        nothing = (0, 0, 0)
        return StreamResult(
            self.spoken + other.spoken,
            self.hits + other.hits,
            self.false_rejects + other.false_rejects,
            self.false_accepts + other.false_accepts,
            self.repeats + other.repeats,
            self.hours + other.hours,
            self.delays_ms + other.delays_ms,
            {
                label: tuple(
                    a + b
                    for a, b in zip(
                        self.by_label.get(label, nothing), other.by_label.get(label, nothing), strict=True
                    )
                )
                for label in labels
            },
        )

    def as_json(self) -> dict[str, Any]:
        """With 95 % intervals: the misses' by Wilson, the false accepts' by Poisson."""
        low, high = intervals.rate(self.false_accepts, self.hours)
        delays = sorted(self.delays_ms)
        return {
            "hours": self.hours,
            "spoken": self.spoken,
            "hits": self.hits,
            "false_rejects": self.false_rejects,
            "miss_rate": self.miss_rate if self.spoken else None,
            "miss_rate_interval": list(intervals.wilson(self.false_rejects, self.spoken)),
            "false_accepts": self.false_accepts,
            "false_accepts_per_hour": self.false_accepts_per_hour,
            "false_accepts_per_hour_interval": [low, None if math.isinf(high) else high],
            "repeats": self.repeats,
            "delay_ms": {
                "median": delays[len(delays) // 2],
                "p90": delays[len(delays) * 9 // 10],
                "maximum": delays[-1],
            }
            if delays
            else None,
            "by_label": {
                label: {"spoken": spoken, "hits": hits, "false_accepts": alarms}
                for label, (spoken, hits, alarms) in sorted(self.by_label.items())
            },
        }


def judge(
    detections: Iterable[tuple[str, int]], spoken: Sequence[Spoken], keywords: Sequence[str],
    patience_ms: int = PATIENCE_MS,
) -> list[Heard]:  # fmt: skip
    """What each detection (label, time) was. It hits the earliest word of its label, not heard before,
    that began before it and ended at most ``patience_ms`` before it; if all such were heard, it repeats
    one; any other detection is a false accept."""
    words = {label: [i for i, w in enumerate(spoken) if w.label == label] for label in keywords}
    first = dict.fromkeys(keywords, 0)  # of the words that may still be hit: times only go forward
    heard: set[int] = set()
    verdicts = []
    for label, time_ms in detections:
        indices, at = words.get(label, []), first.get(label, 0)
        while at < len(indices) and time_ms > spoken[indices[at]].end_ms + patience_ms:
            at += 1
        first[label] = at
        near = []
        while at < len(indices) and spoken[indices[at]].start_ms < time_ms:
            if time_ms <= spoken[indices[at]].end_ms + patience_ms:
                near.append(indices[at])
            at += 1
        fresh = [i for i in near if i not in heard]
        if fresh:
            heard.add(fresh[0])
            verdicts.append(Heard(label, time_ms, "hit", fresh[0]))
        elif near:
            verdicts.append(Heard(label, time_ms, "repeat", near[0]))
        else:
            verdicts.append(Heard(label, time_ms, "false accept"))
    return verdicts


def count(
    verdicts: Sequence[Heard], spoken: Sequence[Spoken], keywords: Sequence[str], duration_ms: int
) -> StreamResult:
    """The figures of verdicts."""
    targets = sum(word.label in keywords for word in spoken)
    hits = [v for v in verdicts if v.verdict == "hit"]
    alarms = [v for v in verdicts if v.verdict == "false accept"]
    delays = tuple(v.time_ms - _voice_end(spoken[v.word]) for v in hits if v.word is not None)
    by_label = {
        label: (
            sum(word.label == label for word in spoken),
            sum(v.label == label for v in hits),
            sum(v.label == label for v in alarms),
        )
        for label in keywords
    }
    return StreamResult(
        targets, len(hits), targets - len(hits), len(alarms), len(verdicts) - len(hits) - len(alarms),
        duration_ms / 3.6e6, delays, by_label,
    )  # fmt: skip


def _voice_end(word: Spoken) -> int:
    return word.end_ms if word.voice_end_ms is None else word.voice_end_ms
