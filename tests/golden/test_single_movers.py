"""Every operator that moves values against TensorFlow Lite Micro's reference kernels, on random models."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from host.runtime import Model
from tests.golden.reference import SCALES, SEEDS, SHAPES, ZERO_POINTS, assert_exact, random_models, reference
from tests.tflite_builder import NetworkBuilder, single


@random_models
@given(SHAPES, st.data(), st.booleans(), SCALES, ZERO_POINTS, SEEDS)
def test_pad(shape, data, explicit, scale, zero_point, seed):
    n = NetworkBuilder()
    pairs = np.array([[data.draw(st.integers(0, 3)), data.draw(st.integers(0, 3))] for _ in shape], np.int32)
    x = n.tensor(shape, scale=scale, zero_point=zero_point)
    inputs = [x, n.tensor(pairs.shape, "int32", data=pairs)]
    if explicit:
        value = np.array([data.draw(st.integers(-128, 127))], np.int8)
        inputs.append(n.tensor((1,), scale=scale, zero_point=zero_point, data=value))
    y = n.tensor(tuple(np.array(shape) + pairs.sum(axis=1)), scale=scale, zero_point=zero_point)
    name, options = ("PADV2", "PadV2Options") if explicit else ("PAD", "PadOptions")
    assert_exact(single(name, inputs, y, n, options), seed)


@random_models
@given(SHAPES, st.data(), SCALES, ZERO_POINTS, SEEDS)
def test_concatenation(shape, data, scale, zero_point, seed):
    rng = np.random.default_rng(seed)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    n = NetworkBuilder()

    def along(size: int) -> tuple[int, ...]:
        return tuple(size if d == axis % len(shape) else k for d, k in enumerate(shape))

    x = n.tensor(shape, scale=scale, zero_point=zero_point)
    parts = [
        n.tensor(along(size), scale=scale, zero_point=zero_point, data=rng.integers(-128, 128, along(size)))
        for size in sizes
    ]
    order = data.draw(st.permutations([x, x, *parts]))
    total = sum(sizes) + 2 * shape[axis]
    y = n.tensor(along(total), scale=scale, zero_point=zero_point)
    n.operator("CONCATENATION", order, [y], "ConcatenationOptions", axis=axis)
    assert_exact(n.build([x], [y]), seed)


@random_models
@given(SHAPES, st.data(), SCALES, ZERO_POINTS, SEEDS)
def test_strided_slice(shape, data, scale, zero_point, seed):
    begin, end, strides, left = [], [], [], []
    masks = {"beginMask": 0, "endMask": 0, "shrinkAxisMask": 0}
    for d, size in enumerate(shape):
        stride = data.draw(st.sampled_from([1, 2, 3, -1, -2]))
        first = data.draw(st.integers(0, size - 1))
        stop = data.draw(st.integers(first + 1, size) if stride > 0 else st.integers(-1, first - 1))
        count = -(-(stop - first) // stride)
        if data.draw(st.integers(0, 4)) == 0:
            masks["shrinkAxisMask"] |= 1 << d
            stride, count = 1, 0
        elif data.draw(st.integers(0, 3)) == 0 or stop == -1:
            masks["endMask"] |= 1 << d
            stop = data.draw(st.integers(-1, size))
            count = -(-((size if stride > 0 else -1) - first) // stride)
        if count and data.draw(st.integers(0, 3)) == 0:
            edge = 0 if stride > 0 else size - 1
            to_end = size if stride > 0 else -1
            limit = to_end if masks["endMask"] >> d & 1 else stop
            masks["beginMask"] |= 1 << d
            count = -(-(limit - edge) // stride)
        begin.append(first if data.draw(st.booleans()) else first - size)
        end.append(stop)
        strides.append(stride)
        if count:
            left.append(count)
    n = NetworkBuilder()
    x = n.tensor(shape, scale=scale, zero_point=zero_point)
    lists = [n.tensor((len(shape),), "int32", data=np.array(v)) for v in (begin, end, strides)]
    y = n.tensor(tuple(left), scale=scale, zero_point=zero_point)
    assert_exact(single("STRIDED_SLICE", [x, *lists], y, n, "StridedSliceOptions", **masks), seed)


def test_a_slice_of_everything_costs_nothing():
    n = NetworkBuilder()
    x, y = n.tensor((1, 3, 1, 4), scale=0.1), n.tensor((1, 3, 1, 4), scale=0.1)
    lists = [n.tensor((4,), "int32", data=np.array(v)) for v in ([0, 0, 0, 0], [1, 3, 1, -1])]
    model = single("SLICE", [x, *lists], y, n, "SliceOptions")
    assert Model(model).plan.layers[0].kernel == "copy"
    assert_exact(model, seed=1)


@random_models
@given(SHAPES, st.data())
def test_slices_end_where_the_input_does(shape, data):
    """x[:, -100:100] and its kind: bounds beyond the input are those of the input, as in NumPy."""
    masks, bounds = {"beginMask": 0, "endMask": 0}, []
    for d, size in enumerate(shape):
        beyond = st.integers(-2 * size - 1, 2 * size + 1)
        bounds.append([data.draw(beyond), data.draw(beyond), data.draw(st.sampled_from([1, 2, 3, -1, -2]))])
        for mask in masks:
            masks[mask] |= data.draw(st.booleans()) << d
    given = [
        slice(None if masks["beginMask"] >> d & 1 else b, None if masks["endMask"] >> d & 1 else e, stride)
        for d, (b, e, stride) in enumerate(bounds)
    ]
    values = np.arange(np.prod(shape)).astype(np.int8).reshape(shape)
    expected = values[tuple(given)]
    assume(expected.size)
    n = NetworkBuilder()
    x, y = n.tensor(shape, scale=0.1), n.tensor(expected.shape, scale=0.1)
    lists = [n.tensor((len(shape),), "int32", data=np.array(v)) for v in zip(*bounds, strict=True)]
    model = single("STRIDED_SLICE", [x, *lists], y, n, "StridedSliceOptions", **masks)
    np.testing.assert_array_equal(Model(model).invoke(values), expected)
    theirs = reference(model)
    theirs.set_input(values, 0)
    theirs.invoke()
    np.testing.assert_array_equal(theirs.get_output(0), expected)


@random_models
@given(SHAPES, st.data(), SCALES, ZERO_POINTS, SEEDS)
def test_slice(shape, data, scale, zero_point, seed):
    begin = [data.draw(st.integers(0, size - 1)) for size in shape]
    count = [data.draw(st.integers(1, size - first)) for first, size in zip(begin, shape, strict=True)]
    said = [
        -1 if first + k == size and data.draw(st.booleans()) else k
        for first, k, size in zip(begin, count, shape, strict=True)
    ]
    n = NetworkBuilder()
    x = n.tensor(shape, scale=scale, zero_point=zero_point)
    lists = [n.tensor((len(shape),), "int32", data=np.array(values)) for values in (begin, said)]
    y = n.tensor(tuple(count), scale=scale, zero_point=zero_point)
    assert_exact(single("SLICE", [x, *lists], y, n, "SliceOptions"), seed)


@random_models
@given(st.sampled_from(["SPLIT", "SPLIT_V", "UNPACK"]), SHAPES, st.data(), SCALES, ZERO_POINTS, SEEDS)
def test_every_output_of_a_division(name, shape, data, scale, zero_point, seed):
    """Each is the network's output once; that the others are left out changes nothing."""
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    sizes = [1] * shape[axis]
    if name == "SPLIT":
        sizes = [data.draw(st.integers(1, 3))] * data.draw(st.integers(1, 4))
    elif name == "SPLIT_V":
        sizes = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    n = NetworkBuilder()

    def along(size: int) -> tuple[int, ...]:
        return tuple(size if d == axis % len(shape) else k for d, k in enumerate(shape))

    x = n.tensor(along(sum(sizes)), scale=scale, zero_point=zero_point)
    at = n.tensor((), "int32", data=np.array(axis))
    inputs, options = {
        "SPLIT": ([at, x], {"options": "SplitOptions", "numSplits": len(sizes)}),
        "SPLIT_V": (
            [x, n.tensor((len(sizes),), "int32", data=np.array(sizes)), at],
            {"options": "SplitVOptions", "numSplits": len(sizes)},
        ),
        "UNPACK": ([x], {"options": "UnpackOptions", "num": len(sizes), "axis": axis}),
    }[name]
    shapes = [along(size) for size in sizes]
    if name == "UNPACK":
        shapes = [tuple(k for d, k in enumerate(shape) if d != axis % len(shape))] * len(sizes)
    outputs = [n.tensor(each, scale=scale, zero_point=zero_point) for each in shapes]
    n.operator(name, inputs, outputs, **options)
    for output in outputs:
        assert_exact(n.build([x], [output]), seed, inputs=2)


