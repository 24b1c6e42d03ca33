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
    needed = set(graph.outputs)
    kept: list[Operator] = []
    for operator in reversed(graph.operators):
        if needed.isdisjoint(operator.outputs):
            continue
        kept.append(operator)
        used = operator.inputs
        if operator.name in RESHAPERS:
            used = tuple(operator.inputs[k] for k in DATA_INPUTS[operator.name] if k < len(operator.inputs))
        needed.update(used)
    return replace(graph, operators=tuple(reversed(kept)))
