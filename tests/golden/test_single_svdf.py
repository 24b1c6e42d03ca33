"""SVDF against TensorFlow Lite Micro's reference kernel, over many inferences."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from host.runtime import Model
from tests.golden.reference import SEEDS, ZERO_POINTS, assert_exact, random_models
from tests.tflite_builder import svdf

STATES = st.sampled_from(["int8", "int16"])


@random_models
@given(
    STATES, st.integers(1, 40), st.integers(1, 9), st.integers(1, 3), st.integers(1, 12), ZERO_POINTS,
    ZERO_POINTS, ZERO_POINTS, st.floats(-3, 4), st.floats(-6, 1), SEEDS,
)  # fmt: skip
def test_svdf(
    state, inputs, units, rank, memory, zero_point, state_zero_point, output_zero_point, fill, gain, seed
):
    """From states that are hardly moved to such as are beyond their type, and likewise outputs."""
    model = svdf(
        state, inputs, units, rank, memory, rng=np.random.default_rng(seed), zero_point=zero_point,
        state_zero_point=0 if state == "int16" else state_zero_point, output_zero_point=output_zero_point,
        fill=2.0**fill, gain=2.0**gain,
    )  # fmt: skip
    assert_exact(model, seed, 6 + 2 * memory)


@random_models
@given(STATES, st.integers(1, 8), st.integers(1, 4), SEEDS)
def test_sums_at_the_bounds(state, memory, rank, seed):
    """Weights and inputs at theirs: sums over an int16 state leave 32 bits."""
    rng = np.random.default_rng(seed)
    model = svdf(state, 5, 3, rank, memory, rng=rng, extreme=True, fill=8.0, gain=16.0)
    assert_exact(model, seed, 4 * memory)


def test_a_bias_that_is_left_out_is_zero():
    """The reference does not get this far."""
    rng = np.random.default_rng(0)
    models = [
        Model(svdf("int16", 8, 4, 2, 5, rng=np.random.default_rng(1), bias=bias)) for bias in ("zero", "none")
    ]
    found = set()
    for x in rng.integers(-128, 128, (12, 1, 8)).astype(np.int8):
        with_zeros, without = (model.invoke(x) for model in models)
        np.testing.assert_array_equal(without, with_zeros)
        found.add(without.tobytes())
    assert len(found) == 12


def test_a_reset_empties_the_state():
    for state in ("int8", "int16"):
        model = Model(svdf(state, 8, 4, 2, 5, rng=np.random.default_rng(1), state_zero_point=0, zero_point=3))
        assert model.keeps_state
        x = np.random.default_rng(0).integers(-128, 128, (1, 8)).astype(np.int8)
        first, second = model.invoke(x), model.invoke(x)
        model.reset()
        np.testing.assert_array_equal(model.invoke(x), first)
        np.testing.assert_array_equal(model.twin().invoke(x), first)
        assert not np.array_equal(first, second)
