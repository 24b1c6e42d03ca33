"""Damaged and hostile .tflite files: a graph or a TokayError, soon, whatever the bytes."""

from __future__ import annotations

import itertools
import os
import struct
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.errors import TokayError
from codegen.pipeline import compile_model
from host.runtime import Model
from tests.places import ROOT
from tests.recurrent import backwards
from tests.tflite_builder import NetworkBuilder, svdf

SHIPPED = sorted((ROOT / "host" / "models").glob("*.tflite"))
EXAMPLES = int(os.environ.get("TOKAY_EXAMPLES", "300"))


def small_model() -> bytes:
    """Operators that compute, in little space, so that a mutation hits something that matters."""
    n = NetworkBuilder()
    x = n.tensor((1, 6, 6, 2), scale=0.1, zero_point=3)
    c = n.tensor((1, 6, 6, 4), scale=0.2)
    w = n.tensor((4, 3, 3, 2), scale=np.full(4, 0.01), data=np.ones(72))
    b = n.tensor((4,), "int32", data=np.arange(4))
    n.operator("CONV_2D", [x, w, b], [c], "Conv2DOptions", strideH=1, strideW=1)
    d = n.tensor((1, 6, 6, 4), scale=0.2)
    n.operator("ADD", [c, c], [d], "AddOptions")
    e = n.tensor((1, 6, 6, 4), scale=0.2)
    n.operator("SUB", [d, c], [e], "SubOptions")
    p = n.tensor((1, 3, 3, 4), scale=0.2)
    n.operator("MAX_POOL_2D", [e], [p], "Pool2DOptions", strideH=2, strideW=2, filterHeight=2, filterWidth=2)
    s = n.tensor((1, 2, 3, 4), scale=0.2)
    lists = [n.tensor((4,), "int32", data=np.array(v)) for v in ([0, 0, 0, 0], [1, 2, 3, 4], [1, 1, 1, 1])]
    n.operator("STRIDED_SLICE", [p, *lists], [s], "StridedSliceOptions")
    h, r, l = (n.tensor(shape, scale=0.2) for shape in ((1, 2, 3, 4), (1, 2, 1, 4), (1, 2, 1, 4)))
    n.operator("HARD_SWISH", [s], [h])
    n.operator("REDUCE_MAX", [h, n.tensor((1,), "int32", data=np.array([2]))], [r], "ReducerOptions",
               keepDims=True)  # fmt: skip
    n.operator("LEAKY_RELU", [r], [l], "LeakyReluOptions", alpha=0.1)
    m = n.tensor((1, 4), scale=0.3)
    n.operator("MEAN", [l, n.tensor((2,), "int32", data=np.array([1, 2]))], [m], "ReducerOptions")
    g, t, i, q = (n.tensor(shape, scale=0.3) for shape in ((4, 4), (4,), (4,), (1, 4)))
    n.operator("BATCH_MATMUL", [m, m], [g], "BatchMatMulOptions", adjX=True)
    n.operator("SUM", [g, n.tensor((1,), "int32", data=np.array([0]))], [t], "ReducerOptions")
    n.operator("RSQRT", [t], [i])
    n.operator("DIV", [m, i], [q], "DivOptions")
    m = n.tensor((1, 4), scale=0.3)
    n.operator("SQUARED_DIFFERENCE", [q, t], [m])
    f = n.tensor((1, 3), scale=0.3)
    n.operator("FULLY_CONNECTED", [m, n.tensor((3, 4), scale=0.1, data=np.ones(12)), -1], [f],
               "FullyConnectedOptions")  # fmt: skip
    y = n.tensor((1, 3), scale=1 / 256, zero_point=-128)
    n.operator("SOFTMAX", [f], [y], "SoftmaxOptions", beta=1.0)
    return n.build([x], [y])


