"""ROC, area, equal error rate and intervals against values worked out by hand or taken from tables."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.metrics import curves, intervals


def test_a_curve_by_hand() -> None:
    # Targets 200, 150, 100; others 150, 50. From above: {200} {150, 150} {100} {50}.
    found = curves.curve(np.array([200, 150, 100, 150, 50], np.uint8), np.array([1, 1, 1, 0, 0]))
    assert found is not None and (found.targets, found.others) == (3, 2)
    assert found.thresholds == (255, 199, 149, 99, 49)
    assert found.true_positive_rate == pytest.approx((0, 1 / 3, 2 / 3, 1, 1))
    assert found.false_positive_rate == (0, 0, 0.5, 0.5, 1)
    # Of the 6 pairs 4 are in order, one is a tie, one (100 against 150) is not.
    assert found.auc == pytest.approx(4.5 / 6)
    # Misses fall from 2/3 to 1/3 as alarms rise from 0 to 1/2: they meet at 2/3 - 1/3 s = 1/2 s.
    assert found.eer == pytest.approx(2 / 3 - 0.8 / 3)


def test_curves_without_an_error_and_without_a_chance() -> None:
    scores, target = np.array([255, 250, 10, 0], np.uint8), np.array([1, 1, 0, 0], bool)
    best, worst = curves.curve(scores, target), curves.curve(scores, ~target)
    assert best is not None and (best.auc, best.eer) == (1.0, 0.0)
    assert worst is not None and (worst.auc, worst.eer) == (0.0, 1.0)
    same = curves.curve(np.full(4, 128, np.uint8), target)
    assert same is not None and (same.auc, same.eer) == (0.5, 0.5)
    assert curves.curve(scores, np.ones(4, bool)) is None and curves.curve(scores, np.zeros(4, bool)) is None


@given(st.lists(st.tuples(st.integers(0, 255), st.booleans()), min_size=2, max_size=60))
def test_area_is_the_share_of_pairs_in_order(pairs: list[tuple[int, bool]]) -> None:
    scores, target = np.array([p[0] for p in pairs], np.uint8), np.array([p[1] for p in pairs])
    found = curves.curve(scores, target)
    if found is None:
        assert target.all() or not target.any()
        return
    high, low = scores[target].astype(int)[:, None], scores[~target].astype(int)[None]
    assert found.auc == pytest.approx(np.mean((high > low) + 0.5 * (high == low)))
    assert 0 <= found.eer <= 1
    for threshold, hits, alarms in zip(
        found.thresholds, found.true_positive_rate, found.false_positive_rate, strict=True
    ):
        assert hits == pytest.approx(np.mean(high > threshold)) and alarms == pytest.approx(
            np.mean(low > threshold)
        )


def test_keywords_only() -> None:
    scores = np.array([[250, 3, 2], [10, 200, 45], [20, 30, 205]], np.uint8)
    found = curves.by_keyword(scores, np.array([0, 1, 2]), ("on", "off", "_unknown_"))
    assert set(found) == {"on", "off"} and found["on"]["auc"] == 1.0
    assert sum(found["on"]["target_histogram"]) == 1 and found["on"]["target_histogram"][31] == 1
    assert sum(found["on"]["other_histogram"]) == 2


def test_a_keyword_without_a_clip_and_one_without_another_have_no_curve() -> None:
    scores = np.array([[200, 5], [100, 6]], np.uint8)
    assert list(curves.by_keyword(scores, np.array([0, 0]), ("on", "off"))) == []
    assert list(curves.by_keyword(scores, np.array([0, 2]), ("on", "off"))) == ["on"]


def test_histograms_have_a_bin_for_every_eight_scores() -> None:
    """Also where no score is high: a page draws the bins side by side."""
    scores = np.array([[0, 0], [7, 0], [8, 0], [127, 0], [128, 0], [136, 0]], np.uint8)
    found = curves.by_keyword(scores, np.array([0, 0, 0, 0, 0, 1]), ("on", "_unknown_"))["on"]
    wanted = [0] * 32
    for bin_of, count in ((0, 2), (1, 1), (15, 1), (16, 1)):
        wanted[bin_of] = count
    assert found["target_histogram"] == wanted
    assert found["other_histogram"] == [0] * 17 + [1] + [0] * 14
    highest = curves.by_keyword(np.array([[255], [247]], np.uint8), np.array([0, 1]), ("on",))["on"]
    assert (highest["target_histogram"][31], highest["other_histogram"][30]) == (1, 1)


def test_intervals_of_shares() -> None:
    # Wilson's own figures for 8 of 10 and 0 of 20, to four places.
    assert intervals.wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert intervals.wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert intervals.wilson(0, 0) == (0.0, 1.0)


def test_intervals_of_counts() -> None:
    # Garwood's exact limits, as tables of the Poisson distribution give them.
    for count, low, high in ((0, 0.0, 3.689), (1, 0.0253, 5.572), (5, 1.623, 11.668), (20, 12.217, 30.888)):
        assert intervals.poisson(count) == pytest.approx((low, high), abs=2e-3)
    assert intervals.rate(5, 2.0) == pytest.approx((1.623 / 2, 11.668 / 2), abs=2e-3)
    assert intervals.rate(0, 0.0) == (0.0, float("inf"))


def test_interval_of_the_mean_recall() -> None:
    low, high = intervals.mean_recall(np.array([90, 80, 0]), np.array([100, 100, 0]))
    assert low < 0.85 < high and 0.03 < high - low < 0.12
    assert (low, high) == intervals.mean_recall(np.array([90, 80, 0]), np.array([100, 100, 0]))
    # One clip says little, also where it is right; a hundred say more.
    assert intervals.mean_recall(np.array([1]), np.array([1]))[0] < 0.3
    assert intervals.mean_recall(np.array([100]), np.array([100]))[0] > 0.95
    assert intervals.mean_recall(np.array([100]), np.array([100]))[1] == 1.0
    assert intervals.mean_recall(np.array([0]), np.array([100]))[0] == 0.0
    assert intervals.mean_recall(np.array([0]), np.array([0])) == (0.0, 1.0)
