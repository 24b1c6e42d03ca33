"""Single operators that the accelerator is given or not, and what it makes of them."""

from __future__ import annotations

import numpy as np
import pytest

from host.runtime import Model
from tests.tflite_builder import NetworkBuilder
from tests.unit.mvp_networks import shares_of_exact_outputs, weighted


@pytest.mark.parametrize(
    "shape, axes, kernel",
    [
        ((1, 25, 5, 32), [1, 2], "mvp"),  # GlobalMaxPooling2D
        ((1, 25, 32), [-2], "mvp"),
        ((1, 6, 5, 16), [1, 1, 0], "mvp"),
        ((3, 20, 4, 6), [0, 2], "mvp"),
        ((1, 25, 5, 31), [1, 2], "max_pool_2d"),  # no pairs of channels
        ((1, 25, 32), [2], "max_pool_2d"),
    ],
)
def test_a_maximum_over_dimensions_is_exact(shape, axes, kernel):
    left = tuple(n for d, n in enumerate(shape) if d not in {axis % len(shape) for axis in axes})
    n = NetworkBuilder()
    x, y = n.tensor(shape, scale=0.05, zero_point=7), n.tensor(left, scale=0.05, zero_point=7)
    n.operator("REDUCE_MAX", [x, n.tensor((len(axes),), "int32", data=np.array(axes))], [y], "ReducerOptions")
    model = Model(n.build([x], [y]), "mvp")
    assert [layer.kernel for layer in model.layers] == [kernel]
    values = np.random.default_rng(0).integers(-128, 128, shape, np.int8)
    expected = values.max(axis=tuple({axis % len(shape) for axis in axes}))
    np.testing.assert_array_equal(model.invoke(values), expected)


@pytest.mark.parametrize("name", ["MAX_POOL_2D", "REDUCE_MAX", "ADD"])
def test_what_reads_a_constant_stays_on_the_core(name):
    n = NetworkBuilder()
    shape = (1, 8, 8, 32)
    values = np.random.default_rng(0).integers(-128, 128, shape)
    x, constant = n.tensor((1, 32), scale=0.1), n.tensor(shape, scale=0.1, data=values)
    made = n.tensor(shape if name == "ADD" else (1, 1, 1, 32), scale=0.1)
    y = n.tensor(shape if name == "ADD" else (1, 1, 1, 32), scale=0.1)
    if name == "ADD":
        n.operator(name, [constant, constant], [made], "AddOptions")
    elif name == "MAX_POOL_2D":
        n.operator(name, [constant], [made], "Pool2DOptions", padding=1, strideH=8, strideW=8, filterHeight=8,
                   filterWidth=8)  # fmt: skip
    else:
        axes = n.tensor((2,), "int32", data=np.array([1, 2]))
        n.operator(name, [constant, axes], [made], "ReducerOptions", keepDims=True)
    n.operator("ADD", [x, made], [y], "AddOptions")
    tflite = n.build([x], [y])
    model = Model(tflite, "mvp")
    assert model.layers[0].reason == "a constant operand, which is not in the arena"
    values = np.zeros((1, 32), np.int8)
    np.testing.assert_array_equal(model.invoke(values), Model(tflite).invoke(values))


def test_what_the_accelerator_never_does_is_not_put_down_to_a_constant():
    n = NetworkBuilder()
    x, y = n.tensor((1, 8), scale=0.1), n.tensor((1, 8), scale=0.1)
    n.operator("MINIMUM", [x, n.tensor((), scale=0.1, data=np.array(5))], [y], "MaximumMinimumOptions")
    layer = Model(n.build([x], [y]), "mvp").layers[0]
    assert (layer.kernel, layer.reason) == ("table", "the accelerator has no kernel for minimum")


@pytest.mark.parametrize(
    "rows, channels, kernel", [(49, 8, "mvp"), (3, 16, "mvp"), (49, 7, "conv_2d")]
)
def test_a_dense_layer_of_several_rows(rows, channels, kernel):
    """Every row is computed; an odd number of outputs cannot be stored in pairs."""
    n = NetworkBuilder()
    x, y = n.tensor((1, rows, 20), scale=0.05), n.tensor((1, rows, channels), scale=0.1)
    shape = (channels, 20)
    weighted(n, np.random.default_rng(1), "FULLY_CONNECTED", shape, channels, x, y, keepNumDims=True)
    tflite = n.build([x], [y])
    assert [layer.kernel for layer in Model(tflite, "mvp").layers] == [kernel]
    assert min(shares_of_exact_outputs(tflite, 4).values(), default=1) > 0.9