@pytest.mark.parametrize("name", ["SPLIT", "SPLIT_V", "UNPACK"])
@pytest.mark.parametrize("zero_point", [-128, 5])
def test_a_division_between_conversions(name, zero_point):
    """The converter leaves it in floats where one of its outputs alone is used: it moves the same bytes."""
    n = NetworkBuilder()
    shape, each = (1, 3, 4), (1, 3) if name == "UNPACK" else (1, 3, 2)
    x, y = (n.tensor(of, scale=0.03, zero_point=zero_point) for of in (shape, each))
    floats = n.tensor(shape, "float32")
    parts = [n.tensor(each, "float32") for _ in range(4 if name == "UNPACK" else 2)]
    at = n.tensor((), "int32", data=np.array(2))
    sizes = n.tensor((2,), "int32", data=np.array([2, 2]))
    inputs, options, fields = {
        "SPLIT": ([at, floats], "SplitOptions", {"numSplits": 2}),
        "SPLIT_V": ([floats, sizes, at], "SplitVOptions", {"numSplits": 2}),
        "UNPACK": ([floats], "UnpackOptions", {"num": 4, "axis": 2}),
    }[name]
    n.operator("DEQUANTIZE", [x], [floats])
    n.operator(name, inputs, parts, options, **fields)
    n.operator("QUANTIZE", [parts[1]], [y])
    model = n.build([x], [y])
    assert_exact(model, 1)
    assert [layer.name for layer in Model(model).layers] == [name.lower()]


