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


def moved(schedule: Schedule, layer: Any, shape: tuple[int, ...], gradients: list[np.ndarray]) -> np.ndarray:
    """How far the only weight of a layer over an input of a shape is moved from zero."""
    import keras
    import tensorflow as tf

    from host.training.optimizer import optimizer_of

    inputs = keras.Input(shape)
    model = keras.Model(inputs, layer(inputs))
    [variable] = model.trainable_variables
    variable.assign(np.zeros(variable.shape))
    optimizer = optimizer_of(schedule, model)
    for gradient in gradients:
        optimizer.apply([tf.constant(gradient.reshape(variable.shape).astype(np.float32))])
    return variable.numpy()


def layers_of(name: str, *arguments: Any, **options: Any) -> Any:
    import keras

    return getattr(keras.layers, name)(*arguments, use_bias=False, **options)


@pytest.mark.parametrize(
    ("layer", "shape", "kernel"),
    [
        (("Dense", 4), (16,), (16, 4)),
        (("DepthwiseConv2D", 3), (5, 5, 8), (3, 3, 8, 1)),
        (("DepthwiseConv2D", 3, 1, "valid", 2), (5, 5, 8), (3, 3, 8, 2)),
        (("DepthwiseConv1D", 3), (5, 8), (3, 8, 1)),
        (("DepthwiseConv1D", 3, 1, "valid", 4), (5, 8), (3, 8, 4)),
    ],
)
def test_what_is_no_matrix_learns_by_adam(
    layer: tuple[Any, ...], shape: tuple[int, ...], kernel: tuple[int, ...]
) -> None:
    gradients = list(np.random.default_rng(2).normal(size=(3, *kernel)))
    plain, mixed = Schedule(learning_rate=1e-3), Schedule(learning_rate=1e-3, muon=10.0)
    found = [moved(schedule, layers_of(*layer), shape, gradients) for schedule in (plain, mixed)]
    assert found[0].shape == kernel and np.array_equal(*found)


def test_a_separable_convolution_has_one_kernel_of_each_kind() -> None:
    import keras
    import tensorflow as tf

    from host.training.optimizer import optimizer_of

    gradients = [np.random.default_rng(5).normal(size=s) for s in ((3, 3, 8, 2), (1, 1, 16, 6))]
    found = []
    for muon in (0.0, 10.0):
        layer = layers_of("SeparableConv2D", 6, 3, depth_multiplier=2)
        inputs = keras.Input((5, 5, 8))
        model = keras.Model(inputs, layer(inputs))
        before = model.get_weights()
        optimizer = optimizer_of(Schedule(learning_rate=1e-3, muon=muon), model)
        optimizer.apply([tf.constant(gradient.astype(np.float32)) for gradient in gradients])
        found.append([after - old for after, old in zip(model.get_weights(), before, strict=True)])
    (depthwise, pointwise), (depthwise_too, moved_further) = found
    assert np.allclose(depthwise, depthwise_too, atol=1e-6)
    assert not np.allclose(pointwise, moved_further, rtol=0.5)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (("Conv2D", 6, (3, 1)), (5, 5, 8)),
        (("Conv1D", 6, 3), (5, 8)),
        (("DepthwiseConv2D", (6, 4), 1, "valid", 6), (8, 8, 1)),  # of one channel: all filters see it
    ],
)
def test_two_steps_of_a_kernel(layer: tuple[Any, ...], shape: tuple[int, ...]) -> None:
    import tensorflow as tf

    from host.training.optimizer import orthogonal

    first, second = np.random.default_rng(3).normal(size=(2, 24, 6)).astype(np.float32)
    found = moved(Schedule(learning_rate=1e-3, muon=10.0), layers_of(*layer), shape, [first, second])
    momenta = first, 0.95 * first + second
    expected = sum(
        -0.01 * orthogonal(tf.constant(gradient + 0.95 * momentum)).numpy()
        for gradient, momentum in zip((first, second), momenta, strict=True)
    )
    assert np.allclose(found.reshape(24, 6), expected, atol=1e-6)


def test_a_kernel_with_more_filters_than_inputs_takes_longer_steps() -> None:
    gradient = np.random.default_rng(4).normal(size=(1, 1, 4, 16))
    found = moved(Schedule(learning_rate=1e-3, muon=10.0), layers_of("Conv2D", 16, 1), (5, 5, 4), [gradient])
    assert np.isclose(np.linalg.norm(found), 0.01 * 2 * 2, rtol=0.3)  # √4 singular values of about 2 × 0.01
