"""Every operator that computes against TensorFlow Lite Micro's reference kernels, on random single-operator
models; EXP, GELU, LOG and SQRT, of which it has none for int8, against TensorFlow Lite's."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from hypothesis import assume, example, given
from hypothesis import strategies as st

from codegen.fixed_point import quantize_multiplier, requantize
from codegen.float_tables import FOLDED, steps_from_zero
from codegen.pipeline import compile_model
from codegen.windows import output_size
from host.runtime import Model
from tests.golden.reference import SCALES, SEEDS, SHAPES, ZERO_POINTS, assert_exact, random_models, reference
from tests.tflite_builder import NetworkBuilder, single

ACTIVATIONS = st.sampled_from([0, 1, 2, 3])
PADDINGS = {0: "same", 1: "valid"}
THREE_SCALES = st.tuples(SCALES, SCALES, SCALES)


def weights(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Weights that also reach their bounds: those of the converter, in half of the cases those of int8,
    which keep pairs of channels from being joined."""
    values = rng.integers(-127, 128, shape, np.int8)
    bounds = np.array([-127, 127] if rng.random() < 0.5 else [-128, -127, 127], np.int8)
    return np.where(rng.random(shape) < 0.1, rng.choice(bounds, shape), values)


def scales(rng: np.random.Generator, count: int, per_channel: bool) -> np.ndarray:
    return np.exp2(rng.uniform(-10, -4, count if per_channel else 1)).astype(np.float32)


def output_scale(rng: np.random.Generator, source: float, factor: np.ndarray, taps: int) -> float:
    """A scale at which outputs are spread over int8, sometimes far too fine or too coarse."""
    usual = source * float(factor.max()) * 74 * 74 * np.sqrt(taps) / 64
    return float(np.float32(usual * 2.0 ** rng.choice([-3, -1, 0, 0, 0, 1, 4])))


@st.composite
def windows(draw: st.DrawFn) -> dict[str, int]:
    """Sizes, strides, dilations and padding of a window that fits."""
    w = {
        "height": draw(st.integers(1, 12)), "width": draw(st.integers(1, 12)),
        "kernel_height": draw(st.integers(1, 5)), "kernel_width": draw(st.integers(1, 5)),
        "strideH": draw(st.integers(1, 4)), "strideW": draw(st.integers(1, 4)),
        "dilationHFactor": draw(st.integers(1, 3)), "dilationWFactor": draw(st.integers(1, 3)),
        "padding": draw(st.integers(0, 1)),
    }  # fmt: skip
    if w["padding"] == 1:  # the window has to fit
        w["height"] = max(w["height"], (w["kernel_height"] - 1) * w["dilationHFactor"] + 1)
        w["width"] = max(w["width"], (w["kernel_width"] - 1) * w["dilationWFactor"] + 1)
    return w


def out_shape(w: dict[str, int], channels: int, dilated: bool = True) -> tuple[int, ...]:
    padding = PADDINGS[w["padding"]]
    d = (w["dilationHFactor"], w["dilationWFactor"]) if dilated else (1, 1)
    return (
        1,
        output_size(padding, w["height"], w["kernel_height"], w["strideH"], d[0]),
        output_size(padding, w["width"], w["kernel_width"], w["strideW"], d[1]),
        channels,
    )


def steps(w: dict[str, int], *names: str) -> dict[str, int]:
    return {name: w[name] for name in ("padding", "strideH", "strideW", *names)}


