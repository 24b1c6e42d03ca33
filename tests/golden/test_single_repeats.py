"""Operators that repeat values, against the reference kernels of TensorFlow Lite Micro, which has none for
TILE, or of TensorFlow Lite."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from host.runtime import Model
from tests.golden.reference import SEEDS, SHAPES, assert_exact, of_tensorflow_lite, random_models
from tests.tflite_builder import NetworkBuilder, single


def joined(sizes: tuple[int, ...], repeats: tuple[int, ...]) -> int:
    """How many dimensions are left of an input that is repeated so."""
    kinds = []
    for size, times in zip(sizes, repeats, strict=True):
        kinds += ["again"] * (times > 1) + ["on"] * (size > 1)
    return len(list(itertools.groupby(kinds)))


@random_models
@given(SHAPES, st.tuples(*[st.integers(1, 3)] * 4), SEEDS)
def test_tile(shape, times, seed):
    times = times[: len(shape)]
    assume(joined(shape, times) <= 4)
    x = np.random.default_rng(seed).integers(-128, 128, shape, np.int8)
    expected = np.tile(x, times)
    n = NetworkBuilder()
    source, output = (n.tensor(each, scale=0.1, zero_point=3) for each in (shape, expected.shape))
    by = n.tensor((len(times),), "int32", data=np.array(times))
    model = single("TILE", [source, by], output, n, "TileOptions")
    assert len(Model(model).layers) == 1
    np.testing.assert_array_equal(Model(model).invoke(x), expected)
    np.testing.assert_array_equal(of_tensorflow_lite(model, x), expected)


@random_models
@given(SHAPES, st.tuples(*[st.booleans()] * 4), st.integers(0, 3), SEEDS)
def test_broadcast_to(shape, repeated, missing, seed):
    part = tuple(1 if r else size for size, r in zip(shape, repeated, strict=False))
    part = part[min(missing, len(shape) - 1) :]
    n = NetworkBuilder()
    source, output = (n.tensor(each, scale=0.1, zero_point=3) for each in (part, shape))
    to = n.tensor((len(shape),), "int32", data=np.array(shape))
    model = single("BROADCAST_TO", [source, to], output, n, "BroadcastToOptions")
    assert len(Model(model).layers) == 1
    assert_exact(model, seed)
