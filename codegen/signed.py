"""Between reading and checking: scores that a converter makes uint8 at last stay int8.

Same scale, a zero point that is 128 less: the int8 is the uint8 less 128, which is what the detector takes.
"""

from __future__ import annotations

from dataclasses import replace

from codegen.graph import Graph, Tensor
from codegen.rules.common import bad_quantization


def signed(graph: Graph) -> Graph:
    """The graph with the int8 that such a last quantize is given as its output; without one, as it was."""
    last = next((op for op in graph.operators if op.outputs == graph.outputs), None)
    if last is None or last.name != "quantize" or len(last.inputs) != 1:
        return graph
    if not any(last.inputs[0] in op.outputs for op in graph.operators):
        return graph  # of the network's input or of a constant: nothing would be left of the network
    before, after = (graph.tensors[index] for index in (*last.inputs, *last.outputs))
    return replace(graph, outputs=last.inputs) if _is_shift(before, after) else graph


def _is_shift(before: Tensor, after: Tensor) -> bool:
    if (before.type, after.type) != ("int8", "uint8") or before.shape != after.shape:
        return False
    if bad_quantization(before) or after.quantization is None or after.q.per_channel:
        return False
    return (after.q.scale, after.q.zero_point) == (before.q.scale, before.q.zero_point + 128)