@random_models
@given(SHAPES.filter(lambda shape: len(shape) < 4), st.data(), SCALES, ZERO_POINTS, SEEDS)
def test_pack(shape, data, scale, zero_point, seed):
    rng = np.random.default_rng(seed)
    axis = data.draw(st.integers(-len(shape) - 1, len(shape)))
    n = NetworkBuilder()
    x = n.tensor(shape, scale=scale, zero_point=zero_point)
    other = n.tensor(shape, scale=scale, zero_point=zero_point, data=rng.integers(-128, 128, shape))
    inputs = data.draw(st.lists(st.sampled_from([x, other]), min_size=1, max_size=5))
    to = list(shape)
    to.insert(axis % (len(shape) + 1), len(inputs))
    y = n.tensor(tuple(to), scale=scale, zero_point=zero_point)
    n.operator("PACK", inputs, [y], "PackOptions", axis=axis, valuesCount=len(inputs))
    assert_exact(n.build([x], [y]), seed)


@random_models
@given(SHAPES, st.data(), SCALES, ZERO_POINTS, SEEDS)
def test_transpose(shape, data, scale, zero_point, seed):
    order = data.draw(st.permutations(range(len(shape))))
    n = NetworkBuilder()
    x = n.tensor(shape, scale=scale, zero_point=zero_point)
    y = n.tensor(tuple(shape[d] for d in order), scale=scale, zero_point=zero_point)
    axes = n.tensor((len(shape),), "int32", data=np.array(order))
    model = single("TRANSPOSE", [x, axes], y, n, "TransposeOptions")
    assert_exact(model, seed)
    moved = [d for d in order if shape[d] != 1]
    assert (Model(model).plan.layers[0].kernel == "copy") == (moved == sorted(moved))


def test_channels_are_shuffled():
    """Between convolutions with groups: five dimensions, of which three differ."""
    n = NetworkBuilder()
    shape, turned = (1, 3, 4, 2, 5), (1, 3, 4, 5, 2)
    x, y = (n.tensor((1, 3, 4, 10), scale=0.1) for _ in range(2))
    a, b = n.tensor(shape, scale=0.1), n.tensor(turned, scale=0.1)
    order = n.tensor((5,), "int32", data=np.array([0, 1, 2, 4, 3]))
    n.operator("RESHAPE", [x, n.tensor((5,), "int32", data=np.array(shape))], [a], "ReshapeOptions")
    n.operator("TRANSPOSE", [a, order], [b], "TransposeOptions")
    n.operator("RESHAPE", [b, n.tensor((4,), "int32", data=np.array((1, 3, 4, 10)))], [y], "ReshapeOptions")
    model = n.build([x], [y])
    assert_exact(model, seed=1)
    assert Model(model).plan.layers[1].options.shape == (1, 12, 5, 2)


@random_models
@given(SHAPES, st.sampled_from(["RESHAPE", "SQUEEZE", "EXPAND_DIMS"]), SCALES, ZERO_POINTS, SEEDS)
def test_reshapes(shape, name, scale, zero_point, seed):
    n = NetworkBuilder()
    x = n.tensor(shape, scale=scale, zero_point=zero_point)
    if name == "RESHAPE":
        to = tuple(reversed(shape))
        inputs, options = [x, n.tensor((len(to),), "int32", data=np.array(to))], "ReshapeOptions"
    elif name == "SQUEEZE":
        to, inputs, options = tuple(k for k in shape if k != 1), [x], "SqueezeOptions"
    else:
        to = (1, *shape)
        inputs, options = [x, n.tensor((1,), "int32", data=np.array([0]))], "ExpandDimsOptions"
    y = n.tensor(to, scale=scale, zero_point=zero_point)
    assert_exact(single(name, inputs, y, n, options), seed)