def test_a_mean_over_other_dimensions():
    """Whatever can be seen as pooling of channel pairs: one-dimensional networks' average over time, too."""
    for shape, axes, kernel in (
        ((1, 49, 16), [1], "mvp"),
        ((1, 12, 10, 8), [1], "mvp"),
        ((1, 12, 10, 8), [-2], "mvp"),
        ((1, 49, 16), [2], "mean"),
        ((1, 49, 15), [1], "mean"),
    ):
        left = tuple(n for d, n in enumerate(shape) if d not in {axis % len(shape) for axis in axes})
        n = NetworkBuilder()
        x, y = n.tensor(shape, scale=0.05, zero_point=7), n.tensor(left, scale=0.03, zero_point=-9)
        axis = n.tensor((len(axes),), "int32", data=np.array(axes))
        n.operator("MEAN", [x, axis], [y], "ReducerOptions")
        tflite = n.build([x], [y])
        assert [layer.kernel for layer in Model(tflite, "mvp").layers] == [kernel], shape
        assert min(shares_of_exact_outputs(tflite, 8).values(), default=1) > 0.85, shape


@pytest.mark.parametrize("taps", [31, 64, 101, 251, 499, 997, 1009, 2017])
@pytest.mark.parametrize("ratio, zero_point", [(1, 0), (1, -128), (3, -128)])
def test_a_mean_of_any_number_of_values(taps, ratio, zero_point):
    """Also of many that do not divide into lines: each of them alone would be lost in the sum's rounding."""
    n = NetworkBuilder()
    x = n.tensor((1, taps, 16), scale=0.05, zero_point=zero_point)
    y = n.tensor((1, 16), scale=0.05 / ratio, zero_point=zero_point)
    n.operator("MEAN", [x, n.tensor((1,), "int32", data=np.array([1]))], [y], "ReducerOptions")
    tflite = n.build([x], [y])
    model = Model(tflite, "mvp")
    assert model.layers[0].kernel == ("mvp" if taps < 1024 or ratio == 1 else "mean")
    rng = np.random.default_rng(taps)
    for centre in (-100, -60, 20, 100):
        values = rng.normal(centre, 8, model.input.shape).clip(-128, 127).astype(np.int8)
        values[..., :8] = centre
        difference = model.invoke(values).astype(int) - Model(tflite).invoke(values)
        assert np.abs(difference).max() <= (1 if taps < 1024 else 2), centre


@pytest.mark.parametrize("ratio", [1.0, 2.4, 3.4])
@pytest.mark.parametrize(
    "shape", [(1, 43, 1, 64), (1, 47, 64), (1, 61, 1, 64), (1, 64, 64, 8), (1, 97, 40, 8)]
)
def test_a_mean_of_constants(shape, ratio):
    """As of channels that an activation has silenced: each sum's rounding is the same, so that it adds up."""
    axes = list(range(1, len(shape) - 1))
    taps = int(np.prod(shape[1:-1]))
    for zero_point, output_zero_point in ((0, 0), (-128, -128), (16, -128), (60, 10)):
        n = NetworkBuilder()
        x = n.tensor(shape, scale=0.05, zero_point=zero_point)
        y = n.tensor((1, shape[-1]), scale=0.05 / ratio, zero_point=output_zero_point)
        n.operator(
            "MEAN", [x, n.tensor((len(axes),), "int32", data=np.array(axes))], [y], "ReducerOptions"
        )
        tflite = n.build([x], [y])
        model = Model(tflite, "mvp")
        assert model.layers[0].kernel == ("mvp" if taps < 1024 else "mean")
        rng = np.random.default_rng(taps)
        for _ in range(4):
            outputs = rng.integers(-128, 128, shape[-1])
            constants = (zero_point + (outputs - output_zero_point) / ratio).round().clip(-128, 127)
            values = np.broadcast_to(constants, shape).astype(np.int8)
            difference = model.invoke(values).astype(int) - Model(tflite).invoke(values)
            assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("ratio", [2.4, 2.6, 3.4, 5.7, 8.6, 15, 39])
