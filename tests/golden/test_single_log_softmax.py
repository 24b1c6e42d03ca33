"""LOG_SOFTMAX against TensorFlow Lite Micro's reference kernel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.runtime import Model
from tests.golden.reference import SEEDS, ZERO_POINTS, assert_exact, random_models, reference
from tests.tflite_builder import NetworkBuilder, single


def log_softmax(shape: tuple[int, ...], scale: float, zero_point: int = 0) -> bytes:
    n = NetworkBuilder()
    x = n.tensor(shape, scale=scale, zero_point=zero_point)
    y = n.tensor(shape, scale=1 / 16, zero_point=127)
    return single("LOG_SOFTMAX", [x], y, n, "LogSoftmaxOptions")


@random_models
@given(st.integers(1, 3), st.integers(1, 40), st.floats(-20, 6), ZERO_POINTS, SEEDS)
def test_log_softmax(rows, depth, exponent, zero_point, seed):
    assert_exact(log_softmax((rows, depth), float(np.float32(2.0**exponent)), zero_point), seed, 6)


@pytest.mark.parametrize("scale", [2.0**-26 * 1.01, 2e-6, 0.01, 0.1, 1.0, 15.9, 16.1, 31.9, 32.1, 100.0, 1e6])
def test_every_difference_and_many_sums(scale):
    """A row for each share of values that are less than the largest by each difference."""
    rows = [np.r_[np.full(k, 127), np.full(12 - k, 127 - d)] for d in range(256) for k in (1, 2, 3, 5, 8, 11)]
    values = np.array(rows).astype(np.int8)
    model = log_softmax(values.shape, scale)
    theirs = reference(model)
    theirs.set_input(values, 0)
    theirs.invoke()
    np.testing.assert_array_equal(Model(model).invoke(values), theirs.get_output(0))


def test_log_softmax_of_most_classes():
    rng = np.random.default_rng(3)
    for scale in (0.001, 0.02, 0.3):
        model = log_softmax((64, 511), scale)
        values = rng.integers(-128, rng.integers(-127, 128, (64, 1)), (64, 511)).astype(np.int8)
        values[0] = 5
        theirs = reference(model)
        theirs.set_input(values, 0)
        theirs.invoke()
        np.testing.assert_array_equal(Model(model).invoke(values), theirs.get_output(0))
