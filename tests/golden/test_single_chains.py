"""Functions of one value that follow each other in floats between two conversions, against TensorFlow Lite
Micro's kernels for floats."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from codegen.float_tables import BEFORE, FOLDED, steps_from_zero
from host.runtime import Model
from tests.golden.reference import ZERO_POINTS, random_models, reference
from tests.tflite_builder import NetworkBuilder

EVERY = np.arange(-128, 128).astype(np.int8)
IN_FLOATS = {
    "ELU": lambda v: np.where(v < 0, np.expm1(v), v),
    "EXP": np.exp,
    "NEG": np.negative,
    "SQRT": np.sqrt,
    "SQUARE": np.square,
}


def of_the_reference(model: bytes) -> np.ndarray:
    """Its output for every int8."""
    theirs = reference(model)
    theirs.set_input(EVERY, 0)
    theirs.invoke()
    return theirs.get_output(0)


@random_models
@given(st.lists(st.sampled_from(["ELU", "EXP", "NEG", "SQRT", "SQUARE"]), min_size=2, max_size=4),
       st.floats(-9, -3), st.floats(-6, 1), ZERO_POINTS, ZERO_POINTS)  # fmt: skip
def test_every_value_of_functions_of_functions(names, exponent, coarseness, zero_in, zero_out):
    """As of exp(-square(v)) and elu(-v); each result is rounded to a float for the next."""
    source, output = (float(np.float32(2.0**e)) for e in (exponent, coarseness))
    n = NetworkBuilder()
    x = n.tensor((256,), scale=source, zero_point=zero_in)
    floats = [n.tensor((256,), "float32") for _ in range(len(names) + 1)]
    y = n.tensor((256,), scale=output, zero_point=zero_out)
    n.operator("DEQUANTIZE", [x], floats[:1])
    for name, pair in zip(names, itertools.pairwise(floats), strict=True):
        n.operator(name, [pair[0]], [pair[1]])
    n.operator("QUANTIZE", floats[-1:], [y])
    model = n.build([x], [y])
    *before, last = (name.lower() for name in names)
    layers = Model(model).layers
    assert [(layer.index, layer.name) for layer in layers] == [(len(names), last)]
    assert layers[0].options_text == "of:" + ",".join(before)
    own = {FOLDED: True, BEFORE: tuple((name, {}) for name in before)}
    steps = np.clip(steps_from_zero(last, (source, zero_in), (output, zero_out), own), -512, 512)
    # A unit in the last place, about which C libraries differ, may round to either side; of roots of
    # negative values there is none.
    considered = ~(np.abs(steps - np.floor(steps) - 0.5) < 1e-5 * (1 + np.abs(steps)))
    values = np.float32(source) * (EVERY.astype(int) - zero_in).astype(np.float32)
    with np.errstate(all="ignore"):
        for name in names:
            considered &= (values >= 0) | (name != "SQRT")
            values = IN_FLOATS[name](values)
    considered &= np.isfinite(values) & (np.abs(values) < 1e6)
    np.testing.assert_array_equal(Model(model).invoke(EVERY)[considered], of_the_reference(model)[considered])


def test_results_in_floats_that_are_quantized_twice():
    """Each quantize has a table of its own, whatever else takes what lies between."""
    n = NetworkBuilder()
    x = n.tensor((256,), scale=0.03, zero_point=-20)
    a, b, c, d = (n.tensor((256,), "float32") for _ in range(4))
    p, q, r, s, y = (n.tensor((256,), scale=scale, zero_point=3) for scale in (0.03, 0.1, 0.05, 0.2, 0.2))
    n.operator("DEQUANTIZE", [x], [a])
    n.operator("NEG", [a], [b])
    n.operator("SQUARE", [b], [c])
    n.operator("ELU", [b], [d])
    for floats, int8 in ((b, p), (c, q), (d, r)):
        n.operator("QUANTIZE", [floats], [int8])
    n.operator("ADD", [p, q], [s], "AddOptions")
    n.operator("ADD", [s, r], [y], "AddOptions")
    model = n.build([x], [y])
    names = [(layer.name, layer.options_text.rpartition("of:")[2]) for layer in Model(model).layers]
    assert names[:3] == [("neg", ""), ("square", "neg"), ("elu", "neg")]
    np.testing.assert_array_equal(Model(model).invoke(EVERY), of_the_reference(model))