def moving_model() -> bytes:
    """Ditto with operators that become others before they are compiled: several, or several of them one."""
    n = NetworkBuilder()

    def tensor(*shape: int) -> int:
        return n.tensor(shape, scale=0.2)

    def ints(values: int | list[int]) -> int:
        return n.tensor(np.shape(values), "int32", data=np.array(values))

    x, c, d = tensor(1, 2, 3, 4), tensor(1, 2, 3, 4), tensor(1, 2, 3, 4)
    for source, output, channels in ((x, c, 2), (c, d, 1)):  # in groups, the second of single channels
        weights = n.tensor((4, 1, 1, channels), scale=np.full(4, 0.01), data=np.ones(4 * channels))
        n.operator("CONV_2D", [source, weights, n.tensor((4,), "int32", data=np.arange(4))], [output],
                   "Conv2DOptions", strideH=1, strideW=1)  # fmt: skip
    s, t = tensor(1, 2, 3, 2), tensor(1, 2, 3, 2)
    n.operator("SPLIT", [ints(3), d], [s, t], "SplitOptions", numSplits=2)
    u, v = tensor(1, 2, 1, 2), tensor(1, 2, 2, 2)
    n.operator("SPLIT_V", [s, ints([1, -1]), ints(2)], [u, v], "SplitVOptions", numSplits=2)
    a, b = tensor(1, 2, 2), tensor(1, 2, 2)
    n.operator("UNPACK", [v], [a, b], "UnpackOptions", num=2, axis=2)
    p, q = tensor(1, 2, 2, 2), tensor(1, 2, 2, 2)
    n.operator("PACK", [a, b], [p], "PackOptions", axis=-1, valuesCount=2)
    n.operator("TRANSPOSE", [p, ints([0, 3, 1, 2])], [q], "TransposeOptions")
    e = tensor(1, 2, 2, 2)
    n.operator("SLICE", [t, ints([0, 0, 1, 0]), ints([1, 2, 2, -1])], [e], "SliceOptions")
    slopes = n.tensor((2,), scale=0.01, data=np.array([1, -3]))
    r, m = tensor(1, 2, 2, 2), tensor(1, 2, 2, 2)
    n.operator("PRELU", [e, slopes], [r])
    n.operator("MINIMUM", [r, n.tensor((), scale=0.2, data=np.array(5))], [m], "MaximumMinimumOptions")
    floats, made = n.tensor((1, 2, 2, 2), "float32"), n.tensor((1, 2, 2, 2), "float32")
    g, y = tensor(1, 2, 2, 2), tensor(1, 2, 3, 2)
    n.operator("DEQUANTIZE", [m], [floats])
    n.operator("ELU", [floats], [made])
    n.operator("QUANTIZE", [made], [g])
    h = tensor(1, 2, 2, 2)
    n.operator("ADD", [g, q], [h], "AddOptions")
    n.operator("CONCATENATION", [h, u], [y], "ConcatenationOptions", axis=2)
    return n.build([x], [y])


def expanding_model() -> bytes:
    """Ditto with those that become several for want of a kernel."""
    n = NetworkBuilder()

    def tensor(*shape: int, **data) -> int:
        return n.tensor(shape, scale=0.2, **data)

    def ints(values: int | list[int]) -> int:
        return n.tensor(np.shape(values), "int32", data=np.array(values))

    x, g, t, p = tensor(1, 4, 33), tensor(1, 4, 33), tensor(1, 8, 33), tensor(1, 8, 33)
    n.operator("GATHER", [x, ints([2, 1, 0, 2])], [g], "GatherOptions", axis=1)
    n.operator("TILE", [g, ints([1, 2, 1])], [t], "TileOptions")
    slopes = n.tensor((8, 33), scale=0.01, data=np.arange(264) % 256)
    n.operator("PRELU", [t, slopes], [p])
    least, back, low, high, y = tensor(1, 1, 33), tensor(1, 8, 33), *(tensor(1, 8, 33) for _ in range(3))
    n.operator("REDUCE_MIN", [p, ints([1])], [least], "ReducerOptions", keepDims=True)
    n.operator("BROADCAST_TO", [least, ints([1, 8, 33])], [back], "BroadcastToOptions")
    n.operator("MINIMUM", [p, back], [low], "MaximumMinimumOptions")
    n.operator("MAXIMUM", [low, tensor(33, data=np.arange(33))], [high], "MaximumMinimumOptions")
    floats = [n.tensor((1, 8, 33), "float32") for _ in range(3)]
    n.operator("DEQUANTIZE", [high], floats[:1])
    n.operator("SQUARE", floats[:1], floats[1:2])
    n.operator("NEG", floats[1:2], floats[2:])
    n.operator("QUANTIZE", floats[2:], [y])
    norm, z = n.tensor((1, 8, 33), scale=1 / 128), n.tensor((1, 8, 33), scale=1 / 16, zero_point=127)
    n.operator("L2_NORMALIZATION", [y], [norm], "L2NormOptions")
    n.operator("LOG_SOFTMAX", [norm], [z], "LogSoftmaxOptions")
    return n.build([x], [z])


