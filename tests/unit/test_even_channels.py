"""Odd numbers of channels made even for the accelerator: every other value stays what it was."""

from __future__ import annotations

import numpy as np
import pytest

from codegen import accelerate
from codegen.check import check_graph
from codegen.even_channels import groups, widen
from codegen.lower import lower
from codegen.pipeline import compile_model
from codegen.plan import build_plan
from codegen.plan_memory import plan_memory
from codegen.read import read_model
from host import runtime
from host.runtime import Model
from host.simulator.mvp import worst_cycles
from tests.tflite_builder import NetworkBuilder
from tests.unit.mvp_networks import shares_of_exact_outputs, weighted

STEP = {"strideW": 1, "strideH": 1}
HEIGHT, WIDTH = 7, 6


def everything(channels: int, seed: int) -> bytes:
    """A convolution to ``channels`` and whatever can follow it, down to a dense layer and a softmax."""
    rng = np.random.default_rng(seed)
    n = NetworkBuilder()

    def tensor(*shape: int, scale: float = 0.08, zero_point: int = -5) -> int:
        return n.tensor(shape, scale=scale, zero_point=zero_point)

    def image(scale: float = 0.08, zero_point: int = -5) -> int:
        return tensor(1, HEIGHT, WIDTH, channels, scale=scale, zero_point=zero_point)

    x, first = tensor(1, HEIGHT, WIDTH, 4), image()
    weighted(n, rng, "CONV_2D", (channels, 3, 3, 4), channels, x, first, **STEP)
    last = first
    for name, options in rng.permutation(
        [("RELU", ""), ("LOGISTIC", ""), ("TANH", ""), ("LEAKY_RELU", "LeakyRelu"),
         ("HARD_SWISH", "HardSwish"), ("ELU", ""), ("QUANTIZE", "Quantize"), ("MAX_POOL_2D", "Pool2D"),
         ("AVERAGE_POOL_2D", "Pool2D"), ("ADD", "Add"), ("SUB", "Sub"), ("MUL", "Mul"), ("PAD", "Pad"),
         ("DEPTHWISE_CONV_2D", ""), ("CONV_2D", ""), ("MINIMUM", "")]
    ):  # fmt: skip
        known = {
            "LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0), "MAX_POOL_2D": None, "AVERAGE_POOL_2D": None,
            "PAD": None, "MINIMUM": None,
        }  # fmt: skip
        q = known.get(name, (0.08, -5))
        if q is None:  # the input's
            q = (float(n.tensors[last].quantization.scale[0]), int(n.tensors[last].quantization.zeroPoint[0]))
        y = image(*q)
        if name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            shape = (channels, 3, 1, channels) if name == "CONV_2D" else (1, 3, 3, channels)
            more = {} if name == "CONV_2D" else {"depthMultiplier": 1}
            weighted(n, rng, name, shape, channels, last, y, **STEP, **more)
        elif name in ("MAX_POOL_2D", "AVERAGE_POOL_2D"):
            n.operator(name, [last], [y], "Pool2DOptions", **STEP, filterWidth=2, filterHeight=3)
        elif name in ("ADD", "SUB", "MUL"):
            n.operator(name, [last, first], [y], f"{options}Options")
        elif name == "PAD":  # pads with nothing, which is the only way to keep the size here
            n.operator(name, [last, n.tensor((4, 2), "int32", data=np.zeros((4, 2)))], [y], "PadOptions")
        elif name == "MINIMUM":
            limit = n.tensor((), scale=q[0], zero_point=q[1], data=np.array(40))
            n.operator(name, [last, limit], [y], "MaximumMinimumOptions")
        else:
            n.operator(name, [last], [y], f"{options}Options" if options else None)
        last = y
    if rng.integers(2):
        q = n.tensors[last].quantization
        flat = tensor(1, HEIGHT * WIDTH * channels, scale=float(q.scale[0]), zero_point=int(q.zeroPoint[0]))
        n.operator("RESHAPE", [last], [flat], "ReshapeOptions")
    else:
        flat = tensor(1, channels)
        n.operator("MEAN", [last, n.tensor((2,), "int32", data=np.array([1, 2]))], [flat], "ReducerOptions")
    dense, y = tensor(1, 3, scale=0.3), tensor(1, 3, scale=1 / 256, zero_point=-128)
    taps = n.tensors[flat].shape[1]
    weighted(n, rng, "FULLY_CONNECTED", (3, taps), 3, flat, dense)
    n.operator("SOFTMAX", [dense], [y], "SoftmaxOptions", beta=1.0)
    return n.build([x], [y])


