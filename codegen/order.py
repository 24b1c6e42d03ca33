"""Between expanding and lowering: what only leads to a variable is done as soon as it can be.

Converters put assignments last, and what they need before them: then every stream's buffer lies in the arena
until the end of the inference. Moved up to the last operator that they wait for, they leave it free.
"""

from __future__ import annotations

from dataclasses import replace

from codegen.graph import Graph, Operator
from codegen.lookups import RESHAPERS


def assign_early(graph: Graph) -> Graph:
    """The graph with assignments, and what leads to nothing else, where no operator has to wait for another
    that was before it. A graph without variables stays as it is."""
    operators = list(graph.operators)
    for variable in graph.variables:
        operators = _moved(graph, operators, variable.tensor)
    return replace(graph, operators=tuple(operators))


def _moved(graph: Graph, operators: list[Operator], variable: int) -> list[Operator]:
    """The operators with those that lead to a variable alone right after what they wait for."""
    own = _leading_to(graph, operators, variable)
    if not own:
        return operators
    inside = {tensor for k in own for tensor in operators[k].outputs}
    needed = {tensor for k in own for tensor in operators[k].inputs} - inside
    kept = _views(operators, variable)
    others = [k for k in range(len(operators)) if k not in own]
    waits = (k for k in others if needed & {*operators[k].outputs} or kept & {*operators[k].inputs})
    after = max(waits, default=-1)
    if any(k < after for k in own):  # not all of them can be together
        return operators
    order = [*(k for k in others if k <= after), *sorted(own), *(k for k in others if k > after)]
    return [operators[k] for k in order]


def _leading_to(graph: Graph, operators: list[Operator], variable: int) -> set[int]:
    """The places of what assigns to a variable, and of all that nothing else comes from."""
    own: set[int] = set()
    wanted = set(graph.outputs)  # by others
    alone = {variable}
    for k in reversed(range(len(operators))):
        outputs = set(operators[k].outputs)
        if outputs <= alone and not outputs & wanted:
            own.add(k)
            alone |= set(operators[k].inputs)
        else:
            wanted |= set(operators[k].inputs)
    return own


def _views(operators: list[Operator], variable: int) -> set[int]:
    """The variable's tensor and those that are its bytes as they were before the inference."""
    found = {variable}
    for op in operators:
        if op.name in ("read_variable", *RESHAPERS) and op.inputs[0] in found:
            found.update(op.outputs)
    return found
