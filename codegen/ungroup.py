"""A convolution with groups as convolutions without, for :mod:`codegen.expand`.

Where a group is a single channel, that is a depthwise convolution. Else each group's channels are cut out,
convolved, and the results put beside each other.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from codegen.graph import Graph, Operator, Quantization
from codegen.steps import Steps


def ungroup(graph: Graph, op: Operator, steps: Steps) -> bool:
    """Adds the steps that a conv_2d becomes; False if it has no groups."""
    channels = graph.input(op, 0).shape[3]
    groups = channels // graph.input(op, 1).shape[3]
    if groups == 1:
        return False
    if groups == channels:
        _depthwise(graph, op, steps)
    else:
        _parts(graph, op, groups, steps)
    return True


def _depthwise(graph: Graph, op: Operator, steps: Steps) -> None:
    """The convolution as a depthwise one, whose weights have the output's channel last."""
    weights = graph.input(op, 1)
    q = replace(weights.q, dimension=3)
    turned = steps.constant(weights, np.swapaxes(weights.data, 0, 3), quantization=q)
    options = {**op.options, "depth_multiplier": weights.shape[0] // graph.input(op, 0).shape[3]}
    steps.step("depthwise_conv_2d", [op.inputs[0], turned, *op.inputs[2:]], op.outputs[0], **options)


def _parts(graph: Graph, op: Operator, groups: int, steps: Steps) -> None:
    """For each group a slice and a convolution, and a concatenation at last."""
    source, weights, bias, output = (*(graph.input(op, k) for k in range(3)), graph.output(op))
    channels, filters = weights.shape[3], weights.shape[0] // groups
    size = steps.numbers([*source.shape[:3], channels])
    results = []
    for group in range(groups):
        own = slice(group * filters, (group + 1) * filters)
        begin = steps.numbers([0, 0, 0, group * channels])
        cut = steps.value(source, shape=(*source.shape[:3], channels))
        inputs = [cut, steps.constant(weights, weights.data[own], quantization=_of(weights.q, own))]
        if bias is not None:
            inputs.append(steps.constant(bias, bias.data.reshape(-1)[own]))
        results.append(steps.value(output, shape=(*output.shape[:3], filters)))
        steps.step("slice", [op.inputs[0], begin, size], cut)
        steps.step(op.name, inputs, results[-1], **op.options)
    steps.step("concatenation", results, op.outputs[0], axis=3, activation=0)


def _of(q: Quantization, channels: slice) -> Quantization:
    """The quantization of some of a tensor's output channels."""
    return replace(q, scales=q.scales[channels], zero_points=q.zero_points[channels]) if q.per_channel else q
