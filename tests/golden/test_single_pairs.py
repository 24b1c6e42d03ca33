"""Operators of two tensors, and reductions over dimensions, against TensorFlow Lite Micro's reference
kernels, on random single-operator models."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from host.runtime import Model
from tests.golden.reference import (
    ACTIVATIONS,
    SCALES,
    SEEDS,
    SHAPES,
    THREE_SCALES,
    ZERO_POINTS,
    assert_exact,
    random_models,
    reference,
)
from tests.tflite_builder import NetworkBuilder, single

FIVE = st.tuples(*[st.sampled_from([1, 1, 2, 3])] * 5)
SOME = st.tuples(*[st.booleans()] * 5)


def pair_operator(n: NetworkBuilder, name: str, inputs: list[int], y: int, activation: int = 0) -> None:
    """Squared differences have no activation."""
    own = {} if name == "SQUARED_DIFFERENCE" else {"fusedActivationFunction": activation}
    n.operator(name, inputs, [y], f"{name.title().replace('_', '')}Options", **own)


@st.composite
def broadcast_shapes(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A shape, and one that broadcasts with it."""
    full = draw(SHAPES)
    kind = draw(st.integers(0, 2))
    if kind == 0:
        return full, full
    other = tuple(1 if draw(st.booleans()) else n for n in full)
    return full, other[draw(st.integers(0, len(other) - 1)) :] if kind == 2 else other


@random_models
@given(st.sampled_from(["ADD", "SUB", "MUL", "SQUARED_DIFFERENCE"]), broadcast_shapes(), st.booleans(),
       ACTIVATIONS, THREE_SCALES, st.tuples(ZERO_POINTS, ZERO_POINTS, ZERO_POINTS), SEEDS)  # fmt: skip
def test_operators_of_pairs(name, shapes, swap, activation, factors, zeros, seed):
    """The second input is a constant, a broadcast one or, for equal shapes, the input again."""
    rng = np.random.default_rng(seed)
    n = NetworkBuilder()
    x = n.tensor(shapes[0], scale=factors[0], zero_point=zeros[0])
    same = shapes[0] == shapes[1] and seed % 2
    other = x if same else n.tensor(shapes[1], scale=factors[1], zero_point=zeros[1],
                                    data=rng.integers(-128, 128, shapes[1]))  # fmt: skip
    y = n.tensor(shapes[0], scale=factors[2], zero_point=zeros[2])
    pair_operator(n, name, [other, x] if swap else [x, other], y, activation)
    assert_exact(n.build([x], [y]), seed)


def kinds_left(shape: tuple[int, ...], kinds: tuple[bool, ...]) -> int:
    """How many dimensions are left where those of a kind that follow each other are joined."""
    return len(list(itertools.groupby(kind for size, kind in zip(shape, kinds, strict=True) if size > 1)))


@random_models
@given(st.sampled_from(["ADD", "SUB", "MUL", "SQUARED_DIFFERENCE"]), FIVE, SOME, st.booleans(), SEEDS)
def test_pairs_of_five_dimensions(name, shape, repeated, swap, seed):
    """As of normalizations by group and by band."""
    assume(kinds_left(shape, repeated) <= 4)
    n = NetworkBuilder()
    x, y = n.tensor(shape, scale=0.1, zero_point=5), n.tensor(shape, scale=0.2, zero_point=-7)
    other = tuple(1 if r else size for size, r in zip(shape, repeated, strict=True))
    values = np.random.default_rng(seed).integers(-128, 128, other)
    constant = n.tensor(other, scale=0.03, zero_point=-50, data=values)
    pair_operator(n, name, [constant, x] if swap else [x, constant], y)
    assert_exact(n.build([x], [y]), seed)


def tied_model(name: str, finer: int, swapped: bool) -> tuple[bytes, np.ndarray]:
    """An operator of pairs and its input: every int8 with some others, in scales that are powers of
    two. Many results lie half way between two outputs, and what the finer input adds, which may be a unit of
    the sum or less, decides."""
    some = np.r_[-128:-120, -3:4, 120:128]
    coarse, fine = np.array(np.meshgrid(np.arange(-128, 128), some)).reshape(2, -1).astype(np.int8)
    scales, values = [2.0**-4, 2.0 ** (-4 - finer)], [coarse, fine]
    if swapped:
        scales, values = scales[::-1], values[::-1]
    n, shape = NetworkBuilder(), (1, coarse.size)
    x, y = n.tensor(shape, scale=scales[0], zero_point=3), n.tensor(shape, scale=2.0**-3, zero_point=-1)
    other = n.tensor(shape, scale=scales[1], data=values[1])
    pair_operator(n, name, [x, other], y)
    return n.build([x], [y]), values[0].reshape(shape)


