"""Operators that become several, against TensorFlow Lite Micro's reference kernels."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from host.runtime import Model
from tests.golden.reference import SCALES, SEEDS, SHAPES, ZERO_POINTS, assert_exact, random_models
from tests.tflite_builder import NetworkBuilder, single

THREE_SCALES = st.tuples(SCALES, SCALES, SCALES)
THREE_ZERO_POINTS = st.tuples(ZERO_POINTS, ZERO_POINTS, ZERO_POINTS)


def prelu(shape, slopes, factors, zeros, seed) -> bytes:
    n = NetworkBuilder()
    values = np.random.default_rng(seed).integers(-128, 128, slopes)
    x = n.tensor(shape, scale=factors[0], zero_point=zeros[0])
    a = n.tensor(slopes, scale=factors[1], zero_point=zeros[1], data=values)
    y = n.tensor(shape, scale=factors[2], zero_point=zeros[2])
    return single("PRELU", [x, a], y, n)


@random_models
@given(st.sampled_from([(1, 5, 9, 6), (1, 43, 6), (1, 300), (2, 257)]), st.booleans(), THREE_SCALES,
       THREE_ZERO_POINTS, SEEDS)  # fmt: skip
def test_prelu_with_many_slopes(shape, batch, factors, zeros, seed):
    """As Keras' PReLU has them if it shares none."""
    assume(255 * 255 * factors[0] * factors[1] / factors[2] < 2**28 and 255 * factors[0] / factors[2] < 2**28)
    model = prelu(shape, shape if batch and shape[0] == 1 else shape[1:], factors, zeros, seed)
    names = [layer.name for layer in Model(model).layers]
    assert names == ["minimum", "mul", "leaky_relu", "add"]
    assert_exact(model, seed)


@random_models
@given(SHAPES, st.data(), st.booleans(), SCALES, ZERO_POINTS, SEEDS)
def test_reduce_min(shape, data, keep, scale, zero_point, seed):
    rank = len(shape)
    axes = data.draw(st.lists(st.integers(-rank, rank - 1), min_size=1, max_size=rank))
    reduced = {axis % rank for axis in axes}
    left = tuple(1 if d in reduced else k for d, k in enumerate(shape) if keep or d not in reduced)
    n = NetworkBuilder()
    x, y = (n.tensor(each, scale=scale, zero_point=zero_point) for each in (shape, left))
    axis = n.tensor((len(axes),), "int32", data=np.array(axes))
    assert_exact(single("REDUCE_MIN", [x, axis], y, n, "ReducerOptions", keepDims=keep), seed)


@random_models
@given(st.sampled_from(["MINIMUM", "MAXIMUM"]), SHAPES, st.tuples(*[st.booleans()] * 4), st.booleans(),
       st.booleans(), SCALES, ZERO_POINTS, SEEDS)  # fmt: skip
def test_limits_of_two_tensors(name, shape, repeated, constant, swap, scale, zero_point, seed):
    """Of the input, and of a constant or what is the largest of it along some dimensions."""
    n = NetworkBuilder()
    own = {"scale": scale, "zero_point": zero_point}
    x, y = n.tensor(shape, **own), n.tensor(shape, **own)
    axes = [d for d in range(len(shape)) if repeated[d]]
    part = tuple(1 if d in axes else k for d, k in enumerate(shape))
    if constant:
        values = np.random.default_rng(seed).integers(-128, 128, part)
        other = n.tensor(part, **own, data=values)
    elif axes:
        other = n.tensor(part, **own)
        inputs = [x, n.tensor((len(axes),), "int32", data=np.array(axes))]
        n.operator("REDUCE_MIN", inputs, [other], "ReducerOptions", keepDims=True)
    else:
        other = n.tensor(part, **own)
        n.operator("QUANTIZE", [x], [other])
    n.operator(name, [other, x] if swap else [x, other], [y], "MaximumMinimumOptions")
    assert_exact(n.build([x], [y]), seed)


@random_models
@given(SHAPES, st.data(), SCALES, ZERO_POINTS, SEEDS)
def test_gather(shape, data, scale, zero_point, seed):
    """Indices in runs, backwards and repeated; a scalar and a matrix, too."""
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    size = shape[axis]
    kind = data.draw(st.sampled_from(["some", "run", "scalar", "matrix"]))
    if kind == "run":
        indices = np.arange(size)[:: data.draw(st.sampled_from([1, 2, -1, -2]))]
    else:
        count = {"scalar": 1, "matrix": 6}.get(kind) or data.draw(st.integers(1, 12))
        drawn = [data.draw(st.integers(0, size - 1)) for _ in range(count)]
        indices = np.array(drawn).reshape({"scalar": (), "matrix": (2, 3)}.get(kind, (-1,)))
    place = axis % len(shape)
    to = (*shape[:place], *indices.shape, *shape[place + 1 :])
    n = NetworkBuilder()
    x, y = (n.tensor(each, scale=scale, zero_point=zero_point) for each in (shape, to))
    at = n.tensor(indices.shape, "int32", data=indices)
    model = single("GATHER", [x, at], y, n, "GatherOptions", axis=axis)
    assert_exact(model, seed)
    if kind == "run":
        assert len(Model(model).layers) == 1


def test_a_constant_that_is_limited():
    """What is negated for the reduction is none."""
    n = NetworkBuilder()
    constant = n.tensor((1, 2, 3), scale=0.1, data=np.arange(6).reshape(1, 2, 3))
    x, least, y = (n.tensor(shape, scale=0.1) for shape in ((1, 2, 3), (1, 2, 1), (1, 2, 3)))
    axes = n.tensor((1,), "int32", data=np.array([2]))
    n.operator("REDUCE_MIN", [constant, axes], [least], "ReducerOptions", keepDims=True)
    n.operator("MAXIMUM", [x, least], [y], "MaximumMinimumOptions")
    assert_exact(n.build([x], [y]), 1)
