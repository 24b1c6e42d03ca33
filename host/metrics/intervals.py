"""How sure a figure is: 95 % intervals of shares, of counts in a time, and of a mean of shares."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

_Z = 1.959963984540054  # of the normal distribution, 95 % two-sided
_TAIL = 0.025

Interval = tuple[float, float]


def wilson(hits: int, total: int) -> Interval:
    """Of a share, hits of total, by Wilson's score; (0, 1) where nothing was counted."""
    if total == 0:
        return 0.0, 1.0
    p, z2 = hits / total, _Z * _Z
    middle = (p + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z / (1 + z2 / total) * math.sqrt(p * (1 - p) / total + z2 / (4 * total * total))
    return max(0.0, middle - half), min(1.0, middle + half)


def poisson(count: int) -> Interval:
    """Of the mean of a count (exact, by Garwood): which means make so few, or so many, rarer than 2.5 %."""
    most = count + 10 * math.sqrt(count + 1) + 10
    high = _root(lambda mean: _poisson_at_most(count, mean) - _TAIL, count, most)
    if count == 0:
        return 0.0, high
    low = _root(lambda mean: 1 - _poisson_at_most(count - 1, mean) - _TAIL, 0.0, count)
    return low, high


def rate(count: int, hours: float) -> Interval:
    """Of events an hour, where ``count`` happened in ``hours``."""
    if hours <= 0:
        return 0.0, math.inf
    low, high = poisson(count)
    return low / hours, high / hours


def mean_recall(correct: np.ndarray, counts: np.ndarray, draws: int = 4000, seed: int = 0) -> Interval:
    """Of the mean of the classes' recalls, by drawing each recall from what its clips leave open.

    A recall's distribution is Beta(hits + 1/2, misses + 1/2): unlike drawing the clips again, a class of
    a few clips without an error stays uncertain. The same for a seed.
    """
    correct, counts = np.asarray(correct, np.int64), np.asarray(counts, np.int64)
    correct, counts = correct[counts > 0], counts[counts > 0]
    if not len(counts):
        return 0.0, 1.0
    rng = np.random.default_rng([seed, 0xB007])
    recalls = rng.beta(correct + 0.5, counts - correct + 0.5, (draws, len(counts)))
    low, high = np.quantile(recalls.mean(axis=1), (_TAIL, 1 - _TAIL))
    mean = float(np.mean(correct / counts))  # which the interval holds even where there is no error
    return min(float(low), mean), max(float(high), mean)


def _poisson_at_most(count: int, mean: float) -> float:
    logs = [k * math.log(mean) - mean - math.lgamma(k + 1) for k in range(count + 1)]
    return math.fsum(math.exp(value) for value in logs)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a monotonic function crosses zero between two points."""
    rising = function(high) > 0
    for _ in range(80):
        middle = (low + high) / 2
        if (function(middle) > 0) == rising:
            high = middle
        else:
            low = middle
    return (low + high) / 2
