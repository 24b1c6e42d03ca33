"""Between checking and lowering: operators without a kernel of their own become several that have one.

Each gives what the operator's reference gives, to the bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from codegen.graph import Graph, Operator
from codegen.lookups import MAX_TABLES
from codegen.separate import check_count
from codegen.steps import Steps


def expand(graph: Graph) -> Graph:
    """The graph without such operators; those that one becomes share its index, the place in the .tflite.
    TokayError if that makes too many."""
    tensors, operators = list(graph.tensors), []
    for op in graph.operators:
        steps = Steps(op, tensors)
        if op.name in _EXPANSIONS and _EXPANSIONS[op.name](graph, op, steps):
            operators += steps.operators()
            check_count(operators, op, "steps")
        else:
            operators.append(op)
    return replace(graph, tensors=tuple(tensors), operators=tuple(operators))


def _prelu(graph: Graph, op: Operator, steps: Steps) -> bool:
    """With more slopes than tables are kept for: what is negative times the slopes, plus what is not. One of
    the two is the output's zero point, so their sum is the other."""
    source, slopes, output = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    if slopes.elements <= MAX_TABLES:
        return False
    zero = steps.constant(source, [source.q.zero_point])
    negative = steps.step("minimum", [source.index, zero], steps.value(source))
    products = steps.step("mul", [negative, slopes.index], steps.value(output), activation=0)
    others = steps.step("leaky_relu", [source.index], steps.value(output), alpha=0.0)
    steps.step("add", [products, others], output.index, activation=0)
    return True


_EXPANSIONS: dict[str, Callable[[Graph, Operator, Steps], bool]] = {"prelu": _prelu}
"""Each adds the steps that an operator becomes; False if it has a kernel as it is."""
