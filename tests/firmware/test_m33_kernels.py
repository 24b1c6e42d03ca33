"""The Cortex-M33 kernels, cross-compiled and simulated, against the portable ones on the PC: bit for bit."""

from __future__ import annotations

import functools
import sys

import numpy as np
import pytest

from codegen.lowering import windowed
from codegen.mvp.m33_cost import cortex_m33_cycles
from codegen.pipeline import compile_model
from host.runtime import Model
from tests.firmware import m33_rig
from tests.golden import test_single_expansions as expansions
from tests.golden import test_single_l2_normalization as l2_normalization
from tests.golden import test_single_log_softmax as log_softmax
from tests.golden import test_single_lstm as lstms
from tests.golden import test_single_movers as movers
from tests.golden import test_single_pairs as pairs
from tests.golden import test_single_products as products
from tests.golden import test_single_repeats as repeats
from tests.places import MODEL, SHARED
from tests.recurrent import lstm
from tests.tflite_builder import NetworkBuilder, single, svdf
from tests.unit.mvp_networks import weighted

pytestmark = pytest.mark.skipif(m33_rig.available() is not None, reason=str(m33_rig.available()))

GIVEN = sorted((SHARED / "models").glob("*.tflite"))
needs_given = pytest.mark.skipif(not GIVEN, reason=f"no models in {SHARED}/models")


@pytest.fixture(scope="module")
def bench() -> m33_rig.Bench:
    return m33_rig.Bench(m33_rig.build())


