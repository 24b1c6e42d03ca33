"""What an epoch is cut into: pieces of whole batches, mixed and weighted, the same again for a seed."""

from __future__ import annotations

import numpy as np
import pytest

from host.specification import Mixup, Perturbation
from host.training.batches import Batches, Piece, mixed
from tests.unit.small_training import Patterns, batches_of


def test_mixup_keeps_one_in_front_and_the_sums() -> None:
    n, rng = 2000, np.random.default_rng(1)
    x = rng.normal(size=(n, 3, 2)).astype(np.float32)
    labels = np.eye(4, dtype=np.float32)[rng.integers(4, size=n)]
    result = mixed(Piece(x, labels, labels, np.ones(n, np.float32)), Mixup(0.25, 0.4), rng)
    changed = np.any(result.features != x, axis=(1, 2))
    assert 0.2 < changed.mean() < 0.3
    assert np.allclose(result.labels.sum(axis=1), 1)
    assert np.all((result.labels * labels).sum(axis=1) >= 0.5)  # the example's own label has the most


def test_pieces_cover_an_epoch_and_are_the_same_again() -> None:
    def pieces() -> list[Piece]:
        with batches_of(48, Mixup(0.5)) as batches:
            assert batches.steps == 16  # 800 examples
            return list(batches.epoch(1, 2))

    first, second = pieces(), pieces()
    assert sum(len(piece.weights) for piece in first) == 16 * 48
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a.features, b.features) and np.array_equal(a.words, b.words)


@pytest.mark.parametrize(
    ("batch", "lengths"), [(48, [4080, 4080, 1824]), (5000, [5000, 5000]), (9999, [9999])]
)
def test_pieces_are_the_epoch_in_its_order(batch: int, lengths: list[int]) -> None:
    """Made ahead or not: an epoch that a training begins with is what it is after the one before."""
    still, weights = Perturbation(0.0, 0.0, 0, 0, 0), np.array([1, 2, 3, 4], np.float32)
    source = Patterns(each=2000)

    def batches() -> Batches:
        return Batches(source, 1, 7, batch, still, Mixup(), lambda labels: weights)

    with batches() as after:
        first, second = list(after.epoch(1, 3)), list(after.epoch(2, 3))
        list(after.epoch(3, 3))
    with batches() as begun:
        again = list(begun.epoch(2, 2))
    assert sorted(set(source.asked)) == [700_000, 700_001, 700_002] and len(source.asked) == 4
    for pieces, number in ((first, 700_000), (second, 700_001), (again, 700_001)):
        wanted = Patterns(each=2000).epoch(number)
        assert [len(piece.weights) for piece in pieces] == lengths
        used = sum(lengths)
        for name, values in (
            ("features", wanted.features), ("labels", np.eye(4)[wanted.labels]),
            ("words", np.eye(5)[wanted.words]), ("weights", weights[wanted.labels]),
        ):  # fmt: skip
            made = np.concatenate([getattr(piece, name) for piece in pieces])
            assert made.dtype == np.float32 and np.array_equal(made, values[:used]), name


@pytest.mark.parametrize("probability", [0.3, 1.0])
def test_a_share_of_the_examples_is_laid_over_others(probability: float) -> None:
    n = 4000
    labels = np.random.default_rng(0).integers(0, 4, n)
    plain = Piece(
        labels[:, None, None].astype(np.float32) * np.ones((1, 2, 3), np.float32),
        np.eye(4, dtype=np.float32)[labels], np.eye(4, dtype=np.float32)[labels], labels + np.float32(1),
    )  # fmt: skip
    made = mixed(plain, Mixup(probability, 0.4), np.random.default_rng(1))
    own = made.labels[np.arange(n), labels]  # at least its larger half
    assert own.min() >= 0.5 and np.allclose(made.labels.sum(axis=1), 1)
    assert np.array_equal(made.labels, made.words)
    # Features and weights are mixed with the same shares as the labels.
    assert np.allclose(made.features[:, 1, 2], made.labels @ np.arange(4), atol=1e-5)
    assert np.allclose(made.weights, made.labels @ np.arange(1, 5), atol=1e-5)
    changed = np.mean(own < 1)  # three of four others are of another class
    assert abs(changed - 0.75 * probability) < 0.05
