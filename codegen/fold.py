"""Between reading and checking: what is done in floats between conversions is done in int8.

The converter leaves what it has no int8 version of in single precision (Keras' elu among them), between a
dequantize and a quantize. What these make of an int8, with one function between them or several that follow
each other, is a table, like other functions of one value. It also leaves a division there of which one output
alone is used; that moves values only.
"""

from __future__ import annotations

from dataclasses import replace

from codegen.float_tables import BEFORE, FOLDED, FUNCTIONS
from codegen.graph import Graph, Operator
from codegen.lookups import DATA_INPUTS, DIVIDERS

MAX_FUNCTIONS = 8
"""Of one table: what a file costs that has them in every order ends somewhere."""


def fold(graph: Graph) -> Graph:
    """The graph with one operator from int8 to int8, named for the last function or the division, in place of
    each such quantize; what that leaves without use is there still."""
    makers = {output: op for op in graph.operators for output in op.outputs}

    def folded(op: Operator) -> Operator:
        middle = _maker(makers, op, 0) if op.name == "quantize" and len(op.outputs) == 1 else None
        if middle is None:
            return op
        if middle.name in DIVIDERS:
            return _division(graph, makers, middle, op) or op
        return _functions(graph, makers, op) or op

    return replace(graph, operators=tuple(folded(op) for op in graph.operators))


def _maker(makers: dict[int, Operator], op: Operator, k: int) -> Operator | None:
    """What makes an operator's input, the only one that it has but for a division."""
    alone = len(op.inputs) == 1 or op.name in DIVIDERS
    return makers.get(op.inputs[k]) if alone and k < len(op.inputs) else None


def _functions(graph: Graph, makers: dict[int, Operator], quantize: Operator) -> Operator | None:
    """The last of the functions between a dequantize and this quantize, with the others in its options."""
    found: list[Operator] = []
    op = _maker(makers, quantize, 0)
    while op is not None and op.name in FUNCTIONS and len(found) < MAX_FUNCTIONS:
        found.append(op)
        op = _maker(makers, op, 0)
    if not found or op is None or op.name != "dequantize" or len(op.inputs) != 1:
        return None
    floats = [op.outputs[0], *(output for function in found for output in function.outputs)]
    ends = (op.inputs[0], quantize.outputs[0])
    counts = {graph.tensors[index].elements for index in (*ends, *floats)}
    if len(counts) != 1 or not _in_floats(graph, floats):
        return None
    last, *others = found
    before = tuple((function.name, function.options) for function in reversed(others))
    options = {**last.options, FOLDED: True, **({BEFORE: before} if before else {})}
    return replace(last, inputs=op.inputs, outputs=quantize.outputs, options=options)


def _division(
    graph: Graph, makers: dict[int, Operator], divider: Operator, quantize: Operator
) -> Operator | None:
    """The division between a dequantize and this quantize, in int8."""
    k = DATA_INPUTS[divider.name][0]
    source = _maker(makers, divider, k)
    if source is None or source.name != "dequantize" or len(source.inputs) != 1:
        return None
    before, after = (source.inputs[0], source.outputs[0]), (quantize.inputs[0], quantize.outputs[0])
    shapes = [{graph.tensors[index].shape for index in pair} for pair in (before, after)]
    if not all(len(each) == 1 for each in shapes) or not _in_floats(graph, [before[1], after[0]]):
        return None
    inputs = (*divider.inputs[:k], source.inputs[0], *divider.inputs[k + 1 :])
    return replace(divider, inputs=inputs, outputs=quantize.outputs)


def _in_floats(graph: Graph, tensors: list[int]) -> bool:
    return all(graph.tensors[index].type == "float32" for index in tensors)