def convolution(
    w, groups, channels_in, channels_out, activation, per_channel, bias, scale, zero_in, zero_out, seed
):
    """So many channels a group."""
    rng = np.random.default_rng(seed)
    n = NetworkBuilder()
    x = n.tensor((1, w["height"], w["width"], groups * channels_in), scale=scale, zero_point=zero_in)
    count = groups * channels_out
    shape = (count, w["kernel_height"], w["kernel_width"], channels_in)
    factor = scales(rng, count, per_channel)
    inputs = [x, n.tensor(shape, scale=factor, data=weights(rng, shape))]
    if bias:
        inputs.append(
            n.tensor((count,), "int32", scale=factor * np.float32(scale),
                     data=rng.integers(-20000, 20000, count))
        )  # fmt: skip
    y = n.tensor(out_shape(w, count), zero_point=zero_out,
                 scale=output_scale(rng, scale, factor, int(np.prod(shape[1:]))))  # fmt: skip
    return single("CONV_2D", inputs, y, n, "Conv2DOptions", fusedActivationFunction=activation,
                  **steps(w, "dilationHFactor", "dilationWFactor"))  # fmt: skip


@random_models
@given(windows(), st.integers(1, 9), st.integers(1, 9), ACTIVATIONS, st.booleans(), st.booleans(), SCALES,
       ZERO_POINTS, ZERO_POINTS, SEEDS)  # fmt: skip
def test_conv_2d(w, channels_in, channels_out, activation, per_channel, bias, scale, zero_in, zero_out, seed):
    own = (activation, per_channel, bias, scale, zero_in, zero_out, seed)
    assert_exact(convolution(w, 1, channels_in, channels_out, *own), seed)


@random_models
@given(windows(), st.integers(2, 4), st.integers(1, 3), st.integers(1, 3), st.booleans(), st.booleans(),
       SCALES, ZERO_POINTS, ZERO_POINTS, SEEDS)  # fmt: skip
def test_conv_2d_with_groups(
    w, groups, channels_in, channels_out, per_channel, bias, scale, zero_in, zero_out, seed
):
    """Those of single channels are depthwise convolutions."""
    own = (seed % 4, per_channel, bias, scale, zero_in, zero_out, seed)
    model = convolution(w, groups, channels_in, channels_out, *own)
    assert_exact(model, seed)
    names = [layer.name for layer in Model(model).layers]
    several = ["slice", "conv_2d"] * groups + ["concatenation"]
    assert names == (["depthwise_conv_2d"] if channels_in == 1 else several)


def test_groups_of_a_constant():
    """What is cut out of a constant for each group is not one."""
    rng, shape = np.random.default_rng(1), (1, 2, 3, 4)
    n = NetworkBuilder()
    x, y, z = (n.tensor(shape, scale=scale) for scale in (0.1, 0.3, 0.4))
    constant = n.tensor(shape, scale=0.1, data=weights(rng, shape))
    filters = n.tensor((4, 1, 1, 2), scale=scales(rng, 4, True), data=weights(rng, (4, 1, 1, 2)))
    n.operator("CONV_2D", [constant, filters], [y], "Conv2DOptions", strideH=1, strideW=1)
    assert_exact(single("ADD", [x, y], z, n, "AddOptions"), 1)


@random_models
@given(windows(), st.integers(1, 6), st.integers(1, 4), ACTIVATIONS, st.booleans(), SCALES, ZERO_POINTS,
       ZERO_POINTS, SEEDS)  # fmt: skip
def test_depthwise_conv_2d(w, channels, multiplier, activation, per_channel, scale, zero_in, zero_out, seed):
    rng = np.random.default_rng(seed)
    n = NetworkBuilder()
    x = n.tensor((1, w["height"], w["width"], channels), scale=scale, zero_point=zero_in)
    count = channels * multiplier
    shape = (1, w["kernel_height"], w["kernel_width"], count)
    factor = scales(rng, count, per_channel)
    weight = n.tensor(shape, scale=factor, dimension=3, data=weights(rng, shape))
    bias = n.tensor((count,), "int32", scale=factor * np.float32(scale),
                    data=rng.integers(-20000, 20000, count))  # fmt: skip
    y = n.tensor(out_shape(w, count), zero_point=zero_out,
                 scale=output_scale(rng, scale, factor, shape[1] * shape[2]))  # fmt: skip
    model = single("DEPTHWISE_CONV_2D", [x, weight, bias], y, n, "DepthwiseConv2DOptions",
                   fusedActivationFunction=activation, depthMultiplier=multiplier,
                   **steps(w, "dilationHFactor", "dilationWFactor"))  # fmt: skip
    assert_exact(model, seed)