def on_the_core(tflite: bytes, monkeypatch: pytest.MonkeyPatch) -> Model:
    """The network with all of its groups widened, but run by the portable kernels, which are exact."""
    graph = read_model(tflite)
    check_graph(graph)
    for group in groups(graph):
        graph = widen(graph, group)
    layers = lower(graph)
    plan = build_plan(graph, layers, (), plan_memory(graph, layers), name="n", sha256="", accelerator="none")
    monkeypatch.setattr(runtime, "compile_model", lambda *_, **__: plan)
    return Model(tflite)


@pytest.mark.parametrize("seed", range(8))
def test_no_value_changes(seed, monkeypatch):
    channels = (1, 3, 5, 7, 9, 13, 15, 31)[seed]
    tflite = everything(channels, seed)
    narrow = Model(tflite)
    wide = on_the_core(tflite, monkeypatch)
    widened = [layer for layer in wide.layers if wide.plan.graph.tensors[layer.output].widened]
    assert len(widened) == 18  # all but the dense layer and the softmax
    rng = np.random.default_rng(seed)
    for _ in range(3):
        x = rng.integers(-128, 128, narrow.input.shape, np.int8)
        for layer, a, b in zip(
            narrow.layers, narrow.invoke_layers(x), wide.invoke_layers(x), strict=True
        ):
            np.testing.assert_array_equal(b, a, err_msg=f"layer {layer.index} {layer.name}")


def odd_network(end: str = "FULLY_CONNECTED") -> bytes:
    """Two convolutions of 7 channels and a pool between them; the last is the output, or a dense layer takes
    the mean of it."""
    rng = np.random.default_rng(3)
    n = NetworkBuilder()
    x, a, b, c = (
        n.tensor(shape, scale=0.1) for shape in ((1, 20, 16, 4), (1, 20, 16, 7), (1, 10, 8, 7), (1, 10, 8, 7))
    )
    weighted(n, rng, "CONV_2D", (7, 3, 3, 4), 7, x, a, **STEP)
    n.operator("MAX_POOL_2D", [a], [b], "Pool2DOptions", strideW=2, strideH=2, filterWidth=2, filterHeight=2)
    weighted(n, rng, "CONV_2D", (7, 3, 3, 7), 7, b, c, **STEP)
    if end == "CONV_2D":
        return n.build([x], [c])
    mean, y = n.tensor((1, 7), scale=0.03), n.tensor((1, 5), scale=0.3)
    n.operator("MEAN", [c, n.tensor((2,), "int32", data=np.array([1, 2]))], [mean], "ReducerOptions")
    weighted(n, rng, "FULLY_CONNECTED", (5, 7), 5, mean, y)
    return n.build([x], [y])


def test_the_accelerator_gets_layers_of_odd_channels():
    tflite = odd_network()
    model = Model(tflite, "mvp")
    assert [layer.kernel for layer in model.layers] == ["mvp"] * 5
    plain = Model(tflite)
    told = [(layer.input_shape, layer.output_shape, layer.macs, layer.ops) for layer in model.layers]
    assert told == [(layer.input_shape, layer.output_shape, layer.macs, layer.ops) for layer in plain.layers]
    stored = [layer.options_text.endswith("stored_channels:8") for layer in model.layers]
    assert stored == [True] * 4 + [False]
    assert min(shares_of_exact_outputs(tflite, 4).values()) > 0.9
    zeros = np.zeros(model.input.shape, np.int8)
    assert [y.shape for y in model.invoke_layers(zeros)] == [y.shape for y in plain.invoke_layers(zeros)]