def tied(test):
    """Runs a test on every such model."""
    for names, values in (
        ("name", ["ADD", "SUB", "MUL", "SQUARED_DIFFERENCE"]),
        ("finer", [0, 1, 2, 16, 19, 20, 21, 29, 30, 31]),
        ("swapped", [False, True]),
    ):  # fmt: skip
        test = pytest.mark.parametrize(names, values)(test)
    return test


@tied
def test_ties(name, finer, swapped):
    tflite, values = tied_model(name, finer, swapped)
    theirs = reference(tflite)
    theirs.set_input(values, 0)
    theirs.invoke()
    np.testing.assert_array_equal(Model(tflite).invoke(values).ravel(), theirs.get_output(0).ravel())


def test_scales_of_squares_are_multiplied_as_doubles():
    """The square of a difference of 209 is 31.5 units of the output, as near as the multiplier tells: that of
    a product in single precision rounds it to the other side."""
    n, shape = NetworkBuilder(), (256,)
    x, other = (n.tensor(shape, scale=np.float32(0.5298119), zero_point=-128, **more)
                for more in ({}, {"data": np.full(shape, -128)}))  # fmt: skip
    y = n.tensor(shape, scale=np.float32(389.2472))
    pair_operator(n, "SQUARED_DIFFERENCE", [x, other], y)
    tflite, every = n.build([x], [y]), np.arange(-128, 128).astype(np.int8)
    theirs = reference(tflite)
    theirs.set_input(every, 0)
    theirs.invoke()
    np.testing.assert_array_equal(Model(tflite).invoke(every), theirs.get_output(0))


def quotients_with_a_reference(layer, dividends: np.ndarray, divisors: np.ndarray) -> np.ndarray:
    """Where the reference's result is defined in C: no division by zero, and no shift by more bits than an
    int32 has, which quotients come to that are far below half a unit of the output."""
    o = layer.options
    a, b = dividends.astype(int) - o.zero_point_1, divisors.astype(int) - o.zero_point_2
    a = np.where(b < 0, -a, a)
    bits = np.frompyfunc(int.bit_length, 1, 1)
    headroom = 31 - bits(np.where(a < 0, ~a, a)).astype(int)
    over_unit = bits(abs(b)).astype(int) - 1
    return (b != 0) & (o.output_shift - over_unit - headroom >= -31)


@random_models
@given(broadcast_shapes(), st.booleans(), ACTIVATIONS, st.tuples(SCALES, SCALES, st.floats(-8, 14)),
       st.tuples(ZERO_POINTS, ZERO_POINTS, ZERO_POINTS), SEEDS)  # fmt: skip
def test_div(shapes, swap, activation, factors, zeros, seed):
    """By a constant, or of one; elsewhere than where the reference's results are not defined."""
    rng = np.random.default_rng(seed)
    n = NetworkBuilder()
    x = n.tensor(shapes[0], scale=factors[0], zero_point=zeros[0])
    constant = rng.integers(-128, 128, shapes[1]).astype(np.int8)
    other = n.tensor(shapes[1], scale=factors[1], zero_point=zeros[1], data=constant)
    first, second = (other, x) if swap else (x, other)
    ratio = factors[1] / factors[0] if swap else factors[0] / factors[1]
    y = n.tensor(shapes[0], scale=float(np.float32(ratio / 2.0 ** factors[2])), zero_point=zeros[2])
    pair_operator(n, "DIV", [first, second], y, activation)
    tflite = n.build([x], [y])
    ours, theirs = Model(tflite), reference(tflite)
    for k in range(3):
        values = rng.choice([-128, 127], shapes[0]) if k == 0 else rng.integers(-128, 128, shapes[0])
        values = values.astype(np.int8)
        theirs.set_input(values, 0)
        theirs.invoke()
        pair = (constant, values) if swap else (values, constant)
        defined = quotients_with_a_reference(ours.layers[0], *np.broadcast_arrays(*pair))
        np.testing.assert_array_equal(ours.invoke(values)[defined], theirs.get_output(0)[defined])


def quotients(scale: float) -> tuple[bytes, np.ndarray]:
    """A division of every int8 by every int8 to an output in a scale, and its input."""
    a, b = (v.ravel().astype(np.int8) for v in np.meshgrid(np.arange(-128, 128), np.arange(-128, 128)))
    n = NetworkBuilder()
    x, other = n.tensor(a.shape, scale=0.1, zero_point=-4), n.tensor(b.shape, scale=0.1, data=b)
    y = n.tensor(a.shape, scale=scale, zero_point=5)
    pair_operator(n, "DIV", [x, other], y)
    return n.build([x], [y]), a


