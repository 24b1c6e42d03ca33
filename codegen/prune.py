"""Between reading and checking: leaves out operators whose results nothing needs.

A network that was exported with a free batch size computes the shape for a reshape at run time (shape,
strided_slice, pack); the reshape's output shape is known, so nothing of that is left here.
"""

from __future__ import annotations

from dataclasses import replace

from codegen.graph import Graph, Operator
from codegen.lookups import DATA_INPUTS, RESHAPERS


def prune(graph: Graph) -> Graph:
    """The graph without operators that do not lead to an output; the others keep their indices."""
    needed, known = set(graph.outputs), 0
    while len(needed) > known:  # again where a variable that is read is assigned to after that
        known = len(needed)
        for operator in reversed(graph.operators):
            if not needed.isdisjoint(operator.outputs):
                needed.update(_used(operator))
    return replace(
        graph,
        operators=tuple(op for op in graph.operators if not needed.isdisjoint(op.outputs)),
        variables=tuple(variable for variable in graph.variables if variable.tensor in needed),
    )


def _used(operator: Operator) -> tuple[int, ...]:
    if operator.name not in RESHAPERS:
        return operator.inputs
    return tuple(operator.inputs[k] for k in DATA_INPUTS[operator.name] if k < len(operator.inputs))
