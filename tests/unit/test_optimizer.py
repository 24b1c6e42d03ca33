"""Muon beside Adam: which variables it moves, and that its steps are what its source says."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

from host.specification import Schedule

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="TensorFlow is not installed"),
    pytest.mark.xdist_group("tensorflow"),
]


@pytest.mark.parametrize("shape", [(96, 24), (24, 96), (48, 48), (9, 2)])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_orthogonal(shape: tuple[int, int], scale: float) -> None:
    import tensorflow as tf

    from host.training.optimizer import orthogonal

    rng = np.random.default_rng(1)
    u, _, v = np.linalg.svd(rng.normal(size=shape), full_matrices=False)
    values = np.linspace(0.1, 1, min(shape))  # of a gradient that a few directions dominate
    matrix = (scale * (u * values) @ v).astype(np.float32)
    result = orthogonal(tf.constant(matrix)).numpy()
    found = np.linalg.svd(result, compute_uv=False)
    assert result.shape == shape and found.min() > 0.6 and found.max() < 1.3
    # The same directions: what is left of the result between those of the matrix is nothing.
    inner = u.T @ result @ v.T
    assert np.abs(inner - np.diag(np.diag(inner))).max() < 1e-4 and np.diag(inner).min() > 0.6


def moved(schedule: Schedule, shape: tuple[int, ...], gradients: list[np.ndarray]) -> np.ndarray:
    """How far a variable of zeros is moved."""
    import keras
    import tensorflow as tf

    from host.training.optimizer import optimizer_of

    variable = keras.Variable(np.zeros(shape, np.float32))
    optimizer: Any = optimizer_of(schedule)
    optimizer.build([variable])
    for gradient in gradients:
        optimizer.apply([tf.constant(gradient.astype(np.float32))])
    return variable.numpy()


@pytest.mark.parametrize("shape", [(16,), (16, 4), (3, 3, 8, 1), (3, 8, 1)])
def test_what_is_no_kernel_learns_by_adam(shape: tuple[int, ...]) -> None:
    gradients = list(np.random.default_rng(2).normal(size=(3, *shape)))
    plain, mixed = Schedule(learning_rate=1e-3), Schedule(learning_rate=1e-3, muon=10.0)
    assert np.array_equal(moved(plain, shape, gradients), moved(mixed, shape, gradients))


@pytest.mark.parametrize("shape", [(3, 1, 8, 6), (3, 8, 6)])
def test_two_steps_of_a_kernel(shape: tuple[int, ...]) -> None:
    import tensorflow as tf

    from host.training.optimizer import orthogonal

    first, second = np.random.default_rng(3).normal(size=(2, *shape)).astype(np.float32)
    found = moved(Schedule(learning_rate=1e-3, muon=10.0), shape, [first, second])
    momenta = first, 0.95 * first + second
    expected = sum(
        -0.01 * orthogonal(tf.constant((gradient + 0.95 * momentum).reshape(24, 6))).numpy()
        for gradient, momentum in zip((first, second), momenta, strict=True)
    )
    assert np.allclose(found, np.reshape(expected, shape), atol=1e-6)


def test_a_kernel_with_more_filters_than_inputs_takes_longer_steps() -> None:
    gradient = np.random.default_rng(4).normal(size=(1, 1, 4, 16))
    found = moved(Schedule(learning_rate=1e-3, muon=10.0), gradient.shape, [gradient])
    assert np.isclose(np.linalg.norm(found), 0.01 * 2 * 2, rtol=0.3)  # √4 singular values of about 2 × 0.01
