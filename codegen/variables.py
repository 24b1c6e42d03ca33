"""Between reading and checking: what a network keeps from one inference to the next.

In a .tflite that is a resource variable: VAR_HANDLE names it, READ_VARIABLE and ASSIGN_VARIABLE take its
handle, CALL_ONCE runs a subgraph of assignments before the first inference. Here each that is read before it
is assigned to becomes a tensor with a place of its own, to which the last assignment of an inference copies.
Reading is a copy of that, or after an assignment of what was assigned. Memory planning leaves out the
copies that are not needed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from codegen.errors import TokayError
from codegen.graph import Graph, Operator, Tensor, Variable, zero_like
from codegen.rules.common import are_alike, bad_quantization, has_no_elements

_USERS = ("read_variable", "assign_variable")

RULES = {
    "call_once": (
        "It comes before variables are used; its subgraph assigns constants to them and does nothing else.",
    ),
    "var_handle": ("Only READ_VARIABLE and ASSIGN_VARIABLE take the handle.",),
    "read_variable": (
        "The variable is int8 (convert with converter._experimental_variable_quantization = True).",
    ),
    "assign_variable": (
        "All that is assigned to a variable and read of it has one shape, scale and zero point.",
    ),
}
"""What is checked here, of each of the operators that are of variables."""

Key = tuple[str, str]
"""Container and name, which tell variables apart."""


def resolve(graph: Graph) -> Graph:
    """The graph with tensors for variables in place of handles; TokayError if they are used in a way that is
    not supported."""
    if not any(op.name in RULES for op in graph.operators):
        return graph
    uses = _Uses(graph)
    operators = [used for op in graph.operators for used in uses.of(op)]
    initial = _initial_values(graph)
    variables = []
    for key, tensor in uses.states.items():
        if key not in initial and key not in uses.assigned_last:
            raise TokayError(
                f"nothing is ever assigned to variable {_called(key)!r}", hint="convert the model again"
            )
        constant = uses.add(_initial(key, uses.tensors[tensor], initial.get(key)))
        variables.append(Variable(_called(key), tensor, constant))
    return replace(
        graph,
        tensors=tuple(uses.tensors),
        operators=tuple(operators),
        variables=tuple(variables),
        initializers={},
    )


def _called(key: Key) -> str:
    """A variable's name in messages and reports."""
    return "/".join(part for part in key if part)


def _handles(graph: Graph) -> dict[int, Key]:
    """The variable of each handle."""
    found = {}
    for op in graph.operators:
        if op.name == "var_handle":
            if op.inputs or len(op.outputs) != 1 or op.outputs[0] in found:
                raise TokayError(f"{op}: it does not give one handle, once", hint="convert the model again")
            found[op.outputs[0]] = (str(op.options["container"]), str(op.options["shared_name"]))
    return found


class _Uses:
    """What operators become, in their order. ``states`` are the tensors of variables that are read before
    they are assigned to; ``assigned_last`` are the indices of the operators that assign to a variable
    last."""

    def __init__(self, graph: Graph) -> None:
        self.tensors = list(graph.tensors)
        self.states: dict[Key, int] = {}
        self._handles = _handles(graph)
        self.assigned_last = {
            self._variable(op, 2, 0): op.index for op in graph.operators if op.name == "assign_variable"
        }
        self._present: dict[Key, int] = {}  # the tensor that has a variable's values

    def add(self, like: Tensor, **changes: Any) -> int:
        """A new tensor; its index."""
        self.tensors.append(replace(like, index=len(self.tensors), **changes))
        return len(self.tensors) - 1

    def of(self, op: Operator) -> list[Operator]:
        """What takes the next operator's place, if anything does."""
        if op.name in ("var_handle", "call_once"):
            return []
        if op.name == "read_variable":
            return [self._read(op)]
        if op.name == "assign_variable":
            return self._assign(op)
        taken = next((index for index in op.inputs if index in self._handles), None)
        if taken is not None:
            raise TokayError(
                f"{op} takes the handle of variable {_called(self._handles[taken])!r}",
                hint="only READ_VARIABLE and ASSIGN_VARIABLE are supported with one",
            )
        return [op]

    def _variable(self, op: Operator, inputs: int, outputs: int) -> Key:
        counts = len(op.inputs), len(op.outputs)
        if counts != (inputs, outputs) or op.inputs[0] not in self._handles or -1 in op.inputs:
            raise TokayError(f"{op}: it has no variable's handle, or not the operands that belong to it")
        return self._handles[op.inputs[0]]

    def _read(self, op: Operator) -> Operator:
        """A copy of what was assigned, or of what is kept."""
        key, value = self._variable(op, 1, 1), self.tensors[op.outputs[0]]
        _check_value(op, key, value)
        if key not in self._present:
            self._present[key] = self.states[key] = self.add(value, name=_called(key), data=None)
        source = self._present[key]
        _check_alike(op, key, value, self.tensors[source])
        return replace(op, inputs=(source,))

    def _assign(self, op: Operator) -> list[Operator]:
        """A copy to where a variable is kept, where this is the last assignment."""
        key, value = self._variable(op, 2, 0), op.inputs[1]
        self._present[key] = value
        if key not in self.states:
            return []
        _check_alike(op, key, self.tensors[value], self.tensors[self.states[key]])
        last = op.index == self.assigned_last[key]
        return [replace(op, inputs=(value,), outputs=(self.states[key],))] if last else []


