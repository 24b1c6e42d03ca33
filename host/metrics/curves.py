"""How well a class's score tells it from the others: ROC, DET, the area under it, the equal error rate.

Scores are 0..255, so a curve has at most 257 points and none is left out. A clip counts as detected
where its score is above the threshold, as in the detector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from host.detector import keywords_of

_BINS = 32


@dataclass(frozen=True)
class Curve:
    """One class against the rest, from the highest threshold (nothing detected) to the lowest."""

    thresholds: tuple[int, ...]  # detected where the score is above; -1 detects everything
    true_positive_rate: tuple[float, ...]
    false_positive_rate: tuple[float, ...]
    targets: int
    others: int

    @property
    def auc(self) -> float:
        """The chance that a clip of the class scores higher than another clip, a tie counted as half."""
        hits = np.array(self.true_positive_rate)
        return float(np.sum(np.diff(self.false_positive_rate) * (hits[1:] + hits[:-1]) / 2))

    @property
    def eer(self) -> float:
        """Where as many targets are missed as others are accepted, on the line between two points."""
        misses = 1 - np.array(self.true_positive_rate)
        difference = misses - np.array(self.false_positive_rate)  # falls from 1 to -1
        after = int(np.argmax(difference <= 0))  # never the first point
        high, low = difference[after - 1], difference[after]
        share = high / (high - low)
        return float(misses[after - 1] + share * (misses[after] - misses[after - 1]))


def curve(scores: np.ndarray, is_target: np.ndarray) -> Curve | None:
    """The curve of uint8 scores; None where there is no target, or nothing else."""
    scores, is_target = np.asarray(scores, np.int64), np.asarray(is_target, bool)
    hits = np.bincount(scores[is_target], minlength=256)
    alarms = np.bincount(scores[~is_target], minlength=256)
    targets, others = int(hits.sum()), int(alarms.sum())
    if not targets or not others:
        return None
    # Above threshold t are the scores t + 1 and more: only thresholds at which a count changes matter.
    steps = np.flatnonzero((hits + alarms) > 0)[::-1]
    thresholds = (255, *(int(step) - 1 for step in steps))
    return Curve(
        thresholds,
        tuple(float(hits[t + 1 :].sum() / targets) for t in thresholds),
        tuple(float(alarms[t + 1 :].sum() / others) for t in thresholds),
        targets,
        others,
    )


def by_keyword(scores: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """For each keyword its curve, area, equal error rate and histograms, as JSON has them."""
    found: dict[str, Any] = {}
    for label in keywords_of(classes):
        index = classes.index(label)
        own = curve(scores[:, index], labels == index)
        if own is None:
            continue
        found[label] = {
            "auc": own.auc,
            "eer": own.eer,
            "targets": own.targets,
            "others": own.others,
            "thresholds": list(own.thresholds),
            "true_positive_rate": list(own.true_positive_rate),
            "false_positive_rate": list(own.false_positive_rate),
            "target_histogram": _histogram(scores[labels == index, index]),
            "other_histogram": _histogram(scores[labels != index, index]),
        }
    return found


def _histogram(scores: np.ndarray) -> list[int]:
    """Counts in bins of equal width from 0 to 255."""
    return np.bincount(scores.astype(np.int64) * _BINS // 256, minlength=_BINS).tolist()