@pytest.mark.parametrize("scale", [2.0, 0.02, 0.00187])
def test_every_quotient(scale):
    """Where the reference's results are not defined, those of its arithmetic continued: a division by zero is
    one by the divisor's unit, and what is far below half a unit of the output is zero."""
    tflite, a = quotients(scale)
    ours, theirs = Model(tflite), reference(tflite)
    theirs.set_input(a, 0)
    theirs.invoke()
    actual, expected = ours.invoke(a), theirs.get_output(0)
    b = np.repeat(np.arange(-128, 128), 256)
    defined = quotients_with_a_reference(ours.layers[0], a, b)
    np.testing.assert_array_equal(actual[defined], expected[defined])
    exact = (a.astype(int) + 4) / np.where(b == 0, 1, b) / scale + 5
    assert np.abs(actual - exact.clip(-128, 127)).max() < 0.52


@random_models
@given(st.sampled_from(["MINIMUM", "MAXIMUM"]), broadcast_shapes(), st.booleans(), ZERO_POINTS, SCALES,
       ZERO_POINTS, SEEDS)  # fmt: skip
def test_limits(name, shapes, first, limit, scale, zero_point, seed):
    """A constant of one value, in any shape that is repeated to the input's, as either input."""
    n = NetworkBuilder()
    x, y = (n.tensor(shapes[0], scale=scale, zero_point=zero_point) for _ in range(2))
    shape = () if seed % 2 else shapes[1]
    constant = n.tensor(shape, scale=scale, zero_point=zero_point, data=np.full(shape, limit))
    n.operator(name, [constant, x] if first else [x, constant], [y], "MaximumMinimumOptions")
    assert_exact(n.build([x], [y]), seed)


@random_models
@given(SHAPES, st.integers(0, 4), THREE_SCALES, st.tuples(ZERO_POINTS, ZERO_POINTS, ZERO_POINTS),
       st.booleans(), SEEDS)  # fmt: skip
def test_prelu(shape, shared, factors, zeros, batch, seed):
    """Slopes for all, or for each index of the last dimensions, shared along the ``shared`` first ones."""
    rng = np.random.default_rng(seed)
    n = NetworkBuilder()
    slopes = shape[shared:] if len(shape) - shared > 0 else (1,)
    assume(np.prod(slopes) <= 256 and 255 * 255 * factors[0] * factors[1] / factors[2] < 2**28)
    alphas = (1,) * (len(shape) - len(slopes)) * batch + slopes
    x = n.tensor(shape, scale=factors[0], zero_point=zeros[0])
    a = n.tensor(alphas, scale=factors[1], zero_point=zeros[1], data=rng.integers(-128, 128, alphas))
    y = n.tensor(shape, scale=factors[2], zero_point=zeros[2])
    model = single("PRELU", [x, a], y, n)
    assert_exact(model, seed)


@random_models
@given(st.sampled_from(["MEAN", "SUM", "REDUCE_MAX"]), SHAPES, st.data(), st.booleans(), SCALES, SCALES,
       ZERO_POINTS, ZERO_POINTS, SEEDS)  # fmt: skip
def test_reductions(name, shape, data, keep, scale_in, scale_out, zero_in, zero_out, seed):
    rank = len(shape)
    axes = data.draw(st.lists(st.integers(-rank, rank - 1), min_size=1, max_size=rank))
    reduced = {axis % rank for axis in axes}
    left = tuple(1 if d in reduced else k for d, k in enumerate(shape) if keep or d not in reduced)
    if name == "REDUCE_MAX":
        scale_out, zero_out = scale_in, zero_in
    n = NetworkBuilder()
    x = n.tensor(shape, scale=scale_in, zero_point=zero_in)
    y = n.tensor(left, scale=scale_out, zero_point=zero_out)
    axis = n.tensor((len(axes),), "int32", data=np.array(axes))
    assert_exact(single(name, [x, axis], y, n, "ReducerOptions", keepDims=keep), seed)


@random_models
@given(st.sampled_from(["MEAN", "SUM", "REDUCE_MAX"]), FIVE, SOME, SEEDS)
def test_reductions_of_five_dimensions(name, shape, reduced, seed):
    assume(any(reduced) and kinds_left(shape, reduced) <= 4)
    n = NetworkBuilder()
    axes = np.flatnonzero(reduced)
    x = n.tensor(shape, scale=0.1, zero_point=5)
    to = tuple(1 if r else size for size, r in zip(shape, reduced, strict=True))
    scale, zero_point = (0.1, 5) if name == "REDUCE_MAX" else (0.15, -7)
    y = n.tensor(to, scale=scale, zero_point=zero_point)
    inputs = [x, n.tensor((len(axes),), "int32", data=axes)]
    assert_exact(single(name, inputs, y, n, "ReducerOptions", keepDims=True), seed)
