"""Between checking and lowering: a convolution with groups becomes convolutions without.

Where a group is a single channel, that is a depthwise convolution. Else each group's channels are cut out,
convolved, and the results put beside each other.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from codegen.graph import Graph, Operator, Quantization, Tensor
from codegen.separate import check_count
from codegen.steps import CODES, Steps, added


def ungroup(graph: Graph) -> Graph:
    """The graph without groups; the operators that one becomes share its index, the place in the .tflite.
    TokayError if that makes too many."""
    tensors, operators = list(graph.tensors), []
    for op in graph.operators:
        groups = _groups(graph, op)
        if groups == 1:
            operators.append(op)
        elif groups == graph.input(op, 0).shape[3]:
            operators.append(_depthwise(graph, op, tensors))
        else:
            operators += _parts(graph, op, groups, tensors)
            check_count(operators, op, "steps")
    return replace(graph, tensors=tuple(tensors), operators=tuple(operators))


def _groups(graph: Graph, op: Operator) -> int:
    return graph.input(op, 0).shape[3] // graph.input(op, 1).shape[3] if op.name == "conv_2d" else 1


def _depthwise(graph: Graph, op: Operator, tensors: list[Tensor]) -> Operator:
    """The convolution as a depthwise one, whose weights have the output's channel last."""
    weights = graph.input(op, 1)
    q = replace(weights.q, dimension=3)
    turned = added(tensors, weights, data=np.swapaxes(weights.data, 0, 3), quantization=q)
    options = {**op.options, "depth_multiplier": weights.shape[0] // graph.input(op, 0).shape[3]}
    name = "depthwise_conv_2d"
    inputs = (op.inputs[0], turned, *op.inputs[2:])
    return replace(op, name=name, opcode=CODES[name], inputs=inputs, options=options)


def _parts(graph: Graph, op: Operator, groups: int, tensors: list[Tensor]) -> list[Operator]:
    """For each group a slice and a convolution, and a concatenation at last."""
    source, weights, bias, output = (*(graph.input(op, k) for k in range(3)), graph.output(op))
    channels, filters = weights.shape[3], weights.shape[0] // groups
    steps = Steps(op, tensors)
    size = steps.numbers([*source.shape[:3], channels])
    results = []
    for group in range(groups):
        own = slice(group * filters, (group + 1) * filters)
        begin = steps.numbers([0, 0, 0, group * channels])
        cut = steps.value(source, shape=(*source.shape[:3], channels))
        inputs = [cut, added(tensors, weights, data=weights.data[own], quantization=_of(weights.q, own))]
        if bias is not None:
            inputs.append(added(tensors, bias, data=bias.data.reshape(-1)[own]))
        results.append(steps.value(output, shape=(*output.shape[:3], filters)))
        steps.step("slice", [op.inputs[0], begin, size], cut)
        steps.step(op.name, inputs, results[-1], **op.options)
    steps.step("concatenation", results, op.outputs[0], axis=3, activation=0)
    return steps.operators()


def _of(q: Quantization, channels: slice) -> Quantization:
    """The quantization of some of a tensor's output channels."""
    return replace(q, scales=q.scales[channels], zero_points=q.zero_points[channels]) if q.per_channel else q
