"""The detector's settings swept over stored scores, and the operating point that suits best.

The detector is the firmware's own, run again over the scores for each setting; no network runs here.
How many samples a window must hold (``minimum_count``) matters only until the window is first full and
after lost inferences, so it is not swept: see ``counts``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from host.detector import MAX_SAMPLES, DetectorSettings, keywords_of, replay
from host.errors import TokayError
from host.metrics.scoring import Scored
from host.metrics.streaming import Heard, StreamResult, count, judge

THRESHOLDS = (*range(100, 250, 5), 250, 252, 254)
_REFINED = 3  # windows whose best point is refined by keyword


@dataclass(frozen=True)
class Limits:
    """What an operating point must keep to; both count false accepts an hour."""

    background: float = 0.5  # where no keyword is said
    keywords: float = 6.0  # where keywords and other words are said: 2 in 20 minutes

    def as_json(self) -> dict[str, float]:
        """Both, by the names of a result's JSON."""
        return {
            "background_false_accepts_per_hour": self.background,
            "keyword_false_accepts_per_hour": self.keywords,
        }

    @classmethod
    def of(cls, value: Mapping[str, float]) -> Limits:
        """The limits that ``as_json`` gave."""
        return cls(value["background_false_accepts_per_hour"], value["keyword_false_accepts_per_hour"])

    def words(self) -> str:
        """Both, as they are told."""
        return f"{self.background:g} false accepts an hour without keywords and {self.keywords:g} with"


@dataclass(frozen=True)
class Point:
    """One setting of the detector and what it came to."""

    settings: DetectorSettings
    keywords: StreamResult  # on streams with keywords
    background: StreamResult  # on streams without

    @property
    def deaf(self) -> bool:
        """Whether it misses every keyword: what never detects anything keeps to any limit."""
        return 0 < self.keywords.spoken == self.keywords.false_rejects

    def as_json(self) -> dict[str, Any]:
        s = self.settings
        return {
            "average_window_duration_ms": s.average_window_ms,
            "minimum_count": s.minimum_count,
            "suppression_ms": s.suppression_ms,
            "detection_threshold_list": list(s.thresholds),
            "false_rejects": self.keywords.false_rejects,
            "spoken": self.keywords.spoken,
            "keyword_false_accepts": self.keywords.false_accepts,
            "keyword_hours": self.keywords.hours,
            "repeats": self.keywords.repeats,
            "background_false_accepts": self.background.false_accepts,
            "background_hours": self.background.hours,
            "background_false_accepts_per_hour": self.background.false_accepts_per_hour,
        }


@dataclass(frozen=True)
class Suggestion:
    """The operating point chosen, whether it keeps to the limits, and all that were looked at."""

    best: Point
    feasible: bool
    points: tuple[Point, ...]  # the sweep with one threshold for all keywords


def hear(scored: Scored, settings: DetectorSettings) -> list[Heard]:
    """What the detector hears in a stream, each detection judged."""
    found = replay(settings, scored.scores, scored.times_ms)
    labels, times = settings.labels, scored.times_ms
    pairs = zip(found["inference"], found["class_index"], strict=True)
    detections = [(labels[k], int(times[i])) for i, k in pairs]
    return judge(detections, scored.spoken, keywords_of(labels))


def measure(streams: Sequence[Scored], settings: DetectorSettings) -> StreamResult:
    """The figures of a detector on streams, added up."""
    total = StreamResult()
    for scored in streams:
        heard = hear(scored, settings)
        total += count(heard, scored.spoken, keywords_of(settings.labels), scored.duration_ms)
    return total


def sweep(
    with_keywords: Sequence[Scored], without: Sequence[Scored], settings: DetectorSettings,
    windows_ms: Sequence[int], thresholds: Sequence[int] = THRESHOLDS,
) -> Iterator[Point]:  # fmt: skip
    """Every window with every threshold (one for all keywords)."""
    times = [scored.times_ms for scored in (*with_keywords, *without)]
    for window_ms in windows_ms:
        least = counts(window_ms, times)
        for threshold in thresholds:
            yield _point(with_keywords, without, _with(settings, window_ms, least, threshold))