def inputs(model: Model, count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    if model.input.dtype == np.float32:
        return [rng.normal(0, 30, model.input.shape).astype(np.float32) for _ in range(count)]
    return [rng.integers(-128, 128, model.input.shape, np.int8) for _ in range(count)]


def test_every_optimized_kernel_replaces_a_portable_one():
    folder = m33_rig.NN / "kernels"
    ours = {path.name for path in (folder / "cortex_m33").glob("*.c")}
    assert ours and ours <= {path.name for path in (folder / "portable").glob("*.c")}


@pytest.mark.parametrize("path", [MODEL, *GIVEN], ids=lambda path: f"{path.parent.parent.name}-{path.stem}")
def test_every_layer_of_the_models(bench, path):
    model = Model(path)
    for x in inputs(model, 2):
        expected = model.invoke_layers(x)
        for layer, run, ours in zip(model.layers, bench.run(model.plan, x), expected, strict=True):
            np.testing.assert_array_equal(run.output, ours, err_msg=f"layer {layer.index} {layer.name}")


@pytest.mark.parametrize("options", [("-O0",), ("-O2", "-fno-omit-frame-pointer"), ("-Os",)], ids=" ".join)
def test_every_layer_as_others_compile_it(options):
    """Functions in assembly take all registers, one of which is the frame's in such builds."""
    bench = m33_rig.Bench(m33_rig.build(*options))
    for name in ("keyword_spotting_on_off", "keyword_spotting_on_off_v2"):
        test_every_layer_of_the_models(bench, MODEL.with_stem(name))


@needs_given
@pytest.mark.parametrize("path", GIVEN, ids=lambda path: path.stem)
def test_every_layer_is_the_vendors_reference_when_rounding_once(path):
    """The recorded outputs come from a reference built to round once."""
    bench = m33_rig.Bench(m33_rig.build("-DNN_SINGLE_ROUNDING=1"))
    recorded = np.load(SHARED / "vectors" / "models" / f"{path.stem}.npz")
    plan = compile_model(path.read_bytes(), name=path.stem)
    for k, x in enumerate(recorded["inputs"][:2]):
        for layer, run in zip(plan.layers, bench.run(plan, x), strict=True):
            expected = recorded[f"layer{layer.index:03d}_ref"][k]
            np.testing.assert_array_equal(
                run.output.reshape(expected.shape), expected, err_msg=f"layer {layer.index} {layer.name}"
            )


@pytest.mark.parametrize(
    "random_models",
    [
        products.test_conv_2d,
        products.test_depthwise_conv_2d,
        products.test_fully_connected,
        products.test_batch_matmul,
        products.test_pools,
        pairs.test_reductions,
        pairs.test_operators_of_pairs,
        movers.test_concatenation,
        pairs.test_prelu,
        movers.test_strided_slice,
        movers.test_transpose,
        expansions.test_prelu_with_many_slopes,
        expansions.test_limits_of_two_tensors,
        repeats.test_broadcast_to,
        log_softmax.test_log_softmax,
        l2_normalization.test_l2_normalization,
        lstms.test_lstm,
        lstms.test_reverse,
    ],
    ids=lambda test: test.__name__.removeprefix("test_"),
)
def test_random_operators(bench, random_models, monkeypatch):
    """The models that hold the portable kernels to the reference, once more."""
    same = functools.partial(same_as_portable, bench)
    monkeypatch.setattr(sys.modules[random_models.__module__], "assert_exact", same)
    random_models()


def same_as_portable(bench: m33_rig.Bench, tflite: bytes, seed: int, count: int = 2) -> None:
    model, rng = Model(tflite), np.random.default_rng(seed)
    extreme = rng.choice(np.array([-128, 127], np.int8), model.input.shape)
    for x in (extreme, *inputs(model, count - 1)):
        for run, expected in zip(bench.run(model.plan, x), model.invoke_layers(x), strict=True):
            np.testing.assert_array_equal(run.output, expected)


def extreme_sums(name: str, taps: int, second: int, total: int) -> Model:
    """Five channels, those in the upper bytes of joined weights with as many weights ``second`` as make
    their absolute values add up to ``total``."""
    n = NetworkBuilder()
    row = np.zeros(taps, np.int8)
    row[: total // abs(second)] = second
    if rest := total % abs(second):
        row[total // abs(second)] = np.sign(second) * rest
    first = np.full(taps, 127, np.int8)
    weights = np.stack([first, row, (np.arange(taps) % 128).astype(np.int8), row, row[::-1]])
    products = 128 * np.abs(weights.astype(int)).sum(axis=1).max()
    scale = float(np.float32(0.01 * products / 100))
    if name == "CONV_2D":
        x, y = n.tensor((1, 1, 5, taps), scale=1.0), n.tensor((1, 1, 5, 5), scale=scale)
        w = n.tensor((5, 1, 1, taps), scale=0.01, data=weights.reshape(5, 1, 1, taps))
        return Model(single(name, [x, w], y, n, "Conv2DOptions", strideH=1, strideW=1))
    x, y = n.tensor((2, taps), scale=1.0), n.tensor((2, 5), scale=scale)
    w = n.tensor((5, taps), scale=0.01, data=weights)
    return Model(single(name, [x, w], y, n, "FullyConnectedOptions"))


@pytest.mark.parametrize(
    ("name", "taps", "second", "total", "joined"),
    [
        ("CONV_2D", 1024, -64, 65535, 1),
        ("CONV_2D", 1024, -64, 65536, 0),  # 128 times that is 2^23
        ("CONV_2D", 1024, 64, 65535, 1),
        ("CONV_2D", 1026, 127, 65536, 0),
        *(("FULLY_CONNECTED", taps, -128, 128 * taps, 1) for taps in (508, 512, 513, 1016, 1020, 1534, 2047)),
        ("FULLY_CONNECTED", 1024, 127, 127 * 1024, 1),
    ],
)
def test_sums_that_leave_no_bit(bench, name, taps, second, total, joined):
    """Joined weights sum two channels in one register; where that would not fit they are not joined, and
    dense layers split their sums."""
    model = extreme_sums(name, taps, second, total)
    assert model.layers[0].options.joined == joined
    scale = model.plan.graph.tensors[model.layers[0].output].q.scale
    weights = model.plan.graph.input(model.plan.graph.operators[0], 1).data.reshape(5, taps).astype(int)
    for value in (-128, 127):
        x = np.full(model.input.shape, value, np.int8)
        expected = np.clip(np.round(value * weights.sum(axis=1) * 0.01 / scale), -128, 127)
        found = bench.run(model.plan, x)[0].output
        np.testing.assert_array_equal(found, model.invoke(x))
        assert np.abs(found.reshape(-1, 5) - expected).max() <= 1


@pytest.mark.parametrize("value", [-128, 127])
@pytest.mark.parametrize(
    "shape", [(1, 30, 20, 6), (1, 3, 300, 9), (1, 255, 1, 4), (1, 2, 256, 4), (2, 16, 17, 7)]
)
def test_means_of_many_extreme_values(bench, shape, value):
    """More of them than two bytes can count."""
    n = NetworkBuilder()
    x, y = n.tensor(shape, scale=0.05, zero_point=-3), n.tensor(shape[3:], scale=0.06, zero_point=5)
    n.operator("MEAN", [x, n.tensor((3,), "int32", data=np.array([0, 1, 2]))], [y], "ReducerOptions")
    model = Model(n.build([x], [y]))
    values = np.full(shape, value, np.int8)
    values[..., 1] = 100
    np.testing.assert_array_equal(bench.run(model.plan, values)[0].output, model.invoke(values))


@pytest.mark.parametrize("taps", [508, 512, 1216, 1217, 1218])
@pytest.mark.parametrize("values, pair", [(-128, (127, -128)), (-128, (-127, 127)), (127, (0, -128))])
def test_long_sums_of_extreme_values(bench, taps, values, pair):
    """The sum of the second of two joined channels is 256 times as large on its way: it must not overflow."""
    n = NetworkBuilder()
    x, y = n.tensor((1, taps), scale=0.05, zero_point=-3), n.tensor((1, 6), scale=50.0, zero_point=5)
    rows = np.resize(np.array(pair), 6)[:, None] * np.ones((1, taps), np.int8)
    weights = n.tensor((6, taps), scale=0.01, data=rows.astype(np.int8))
    n.operator("FULLY_CONNECTED", [x, weights], [y], "FullyConnectedOptions")
    model = Model(n.build([x], [y]))
    assert model.layers[0].options.joined
    sums = (values + 3) * rows.sum(axis=1) * (0.05 * 0.01)
    expected = np.clip(np.round(sums / 50.0) + 5, -128, 127)
    x = np.full((1, taps), values, np.int8)
    for output in (model.invoke(x), bench.run(model.plan, x)[0].output):
        np.testing.assert_allclose(output[0], expected, atol=1)


@pytest.mark.parametrize("name, shape", [("CONV_2D", (4, 1, 1, 4)), ("DEPTHWISE_CONV_2D", (1, 3, 3, 4))])
@pytest.mark.parametrize("bits", [20, 22, 23, 26])
@pytest.mark.parametrize("bias", [1000, 2**28, 2**29 - 1, 2**29, 2**30, 2**31 - 2**20])
def test_sums_as_large_as_a_word_holds(bench, name, shape, bits, bias):
    """And outputs so coarse that their zero point is as large in the sum's scale: not for the short way."""
    rng = np.random.default_rng(bits)
    n = NetworkBuilder()
    x = n.tensor((1, 4, 4, 4), scale=0.05)
    y = n.tensor((1, 4, 4, 4), scale=0.0002 * 2.0**bits, zero_point=int(rng.choice([-128, 127])))
    weights = n.tensor(shape, scale=0.004, data=rng.integers(-127, 128, shape))
    biases = n.tensor((4,), "int32", scale=0.0002, data=np.array([bias, -bias, 1 - bias, 7]))
    depth = {} if name == "CONV_2D" else {"depthMultiplier": 1}
    options = "Conv2DOptions" if name == "CONV_2D" else "DepthwiseConv2DOptions"
    n.operator(name, [x, weights, biases], [y], options, strideW=1, strideH=1, **depth)
    model = Model(n.build([x], [y]))
    for values in inputs(model, 2):
        np.testing.assert_array_equal(bench.run(model.plan, values)[0].output, model.invoke(values))


@pytest.mark.parametrize(
    "name, kernel, depth",
    [
        *(("CONV_2D", *each) for each in [((3, 3), 1), ((3, 3), 4), ((2, 4), 1), ((3, 1), 8), ((2, 3), 3)]),
        *(("DEPTHWISE_CONV_2D", kernel, 3) for kernel in [(3, 3), (2, 3), (3, 1), (1, 5)]),
    ],
)
@pytest.mark.parametrize("padding", [0, 1])  # same, valid
def test_windows_at_every_place_of_rows_of_any_width(bench, name, kernel, depth, padding):
    """The last windows of a row have ways of their own, by their place and by what is behind them."""
    rng = np.random.default_rng(depth)
    shape = (3, *kernel, depth) if name == "CONV_2D" else (1, *kernel, 3)
    for width in range(1, 14):
        for stride, dilation in (((1, 1), 1), ((1, 2), 1), ((2, 2), 1), ((1, 3), 1), ((1, 1), 2)):
            high, wide = kernel[0], (kernel[1] - 1) * dilation + 1
            if padding == 1 and wide > width:
                continue
            missing = (high - 1, wide - 1) if padding == 1 else (0, 0)
            left = [-(-(size - m) // by) for size, m, by in zip((4, width), missing, stride, strict=True)]
            n = NetworkBuilder()
            x = n.tensor((1, 4, width, depth), scale=0.05, zero_point=7)
            y = n.tensor((1, *left, 3), scale=0.1)
            more = {"depthMultiplier": 1} if name != "CONV_2D" else {}
            weighted(n, rng, name, shape, 3, x, y, padding=padding, strideH=stride[0], strideW=stride[1],
                     dilationWFactor=dilation, **more)  # fmt: skip
            model = Model(n.build([x], [y]))
            values = rng.integers(-128, 128, model.input.shape, np.int8)
            output = bench.run(model.plan, values)[0].output
            where = f"width {width}, stride {stride}, dilation {dilation}"
            np.testing.assert_array_equal(output, model.invoke(values), err_msg=where)


@pytest.mark.parametrize("fill", [-127, 127])
def test_an_lstm_at_its_bounds(bench, fill, monkeypatch):
    monkeypatch.setattr(lstms, "assert_exact", functools.partial(same_as_portable, bench))
    for cell_exponent in (-29, -15, 2):
        lstms.test_extremes(fill, cell_exponent, 0.0)


@pytest.mark.parametrize("bits", [*range(12, 20), 25, 36, 42, 43])
def test_gates_of_every_scale(bench, bits):
    """Of sums up to 2^30, by multipliers that are shifted left or right by as much as they can be."""
    n, rng = NetworkBuilder(), np.random.default_rng(bits)
    x, y = n.tensor((1, 4, 6), scale=1.0), n.tensor((1, 4, 50), scale=1 / 128)
    lstm(n, rng, x, y, weight_scale=2.0**-bits, bias=min(1 << bits + 16, (1 << 30) - (1 << 18)))
    same_as_portable(bench, n.build([x], [y]), bits, 4)


def test_what_an_lstm_takes(bench):
    """That of 32 units over 25 steps of 32 values, a usual one for keywords: 4.4 cycles a product, half of
    them for gates and states. The portable kernel takes three times as many."""
    n, rng = NetworkBuilder(), np.random.default_rng(0)
    x, y = n.tensor((1, 25, 32), scale=0.05), n.tensor((1, 25, 32), scale=1 / 128)
    lstm(n, rng, x, y, weight_scale=0.002, bias=1000)
    model = Model(n.build([x], [y]))
    values = inputs(model, 1)[0]
    (run,) = bench.run(model.plan, values)
    np.testing.assert_array_equal(run.output, model.invoke(values))
    assert run.cycles < 4.5 * model.macs
    (portable,) = m33_rig.Bench(m33_rig.build(optimized=False)).run(model.plan, values)
    assert 3 * run.cycles < portable.cycles


@pairs.tied
def test_ties(bench, name, finer, swapped):
    tflite, values = pairs.tied_model(name, finer, swapped)
    model = Model(tflite)
    np.testing.assert_array_equal(bench.run(model.plan, values)[0].output, model.invoke(values))


def test_every_quotient(bench):
    tflite, values = pairs.quotients(0.02)
    model = Model(tflite)
    np.testing.assert_array_equal(bench.run(model.plan, values)[0].output, model.invoke(values))


@pytest.mark.parametrize("elements", [1, 3, 4, 6, 257])
def test_tables_of_any_length(bench, elements):
    n = NetworkBuilder()
    x, y = n.tensor((elements,), scale=0.05), n.tensor((elements,), scale=0.03, zero_point=9)
    n.operator("LEAKY_RELU", [x], [y], "LeakyReluOptions", alpha=0.3)
    model = Model(n.build([x], [y]))
    for values in inputs(model, 4):
        np.testing.assert_array_equal(bench.run(model.plan, values)[0].output, model.invoke(values))


def float_values() -> np.ndarray:
    """Halves and their neighbours at a scale of 1/4, zeros, values far outside, and what is no number."""
    halves = (np.arange(-300, 300) + 0.5).astype(np.float32) / 4
    special = np.array([0, -0.0, 1e-45, 3e38, -3e38, np.inf, -np.inf, np.nan, -np.nan, 2**31, -(2**31)])
    near = [np.nextafter(halves, np.float32(to)) for to in (-np.inf, np.inf)]
    return np.concatenate([halves, *near, special.astype(np.float32)])


@pytest.mark.parametrize("zero_point", [-128, -5, 127])
@pytest.mark.parametrize("options", [("-O2",), ("-O0",), ("-Os",)], ids=" ".join)
def test_floats_are_quantized_in_a_time_that_tells_nothing_of_them(options, zero_point):
    values = float_values()
    n = NetworkBuilder()
    x, y = n.tensor(values.shape, "float32"), n.tensor(values.shape, scale=0.25, zero_point=zero_point)
    model = Model(single("QUANTIZE", [x], y, n))
    bench = m33_rig.Bench(m33_rig.build(*options))
    (run,), (nothing,) = bench.run(model.plan, values), bench.run(model.plan, np.zeros_like(values))
    np.testing.assert_array_equal(run.output, model.invoke(values))
    assert (run.instructions, run.cycles) == (nothing.instructions, nothing.cycles)


def moved(name: str, shape: tuple[int, ...], to: tuple[int, ...], *lists: tuple[int, ...]) -> Model:
    n = NetworkBuilder()
    x, y = n.tensor(shape, scale=0.1), n.tensor(to, scale=0.1)
    constants = [n.tensor((len(values),), "int32", data=np.array(values)) for values in lists]
    return Model(single(name, [x, *constants], y, n))


@pytest.mark.parametrize(
    "name, to, lists, most",
    [
        ("SLICE", (1, 30, 10, 16), [(0, 3, 0, 0), (1, 30, 10, 16)], 1),  # one run
        ("SLICE", (1, 40, 10, 12), [(0, 0, 0, 4), (1, 40, 10, 12)], 6),  # runs of 12 bytes
        ("SLICE", (1, 40, 10, 1), [(0, 0, 0, 5), (1, 40, 10, 1)], 8),  # every 16th byte
        ("SLICE", (1, 40, 10, 2), [(0, 0, 0, 5), (1, 40, 10, 2)], 16),
        ("TRANSPOSE", (1, 10, 40, 16), [(0, 2, 1, 3)], 4),
        ("TRANSPOSE", (1, 16, 40, 10), [(0, 3, 1, 2)], 8),
    ],
)
def test_what_lies_side_by_side_is_copied_at_once(bench, name, to, lists, most):
    """By estimated cycles a byte."""
    model = moved(name, (1, 40, 10, 16), to, *lists)
    values = inputs(model, 1)[0]
    run = bench.run(model.plan, values)[0]
    np.testing.assert_array_equal(run.output, model.invoke(values))
    assert run.cycles < most * run.output.size


@pytest.mark.parametrize(
    "name, shape, kernel, step, activation",
    [
        ("CONV_2D", (1, 12, 9, 8), (8, 3, 3, 8), (1, 1), 0),
        ("CONV_2D", (1, 12, 9, 8), (8, 3, 3, 8), (1, 1), 3),
        ("CONV_2D", (1, 20, 16, 1), (8, 3, 3, 1), (2, 1), 0),
        ("CONV_2D", (1, 14, 3, 2), (2, 2, 3, 2), (1, 1), 3),
        ("DEPTHWISE_CONV_2D", (1, 16, 12, 6), (1, 3, 3, 6), (1, 1), 0),
        ("DEPTHWISE_CONV_2D", (1, 16, 12, 6), (1, 3, 3, 6), (1, 1), 3),
        ("DEPTHWISE_CONV_2D", (1, 49, 1, 8), (1, 9, 1, 8), (1, 1), 0),
        ("DEPTHWISE_CONV_2D", (1, 21, 11, 4), (1, 3, 2, 4), (1, 3), 0),
        ("DEPTHWISE_CONV_2D", (1, 10, 1, 16), (1, 10, 1, 16), (10, 1), 0),
        ("DEPTHWISE_CONV_2D", (1, 5, 5, 8), (1, 5, 5, 8), (5, 5), 3),
        ("FULLY_CONNECTED", (1, 1218), (1, 1218), (1, 1), 0),
        ("FULLY_CONNECTED", (1, 1216), (8, 1216), (1, 1), 1),
    ],
)
def test_estimates_of_cycles(bench, name, shape, kernel, step, activation):
    """What decides between the core and the accelerator knows which of a kernel's ways a layer takes."""
    rng = np.random.default_rng(0)
    n = NetworkBuilder()
    by_channel = name == "DEPTHWISE_CONV_2D"
    channels = kernel[3 if by_channel else 0]
    left = [-(-size // by) for size, by in zip(shape[1:-1], step, strict=False)]
    x, y = n.tensor(shape, scale=0.05), n.tensor((1, *left, channels), scale=0.3)
    steps = {"strideH": step[0], "strideW": step[1]} if len(shape) == 4 else {}
    weighted(n, rng, name, kernel, channels, x, y, **steps, fusedActivationFunction=activation,
             **({"depthMultiplier": 1} if by_channel else {}))  # fmt: skip
    model = Model(n.build([x], [y]))
    measured = bench.run(model.plan, inputs(model, 1)[0])[0].cycles
    assert 0.6 <= cortex_m33_cycles(model.layers[0], int(np.prod(shape))) / measured <= 1.6


@pytest.mark.parametrize(
    "window, kernel, dilation, multiplier, activation",
    [
        ((10, 1), (10, 1), 1, 1, 0),
        ((1, 10), (1, 10), 1, 1, 1),
        ((12, 3), (10, 2), 1, 2, 0),
        ((7, 5), (4, 3), 2, 1, 3),
        ((9, 4), (9, 5), 1, 1, 0),  # which reaches beyond the input
    ],
)
def test_a_depthwise_convolution_to_one_output(bench, window, kernel, dilation, multiplier, activation):
    """As a network that keeps state has one for each column."""
    n, rng = NetworkBuilder(), np.random.default_rng(3)
    outputs = 16 * multiplier
    x = n.tensor((1, *window, 16), scale=0.05, zero_point=3)
    taps = rng.integers(-127, 128, (1, *kernel, outputs))
    weights = n.tensor(taps.shape, scale=np.full(outputs, 0.01), dimension=3, data=taps)
    bias = n.tensor((outputs,), "int32", data=rng.integers(-900, 900, outputs))
    y = n.tensor((1, 1, 1, outputs), scale=0.08, zero_point=-5)
    padded = kernel[1] > window[1]
    n.operator("DEPTHWISE_CONV_2D", [x, weights, bias], [y], "DepthwiseConv2DOptions", strideH=window[0],
               strideW=window[1], padding=0 if padded else 1, depthMultiplier=multiplier,
               dilationHFactor=dilation, dilationWFactor=dilation,
               fusedActivationFunction=activation)  # fmt: skip
    model = Model(n.build([x], [y]))
    values = inputs(model, 1)[0]
    run = bench.run(model.plan, values)[0]
    np.testing.assert_array_equal(run.output, model.invoke(values))
    assert (model.layers[0].scratch_bytes == 0) == (not padded)
    if not padded:
        assert run.cycles < 12 * taps.size + 110 * outputs


@pytest.mark.parametrize("state", ["int8", "int16"])
@pytest.mark.parametrize("extreme", [False, True])
@pytest.mark.parametrize(
    "shape", [(96, 64, 1, 8), (16, 32, 1, 32), (40, 16, 2, 10), (3, 5, 3, 1), (1, 2, 1, 7), (33, 9, 1, 3)]
)
def test_a_state_over_many_inferences(bench, state, extreme, shape):
    """Inputs, units, rank and values that are kept; at extremes, sums over an int16 state wrap."""
    fill, gain = (8.0, 16.0) if extreme else (2.0, 0.5)
    rng = np.random.default_rng(2)
    model = Model(svdf(state, *shape, rng=rng, zero_point=-7, fill=fill, gain=gain, extreme=extreme))
    values = inputs(model, 2 * shape[-1] + 2)
    for x, runs in zip(values, bench.run_all(model.plan, values), strict=True):
        np.testing.assert_array_equal(runs[0].output, model.invoke(x))
        assert 0.6 <= cortex_m33_cycles(model.layers[0], shape[0]) / runs[0].cycles <= 1.6


@pytest.mark.parametrize("name", ["ADD", "MUL"])
@pytest.mark.parametrize("activation", [0, 3])
@pytest.mark.parametrize("axes", [[1], [2], [3]])
def test_estimates_of_repeated_operands(bench, name, activation, axes):
    n = NetworkBuilder()
    shape = (1, 15, 12, 8)
    repeated = tuple(1 if d in axes else size for d, size in enumerate(shape))
    x, mean = n.tensor(shape, scale=0.05), n.tensor(repeated, scale=0.04)
    n.operator("MEAN", [x, n.tensor((1,), "int32", data=np.array(axes))], [mean], "ReducerOptions",
               keepDims=True)  # fmt: skip
    y = n.tensor(shape, scale=0.1)
    n.operator(name, [x, mean], [y], f"{name.title()}Options", fusedActivationFunction=activation)
    model = Model(n.build([x], [y]))
    values = inputs(model, 1)[0]
    run = bench.run(model.plan, values)[1]
    np.testing.assert_array_equal(run.output, model.invoke(values))
    assert 0.6 <= cortex_m33_cycles(model.layers[1], int(np.prod(shape))) / run.cycles <= 1.6
    if name == "ADD" and activation == 0:
        assert run.cycles < 40 * np.prod(shape)


def test_estimate_of_products_that_are_enlarged(bench):
    """By a factor of a half or more, with which the kernel cannot take its short way."""
    n = NetworkBuilder()
    x, y = n.tensor((1, 3, 21, 9), scale=0.9), n.tensor((1, 3, 21, 9), scale=0.8)
    n.operator("MUL", [x, x], [y], "MulOptions")
    model = Model(n.build([x], [y]))
    assert model.layers[0].options.output_shift >= 0
    measured = bench.run(model.plan, inputs(model, 1)[0])[0].cycles
    assert 0.6 <= cortex_m33_cycles(model.layers[0], 567) / measured <= 1.6


@pytest.mark.parametrize(
    "name, shape, kernel",
    [
        ("CONV_2D", (1, 12, 9, 8), (8, 3, 3, 8)),
        ("CONV_2D", (1, 20, 16, 1), (8, 3, 3, 1)),
        ("DEPTHWISE_CONV_2D", (1, 16, 12, 6), (1, 3, 3, 6)),
    ],
)
def test_estimates_of_sums_that_are_enlarged(bench, name, shape, kernel):
    n, rng = NetworkBuilder(), np.random.default_rng(0)
    by_channel = name == "DEPTHWISE_CONV_2D"
    channels = kernel[3 if by_channel else 0]
    x, y = n.tensor(shape, scale=0.05), n.tensor((*shape[:3], channels), scale=1e-5)
    weighted(n, rng, name, kernel, channels, x, y, strideH=1, strideW=1,
             **({"depthMultiplier": 1} if by_channel else {}))  # fmt: skip
    model = Model(n.build([x], [y]))
    assert (model.layers[0].options.channels[:, 2] >= 0).all()
    measured = bench.run(model.plan, inputs(model, 1)[0])[0].cycles
    assert 0.6 <= cortex_m33_cycles(model.layers[0], int(np.prod(shape))) / measured <= 1.6


@pytest.mark.parametrize(
    "second, shape",
    [
        ((1, 15, 12, 8), (1, 1, 1, 1440)),
        ((1, 1, 1, 8), (1, 1, 180, 8)),
        ((15, 1, 1), (1, 1, 15, 96)),
        ((1, 15, 1, 8), (1, 15, 12, 8)),
        ((1,), (1, 1, 1, 1440)),
    ],
)
def test_dimensions_that_are_walked_alike_are_one(second, shape):
    """So that a row, which costs as much as several values to begin, is as long as it can be."""
    n = NetworkBuilder()
    x, y = n.tensor((1, 15, 12, 8), scale=0.05), n.tensor((1, 15, 12, 8), scale=0.1)
    other = n.tensor(second, scale=0.04, data=np.ones(second))
    assert Model(single("ADD", [x, other], y, n, "AddOptions")).layers[0].options.shape == shape


@pytest.mark.parametrize("rows, kernel", [(1, "fully_connected"), (2, "fully_connected"), (12, "conv_2d")])
def test_a_dense_layer_of_many_rows_is_a_convolution(bench, rows, kernel):
    """Where each product then takes half the time, unless outputs have bounds of their own, or the RAM for
    rows as int16 is too much."""

    def of(activation: int, taps: int = 32) -> Model:
        n, rng = NetworkBuilder(), np.random.default_rng(1)
        x, y = n.tensor((1, rows, taps), scale=0.1), n.tensor((1, rows, 32), scale=0.3)
        weighted(n, rng, "FULLY_CONNECTED", (32, taps), 32, x, y, fusedActivationFunction=activation)
        return Model(n.build([x], [y]))

    model = of(0)
    assert model.layers[0].kernel == kernel
    assert of(1).layers[0].kernel == of(0, 900).layers[0].kernel == "fully_connected"
    values = inputs(model, 1)[0]
    run = bench.run(model.plan, values)[0]
    np.testing.assert_array_equal(run.output, model.invoke(values))
    assert run.cycles < (1.7 if rows == 12 else 5) * model.macs


@pytest.mark.parametrize("rows", [3, 4, 5, 12])
@pytest.mark.parametrize("taps", [1, 17, 64])
@pytest.mark.parametrize("channels", [1, 2, 3, 8, 32])
def test_dense_layers_take_the_faster_way(bench, monkeypatch, rows, taps, channels):
    """Few channels, or a last group of less than four rows, do not pay for gathering pixels."""
    n, rng = NetworkBuilder(), np.random.default_rng(1)
    x, y = n.tensor((rows, taps), scale=0.1), n.tensor((rows, channels), scale=0.3)
    weighted(n, rng, "FULLY_CONNECTED", (channels, taps), channels, x, y)
    tflite = n.build([x], [y])

    def run() -> m33_rig.LayerRun:
        model = Model(tflite)
        values = inputs(model, 1)[0]
        run = bench.run(model.plan, values)[0]
        np.testing.assert_array_equal(run.output, model.invoke(values))
        return run

    chosen = run()
    monkeypatch.setattr(windowed, "MANY_ROWS", rows + 1)
    assert chosen.cycles <= 1.25 * run().cycles


@pytest.mark.parametrize(
    "shape, most", [((2, 12, 16, 12), 4.6), ((1, 48, 48, 16), 2.4), ((1, 98, 64, 98), 2.1)]
)
@pytest.mark.parametrize("transposed", [False, True])
def test_products_of_matrices_take_few_cycles(bench, shape, most, transposed):
    """By estimated cycles a product; short sums spend as much on a requantization."""
    batches, rows, taps, columns = shape
    n = NetworkBuilder()
    x = n.tensor((batches, rows, taps), scale=0.1, zero_point=5)
    second = (batches, columns, taps) if transposed else (batches, taps, columns)
    other = n.tensor(second, scale=0.1, data=np.random.default_rng(1).integers(-128, 128, second))
    y = n.tensor((batches, rows, columns), scale=0.5 * taps**0.5)
    n.operator("BATCH_MATMUL", [x, other], [y], "BatchMatMulOptions", adjY=transposed)
    model = Model(n.build([x], [y]))
    values = inputs(model, 1)[0]
    run = bench.run(model.plan, values)[0]
    np.testing.assert_array_equal(run.output, model.invoke(values))
    assert run.cycles < most * model.macs


# Exact instruction counts of the shipped model's layers, by the compiler that this is developed with.
# They may fall; a rise needs a reason.
PINNED_COMPILER = "12.2.1"
INSTRUCTIONS = {"conv_2d": [77206, 143779, 132370], "max_pool_2d": [2867], "fully_connected": [1114]}


def test_instructions_of_the_shipped_model(bench):
    if m33_rig.compiler_version() != PINNED_COMPILER:
        pytest.skip(f"counts are those of arm-none-eabi-gcc {PINNED_COMPILER}")
    model = Model(MODEL)
    counts: dict[str, list[int]] = {}
    for layer, run in zip(model.layers, bench.run(model.plan, inputs(model, 1)[0]), strict=True):
        counts.setdefault(layer.name, []).append(run.instructions)
    assert {name: counts[name] for name in INSTRUCTIONS} == INSTRUCTIONS


# Of the first layer of a keyword spotter of SVDF: 96 inputs, 64 filters, 8 values.
SVDF_INSTRUCTIONS = {"int8": 22739, "int16": 22035}


@pytest.mark.parametrize("state", SVDF_INSTRUCTIONS)
def test_instructions_of_a_state(bench, state):
    if m33_rig.compiler_version() != PINNED_COMPILER:
        pytest.skip(f"counts are those of arm-none-eabi-gcc {PINNED_COMPILER}")
    model = Model(svdf(state, 96, 64, 1, 8, rng=np.random.default_rng(0), fill=0.5))
    assert bench.run(model.plan, inputs(model, 1)[0])[0].instructions == SVDF_INSTRUCTIONS[state]


def test_macs_per_cycle_of_the_shipped_model(bench):
    """By the simulator's estimate of cycles."""
    model = Model(MODEL)
    runs = bench.run(model.plan, inputs(model, 1)[0])
    assert model.macs / sum(run.cycles for run in runs) >= 0.73
    portable = m33_rig.Bench(m33_rig.build(optimized=False)).run(model.plan, inputs(model, 1)[0])
    assert sum(run.cycles for run in portable) >= 6 * sum(run.cycles for run in runs)


def test_counts_do_not_depend_on_the_input(bench):
    """Time tells nothing about what was heard, and one measurement is enough."""
    model = Model(MODEL)
    first, second = (bench.run(model.plan, x) for x in inputs(model, 2))
    for layer, a, b in zip(model.layers, first, second, strict=True):
        if layer.name in ("conv_2d", "max_pool_2d"):
            assert a.instructions == b.instructions
