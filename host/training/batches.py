"""What the training loop eats: an epoch's examples in pieces, perturbed and mixed, made ahead of use.

A piece is a function of the seed, the stage, the epoch and its place, so that training can go on from
any epoch. Two threads work beside the loop: one makes the next epoch, one the next piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from host.augmentation import perturb
from host.specification import Mixup, Perturbation
from host.training.examples import Examples

_PIECE = 4096  # examples at a time, about
_EPOCHS_OF_A_STAGE = 100_000  # so that no two stages hear the same examples


class Source(Protocol):
    """Where examples come from."""

    word_names: tuple[str, ...]

    def __len__(self) -> int: ...

    def epoch(self, number: int) -> Examples: ...


@dataclass(frozen=True)
class Piece:
    """Some examples of an epoch: as many as a few batches."""

    features: np.ndarray  # float32[n, frames, channels], in units of the int8 features
    labels: np.ndarray  # float32[n, classes], shares that add up to 1
    words: np.ndarray  # float32[n, words]
    weights: np.ndarray  # float32[n]


class Batches:
    """The pieces of one stage's epochs, in order. To be closed, or used in a ``with``."""

    def __init__(
        self, source: Source, seed: int, stage: int, batch: int, perturbation: Perturbation, mixup: Mixup,
        class_weights: Callable[[np.ndarray], np.ndarray],
    ) -> None:  # fmt: skip
        """``class_weights``: from an epoch's labels to the weight of each class."""
        self._source, self._seed, self._stage = source, seed, stage
        self._perturbation, self._mixup = perturbation, mixup
        self._class_weights = class_weights
        self.batch = min(batch, len(source))
        self.steps = len(source) // self.batch  # what is left over comes in another epoch's order
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="batches")
        self._ahead: tuple[int, Future[Examples]] | None = None

    def __enter__(self) -> Batches:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def epoch(self, number: int, of: int) -> Iterator[Piece]:
        """The pieces of epoch ``number`` (from 1) of ``of``."""
        examples = self._examples(number).result()
        classes = self._class_weights(examples.labels)
        if number < of:
            self._ahead = (number + 1, self._start(number + 1))
        size = max(_PIECE // self.batch, 1) * self.batch
        starts = range(0, self.steps * self.batch, size)
        following: Future[Piece] | None = None
        for index, start in enumerate(starts):
            piece = following.result() if following else self._piece(examples, classes, number, start, size)
            if index + 1 < len(starts):
                following = self._pool.submit(self._piece, examples, classes, number, starts[index + 1], size)
            yield piece

    def _examples(self, number: int) -> Future[Examples]:
        if self._ahead and self._ahead[0] == number:
            return self._ahead[1]
        return self._start(number)

    def _start(self, number: int) -> Future[Examples]:
        return self._pool.submit(self._source.epoch, self._stage * _EPOCHS_OF_A_STAGE + number - 1)

    def _piece(self, examples: Examples, classes: np.ndarray, number: int, start: int, size: int) -> Piece:
        chosen = slice(start, min(start + size, self.steps * self.batch))
        rng = np.random.default_rng([self._seed, 3, self._stage, number, start])
        labels, words = examples.labels[chosen], examples.words[chosen]
        piece = Piece(
            perturb(examples.features[chosen], self._perturbation, int(rng.integers(1 << 63))),
            np.eye(len(classes), dtype=np.float32)[labels],
            np.eye(len(examples.word_names), dtype=np.float32)[words],
            classes[labels],
        )
        return mixed(piece, self._mixup, rng) if self._mixup.probability else piece


def mixed(piece: Piece, mixup: Mixup, rng: np.random.Generator) -> Piece:
    """The piece with a share of its examples laid over others of it; each keeps its larger half."""
    n = len(piece.weights)
    share = rng.beta(mixup.alpha, mixup.alpha, n)
    share = np.where(rng.random(n) < mixup.probability, np.maximum(share, 1 - share), 1).astype(np.float32)
    chosen = np.flatnonzero(share < 1)
    other = rng.permutation(n)[chosen]

    def mix(values: np.ndarray) -> np.ndarray:
        of = share[chosen].reshape(-1, *[1] * (values.ndim - 1))
        result = values.copy()
        result[chosen] = of * values[chosen] + (1 - of) * values[other]
        return result

    return Piece(mix(piece.features), mix(piece.labels), mix(piece.words), mix(piece.weights))