@pytest.mark.parametrize(
    "shape, axes",
    [
        ((1, 7, 7, 16), [1, 2]),
        ((1, 67, 16), [1]),
        ((1, 499, 16), [1]),
        ((1, 40, 3, 16), [1]),
        ((1, 40, 15, 8), [2]),
    ],
)
def test_a_mean_of_a_finer_scale(ratio, shape, axes):
    """As after an activation: small sums are not lost beside a zero point at the end of the range."""
    for zero_point, sign in ((-128, 1), (127, -1)):
        n = NetworkBuilder()
        left = tuple(k for d, k in enumerate(shape) if d not in axes)
        x = n.tensor(shape, scale=0.05, zero_point=zero_point)
        y = n.tensor(left, scale=0.05 / ratio, zero_point=zero_point)
        n.operator(
            "MEAN", [x, n.tensor((len(axes),), "int32", data=np.array(axes))], [y], "ReducerOptions"
        )
        tflite = n.build([x], [y])
        model, rng = Model(tflite, "mvp"), np.random.default_rng(0)
        taps = np.prod([shape[d] for d in axes])
        assert model.layers[0].kernel == ("mvp" if ratio <= taps else "mean")
        for _ in range(6):
            mean = rng.uniform(0, 255 / ratio, shape[-1])
            values = np.where(rng.random(shape) < 0.3, rng.exponential(1, shape) * mean / 0.3, 0)
            values = (zero_point + sign * values).round().clip(-128, 127).astype(np.int8)
            difference = model.invoke(values).astype(int) - Model(tflite).invoke(values)
            assert np.abs(difference).max() <= 1