def test_a_kernel_is_chosen_once_for_the_same_tensors(monkeypatch):
    asked, select = [], accelerate.select

    def noted(graph, op, *args, **options):
        asked.append((op.index, options["copy"], *(graph.tensors[i] for i in (*op.inputs, *op.outputs))))
        return select(graph, op, *args, **options)

    monkeypatch.setattr(accelerate, "select", noted)
    plan = compile_model(odd_network(), name="n", accelerator="mvp", mvp_cycles=worst_cycles)
    assert len(asked) == len(set(asked)) > len(plan.layers)


def test_the_output_of_a_network_stays_as_it_is():
    model = Model(odd_network("CONV_2D"), "mvp")
    assert [layer.kernel for layer in model.layers] == ["mvp", "mvp", "conv_2d"]
    assert model.invoke(np.zeros(model.input.shape, np.int8)).shape == (1, 10, 8, 7)


@pytest.mark.parametrize("channels", [1, 7])
def test_values_without_dimensions(channels):
    """A mean over all dimensions has none, nor has what a single value is reshaped to."""
    n, rng = NetworkBuilder(), np.random.default_rng(0)
    x, a = n.tensor((1, 6, 5, 4), scale=0.1), n.tensor((1, 6, 5, channels), scale=0.1)
    weighted(n, rng, "CONV_2D", (channels, 3, 3, 4), channels, x, a, **STEP)
    axes = [1, 2] if channels == 1 else [0, 1, 2, 3]
    mean = n.tensor((1, 1) if channels == 1 else (), scale=0.05)
    n.operator("MEAN", [a, n.tensor((len(axes),), "int32", data=np.array(axes))], [mean], "ReducerOptions")
    value, flat, y = n.tensor((), scale=0.05), n.tensor((1, 1), scale=0.05), n.tensor((1, 2), scale=0.1)
    n.operator("RESHAPE", [mean], [value], "ReshapeOptions")
    n.operator("RESHAPE", [value], [flat], "ReshapeOptions")
    weighted(n, rng, "FULLY_CONNECTED", (2, 1), 2, flat, y)
    tflite = n.build([x], [y])
    assert min(shares_of_exact_outputs(tflite, 4).values(), default=1) > 0.9
    graph = read_model(tflite)
    assert len(list(groups(graph))) == (channels == 1)
    for group in groups(graph):
        graph = widen(graph, group)
    assert [graph.tensors[t].shape for t in (a, mean, value, flat)] == (
        [(1, 6, 5, 2), (1, 2), (2,), (1, 2)] if channels == 1 else [(1, 6, 5, 7), (), (), (1, 1)]
    )


def test_nothing_is_widened_on_the_core_or_without_gain():
    plan = compile_model(odd_network(), name="n")
    assert not any(tensor.widened for tensor in plan.graph.tensors)
    n, rng = NetworkBuilder(), np.random.default_rng(0)
    x, a, y = (n.tensor((1, count), scale=0.1) for count in (4, 1, 2))
    weighted(n, rng, "FULLY_CONNECTED", (1, 4), 1, x, a)
    weighted(n, rng, "FULLY_CONNECTED", (2, 1), 2, a, y)
    small = Model(n.build([x], [y]), "mvp")
    assert len(list(groups(small.plan.graph))) == 1  # it could be
    assert not any(tensor.widened for tensor in small.plan.graph.tensors)


def test_a_single_channel_that_becomes_a_single_value():
    n, rng = NetworkBuilder(), np.random.default_rng(0)
    x, a = n.tensor((1, 3, 3, 4), scale=0.1), n.tensor((1, 1, 1, 1), scale=0.1)
    b, c = n.tensor((), scale=0.1), n.tensor((), scale=1 / 256, zero_point=-128)
    y = n.tensor((1,), scale=1 / 256, zero_point=-128)
    weighted(n, rng, "CONV_2D", (1, 3, 3, 4), 1, x, a, **STEP, padding=1)
    n.operator("RESHAPE", [a], [b], "ReshapeOptions")
    n.operator("LOGISTIC", [b], [c])
    n.operator("RESHAPE", [c], [y], "ReshapeOptions")
    tflite, zeros = n.build([x], [y]), np.zeros((1, 3, 3, 4), np.int8)
    np.testing.assert_array_equal(Model(tflite, "mvp").invoke(zeros), Model(tflite).invoke(zeros))


