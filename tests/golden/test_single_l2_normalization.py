"""L2_NORMALIZATION against TensorFlow Lite Micro's reference kernel."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from host.runtime import Model
from tests.golden.reference import SEEDS, ZERO_POINTS, assert_exact, random_models, reference
from tests.tflite_builder import NetworkBuilder, single


def l2_normalization(shape: tuple[int, ...], zero_point: int) -> bytes:
    n = NetworkBuilder()
    x, y = n.tensor(shape, scale=0.1, zero_point=zero_point), n.tensor(shape, scale=1 / 128)
    return single("L2_NORMALIZATION", [x], y, n, "L2NormOptions")


@random_models
@given(st.integers(1, 3), st.integers(1, 40), ZERO_POINTS, SEEDS)
def test_l2_normalization(rows, depth, zero_point, seed):
    assert_exact(l2_normalization((rows, depth), zero_point), seed, 6)


def test_every_magnitude():
    """Rows of few values, zeros among them, and of so many large ones that their squares need 30 bits."""
    for depth, zero_point in ((1, 0), (2, -3), (4, 127), (9000, -128), (32768, 127)):
        rows = 256 if depth < 100 else 3
        values = np.random.default_rng(depth).integers(-128, 128, (rows, depth)).astype(np.int8)
        if depth < 100:
            values[:, 1:] = zero_point
            values[:, 0] = np.arange(-128, 128)
        else:
            values[0] = 127 if zero_point < 0 else -128
        model = l2_normalization(values.shape, zero_point)
        theirs = reference(model)
        theirs.set_input(values, 0)
        theirs.invoke()
        np.testing.assert_array_equal(Model(model).invoke(values), theirs.get_output(0))