def suggest(
    with_keywords: Sequence[Scored], without: Sequence[Scored], settings: DetectorSettings,
    limits: Limits | None = None, windows_ms: Sequence[int] | None = None,
    thresholds: Sequence[int] = THRESHOLDS,
) -> Suggestion:  # fmt: skip
    """The setting with the fewest misses among those within the limits.

    First with one threshold for all keywords; then, from the best points of a few windows, with one for
    each keyword. Of settings with as many misses and false accepts the one with the shortest window and
    then the highest thresholds: false accepts are what must keep to a limit, on other audio too.
    Where nothing keeps to the limits, the point with the fewest false accepts (``feasible`` is False).
    """
    limits = limits or Limits()
    with_keywords, without = list(with_keywords), list(without)
    if not any(word.label in keywords_of(settings.labels) for s in with_keywords for word in s.spoken):
        raise TokayError("no keyword is said in any stream: nothing can be suggested")
    period = _period(with_keywords + without)
    windows_ms = windows_ms or [k * period for k in (0, 1, 2, 3, 4, 5, 7, 10)]
    points = tuple(sweep(with_keywords, without, settings, windows_ms, thresholds))
    by_window = [[p for p in points if p.settings.average_window_ms == ms] for ms in windows_ms]
    starts = [min(own, key=lambda point: rank(point, limits)) for own in by_window]
    starts = sorted(starts, key=lambda point: rank(point, limits))[:_REFINED]
    refined = [_refined(start, with_keywords, without, limits, thresholds) for start in starts]
    best = min(refined, key=lambda point: rank(point, limits))
    return Suggestion(best, within(best, limits), points)


def within(point: Point, limits: Limits) -> bool:
    return (
        point.background.false_accepts_per_hour <= limits.background
        and point.keywords.false_accepts_per_hour <= limits.keywords
    )


def rank(point: Point, limits: Limits) -> tuple[float, ...]:
    """The smaller the better. Within the limits misses count first (and repeats, which a user takes for
    false accepts), then false accepts; outside them false accepts alone."""
    alarms = point.keywords.false_accepts + point.background.false_accepts
    misses = point.keywords.false_rejects + point.keywords.repeats
    if not within(point, limits):
        return 1, alarms, misses
    return 0, misses, alarms, point.settings.average_window_ms, -max(point.settings.thresholds)


def counts(window_ms: int, streams_ms: Sequence[np.ndarray]) -> int:
    """The minimum count for a window over inferences at the times of streams: as many samples as it holds
    once it is full, but for one that may get lost. Where the time between inferences is no multiple of the
    front end's step, some windows hold fewer than others; what is asked for must be in all of them."""
    held = [_held(window_ms, times) for times in streams_ms if len(times)]
    return max(1, min([MAX_SAMPLES, *(n - 1 for n in held)]))


def _held(window_ms: int, times: np.ndarray) -> int:
    """The samples of the full window that holds fewest; of all, where the stream is too short for one."""
    held = np.arange(1, len(times) + 1) - np.searchsorted(times, times - window_ms)
    full = times - times[0] >= window_ms
    return int(held[full].min() if full.any() else held.max())


def _refined(
    best: Point, with_keywords: list[Scored], without: list[Scored], limits: Limits, thresholds: Sequence[int]
) -> Point:
    """Moves the keywords' thresholds one after the other while that helps, to the highest that helps most.
    One that could be raised for nothing, since another was, stays: no figure here would tell."""
    labels, improved = best.settings.labels, True
    while improved:
        improved = False
        for index in map(labels.index, keywords_of(labels)):
            for threshold in sorted(thresholds, reverse=True):
                own = (*best.settings.thresholds[:index], threshold, *best.settings.thresholds[index + 1 :])
                settings = dataclasses.replace(best.settings, thresholds=own)
                point = _point(with_keywords, without, settings)
                if rank(point, limits)[:3] < rank(best, limits)[:3]:
                    best, improved = point, True
    return best


def _point(with_keywords: Sequence[Scored], without: Sequence[Scored], settings: DetectorSettings) -> Point:
    return Point(settings, measure(with_keywords, settings), measure(without, settings))


def _with(settings: DetectorSettings, window_ms: int, least: int, threshold: int) -> DetectorSettings:
    return dataclasses.replace(
        settings,
        thresholds=(threshold,) * len(settings.labels),
        average_window_ms=window_ms,
        minimum_count=least,
    )


def _period(streams: Sequence[Scored]) -> int:
    """Milliseconds between two inferences, on average."""
    times = [s.times_ms for s in streams if len(s.times_ms) > 1]
    spans = [(int(t[-1] - t[0]), len(t) - 1) for t in times]
    if not spans:
        raise TokayError("the streams are too short to hear anything in")
    span, steps = map(sum, zip(*spans, strict=True))
    return max(1, round(span / steps))
