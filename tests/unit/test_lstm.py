"""Which LSTMs are refused, and why; what reports say of one, and who runs it."""

from __future__ import annotations

import numpy as np
import pytest

from codegen.errors import TokayError
from codegen.pipeline import compile_model
from host.runtime import Model
from tests.recurrent import lstm
from tests.tflite_builder import NetworkBuilder

INPUTS, UNITS = 5, 3


def network(change=None, shape=(1, 4, INPUTS), to=(1, 4, UNITS), **fields) -> bytes:
    """A small one; ``change`` takes the builder and gives inputs to replace, or -1 to leave out."""
    n, rng = NetworkBuilder(), np.random.default_rng(0)
    x, y = n.tensor(shape, scale=0.05, zero_point=3), n.tensor(to, scale=0.008, zero_point=-5)
    inputs = {} if change is None else change(n)
    lstm(n, rng, x, y, **{"bias": 100, **fields}, inputs=inputs)
    return n.build([x], [y])


def weights(n: NetworkBuilder, shape: tuple[int, ...] = (UNITS, INPUTS), value: int = 1, **more) -> int:
    return n.tensor(shape, **{"scale": 0.01, "data": np.full(shape, value), **more})


def just_below_a_power_of_two(n: NetworkBuilder) -> dict[int, int]:
    """By a hidden state's scale of 1 + 2^-23 its sums' factor is below 2^22, their multiplier no more."""
    return {5: weights(n, (UNITS, UNITS), data=-np.eye(UNITS), scale=(1 - 2.0**-23) * 2**10)}


