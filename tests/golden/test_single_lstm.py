"""LSTMs against TensorFlow Lite Micro's reference kernel, which is reset before each inference: ours begin
from zero each time."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.fixed_point import sigmoid_table
from host.runtime import Model
from tests.golden.reference import SEEDS, ZERO_POINTS, assert_exact, random_models, reference
from tests.recurrent import lstm
from tests.tflite_builder import NetworkBuilder

STEPS = st.floats(-9, -2).map(lambda e: float(np.float32(2.0**e)))


@random_models
@given(
    st.tuples(st.integers(1, 7), st.integers(1, 11), st.integers(1, 11)), st.booleans(),
    st.tuples(STEPS, STEPS), ZERO_POINTS, ZERO_POINTS, st.integers(-16, -9),
    st.sampled_from([0.0, 0.5, 3.0, 10.0]), st.sampled_from([10, 1000, 30000, 1 << 22]), SEEDS,
)  # fmt: skip
def test_lstm(sizes, time_major, scales, zero_in, zero_out, cell_exponent, clip, bias, seed):
    """From gates that hardly move to gates that all saturate."""
    (steps, inputs, units), (source, weight_scale) = sizes, scales
    rng, n = np.random.default_rng(seed), NetworkBuilder()
    lead = (steps, 1) if time_major else (1, steps)
    x = n.tensor((*lead, inputs), scale=source, zero_point=zero_in)
    y = n.tensor((*lead, units), scale=2.0 ** rng.uniform(-9, -6), zero_point=zero_out)
    lstm(n, rng, x, y, weight_scale=weight_scale / 4, bias=bias, cell_exponent=cell_exponent,
         cell_clip=clip, time_major=time_major)  # fmt: skip
    assert_exact(n.build([x], [y]), seed)


@pytest.mark.parametrize("fill", [-127, 127])
@pytest.mark.parametrize("cell_exponent", [-29, -15, -12, -8, 2])
@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_extremes(fill, cell_exponent, clip):
    """Of sums, gates and cell states; each exponent has its way to tanh."""
    rng, n = np.random.default_rng(abs(cell_exponent)), NetworkBuilder()
    x, y = n.tensor((1, 40, 100), scale=0.05, zero_point=-128), n.tensor((1, 40, 6), scale=1 / 128)
    lstm(n, rng, x, y, weight_scale=0.02, bias=1 << 22, cell_exponent=cell_exponent, cell_clip=clip,
         fill=fill)  # fmt: skip
    assert_exact(n.build([x], [y]), 1)


@pytest.mark.parametrize("zero_point", [-20, 3])
def test_an_output_of_another_scale_has_the_hidden_states_bytes(zero_point):
    """So the converter makes the first LSTM of a bidirectional one, and so the reference runs it."""
    rng, n = np.random.default_rng(2), NetworkBuilder()
    x, y = n.tensor((1, 5, 4), scale=0.05), n.tensor((1, 5, 3), scale=0.009, zero_point=zero_point)
    lstm(n, rng, x, y, hidden={"scale": 0.007, "zero_point": 4})
    assert_exact(n.build([x], [y]), 2)


def test_two_that_follow_each_other_and_one_backwards():
    rng, n = np.random.default_rng(3), NetworkBuilder()
    like = {"scale": 0.008, "zero_point": -3}
    x, first, turned, y = (n.tensor((1, 6, k), **like) for k in (5, 7, 7, 4))
    lstm(n, rng, x, first)
    n.operator("REVERSE_V2", [first, n.tensor((1,), "int32", data=np.array([1]))], [turned])
    lstm(n, rng, turned, y, bias=300)
    assert_exact(n.build([x], [y]), 3)


def test_an_inference_begins_from_zero():
    """The reference goes on where the inference before ended, unless it is reset."""
    rng, n = np.random.default_rng(4), NetworkBuilder()
    x, y = n.tensor((1, 3, 4), scale=0.05), n.tensor((1, 3, 5), scale=0.008, zero_point=9)
    lstm(n, rng, x, y, bias=300)
    tflite = n.build([x], [y])
    ours, theirs = Model(tflite), reference(tflite)
    assert not ours.keeps_state
    values = rng.integers(-128, 128, (1, 3, 4), np.int8)
    outputs = []
    for _ in range(2):
        theirs.set_input(values, 0)
        theirs.invoke()
        outputs.append(theirs.get_output(0).copy())
    assert (outputs[0] != outputs[1]).any()
    for _ in range(2):
        np.testing.assert_array_equal(ours.invoke(values), outputs[0])


def test_the_table_of_the_sigmoid():
    """Of which the reference's source has the values; this hash is theirs, as little-endian uint16."""
    table = sigmoid_table()
    found = hashlib.sha256(table.astype("<u2").tobytes()).hexdigest()
    assert found == "c79a34d2c8c6e794fbb0207601538fe0169e968cd6d9d5ca65fff859dcd55183"
    exact = [(1 << 16) / (1 + math.exp(-i / 24)) for i in range(256)]
    assert np.abs(table - exact).max() < 1.3


@random_models
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple), st.data(), SEEDS)
def test_reverse(shape, data, seed):
    """The reference takes dimensions that follow each other."""
    n, rank = NetworkBuilder(), len(shape)
    first = data.draw(st.integers(0, rank - 1))
    axes = np.arange(first, data.draw(st.integers(first + 1, rank))) - rank * data.draw(st.integers(0, 1))
    x, y = n.tensor(shape, scale=0.1), n.tensor(shape, scale=0.2, zero_point=5)
    n.operator("REVERSE_V2", [x, n.tensor(axes.shape, "int32", data=axes)], [y])
    assert_exact(n.build([x], [y]), seed)