def keeping_model() -> bytes:
    """Ditto with variables: one that begins with constants, one assigned what the other was, and used after
    that."""
    n = NetworkBuilder()
    like = {"scale": 0.2, "zero_point": 5}
    n.initialized(a={"shape": (1, 2, 3), **like, "data": np.arange(6)})
    a, b = n.handle("a"), n.handle("b")
    x, u, v, w = (n.tensor((1, 2, 3), **like) for _ in range(4))
    both, last, y = (n.tensor(shape, **like) for shape in ((1, 4, 3), (1, 2, 3), (1, 2, 3)))
    n.operator("READ_VARIABLE", [b], [v])
    n.operator("READ_VARIABLE", [a], [u])
    n.operator("CONCATENATION", [u, x], [both], "ConcatenationOptions", axis=1)
    lists = [n.tensor((3,), "int32", data=np.array(v)) for v in ([0, 1, 0], [1, 3, 3], [1, 1, 1])]
    n.operator("STRIDED_SLICE", [both, *lists], [last], "StridedSliceOptions")
    n.operator("ASSIGN_VARIABLE", [a, last], [])
    n.operator("ASSIGN_VARIABLE", [b, u], [])
    n.operator("READ_VARIABLE", [a], [w])
    n.operator("ADD", [v, w], [y], "AddOptions")
    return n.build([x], [y])


def remembering_model(state: str) -> bytes:
    """Ditto with an operator that keeps a state."""
    rng = np.random.default_rng(0)
    return svdf(state, 4, 3, 2, 5, rng=rng, zero_point=3, output_zero_point=-128, activation=1)


def handing_model() -> bytes:
    """Ditto with states that its caller keeps, one of which is not read."""
    n = NetworkBuilder()
    x, a, b, y = (n.tensor((1, 3), scale=0.2, zero_point=5) for _ in range(4))
    n.tensors[a].name = n.tensors[b].name = "state"
    n.operator("ADD", [x, a], [y], "AddOptions")
    flat = n.tensor((3,), scale=0.2, zero_point=5)
    n.operator("RESHAPE", [y], [flat], "ReshapeOptions")
    return n.build([x, a, b], [flat, y, x])


ALL = [
    small_model(), moving_model(), expanding_model(), keeping_model(), remembering_model("int8"),
    remembering_model("int16"), handing_model(), backwards(),
]  # fmt: skip
WORDS = (0, 1, 0x7F, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFC, 1 << 16, 1 << 24)
models = st.sampled_from(ALL)
places = st.integers(0, max(map(len, ALL)) - 1)


def compile_or_refuse(data: bytes) -> None:
    """Compiles and, if it compiles, runs; nothing but TokayError may come out."""
    try:
        model = Model(data)
    except TokayError as error:
        assert str(error)
        return
    model.invoke(np.zeros(model.input.shape, model.input.dtype))