def _check_alike(op: Operator, key: Key, tensor: Tensor, other: Tensor) -> None:
    """A variable is bytes: what reads it otherwise than it was written would be given other values."""
    if not are_alike(tensor, other):
        raise TokayError(
            f"{op}: variable {_called(key)!r} is {_described(other)} in one place, {_described(tensor)} here",
            hint="convert the model again",
        )


def _check_value(op: Operator, key: Key, value: Tensor) -> None:
    name = _called(key)
    if value.type != "int8":
        raise TokayError(
            f"{op}: variable {name!r} is {value.type}, not int8",
            hint="convert the model with converter._experimental_variable_quantization = True",
        )
    if reason := bad_quantization(value) or has_no_elements(value):
        raise TokayError(f"{op}: variable {name!r} {reason}", hint="convert the model again")


def _described(tensor: Tensor) -> str:
    q = tensor.quantization
    scale = "" if q is None else f" of scale {q.scale:g} and zero point {q.zero_point}"
    return f"{tensor.type} {tensor.dimensions}{scale}"


# ---- What variables are before the first inference ----


def _initial_values(graph: Graph) -> dict[Key, tuple[Operator, Tensor]]:
    """By variable, the constant that is assigned to it once, and by what."""
    found: dict[Key, tuple[Operator, Tensor]] = {}
    used = False
    for op in graph.operators:
        used = used or op.name in _USERS
        if op.name != "call_once":
            continue
        if used or op.inputs or op.outputs:
            raise TokayError(f"{op}: it has operands, or comes after variables are used")
        found |= _assignments(op, graph.initializers[int(op.options["init_subgraph_index"])])
    return found


def _assignments(call: Operator, graph: Graph) -> dict[Key, tuple[Operator, Tensor]]:
    """What a subgraph assigns, which is to do nothing else."""
    handles, found = _handles(graph), {}
    for op in graph.operators:
        if op.name == "var_handle":
            continue
        value = graph.input(op, 1)
        assigns = op.name == "assign_variable" and len(op.inputs) == 2 and op.inputs[0] in handles
        if not assigns or value is None:
            raise TokayError(f"{call}: the initialization has {op}", hint="it may only assign constants")
        if not value.constant:
            raise TokayError(
                f"{call}: the initialization assigns what is not constant to "
                f"{_called(handles[op.inputs[0]])!r}",
                hint="give the variable constant initial values",
            )
        found[handles[op.inputs[0]]] = (call, value)
    return found


def _initial(key: Key, like: Tensor, assigned: tuple[Operator, Tensor] | None) -> Tensor:
    """A constant with a variable's first values, one of them if they are all alike; zero where none are
    assigned."""
    zero = zero_like(like, like.index)
    if assigned is None:
        return zero
    call, value = assigned
    _check_alike(call, key, value, like)
    if np.all(value.data == value.data.flat[0]):
        return replace(zero, data=value.data.reshape(-1)[:1])
    return replace(like, data=value.data)
