"""Between reading and checking: what is done in floats between conversions is done in int8.

The converter leaves what it has no int8 version of in single precision (Keras' elu among them), between a
dequantize and a quantize. What these three make of an int8 is a table, like other functions of one value.
It also leaves a division there of which one output alone is used; that moves values only.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from codegen.float_tables import FOLDED, FUNCTIONS
from codegen.graph import Graph, Operator
from codegen.lookups import DATA_INPUTS, DIVIDERS


def fold(graph: Graph) -> Graph:
    """The graph with one operator from int8 to int8, named for the function or the division, in place of each
    such quantize; what that leaves without use is there still."""
    makers = {output: op for op in graph.operators for output in op.outputs}
    uses = Counter([*graph.outputs, *(index for op in graph.operators for index in op.inputs)])

    def maker(op: Operator | None, k: int = 0) -> Operator | None:
        """What makes an operator's input, the only one it has but for a division."""
        alone = op is not None and (len(op.inputs) == 1 or op.name in DIVIDERS)
        return makers.get(op.inputs[k]) if alone and k < len(op.inputs) else None

    def folded(op: Operator) -> Operator:
        middle = maker(op) if op.name == "quantize" else None
        if middle is None or middle.name not in (*FUNCTIONS, *DIVIDERS) or uses[op.inputs[0]] != 1:
            return op
        k = DATA_INPUTS[middle.name][0]
        source = maker(middle, k)
        if source is None or source.name != "dequantize" or len(source.inputs) != 1:
            return op
        before, after = (*source.inputs, middle.inputs[k]), (*middle.outputs, *op.outputs)
        if not (_alike(graph, middle, before, after) and _in_floats(graph, before[1], after[0])):
            return op
        options = {**middle.options, FOLDED: True} if middle.name in FUNCTIONS else middle.options
        inputs = (*middle.inputs[:k], *source.inputs, *middle.inputs[k + 1 :])
        return replace(middle, inputs=inputs, outputs=op.outputs, options=options)

    return replace(graph, operators=tuple(folded(op) for op in graph.operators))


def _in_floats(graph: Graph, *tensors: int) -> bool:
    return all(graph.tensors[index].type == "float32" for index in tensors)


def _alike(graph: Graph, op: Operator, before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    """Whether conversions before and after an operator leave the shapes alone, or, where that does not
    matter, all have as many values."""
    if op.name in DIVIDERS:
        return all(len({graph.tensors[index].shape for index in each}) == 1 for each in (before, after))
    return len({graph.tensors[index].elements for index in (*before, *after)}) == 1