def test_the_base_of_these_cases_compiles():
    compile_model(network(), name="model")
    compile_model(network(shape=(4, 1, INPUTS), to=(4, 1, UNITS), time_major=True), name="model")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"change": lambda n: {9: weights(n, (UNITS,))}}, "it has peepholes"),
        ({"change": lambda n: {16: weights(n, (2, UNITS))}}, "it has a projection"),
        ({"change": lambda n: {21: weights(n, (UNITS,))}}, "it has layer normalization"),
        ({"change": lambda n: {1: -1, 5: -1, 12: -1}}, "input 1 is missing"),
        ({"change": lambda n: {13: -1}}, "input 13 is missing"),
        ({"change": lambda n: {18: -1}}, "input 18 is missing"),
        ({"diagonalRecurrentTensors": True}, "its recurrent weights are diagonal"),
        ({"fusedActivationFunction": 1}, "its activation is relu"),
        ({"fusedActivationFunction": 77}, "its activation is number 77"),
        ({"shape": (2, 4, INPUTS), "to": (2, 4, UNITS)}, "tensor 0 has the shape 2x4x5"),
        ({"time_major": True}, "tensor 0 has the shape 1x4x5"),
        ({"to": (1, 3, UNITS)}, "the input is 1x4x5, the output 1x3x3"),
        ({"shape": (4, INPUTS)}, "tensor 0 has the shape 4x5"),
        ({"change": lambda n: {2: weights(n, data=None)}}, "(input 2) is int8 3x5, not constant"),
        ({"change": lambda n: {2: weights(n, (UNITS, 4))}}, "the weight tensor (input 2) is int8 3x4"),
        ({"change": lambda n: {6: weights(n, (UNITS, 4))}}, "the weight tensor (input 6) is int8 3x4"),
        ({"change": lambda n: {3: weights(n, value=-128)}}, "(input 3) has a value of -128"),
        ({"change": lambda n: {3: weights(n, zero_point=1)}}, "(input 3) has the zero point 1"),
        ({"change": lambda n: {3: weights(n, scale=[0.1] * UNITS)}}, "has 3 scales"),
        ({"change": lambda n: {3: weights(n, scale=0.0)}}, "has the scale 0"),
        ({"change": lambda n: {14: weights(n, (UNITS,))}}, "the bias (input 14) is int8 3, constant"),
        ({"change": lambda n: {14: weights(n, (4,), type="int32")}}, "the bias (input 14) is int32 4"),
        ({"change": lambda n: {18: n.tensor((1, 4), scale=0.1, variable=True)}}, "a state, is int8 1x4"),
        ({"change": lambda n: {18: weights(n, (1, UNITS))}}, "a state, is int8 1x3, constant"),
        ({"change": lambda n: {18: n.tensor((1, UNITS), variable=True)}}, "a state, has no scale"),
        ({"change": lambda n: {19: n.tensor((1, UNITS), scale=0.1, variable=True)}}, "a state, is int8"),
        ({"hidden": {"scale": 2.0**-30, "zero_point": 0}}, "the hidden state has the scale 9.31323e-10"),
        ({"cell_exponent": -30}, "the cell state has scale 9.31323e-10 and zero point 0"),
        ({"cell_exponent": 3}, "the cell state has scale 8 and zero point 0"),
        ({"cell_exponent": -12.5}, "the cell state has scale 0.000172633"),
        ({"cell_clip": -1.0}, "the cell clip is -1"),
        ({"cell_clip": float("nan")}, "the cell clip is nan"),
        ({"cell_clip": float("inf")}, "the cell clip is inf"),
        ({"bias": 1 << 30}, "sums of up to"),
        ({"weight_scale": 1e4}, "are rescaled by"),
        ({"change": lambda n: {7: weights(n, (UNITS, UNITS), 0, scale=1e30)}}, "up to 1 are rescaled by"),
        ({"hidden": {"scale": 1 + 2.0**-23, "zero_point": 0}, "change": just_below_a_power_of_two},
         "sums of up to 128 are rescaled by 4.1943e+06"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_cannot_be(fields, message):
    with pytest.raises(TokayError) as error:
        compile_model(network(**fields), name="model")
    assert "operator 0 (UNIDIRECTIONAL_SEQUENCE_LSTM)" in error.value.message
    assert message in error.value.message
    assert "\n" not in str(error.value)


def two_with(first: dict[int, str], second: dict[int, str]) -> bytes:
    """Two that follow each other, with states by name; those of one name are one tensor."""
    n, rng = NetworkBuilder(), np.random.default_rng(0)
    like = {"scale": 0.008, "zero_point": 1}
    x, a, y = (n.tensor((1, 4, UNITS), **like) for _ in range(3))
    states = {name: n.tensor((1, UNITS), variable=True, **like) for name in ("h", "g")}
    for source, target, inputs in ((x, a, first), (a, y, second)):
        lstm(n, rng, source, target, bias=100, inputs={k: states[name] for k, name in inputs.items()})
    return n.build([x], [y])


def test_states_of_two():
    compile_model(two_with({18: "h"}, {18: "g"}), name="model")
    with pytest.raises(TokayError, match="a state, is used by others too"):
        compile_model(two_with({18: "h"}, {18: "h"}), name="model")


def test_a_state_that_is_handed_in_or_out():
    n, rng = NetworkBuilder(), np.random.default_rng(0)
    x, y = n.tensor((1, 4, INPUTS), scale=0.05), n.tensor((1, 4, UNITS), scale=0.008)
    places = lstm(n, rng, x, y, bias=100)
    row, both = n.tensor((1, 4 * UNITS), scale=0.008), n.tensor((1, 5 * UNITS), scale=0.008)
    n.operator("RESHAPE", [y], [row], "ReshapeOptions")
    n.operator("CONCATENATION", [row, places[18]], [both], "ConcatenationOptions", axis=1)
    with pytest.raises(TokayError, match="used by others too"):
        compile_model(n.build([x], [both]), name="model")


def test_what_reports_say():
    """Shapes of the input and of one gate's weights and bias, four gates' products a step."""
    (layer,) = Model(network()).layers
    assert (layer.name, layer.kernel) == ("unidirectional_sequence_lstm", "lstm")
    assert (layer.input_shape, layer.output_shape) == ("1x4x5,3x5,3x3,3", "1x4x3")
    assert layer.macs == 4 * 4 * UNITS * (INPUTS + UNITS) and layer.ops > 2 * layer.macs
    assert layer.scratch_bytes == 8 + 4 + 2 * UNITS
    biases, rows, table = 2 * 4 * UNITS * 4, 4 * UNITS * (8 + 4), 512
    assert layer.weights_bytes == biases + rows + table


def test_the_core_runs_it_beside_the_accelerator():
    n, rng = NetworkBuilder(), np.random.default_rng(0)
    x, c, s = (n.tensor(shape, scale=0.05) for shape in ((1, 8, 1, 16), (1, 8, 1, 16), (1, 8, 16)))
    taps = n.tensor((16, 3, 1, 16), scale=np.full(16, 0.002), data=rng.integers(-127, 128, (16, 3, 1, 16)))
    n.operator("CONV_2D", [x, taps], [c], "Conv2DOptions", strideH=1, strideW=1)
    n.operator("RESHAPE", [c], [s], "ReshapeOptions")
    y = n.tensor((1, 8, 6), scale=0.008)
    lstm(n, rng, s, y, weight_scale=0.001, bias=100)  # gates that do not magnify a difference
    tflite = n.build([x], [y])
    model = Model(tflite, "mvp")
    kernels = [layer.kernel for layer in model.layers]
    assert kernels == ["mvp", "copy", "lstm"]
    reason = model.layers[2].reason
    assert reason == "the accelerator has no kernel for unidirectional_sequence_lstm"
    values = rng.integers(-128, 128, model.input.shape, np.int8)
    difference = model.invoke(values).astype(int) - Model(tflite).invoke(values)
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("axes", [[3], [-4], [1, -2], None])
def test_dimensions_that_cannot_be_reversed(axes):
    n = NetworkBuilder()
    x, y = n.tensor((1, 2, 3), scale=0.1), n.tensor((1, 2, 3), scale=0.1)
    data = {} if axes is None else {"data": np.array(axes)}
    n.operator("REVERSE_V2", [x, n.tensor((len(axes or [0]),), "int32", **data)], [y])
    with pytest.raises(TokayError, match=r"operator 0 \(REVERSE_V2\): the dimensions .* of 1x2x3"):
        compile_model(n.build([x], [y]), name="model")


def test_a_part_of_nothing_that_nothing_uses():
    """As the converter leaves one of a GRU with reset_after=False."""
    n, like = NetworkBuilder(), {"scale": 0.1}
    x, y, rest, none = (n.tensor(shape, **like) for shape in ((1, 5), (1, 2), (1, 3), (1, 0)))
    lists = [n.tensor(np.shape(v), "int32", data=np.array(v)) for v in ([2, 3, 0], 1)]
    n.operator("SPLIT_V", [x, *lists], [y, rest, none], "SplitVOptions", numSplits=3)
    values = np.arange(5, dtype=np.int8).reshape(1, 5)
    np.testing.assert_array_equal(Model(n.build([x], [rest])).invoke(values), values[:, 2:])
