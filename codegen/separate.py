"""Between reading and checking: an operator with several outputs becomes one for each of them.

What divides a tensor (split, split_v, unpack) is then as many slices of it, so later passes know operators of
one output only.
"""

from __future__ import annotations

from dataclasses import replace

from codegen.errors import TokayError
from codegen.graph import Graph, Operator, Part
from codegen.lookups import DIVIDERS
from codegen.read import MAX_OPERATORS


def separate(graph: Graph) -> Graph:
    """The graph with an operator for each output of a divider; they share its index, the place in the
    .tflite. TokayError if that makes too many."""
    operators: list[Operator] = []
    for op in graph.operators:
        count = len(op.outputs)
        if op.name not in DIVIDERS or count == 0:
            operators.append(op)
            continue
        operators += [
            replace(op, outputs=(output,), part=Part(k, count)) for k, output in enumerate(op.outputs)
        ]
        check_count(operators, op, "outputs")
    return replace(graph, operators=tuple(operators))


def check_count(operators: list[Operator], op: Operator, what: str) -> None:
    """TokayError if one operator has become one for each of its ``what``, and all of them are too many."""
    if len(operators) > MAX_OPERATORS:
        raise TokayError(
            f"{op}: with it the operators have {len(operators):,} {what}",
            hint=f"at most {MAX_OPERATORS:,} are supported",
        )
