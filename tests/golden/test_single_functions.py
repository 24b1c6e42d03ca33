"""Functions of single values and softmax against TensorFlow Lite Micro's reference kernels, on random
single-operator models; EXP, GELU, LOG and SQRT, of which it has none for int8, against TensorFlow Lite's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from codegen.float_tables import FOLDED, steps_from_zero
from codegen.pipeline import compile_model
from host.runtime import Model
from tests.golden.reference import (
    SCALES,
    SEEDS,
    SHAPES,
    ZERO_POINTS,
    assert_exact,
    of_tensorflow_lite,
    random_models,
    reference,
)
from tests.tflite_builder import NetworkBuilder, single


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
