"""Between reading and checking: what operators keep by themselves, as resource variables do for networks.

SVDF has an input that the .tflite marks as variable: it reads that and writes to it. Here each such tensor
becomes a variable of the network, with a place of its own; what else it has to be is a rule of the operator.
"""

from __future__ import annotations

from dataclasses import replace

from codegen.errors import TokayError
from codegen.graph import Graph, Operator, Tensor, Variable, zero_like

STATES = {"svdf": (4,)}
"""The inputs that an operator writes to."""


def with_states(graph: Graph) -> Graph:
    """The graph with a variable for each tensor that an operator keeps; TokayError where anything else
    touches it, since it would see values from before or after by chance."""
    tensors, variables = list(graph.tensors), list(graph.variables)
    for op in graph.operators:
        for k in STATES.get(op.name, ()):
            state = graph.input(op, k)
            if state is None:
                continue  # a rule of all operators says so
            _check(op, state, graph.uses(state.index))
            initial = zero_like(state, len(tensors))
            tensors.append(initial)
            variables.append(Variable(f"state of {op}", state.index, initial.index))
    return replace(graph, tensors=tuple(tensors), variables=tuple(variables))


def _check(op: Operator, state: Tensor, uses: int) -> None:
    if state.constant or not state.variable or uses != 1:
        reason = "is used by others too" if uses != 1 else "is not a variable tensor"
        raise TokayError(f"{op}: its state, tensor {state.index}, {reason}", hint="convert the model again")