@pytest.mark.parametrize(
    "image, window, step, accelerated",
    [
        ((1, 1, 503, 6), (1, 251), (1, 252), True),
        ((1, 503, 3, 6), (251, 1), (252, 1), True),
        ((1, 251, 2, 6), (251, 2), (1, 1), True),
        ((1, 50, 4, 258), (50, 4), (1, 1), True),  # lines of 25 would be too far from each other
        ((1, 4, 900, 6), (1, 9), (1, 9), True),  # one line, however far it is to the next
        ((1, 20, 90, 6), (10, 80), (10, 10), True),
        ((1, 60, 70, 6), (40, 45), (20, 25), False),
        ((1, 400, 4, 6), (300, 3), (100, 1), False),
    ],
)
def test_large_windows_of_average_pools(image, window, step, accelerated):
    n = NetworkBuilder()
    left = tuple((size - k) // s + 1 for size, k, s in zip(image[1:3], window, step, strict=True))
    x, y = (n.tensor(shape, scale=0.05) for shape in (image, (1, *left, image[3])))
    n.operator("AVERAGE_POOL_2D", [x], [y], "Pool2DOptions", padding=1, strideH=step[0], strideW=step[1],
               filterHeight=window[0], filterWidth=window[1])  # fmt: skip
    tflite = n.build([x], [y])
    plain, model = Model(tflite), Model(tflite, "mvp")
    assert (model.layers[0].kernel == "mvp") == accelerated, model.layers[0].reason
    rng = np.random.default_rng(0)
    for centre in (-100, 60, 100):
        values = rng.normal(centre, 8, image).clip(-128, 127).astype(np.int8)
        values[..., :2] = centre
        assert np.abs(model.invoke(values).astype(int) - plain.invoke(values)).max() <= 1, centre


DEAD = [1e-8, 6e-9, 1e-38]
"""Scales of weights that training has left behind."""


@pytest.mark.parametrize("name", ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"])
def test_channels_that_no_input_can_move(name):
    """Their multipliers are not binary16; their outputs are exact."""
    rng = np.random.default_rng(7)
    n = NetworkBuilder()
    dense, by_channel = name == "FULLY_CONNECTED", name == "DEPTHWISE_CONV_2D"
    shape = (1, 16) if dense else (1, 9, 8, 16)
    x, y = n.tensor(shape, scale=0.05, zero_point=3), n.tensor(shape, scale=0.3, zero_point=-11)
    scales = np.full(16, 0.004)
    scales[[2, 5, 11]] = DEAD
    biases = rng.integers(-3000, 3000, 16)
    biases[[2, 5, 11]] = 2_000_000_000, -2_000_000_000, 12345
    kernel = (1, 3, 3, 16) if by_channel else (16, 16) if dense else (16, 3, 3, 16)
    weights = n.tensor(kernel, scale=scales, dimension=3 if by_channel else 0,
                       data=rng.integers(-127, 128, kernel))  # fmt: skip
    bias = n.tensor((16,), "int32", scale=scales * 0.05, data=biases)
    options = {"CONV_2D": "Conv2D", "DEPTHWISE_CONV_2D": "DepthwiseConv2D"}.get(name, "FullyConnected")
    more = {} if dense else {"strideW": 1, "strideH": 1} | ({"depthMultiplier": 1} if by_channel else {})
    n.operator(name, [x, weights, bias], [y], f"{options}Options", **more)
    tflite = n.build([x], [y])
    plain, model = Model(tflite), Model(tflite, "mvp")
    assert model.layers[0].kernel == "mvp"
    values = rng.integers(-128, 128, shape, np.int8)
    expected, got = plain.invoke(values), model.invoke(values)
    constant = expected[..., [2, 5, 11]].reshape(-1, 3)
    assert (constant == [-11 + 3, -11 - 2, -11]).all()
    np.testing.assert_array_equal(got[..., [2, 5, 11]], expected[..., [2, 5, 11]])
    assert np.abs(got.astype(int) - expected).max() <= 1


def test_a_pointwise_convolution_larger_than_the_scratch():
    """Its rows are made short enough for bands."""
    rng = np.random.default_rng(8)
    n = NetworkBuilder()
    x, y = n.tensor((1, 24, 24, 32), scale=0.05), n.tensor((1, 24, 24, 8), scale=0.1)
    weighted(n, rng, "CONV_2D", (8, 1, 1, 32), 8, x, y, strideW=1, strideH=1)
    tflite = n.build([x], [y])
    layer = Model(tflite, "mvp").layers[0]
    assert layer.kernel == "mvp" and layer.prescaled_bytes <= 24 << 10
    assert min(shares_of_exact_outputs(tflite, 2).values()) > 0.9


@pytest.mark.parametrize("name", ["ADD", "SUB", "MUL"])
@pytest.mark.parametrize(
    "first, second, accelerated",
    [
        ((1, 12, 9, 16), (1, 1, 1, 16), True),  # squeeze and excite
        ((1, 1, 1, 16), (1, 12, 9, 16), True),
        ((1, 12, 9, 16), (16,), True),
        ((1, 12, 9, 16), (1, 1, 9, 16), True),
        ((1, 12, 1, 16), (1, 1, 9, 16), True),
        ((1, 12, 9, 16), (1, 12, 1, 16), True),
        ((1, 9, 1, 500), (1, 1, 7, 500), True),
        ((1, 300), (300,), True),
        ((1, 3, 1500, 2), (1, 1, 1, 2), True),
        ((1, 12, 9, 16), (1, 12, 9, 1), False),
        ((1, 12, 9, 16), (1,), False),
        ((1, 12, 9, 15), (15,), False),
        ((1, 2, 3, 3000), (1, 2, 1, 3000), False),  # 3000 bytes from one pixel to the next
    ],
)
def test_operands_that_are_repeated(name, first, second, accelerated):
    shape = np.broadcast_shapes(first, second)
    n = NetworkBuilder()
    whole, x = n.tensor(shape, scale=0.05, zero_point=4), n.tensor(shape, scale=0.05, zero_point=4)
    n.operator("RELU", [whole], [x])
    operands = []
    for k, left in enumerate((first, second)):
        full = (1,) * (len(shape) - len(left)) + left
        if full == shape:
            operands.append(x)
            continue
        operands.append(n.tensor(left, scale=0.05, zero_point=4))
        axes = [d for d, (a, b) in enumerate(zip(full, shape, strict=True)) if a != b]
        ends = n.tensor((len(axes),), "int32", data=np.array(axes))
        reduced = n.tensor(full, scale=0.05, zero_point=4)
        n.operator("REDUCE_MAX" if k else "MEAN", [x, ends], [reduced], "ReducerOptions", keepDims=True)
        n.operator("RESHAPE", [reduced], [operands[-1]], "ReshapeOptions")
    y = n.tensor(shape, scale=0.41 if name == "MUL" else 0.13, zero_point=-7)
    n.operator(name, operands, [y], f"{name.title()}Options")
    tflite = n.build([whole], [y])
    model = Model(tflite, "mvp")
    assert (model.layers[-1].kernel == "mvp") == accelerated, model.layers[-1].reason
    shares = shares_of_exact_outputs(tflite, 3)
    assert not accelerated or shares[model.layers[-1].index] > 0.9
