"""Networks that keep state: what is refused, what variables cost, and how they begin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from codegen.errors import TokayError
from codegen.network import read_network
from codegen.pipeline import compile_model
from host.runtime import Model
from tests.tflite_builder import NetworkBuilder

LIKE: dict[str, Any] = {"scale": 0.1, "zero_point": 3}
SHAPE = (1, 4)


def network(
    *, read: dict[str, Any] | None = None, assigned: dict[str, Any] | None = None,
    initial: dict[str, Any] | None = None, calls: int = 1,
) -> bytes:  # fmt: skip
    """y = x + v; v = y. What is read, assigned and at the beginning is of one kind if not given."""
    n = NetworkBuilder()
    value = {"shape": SHAPE, **LIKE, "data": np.full(SHAPE, 3)} | (initial or {})
    for _ in range(calls):
        n.initialized(v=value)
    x, y = n.tensor(SHAPE, **LIKE), n.tensor(**{"shape": SHAPE, **LIKE} | (assigned or {}))
    v = n.tensor(**{"shape": SHAPE, **LIKE} | (read or {}))
    handle = n.handle("v")
    n.operator("READ_VARIABLE", [handle], [v])
    n.operator("ADD", [x, v], [y], "AddOptions")
    n.operator("ASSIGN_VARIABLE", [handle, y], [])
    return n.build([x], [y])


def refused(model: bytes) -> str:
    with pytest.raises(TokayError) as error:
        compile_model(model, name="model")
    return str(error.value)


def test_a_running_sum_and_its_beginning():
    model = Model(network())
    ones = np.full(SHAPE, 4, np.int8)  # 0.1 each
    assert [int(model.invoke(ones)[0, 0]) for _ in range(3)] == [4, 5, 6]
    twin = model.twin()
    assert int(twin.invoke(ones)[0, 0]) == 4
    model.reset()
    assert int(model.invoke(ones)[0, 0]) == 4
    assert model.keeps_state and not Model("keyword_spotting_on_off").keeps_state


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (
            network(read={"type": "float32", "scale": None}),
            "operator 2 (READ_VARIABLE): variable 'v' is float32, not int8 (convert the model with "
            "converter._experimental_variable_quantization = True)",
        ),
        (network(read={"scale": None}), "variable 'v' has no scale"),
        (network(read={"scale": [0.1, 0.2, 0.1, 0.1], "dimension": 1}), "variable 'v' has 4 scales"),
        (network(read={"shape": (0, 4)}), "variable 'v' has the shape 0x4"),
        (
            network(assigned={"scale": 0.2}),
            "operator 4 (ASSIGN_VARIABLE): variable 'v' is int8 1x4 of scale 0.1 and zero point 3 in one "
            "place, int8 1x4 of scale 0.2 and zero point 3 here",
        ),
        (network(assigned={"shape": (4,)}), "int8 4 of scale 0.1 and zero point 3 here"),
        (network(initial={"zero_point": 4}), "operator 0 (CALL_ONCE): variable 'v' is int8 1x4 of scale 0.1"),
        (
            network(initial={"type": "float32", "scale": None}),
            "operator 0 (CALL_ONCE): variable 'v' is int8 1x4 of scale 0.1 and zero point 3 in one place, "
            "float32 1x4 here",
        ),
        (network(initial={"scale": None}), "of scale 0.1 and zero point 3 in one place, int8 1x4 here"),
        (network(assigned={"scale": None}), "of scale 0.1 and zero point 3 in one place, int8 1x4 here"),
        (network(calls=9), "the model has 10 subgraphs (networks of one are supported"),
        (network(initial={"data": None}), "(CALL_ONCE): the initialization assigns what is not constant to"),
    ],
)
def test_what_is_refused(model, says):
    assert says in refused(model)


def changed(change) -> bytes:
    """y = v, v = x, with something done to its builder."""
    n = NetworkBuilder()
    n.initialized(v={"shape": SHAPE, **LIKE, "data": np.full(SHAPE, 3)})
    x, y = n.tensor(SHAPE, **LIKE), n.tensor(SHAPE, **LIKE)
    handle = n.handle("v")
    n.operator("READ_VARIABLE", [handle], [y])
    n.operator("ASSIGN_VARIABLE", [handle, x], [])
    change(n, x, y, handle)
    return n.build([x], [y])


def late_call(n: NetworkBuilder, *_: int) -> None:
    n.operators.append(n.operators.pop(0))


def another_in_the_initialization(n: NetworkBuilder, *_: int) -> None:
    once = n.subgraphs[0]
    a, b = once.tensor(SHAPE, **LIKE, data=np.zeros(SHAPE)), once.tensor(SHAPE, **LIKE)
    once.operator("RELU", [a], [b])


def nothing_in_the_initialization(n: NetworkBuilder, *_: int) -> None:
    assignment = n.subgraphs[0].operators[-1]
    assignment.inputs = [assignment.inputs[0], -1]


def a_call_of_itself(n: NetworkBuilder, *_: int) -> None:
    n.operators[0].builtinOptions.initSubgraphIndex = 0
    n.subgraphs.clear()


def handle_elsewhere(n: NetworkBuilder, x: int, y: int, handle: int) -> None:
    n.operator("RELU", [handle], [n.tensor(SHAPE, **LIKE)])


def no_handle(n: NetworkBuilder, x: int, y: int, handle: int) -> None:
    n.operators[-1].inputs = [x, x]


def two_of_one_output(n: NetworkBuilder, x: int, y: int, handle: int) -> None:
    n.operator("VAR_HANDLE", [], [handle], "VarHandleOptions", sharedName="w")


def never_called(n: NetworkBuilder, *_: int) -> None:
    n.operators[0].builtinOptions.initSubgraphIndex = 0


def called_with(n: NetworkBuilder, x: int, y: int, handle: int) -> None:
    n.operators[0].inputs = [x]


def never_assigned(n: NetworkBuilder, x: int, y: int, handle: int) -> None:
    n.operators[1].builtinOptions.sharedName = "w"
    n.operators.pop()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (late_call, "(CALL_ONCE): it has operands, or comes after variables are used"),
        (called_with, "(CALL_ONCE): it has operands, or comes after variables are used"),
        (another_in_the_initialization, "the initialization has operator 2 (RELU) (it may only assign"),
        (nothing_in_the_initialization, "the initialization has operator 1 (ASSIGN_VARIABLE) (it may only"),
        (a_call_of_itself, "damaged: operator 0 (CALL_ONCE) calls subgraph 0, of 1 with the network's own"),
        (handle_elsewhere, "operator 4 (RELU) takes the handle of variable 'v' (only READ_VARIABLE"),
        (no_handle, "operator 3 (ASSIGN_VARIABLE): it has no variable's handle"),
        (two_of_one_output, "operator 4 (VAR_HANDLE): it does not give one handle, once"),
        (never_called, "the model has 2 subgraphs"),
        (never_assigned, "nothing is ever assigned to variable 'w'"),
    ],
)
def test_what_else_is_refused(change, says):
    assert says in refused(changed(change))


def test_what_no_output_depends_on_is_left_out():
    n = NetworkBuilder()
    x, y, v = (n.tensor(SHAPE, **LIKE) for _ in range(3))
    n.operator("READ_VARIABLE", [n.handle("v")], [v])
    n.operator("ASSIGN_VARIABLE", [n.handle("v"), x], [])
    n.operator("RELU", [x], [y])
    plan = compile_model(n.build([x], [y]), name="model")
    assert [layer.name for layer in plan.layers] == ["relu"] and not plan.keeps_state


def rings(count: int, rows: int, new: int, channels: int) -> bytes:
    """Streams' buffers as converters make them: joined with what is new, of which the last rows are kept at
    the end of all. The mean over all rows, repeated, is new to the next one, at last the output."""
    n = NetworkBuilder()
    kept, all_rows = (1, rows, channels), (1, rows + new, channels)
    n.initialized(**{f"r{k}": {"shape": kept, **LIKE, "data": np.full(kept, 3)} for k in range(count)})
    lists = [([0, new, 0]), ([1, rows + new, channels]), ([1, 1, 1])]
    constants = [n.tensor((3,), "int32", data=np.array(values)) for values in lists]
    times, axis = (n.tensor((len(v),), "int32", data=np.array(v)) for v in ([1, new, 1], [1]))
    x = y = n.tensor((1, new, channels), **LIKE)
    last = []
    for k in range(count):
        v, both, mean, out = (
            n.tensor(shape, **LIKE) for shape in (kept, all_rows, (1, 1, channels), (1, new, channels))
        )
        handle = n.handle(f"r{k}")
        n.operator("READ_VARIABLE", [handle], [v])
        n.operator("CONCATENATION", [v, y], [both], "ConcatenationOptions", axis=1)
        n.operator("MEAN", [both, axis], [mean], "ReducerOptions", keepDims=True)
        n.operator("TILE", [mean, times], [out], "TileOptions")
        last.append((handle, both))
        y = out
    for handle, both in last:
        after = n.tensor(kept, **LIKE)
        n.operator("STRIDED_SLICE", [both, *constants], [after], "StridedSliceOptions")
        n.operator("ASSIGN_VARIABLE", [handle, after], [])
    return n.build([x], [y])


def test_a_streams_buffer_takes_its_own_size_and_is_not_copied_twice():
    plan = compile_model(rings(1, 10, 2, 8), name="ring")
    places = plan.memory.offsets
    variable = plan.graph.variables[0].tensor
    for layer in plan.layers:
        if layer.kernel == "copy":  # reads and assigns in place
            assert places[layer.inputs[0]] == places[layer.output] == places[variable]
    assert plan.memory.arena_bytes == plan.memory.bound_bytes == 80 + 96 + 16
    assert [layer.name for layer in plan.layers] == [
        "read_variable", "concatenation", "strided_slice", "assign_variable", "mean", "tile"
    ]  # fmt: skip
    (reset,) = plan.resets
    assert (reset.kernel, plan.graph.tensors[reset.inputs[0]].bytes) == ("strided_slice", 1)


def test_what_is_kept_is_cut_out_before_the_next_layers():
    """Else all that the rings are cut out of would be in the arena at the end."""
    one, five = (compile_model(rings(count, 10, 2, 8), name="rings").memory.arena_bytes for count in (1, 5))
    assert five - one == 4 * 80


def test_a_value_that_is_read_stays_what_it_was():
    """Used after the assignment, so it is copied beforehand."""
    n = NetworkBuilder()
    x, v, y = (n.tensor(SHAPE, **LIKE) for _ in range(3))
    handle = n.handle("v")
    n.operator("READ_VARIABLE", [handle], [v])
    n.operator("ASSIGN_VARIABLE", [handle, x], [])
    n.operator("ADD", [v, x], [y], "AddOptions")
    model = Model(n.build([x], [y]))
    variable = model.plan.graph.variables[0].tensor
    places = model.plan.memory.offsets
    assert places[v] != places[variable] != places[y]
    inputs = [np.full(SHAPE, k, np.int8) for k in (10, 20, 30)]
    assert [int(model.invoke(x)[0, 0]) for x in inputs] == [10, 27, 47]


def test_initial_values_that_differ_are_stored():
    data = np.array([[1, 2, 3, 4]])
    plan = compile_model(network(initial={"data": data}), name="model")
    (reset,) = plan.resets
    assert reset.kernel == "copy"
    np.testing.assert_array_equal(plan.graph.tensors[reset.inputs[0]].data, data)
    more = plan.flash_bytes - compile_model(network(), name="model").flash_bytes
    assert more == 4 - 1 - 32  # four bytes and a copy's options in place of one and a slice's


def test_the_network_that_is_read_is_the_one_that_is_compiled():
    graph = read_network(network())
    assert [op.name for op in graph.operators] == ["read_variable", "add", "assign_variable"]
    assert [variable.name for variable in graph.variables] == ["v"]


@pytest.mark.parametrize("changes", [{"scale": 1 / 128}, {"zero_point": 1}, {"scale": None}, {"shape": (1,)}])
def test_another_uint8_is_no_score(changes):
    n = NetworkBuilder()
    x, y = n.tensor(SHAPE, **LIKE), n.tensor(SHAPE, scale=1 / 256, zero_point=-128)
    n.operator("LOGISTIC", [x], [y])
    output = n.tensor(**{"shape": SHAPE, "type": "uint8", "scale": 1 / 256, **changes})
    n.operator("QUANTIZE", [y], [output])
    assert "the model's output is uint8 (quantize it to int8" in refused(n.build([x], [output]))