def test_the_models_compile():
    for data in ALL:
        model = Model(data)
        model.invoke(np.zeros(model.input.shape, np.int8))


@settings(max_examples=EXAMPLES, deadline=None)
@given(models, st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=6))
def test_changed_bytes(model, changes):
    data = bytearray(model)
    for at, value in changes:
        data[at % len(data)] = value
    compile_or_refuse(bytes(data))


@settings(max_examples=EXAMPLES, deadline=None)
@given(models, places, st.sampled_from(WORDS))
def test_changed_words(model, at, value):
    """Offsets, lengths and dimensions are words: give each the values that hurt."""
    data = bytearray(model)
    struct.pack_into("<I", data, at % len(data) // 4 * 4, value)
    compile_or_refuse(bytes(data))


@settings(max_examples=100, deadline=None)
@given(models, places)
def test_truncated(model, length):
    with pytest.raises(TokayError):
        compile_model(model[: length % len(model)], name="cut")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400))
def test_noise(data):
    with pytest.raises(TokayError):
        compile_model(data[:4] + b"TFL3" + data[4:], name="noise")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_every_truncation_of_a_shipped_model_is_refused(path: Path):
    data = path.read_bytes()
    for length in [*range(0, 64), *range(64, len(data), 997)]:
        with pytest.raises(TokayError):
            compile_model(data[:length], name="cut")


def hostile_models() -> dict[str, bytes]:
    """Small files that ask for much."""
    n = NetworkBuilder()
    x, y = (n.tensor((1 << 30, 1 << 30), scale=0.1) for _ in range(2))
    n.operator("RELU", [x], [y])
    models = {"a tensor of 2^60 bytes": n.build([x], [y])}
    n = NetworkBuilder()
    tensors = [n.tensor((1, 64), scale=0.1) for _ in range(1100)]
    for a, b in itertools.pairwise(tensors):
        n.operator("RELU", [a], [b])
    models["a thousand operators"] = n.build(tensors[:1], tensors[-1:])
    n = NetworkBuilder()
    tensors = [n.tensor((1, 512), scale=0.1) for _ in range(200)]
    weights = n.tensor((512, 512), scale=0.1, data=np.zeros((512, 512)))
    for a, b in itertools.pairwise(tensors):
        n.operator("FULLY_CONNECTED", [a, weights, -1], [b], "FullyConnectedOptions")
    models["two hundred layers on one buffer of weights"] = n.build(tensors[:1], tensors[-1:])
    return models


def test_models_that_would_exhaust_memory_or_time_are_refused_at_once():
    for name, data in hostile_models().items():
        tracemalloc.start()
        start = time.process_time()
        with pytest.raises(TokayError):
            compile_model(data, name=name)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20, name
        tracemalloc.stop()
        assert time.process_time() - start < 5, name


def test_the_largest_network_allowed_is_planned_in_seconds():
    n = NetworkBuilder()
    tensors = [n.tensor((1, 1, 1, 64 + k % 7), scale=0.1) for k in range(1000)]
    for a, b in itertools.pairwise(tensors):
        shapes = [n.tensors[t].shape for t in (a, b)]
        pads = [[0, 0]] * 3 + [[0, max(0, shapes[1][3] - shapes[0][3])]]
        begin, end, strides = ([0] * 4, shapes[1], [1] * 4)
        if shapes[1][3] > shapes[0][3]:
            n.operator("PAD", [a, n.tensor((4, 2), "int32", data=np.array(pads))], [b], "PadOptions")
        else:
            lists = [n.tensor((4,), "int32", data=np.array(v)) for v in (begin, end, strides)]
            n.operator("STRIDED_SLICE", [a, *lists], [b], "StridedSliceOptions")
    start = time.process_time()
    plan = compile_model(n.build(tensors[:1], tensors[-1:]), name="long")
    assert time.process_time() - start < 20
    assert plan.memory.arena_bytes == plan.memory.bound_bytes