@random_models
@given(st.integers(1, 3), st.integers(1, 40), st.integers(1, 9), ACTIVATIONS, st.booleans(), st.booleans(),
       SCALES, ZERO_POINTS, ZERO_POINTS, SEEDS)  # fmt: skip
def test_fully_connected(rows, taps, channels, activation, per_channel, bias, scale, zero_in, zero_out, seed):
    rng = np.random.default_rng(seed)
    n = NetworkBuilder()
    x = n.tensor((rows, taps), scale=scale, zero_point=zero_in)
    factor = scales(rng, channels, per_channel)
    inputs = [x, n.tensor((channels, taps), scale=factor, data=weights(rng, (channels, taps)))]
    if bias:
        inputs.append(
            n.tensor((channels,), "int32", scale=factor * np.float32(scale),
                     data=rng.integers(-20000, 20000, channels))
        )  # fmt: skip
    y = n.tensor((rows, channels), zero_point=zero_out, scale=output_scale(rng, scale, factor, taps))
    model = single("FULLY_CONNECTED", inputs, y, n, "FullyConnectedOptions",
                   fusedActivationFunction=activation)  # fmt: skip
    assert_exact(model, seed)


@st.composite
def matrix_shapes(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, int, int]]:
    """Batches of two inputs that broadcast, and rows, taps and columns."""
    full = draw(st.lists(st.integers(1, 3), max_size=2).map(tuple))
    ones = [tuple(1 if draw(st.integers(0, 3)) == 0 else n for n in full) for _ in range(2)]
    cut = draw(st.integers(0, len(full)))
    other = ones[1][cut:]
    return ones[0], other, tuple(draw(st.integers(1, 13)) for _ in range(3))


@random_models
@given(matrix_shapes(), st.booleans(), st.booleans(), st.sampled_from(["first", "second", "neither"]),
       SCALES, SCALES, st.tuples(ZERO_POINTS, ZERO_POINTS, ZERO_POINTS), SEEDS)  # fmt: skip
def test_batch_matmul(shapes, adj_x, adj_y, constant, first, second, zeros, seed):
    """Of an input and a constant, or of two slices of the input."""
    rng = np.random.default_rng(seed)
    *batches, (rows, taps, columns) = shapes
    n = NetworkBuilder()
    sizes = [(taps, rows) if adj_x else (rows, taps), (columns, taps) if adj_y else (taps, columns)]
    shapes = [(*batch, *size) for batch, size in zip(batches, sizes, strict=True)]
    scales = [first, first if constant == "neither" else second]
    zero_points = [zeros[0], zeros[0] if constant == "neither" else zeros[1]]

    def operand(k: int, **data) -> int:
        return n.tensor(shapes[k], scale=scales[k], zero_point=zero_points[k], **data)

    if constant == "neither":
        both = [int(np.prod(shape)) for shape in shapes]
        x, parts = n.tensor((sum(both),), scale=first, zero_point=zeros[0]), []
        inputs = [operand(0), operand(1)]
        for begin, size, to in zip((0, both[0]), both, inputs, strict=True):
            lists = [n.tensor((1,), "int32", data=np.array([v])) for v in (begin, size)]
            parts.append(n.tensor((size,), scale=first, zero_point=zeros[0]))
            n.operator("SLICE", [x, *lists], parts[-1:], "SliceOptions")
            shape = n.tensors[to].shape
            shape = n.tensor((len(shape),), "int32", data=np.array(shape))
            n.operator("RESHAPE", [parts[-1], shape], [to], "ReshapeOptions")
    else:
        k = constant == "first"
        x, other = operand(k), operand(1 - k, data=rng.integers(-128, 128, shapes[1 - k]))
        inputs = [other, x] if k else [x, other]
    to = (*np.broadcast_shapes(*batches), rows, columns)
    usual = float(np.prod(scales)) * 74 * 74 * np.sqrt(taps) / 64 * 2.0 ** rng.choice([-3, -1, 0, 0, 0, 1, 4])
    y = n.tensor(to, scale=float(np.float32(usual)), zero_point=zeros[2])
    n.operator("BATCH_MATMUL", inputs, [y], "BatchMatMulOptions", adjX=adj_x, adjY=adj_y)
    assert_exact(n.build([x], [y]), seed)


