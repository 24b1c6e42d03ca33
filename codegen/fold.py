"""Between reading and checking: functions of floats between conversions become functions of int8.

The converter leaves what it has no int8 version of in single precision (Keras' elu among them), between a
dequantize and a quantize. What these three make of an int8 is a table, like other functions of one value.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from codegen.float_tables import FOLDED, FUNCTIONS
from codegen.graph import Graph, Operator


def fold(graph: Graph) -> Graph:
    """The graph with one operator from int8 to int8, named for the function, in place of each such quantize;
    what that leaves without use is there still."""
    makers = {output: op for op in graph.operators for output in op.outputs}
    uses = Counter([*graph.outputs, *(index for op in graph.operators for index in op.inputs)])

    def maker(op: Operator | None) -> Operator | None:
        """What makes the only input of an operator."""
        return makers.get(op.inputs[0]) if op is not None and len(op.inputs) == 1 else None

    def folded(op: Operator) -> Operator:
        function = maker(op) if op.name == "quantize" else None
        if function is None or function.name not in FUNCTIONS or uses[op.inputs[0]] != 1:
            return op
        source = maker(function)
        if source is None or source.name != "dequantize" or len(source.inputs) != 1:
            return op
        floats = [graph.tensors[index] for index in (*function.inputs, *function.outputs)]
        sizes = {graph.tensors[index].elements for index in (*source.inputs, *op.inputs, *op.outputs)}
        if any(tensor.type != "float32" for tensor in floats) or len(sizes) != 1:
            return op
        options = {**function.options, FOLDED: True}
        return replace(function, inputs=source.inputs, outputs=op.outputs, options=options)

    return replace(graph, operators=tuple(folded(op) for op in graph.operators))
