"""Networks that leave their states to the caller: what becomes of these, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from codegen.errors import TokayError
from codegen.pipeline import compile_model
from host.runtime import Model
from tests.tflite_builder import NetworkBuilder

KIND: dict[str, Any] = {"shape": (1, 3), "scale": 0.1, "zero_point": 5}


NAMES = ("x", "ExternalState", "gru/input_state")


def network(*, names=NAMES, before=None, after=None, turned=False) -> bytes:
    """A running sum, and what it was before: y = x + 1st state + 2nd state; the 1st becomes x + 1st, the 2nd
    what the 1st was. ``before`` and ``after`` say how the 2nd state's input and output are otherwise;
    ``turned`` has the outputs the other way round."""
    n = NetworkBuilder()
    other = {**KIND, "zero_point": 6}
    x, first, second = (n.tensor(**kind) for kind in (KIND, KIND, {**other, **(before or {})}))
    for tensor, name in zip((x, first, second), names, strict=True):
        n.tensors[tensor].name = name
    total, all_three = n.tensor(**KIND), n.tensor((1, 3), scale=0.3)
    later = n.tensor(**{**other, **(after or {})})
    n.operator("ADD", [x, first], [total], "AddOptions")
    n.operator("ADD", [total, second], [all_three], "AddOptions")
    n.operator("QUANTIZE", [first], [later])
    outputs = [all_three, later, total]
    return n.build([x, first, second], outputs[::-1] if turned else outputs)


def refused(model: bytes) -> str:
    with pytest.raises(TokayError) as error:
        compile_model(model, name="model")
    return str(error.value)


@pytest.mark.parametrize("accelerator", ["none", "mvp"])
def test_states_are_kept_whatever_the_order_of_their_outputs(accelerator):
    model = Model(network(), accelerator)
    assert model.keeps_state and model.input.shape == (1, 3)
    values = np.array([[8, 10, -20]], np.int8)  # less 5, times 0.1
    for _ in range(2):
        first = second = np.zeros((1, 3))
        for _ in range(4):
            x = (values - 5) * 0.1
            expected = (x + first + second) / 0.3
            np.testing.assert_allclose(model.invoke(values), expected, atol=0.51)
            first, second = x + first, first
        model.reset()


def test_it_is_tensorflow_lite_micros():
    tflite_micro = pytest.importorskip("tflite_micro")
    data = network()
    ours, theirs = Model(data), tflite_micro.runtime.Interpreter.from_bytes(data, arena_size=1 << 16)
    first, second = np.full((1, 3), 5, np.int8), np.full((1, 3), 6, np.int8)
    found = set()
    for x in np.random.default_rng(0).integers(-40, 51, (20, 1, 3)).astype(np.int8):
        for k, value in enumerate((x, first, second)):
            theirs.set_input(value, k)
        theirs.invoke()
        y, second, first = (theirs.get_output(k).copy() for k in range(3))
        np.testing.assert_array_equal(ours.invoke(x), y)
        found.add(y.tobytes())
    assert len(found) == 20


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (network(names=("x", "y", "z")), "the model has 3 inputs (networks of one are supported, beside st"),
        (network(names=("x", "y", "a_state")), "the model has 2 inputs"),
        (network(after={"scale": 0.2}),
         "input 'gru/input_state' is a state: 0 outputs and 1 states are int8 1x3 of its scale and zero "
         "point, not one (convert it with internal state"),
        (network(before={"type": "float32", "scale": None}),
         "the model's input 'gru/input_state' is a state: it is float32, not int8 (convert it with"),
        (network(before={"zero_point": 5}, after={"zero_point": 5}, turned=True),
         "input 'ExternalState' is a state: 2 outputs and 2 states are int8 1x3"),
        (network(names=("state/x", "state/a", "state/b")),
         "each of the model's 3 inputs has \"state\" in its name (rename the one that is the features')"),
    ],
)  # fmt: skip
def test_what_is_not_clear_is_refused(model, message):
    assert message in refused(model)


def test_a_state_that_nothing_reads_is_left_out():
    """As that of a stream of single rows, whose place among the outputs is known."""
    n = NetworkBuilder()
    x, unread, y, later = n.tensor(**KIND), n.tensor((1, 3), "float32"), n.tensor(**KIND), n.tensor(**KIND)
    for tensor, name in ((x, "x"), (unread, "ExternalState")):
        n.tensors[tensor].name = name
    n.operator("RELU", [x], [y])
    n.operator("RESHAPE", [y], [later], "ReshapeOptions")
    model = Model(n.build([x, unread], [y, later]))
    assert not model.keeps_state and len(model.layers) == 1
    assert "is a state: 0 outputs" in refused(n.build([x, unread], [y]))


def test_alike_states_go_with_the_outputs_in_their_places():
    n = NetworkBuilder()
    x, a, b = (n.tensor(**KIND) for _ in range(3))
    for tensor, name in zip((x, a, b), ("x", "state_a", "state_b"), strict=True):
        n.tensors[tensor].name = name
    y, first, second = n.tensor((1, 3), scale=0.3), n.tensor(**KIND), n.tensor(**KIND)
    n.operator("ADD", [x, a], [first], "AddOptions")
    n.operator("SUB", [b, x], [second], "SubOptions")
    n.operator("ADD", [first, second], [y], "AddOptions")
    ours = Model(n.build([x, a, b], [y, first, second]))
    sums = [ours.invoke(np.array([[8, 5, 2]], np.int8)).tolist() for _ in range(3)]
    assert sums == [[[0, 0, 0]]] * 3
    kept = {v.name: ours._view(v.tensor).tolist() for v in ours.plan.graph.variables}
    assert kept == {"state_a": [[14, 5, -4]], "state_b": [[-4, 5, 14]]}


def test_an_output_may_be_a_state_too():
    """The tensor is among the outputs twice; if it is once, there are no scores."""
    n = NetworkBuilder()
    x, state, y = (n.tensor(**KIND) for _ in range(3))
    for tensor, name in ((x, "x"), (state, "input_state")):
        n.tensors[tensor].name = name
    n.operator("ADD", [x, state], [y], "AddOptions")
    ours = Model(n.build([x, state], [y, y]))
    sums = [ours.invoke(np.array([[8, 5, 2]], np.int8)).tolist() for _ in range(3)]
    assert sums == [[[8, 5, 2]], [[11, 5, -1]], [[14, 5, -4]]]
    assert "each of the model's outputs goes with a state" in refused(n.build([x, state], [y]))