def sums_that_tell_doubles() -> tuple[np.float32, np.float32, np.float32, list[int]]:
    """Scales of two inputs and an output, and sums whose outputs differ from those of a product in single
    precision, which rounds the multiplier in its last bits: once in twenty thousand random outputs."""
    source, weight, target = (np.float32(v) for v in (0.010325393639, 0.010987923480, 0.022011598572))
    products = float(source * weight), float(source) * float(weight)
    factors = [quantize_multiplier(product / float(target)) for product in products]
    sums = [s for s in range(1 << 15) if len({requantize(s, *f) for f in factors}) == 2]
    assert sums
    return source, weight, target, sums


def test_scales_of_a_product_of_matrices_are_multiplied_as_doubles():
    first, second, target, sums = sums_that_tell_doubles()
    n = NetworkBuilder()
    x = n.tensor((len(sums), 2), scale=first, zero_point=-128)
    other = n.tensor((2, 1), scale=second, data=np.array([[127], [1]]))
    y = n.tensor((len(sums), 1), scale=target, zero_point=-42)
    n.operator("BATCH_MATMUL", [x, other], [y], "BatchMatMulOptions")
    model = n.build([x], [y])
    values = (np.array([divmod(s, 127) for s in sums]) - 128).astype(np.int8)
    theirs = reference(model)
    theirs.set_input(values, 0)
    theirs.invoke()
    np.testing.assert_array_equal(Model(model).invoke(values), theirs.get_output(0))


def test_scales_of_a_dense_layer_are_multiplied_as_doubles():
    source, weight, target, sums = sums_that_tell_doubles()
    n = NetworkBuilder()
    x = n.tensor((1, len(sums)), scale=source)
    taps = (len(sums), len(sums))
    inputs = [x, n.tensor(taps, scale=weight, data=np.zeros(taps)),
              n.tensor(taps[:1], "int32", scale=source * weight, data=np.array(sums))]  # fmt: skip
    y = n.tensor((1, taps[0]), scale=target, zero_point=-42)
    assert_exact(single("FULLY_CONNECTED", inputs, y, n, "FullyConnectedOptions"), seed=1)


@random_models
@given(st.sampled_from(["MAX_POOL_2D", "AVERAGE_POOL_2D"]), windows(), st.integers(1, 6), ACTIVATIONS, SCALES,
       ZERO_POINTS, SEEDS)  # fmt: skip
def test_pools(name, w, channels, activation, scale, zero_point, seed):
    n = NetworkBuilder()
    x = n.tensor((1, w["height"], w["width"], channels), scale=scale, zero_point=zero_point)
    y = n.tensor(out_shape(w, channels, dilated=False), scale=scale, zero_point=zero_point)
    model = single(name, [x], y, n, "Pool2DOptions", fusedActivationFunction=activation,
                   filterHeight=w["kernel_height"], filterWidth=w["kernel_width"], **steps(w))  # fmt: skip
    assert_exact(model, seed)


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


FIVE = st.tuples(*[st.sampled_from([1, 1, 2, 3])] * 5)
SOME = st.tuples(*[st.booleans()] * 5)


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


