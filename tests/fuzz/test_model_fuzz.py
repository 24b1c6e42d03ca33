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
from tests.tflite_builder import NetworkBuilder

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted((ROOT / "host" / "models").glob("*.tflite"))
EXAMPLES = int(os.environ.get("TOKAY_EXAMPLES", "300"))


def small_model() -> bytes:
    """Most operators in little space, so that a mutation hits something that matters."""
    n = NetworkBuilder()
    x = n.tensor((1, 6, 6, 2), scale=0.1, zero_point=3)
    c = n.tensor((1, 6, 6, 4), scale=0.2)
    w = n.tensor((4, 3, 3, 2), scale=np.full(4, 0.01), data=np.ones(72))
    b = n.tensor((4,), "int32", data=np.arange(4))
    n.operator("CONV_2D", [x, w, b], [c], "Conv2DOptions", strideH=1, strideW=1)
    d = n.tensor((1, 6, 6, 4), scale=0.2)
    n.operator("ADD", [c, c], [d], "AddOptions")
    p = n.tensor((1, 3, 3, 4), scale=0.2)
    n.operator("MAX_POOL_2D", [d], [p], "Pool2DOptions", strideH=2, strideW=2, filterHeight=2, filterWidth=2)
    s = n.tensor((1, 2, 3, 4), scale=0.2)
    lists = [n.tensor((4,), "int32", data=np.array(v)) for v in ([0, 0, 0, 0], [1, 2, 3, 4], [1, 1, 1, 1])]
    n.operator("STRIDED_SLICE", [p, *lists], [s], "StridedSliceOptions")
    m = n.tensor((1, 4), scale=0.3)
    n.operator("MEAN", [s, n.tensor((2,), "int32", data=np.array([1, 2]))], [m], "ReducerOptions")
    f = n.tensor((1, 3), scale=0.3)
    n.operator("FULLY_CONNECTED", [m, n.tensor((3, 4), scale=0.1, data=np.ones(12)), -1], [f],
               "FullyConnectedOptions")  # fmt: skip
    y = n.tensor((1, 3), scale=1 / 256, zero_point=-128)
    n.operator("SOFTMAX", [f], [y], "SoftmaxOptions", beta=1.0)
    return n.build([x], [y])


SMALL = small_model()


def compile_or_refuse(data: bytes) -> None:
    """Compiles and, if it compiles, runs; nothing but TokayError may come out."""
    try:
        model = Model(data)
    except TokayError as error:
        assert str(error)
        return
    model.invoke(np.zeros(model.input.shape, model.input.dtype))


def test_the_small_model_compiles():
    Model(SMALL).invoke(np.zeros((1, 6, 6, 2), np.int8))


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_changed_bytes(changes):
    data = bytearray(SMALL)
    for at, value in changes:
        data[at] = value
    compile_or_refuse(bytes(data))


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.integers(0, len(SMALL) // 4 - 1),
    st.sampled_from([0, 1, 0x7F, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFC, 1 << 16, 1 << 24]),
)
def test_changed_words(word, value):
    """Offsets, lengths and dimensions are words: give each the values that hurt."""
    data = bytearray(SMALL)
    struct.pack_into("<I", data, 4 * word, value)
    compile_or_refuse(bytes(data))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(SMALL) - 1))
def test_truncated(length):
    with pytest.raises(TokayError):
        compile_model(SMALL[:length], name="cut")


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


def test_sizes_that_would_exhaust_memory_are_refused_at_once():
    """A tensor of 2^62 bytes, a list of 2^32 items, thousands of tensors on one buffer."""
    n = NetworkBuilder()
    x = n.tensor((1 << 30, 1 << 30), scale=0.1)
    y = n.tensor((1 << 30, 1 << 30), scale=0.1)
    n.operator("RELU", [x], [y])
    huge = n.build([x], [y])
    many = NetworkBuilder()
    tensors = [many.tensor((1, 64), scale=0.1) for _ in range(5001)]
    for a, b in itertools.pairwise(tensors):
        many.operator("RELU", [a], [b])
    tracemalloc.start()
    start = time.monotonic()
    for data in (huge, many.build(tensors[:1], tensors[-1:])):
        with pytest.raises(TokayError):
            compile_model(data, name="huge")
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()
    assert time.monotonic() - start < 20