@pytest.mark.parametrize("name", ["ADD", "SUB", "MUL"])
@pytest.mark.parametrize("axes", [[1], [2], [1, 2]])
def test_operands_that_are_repeated_by_channel(name, axes, monkeypatch):
    """Squeeze and excite, and additions of a mean over one side of the image."""
    rng, n = np.random.default_rng(0), NetworkBuilder()
    x, a = n.tensor((1, 9, 8, 4), scale=0.1), n.tensor((1, 9, 8, 7), scale=0.1)
    weighted(n, rng, "CONV_2D", (7, 3, 3, 4), 7, x, a, **STEP)
    shape = tuple(1 if d in axes else size for d, size in enumerate((1, 9, 8, 7)))
    mean, both = n.tensor(shape, scale=0.043), n.tensor((1, 9, 8, 7), scale=0.2)
    n.operator("MEAN", [a, n.tensor((len(axes),), "int32", data=np.array(axes))], [mean], "ReducerOptions",
               keepDims=True)  # fmt: skip
    n.operator(name, [mean, a], [both], f"{name.title()}Options")
    y = n.tensor((1, 9, 8, 2), scale=0.3)
    weighted(n, rng, "CONV_2D", (2, 3, 3, 7), 2, both, y, **STEP)
    tflite = n.build([x], [y])
    assert all(layer.mvp for layer in Model(tflite, "mvp").layers)
    shares = shares_of_exact_outputs(tflite, 4)
    shares.pop(1)  # the reference rounds means twice: 2.3 is 5 / 2, which is 3
    assert min(shares.values()) > 0.85
    narrow, wide = Model(tflite), on_the_core(tflite, monkeypatch)
    assert wide.plan.graph.tensors[mean].shape == (*shape[:3], 8)
    x = rng.integers(-128, 128, narrow.input.shape, np.int8)
    for a, b in zip(narrow.invoke_layers(x), wide.invoke_layers(x), strict=True):
        np.testing.assert_array_equal(b, a)


@pytest.mark.parametrize(
    "barrier", ["CONCATENATION", "SOFTMAX", "STRIDED_SLICE", "constant", "reshape", "by place"]
)
def test_what_cannot_be_widened(barrier):
    """Whatever such a tensor meets besides layers that sum over channels or leave them apart."""
    rng, n = np.random.default_rng(0), NetworkBuilder()
    shape = (1, 5, 4, 7)
    x, a = n.tensor((1, 5, 4, 4), scale=0.1), n.tensor(shape, scale=0.1)
    weighted(n, rng, "CONV_2D", (7, 3, 3, 4), 7, x, a, **STEP)
    y = n.tensor(shape, scale=0.1)
    if barrier == "CONCATENATION":
        y = n.tensor((1, 5, 4, 14), scale=0.1)
        n.operator(barrier, [a, a], [y], "ConcatenationOptions", axis=3)
    elif barrier == "SOFTMAX":
        n.operator(barrier, [a], [y], "SoftmaxOptions", beta=1.0)
    elif barrier == "STRIDED_SLICE":
        ends = [n.tensor((4,), "int32", data=np.array(v)) for v in ([0] * 4, shape, [1] * 4)]
        n.operator(barrier, [a, *ends], [y], "StridedSliceOptions")
    elif barrier == "by place":
        mean = n.tensor((1, 5, 4, 1), scale=0.1)
        n.operator("MEAN", [a, n.tensor((1,), "int32", data=np.array([3]))], [mean], "ReducerOptions",
                   keepDims=True)  # fmt: skip
        n.operator("MUL", [a, mean], [y], "MulOptions")
    elif barrier == "constant":
        values = n.tensor((7,), scale=0.1, data=rng.integers(-9, 9, 7))
        n.operator("ADD", [a, values], [y], "AddOptions")
    else:
        y = n.tensor((1, 7, 5, 4), scale=0.1)
        n.operator("RESHAPE", [a], [y], "ReshapeOptions")
    last = n.tensor(n.tensors[y].shape, scale=0.1)
    n.operator("LOGISTIC", [y], [last])
    graph = read_model(n.build([x], [last]))
    assert list(groups(graph)) == []