def pair_operator(n: NetworkBuilder, name: str, inputs: list[int], y: int, activation: int = 0) -> None:
    """Squared differences have no activation."""
    own = {} if name == "SQUARED_DIFFERENCE" else {"fusedActivationFunction": activation}
    n.operator(name, inputs, [y], f"{name.title().replace('_', '')}Options", **own)


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
@given(
    st.integers(1, 3), st.integers(1, 24), SCALES, st.sampled_from([1.0, 1.0, 0.5, 2.5]), ZERO_POINTS, SEEDS
)
def test_softmax(rows, depth, scale, beta, zero_point, seed):
    n = NetworkBuilder()
    x = n.tensor((rows, depth), scale=scale, zero_point=zero_point)
    y = n.tensor((rows, depth), scale=1 / 256, zero_point=-128)
    assert_exact(single("SOFTMAX", [x], y, n, "SoftmaxOptions", beta=beta), seed, inputs=6)


def test_softmax_of_most_classes():
    n = NetworkBuilder()
    x = n.tensor((1, 511), scale=0.001)
    y = n.tensor((1, 511), scale=1 / 256, zero_point=-128)
    model = single("SOFTMAX", [x], y, n, "SoftmaxOptions", beta=1.0)
    assert_exact(model, 1)
    equal = np.full((1, 511), 5, np.int8)
    theirs = reference(model)
    theirs.set_input(equal, 0)
    theirs.invoke()
    np.testing.assert_array_equal(Model(model).invoke(equal), theirs.get_output(0))


@random_models
@given(st.sampled_from(["LOGISTIC", "TANH", "RELU", "RELU6", "QUANTIZE", "LEAKY_RELU", "ABS"]),
       st.floats(-24, 12), SCALES, st.floats(0, 3), ZERO_POINTS, ZERO_POINTS)  # fmt: skip
def test_every_value_of_unary_operators(name, exponent, scale_out, alpha, zero_in, zero_out):
    scale = float(np.float32(2.0**exponent))
    n = NetworkBuilder()
    x = n.tensor((256,), scale=scale, zero_point=zero_in)
    if name == "LOGISTIC":
        scale_out, zero_out = 1 / 256, -128
    elif name == "TANH":
        scale_out, zero_out = 1 / 128, 0
    elif name == "RELU6":
        scale_out, zero_out = scale, zero_in
    assume(255 * 3 * scale / scale_out < 2**28)  # more is refused when code is generated
    y = n.tensor((256,), scale=scale_out, zero_point=zero_out)
    leaky = {"options": "LeakyReluOptions", "alpha": alpha} if name == "LEAKY_RELU" else {}
    assert_every_value(single(name, [x], y, n, **leaky))


@random_models
@given(st.floats(-20, 16), st.floats(-6.99, 9), ZERO_POINTS, ZERO_POINTS)
@example(0.0, 0.4, 0, 0)  # half-way between two multipliers of 16 bits, in single precision alone
def test_every_value_of_hard_swish(exponent, coarser, zero_in, zero_out):
    """Within all the scales that are not refused."""
    n = NetworkBuilder()
    scale = float(np.float32(2.0**exponent))
    x = n.tensor((256,), scale=scale, zero_point=zero_in)
    y = n.tensor((256,), scale=float(np.float32(scale * 2.0**coarser)), zero_point=zero_out)
    assume(scale / 128 < n.tensors[y].quantization.scale[0] <= 512 * scale)
    assert_every_value(single("HARD_SWISH", [x], y, n))


def assert_every_value(model: bytes, but: np.ndarray | None = None) -> None:
    """Every int8, ``but`` for some."""
    every = np.arange(-128, 128).astype(np.int8)
    theirs = reference(model)
    theirs.set_input(every, 0)
    theirs.invoke()
    considered = slice(None) if but is None else ~but
    np.testing.assert_array_equal(Model(model).invoke(every)[considered], theirs.get_output(0)[considered])


