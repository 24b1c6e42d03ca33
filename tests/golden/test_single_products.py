"""Convolutions, dense layers, products of matrices and pools against TensorFlow Lite Micro's reference
kernels, on random single-operator models."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from codegen.fixed_point import quantize_multiplier, requantize
from codegen.windows import output_size
from host.runtime import Model
from tests.golden.reference import (
    ACTIVATIONS,
    SCALES,
    SEEDS,
    ZERO_POINTS,
    assert_exact,
    random_models,
    reference,
)
from tests.tflite_builder import NetworkBuilder, single

PADDINGS = {0: "same", 1: "valid"}


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
@given(st.sampled_from([1, 2, 3, 4, 5, 9]), st.integers(1, 40), st.integers(1, 9), ACTIVATIONS, st.booleans(),
       st.booleans(), SCALES, ZERO_POINTS, ZERO_POINTS, SEEDS)  # fmt: skip
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
