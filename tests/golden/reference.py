"""TensorFlow Lite Micro's reference kernels, and random models that are held to them."""

from __future__ import annotations

import os

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from host.runtime import Model

tflite_micro = pytest.importorskip("tflite_micro", reason="the reference kernels are in the test extra")

EXAMPLES = int(os.environ.get("TOKAY_EXAMPLES", "60"))
random_models = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
ACTIVATIONS = st.sampled_from([0, 1, 2, 3])
SCALES = st.floats(-9, 1).map(lambda e: float(np.float32(2.0**e)))
THREE_SCALES = st.tuples(SCALES, SCALES, SCALES)
ZERO_POINTS = st.integers(-128, 127)
SEEDS = st.integers(0, 2**32 - 1)
SHAPES = st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple)


def reference(model: bytes) -> tflite_micro.runtime.Interpreter:
    return tflite_micro.runtime.Interpreter.from_bytes(model, arena_size=1 << 19)


def of_tensorflow_lite(model: bytes, x: np.ndarray) -> np.ndarray:
    """The output of TensorFlow Lite's reference kernels."""
    theirs = Interpreter(model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    theirs.allocate_tensors()
    theirs.set_tensor(theirs.get_input_details()[0]["index"], x)
    theirs.invoke()
    return theirs.get_tensor(theirs.get_output_details()[0]["index"])


def assert_exact(model: bytes, seed: int, inputs: int = 3) -> None:
    """Same bits as the reference, in inferences that follow each other, on random inputs and inputs at the
    bounds. The reference begins anew for each where ours keeps no state: its LSTMs do keep theirs."""
    rng = np.random.default_rng(seed)
    ours, theirs = Model(model), reference(model)
    shape = ours.input.shape
    for k in range(inputs):
        if ours.input.dtype == np.float32:
            x = rng.normal(0, 2.0 ** rng.integers(-8, 8), shape).astype(np.float32)
        elif k == 0:
            x = rng.choice(np.array([-128, 127], np.int8), shape)
        else:
            x = rng.integers(-128, 128, shape, np.int8)
        if not ours.keeps_state:
            theirs.reset()
        theirs.set_input(x, 0)
        theirs.invoke()
        expected = theirs.get_output(0)
        actual = ours.invoke(x)
        assert actual.dtype == expected.dtype
        np.testing.assert_array_equal(actual, expected.reshape(actual.shape))