def of_tensorflow_lite(model: bytes, x: np.ndarray) -> np.ndarray:
    """The output of its reference kernels."""
    theirs = Interpreter(model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    theirs.allocate_tensors()
    theirs.set_tensor(theirs.get_input_details()[0]["index"], x)
    theirs.invoke()
    return theirs.get_tensor(theirs.get_output_details()[0]["index"])


def nearly_half_way(name: str, source: tuple, output: tuple, options: dict) -> np.ndarray:
    """Which of the 256 inputs have results that a unit in the last place, about which C libraries differ,
    may round to either side."""
    steps = np.clip(steps_from_zero(name.lower(), source, output, options), -512, 512)
    return np.abs(steps - np.floor(steps) - 0.5) < 1e-6 * (1 + np.abs(steps))


@random_models
@given(st.sampled_from(["ELU", "EXP", "GELU", "LOG"]), st.booleans(), st.floats(-10, 4), SCALES, ZERO_POINTS,
       ZERO_POINTS)  # fmt: skip
def test_every_value_of_functions_in_single_precision(
    name, approximate, exponent, scale_out, zero_in, zero_out
):
    scale = float(np.float32(2.0**exponent))
    n = NetworkBuilder()
    x = n.tensor((256,), scale=scale, zero_point=zero_in)
    y = n.tensor((256,), scale=scale_out, zero_point=zero_out)
    gelu = {"approximate": approximate} if name == "GELU" else {}
    options = {"EXP": "ExpOptions", "GELU": "GeluOptions"}.get(name)
    model = single(name, [x], y, n, options, **gelu)
    either = nearly_half_way(name, (scale, zero_in), (scale_out, zero_out), gelu)
    if name == "ELU":
        assert_every_value(model, either)
    else:
        every = np.arange(-128, 128).astype(np.int8)
        expected = of_tensorflow_lite(model, every)
        np.testing.assert_array_equal(Model(model).invoke(every)[~either], expected[~either])


@random_models
@given(st.sampled_from(["ELU", "EXP", "LOG", "NEG", "SQRT", "SQUARE"]), st.floats(-6, 0), st.floats(-6, 1),
       ZERO_POINTS, ZERO_POINTS)  # fmt: skip
def test_every_value_of_functions_between_conversions(name, exponent, coarseness, zero_in, zero_out):
    """As the converter leaves Keras' elu; three operators become one."""
    source, output = (float(np.float32(2.0**e)) for e in (exponent, coarseness))
    assume(name not in ("EXP", "LOG") or zero_in < -64)  # results of the others are infinite, or no numbers
    assume(name != "EXP" or exponent < -4)
    n = NetworkBuilder()
    x = n.tensor((256,), scale=source, zero_point=zero_in)
    y = n.tensor((256,), scale=output, zero_point=zero_out)
    a, b = n.tensor((256,), "float32"), n.tensor((256,), "float32")
    n.operator("DEQUANTIZE", [x], [a])
    n.operator(name, [a], [b])
    n.operator("QUANTIZE", [b], [y])
    model = n.build([x], [y])
    assert [(layer.index, layer.name) for layer in Model(model).layers] == [(1, name.lower())]
    steps = (name, (source, zero_in), (output, zero_out), {FOLDED: True})
    but = nearly_half_way(*steps)
    if name == "LOG":
        but[: zero_in + 129] = True  # up to 0
    elif name == "SQRT":
        but[: zero_in + 128] = True  # up to -1
    assert_every_value(model, but)


@random_models
@given(st.sampled_from(["RSQRT", "SQRT"]), st.floats(-20, 6), st.floats(-2, 9), ZERO_POINTS, ZERO_POINTS)
@example("RSQRT", 0.5, 8.0, -87, 0)  # another multiplier where scales are multiplied in single precision
def test_every_root(name, exponent, fineness, zero_in, zero_out):
    """At values that are not negative, the only ones that the references take; TensorFlow Lite's for SQRT."""
    scale = float(np.float32(2.0**exponent))
    largest = np.sqrt(255 * scale) if name == "SQRT" else 1 / np.sqrt(scale)
    n = NetworkBuilder()
    x = n.tensor((256,), scale=scale, zero_point=zero_in)
    y = n.tensor((256,), scale=float(np.float32(largest / 2**fineness)), zero_point=zero_out)
    model = single(name, [x], y, n)
    every = np.arange(-128, 128).clip(zero_in).astype(np.int8)
    if name == "SQRT":
        expected = of_tensorflow_lite(model, every)
    else:
        theirs = reference(model)
        theirs.set_input(every, 0)
        theirs.invoke()
        expected = theirs.get_output(0)
    np.testing.assert_array_equal(Model(model).invoke(every), expected)
    # Below, where the references stop: what 0 has.
    least, zero = Model(model).invoke(np.full(256, -128, np.int8))[0], expected[0]
    assert least == zero or zero_in == -128


def test_roots_that_are_whole_multiples_of_the_scale():
    """Divided by it, not multiplied by its inverse, and fractions are dropped."""
    rng = np.random.default_rng(5)
    different = 0
    for _ in range(200):
        output = np.float32(2.0 ** rng.uniform(-8, 0))
        source = np.float32((rng.integers(5, 100) * float(output)) ** 2 / rng.integers(1, 255))
        roots = np.sqrt(np.arange(256, dtype=np.float32) * source)
        ways = np.trunc(roots / output), np.trunc(roots * (np.float32(1) / output))
        if (np.minimum(ways[0], 255) == np.minimum(ways[1], 255)).all():
            continue
        different += 1
        n = NetworkBuilder()
        x, y = (n.tensor((256,), scale=scale, zero_point=-128) for scale in (source, output))
        model, every = single("SQRT", [x], y, n), np.arange(-128, 128).astype(np.int8)
        np.testing.assert_array_equal(Model(model).invoke(every), of_tensorflow_lite(model, every))
    assert different


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


@pytest.mark.parametrize("name", ["ABS", "LEAKY_RELU", "PRELU"])
def test_tables_of_kernels_that_round_once(name):
    """Halves go up then, and not away from zero."""
    n = NetworkBuilder()
    x, y = n.tensor((256,), scale=0.125), n.tensor((256,), scale=1.0)
    slopes = [n.tensor((1,), scale=0.25, data=np.array([1]))] if name == "PRELU" else []
    leaky = {"options": "LeakyReluOptions", "alpha": 0.25} if name == "LEAKY_RELU" else {}
    model = single(name, [x, *slopes], y, n, **leaky)
    exact = np.arange(-128, 128) / 8
    exact = np.abs(exact) if name == "ABS" else np.where(exact < 0, exact / 4, exact)
    plans = (compile_model(model, name="model", rounding=how) for how in ("single", "double"))
    once, twice = (plan.layers[0].options.table for plan in plans)
    np.testing.assert_array_equal(once, np.floor(exact + 0.5))
    assert (once != twice).any()


@random_models
@given(SHAPES, SCALES, ZERO_POINTS, SEEDS)
def test_quantize_and_dequantize_floats(shape, scale, zero_point, seed):
    n = NetworkBuilder()
    x = n.tensor(shape, "float32")
    q = n.tensor(shape, scale=scale, zero_point=zero_point)
    y = n.tensor(shape, "float32")
    n.operator("QUANTIZE", [x], [q], "QuantizeOptions")
    n.operator("DEQUANTIZE", [q], [y], "DequantizeOptions")
    assert_exact(n.build([x], [y]), seed, inputs=6)


def test_quantize_rounds_halves_away_from_zero():
    n = NetworkBuilder()
    x = n.tensor((9,), "float32")
    model = single("QUANTIZE", [x], n.tensor((9,), scale=0.25, zero_point=3), n)
    below = np.nextafter(np.float32(0.125), np.float32(0))
    values = np.array([0.125, -0.125, below, -below, 0.375, -0.375, 1e6, -1e6, 0], np.float32)
    theirs = reference(model)
    theirs.set_input(values, 0)
    theirs.invoke()
    np.testing.assert_array_equal(Model(model).invoke(values), theirs.get_output(0))


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
