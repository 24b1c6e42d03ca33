"""Rules of windows that slide, and of weights: convolutions, pooling, dense layers."""

from __future__ import annotations

import numpy as np

from codegen.graph import Graph, Operator
from codegen.lookups import (
    bias_of,
    channel_axis,
    channel_scales,
    padding_of,
    weights_matrix,
)
from codegen.rules.common import described
from codegen.windows import largest_sums, output_size

MAX_STEP = 1 << 15
MAX_EXTENT = 1 << 24


def image(graph: Graph, op: Operator) -> str | None:
    """Input and output are [1, height, width, channels]."""
    for tensor in (graph.input(op, 0), graph.output(op)):
        if len(tensor.shape) != 4 or tensor.shape[0] != 1:
            return f"tensor {tensor.index} has the shape {tensor.dimensions}"
    return None


def constant_weights(graph: Graph, op: Operator) -> str | None:
    """Weights are constant int8 with zero point 0, one positive scale or one for each output channel."""
    weights = graph.input(op, 1)
    if weights is None or not weights.constant:
        return "the weights are not constant"
    if weights.type != "int8":
        return f"the weights are {weights.type}"
    if len(weights.shape) != (2 if op.name == "fully_connected" else 4) or weights.elements == 0:
        return f"the weights have the shape {weights.dimensions}"
    q = weights.quantization
    if q is None or (q.zero_points != 0).any():
        return "the weights have no scale, or a zero point other than 0"
    if not (np.isfinite(q.scales).all() and (q.scales > 0).all()):
        return "a scale of the weights is not a positive number"
    axis = channel_axis(op)
    if q.per_channel and (q.dimension != axis or len(q.scales) != weights.shape[axis]):
        return f"the weights have {len(q.scales)} scales along dimension {q.dimension}"
    return None


def constant_bias(graph: Graph, op: Operator) -> str | None:
    """The bias, where there is one, is a constant int32 for each output channel."""
    bias = graph.input(op, 2)
    if bias is None:
        return None
    channels = graph.input(op, 1).shape[channel_axis(op)]
    if not bias.constant or bias.type != "int32" or bias.elements != channels:
        return f"the bias is {described(bias)}"
    return None


def sums_fit(graph: Graph, op: Operator) -> str | None:
    """Whatever the input, sums and their rescaled values stay within 31 bits."""
    source, output = graph.input(op, 0), graph.output(op)
    weights = weights_matrix(op, graph.input(op, 1))
    largest = largest_sums(bias_of(graph, op, len(weights)), weights, source.q.zero_point)
    factors = source.q.scale * channel_scales(graph, op, len(weights)).astype(np.float64) / output.q.scale
    if largest.max() >= 1 << 31:
        return f"the sum of channel {int(largest.argmax())} can reach {int(largest.max())}"
    rescaled = largest * factors
    if not rescaled.max() < 1 << 30:
        return f"channel {int(rescaled.argmax())} is rescaled by {factors[rescaled.argmax()]:g}"
    return None


def window_steps(graph: Graph, op: Operator) -> str | None:
    """Padding is same or valid; kernel sizes, strides and dilations are at least 1, strides and
    dilations below 32768."""
    if padding_of(op) is None:
        return f"padding {op.options['padding']}"
    for name in ("stride_height", "stride_width", "dilation_height", "dilation_width"):
        if not 1 <= op.options.get(name, 1) < MAX_STEP:
            return f"{name} is {op.options[name]}"
    for size, dilation in zip(_kernel(graph, op), _dilation(op), strict=True):
        if size < 1 or size * dilation > MAX_EXTENT:
            return f"the kernel is {'x'.join(map(str, _kernel(graph, op)))}"
    return None


def output_matches_window(graph: Graph, op: Operator) -> str | None:
    """The output is as large as padding, kernel, stride and dilation make it."""
    source, output = graph.input(op, 0), graph.output(op)
    steps = (op.options["stride_height"], op.options["stride_width"])
    expected = tuple(
        output_size(padding_of(op), *each)
        for each in zip(source.shape[1:3], _kernel(graph, op), steps, _dilation(op), strict=True)
    )
    if output.shape[1:3] != expected:
        return f"the output is {output.dimensions}, not 1x{expected[0]}x{expected[1]}"
    return None


def conv_channels(graph: Graph, op: Operator) -> str | None:
    """Every filter sees all input channels, or those of its group (all groups are alike), and there is one
    filter for each output channel."""
    source, weights, output = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    if source.shape[3] % weights.shape[3] or weights.shape[0] % (source.shape[3] // weights.shape[3]):
        return f"{weights.shape[0]} filters of {weights.shape[3]} channels on an input of {source.shape[3]}"
    if weights.shape[0] != output.shape[3]:
        return f"{weights.shape[0]} filters for {output.shape[3]} output channels"
    return None


def depthwise_channels(graph: Graph, op: Operator) -> str | None:
    """Output channels are input channels times the depth multiplier."""
    source, weights, output = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    multiplier = op.options["depth_multiplier"]
    if weights.shape[0] != 1 or not (weights.shape[3] == output.shape[3] == source.shape[3] * multiplier):
        shapes = f"weights {weights.dimensions}, output {output.dimensions}"
        return f"{source.dimensions} times {multiplier}, {shapes}"
    return None


def pool_channels(graph: Graph, op: Operator) -> str | None:
    """Pooling keeps the number of channels."""
    source, output = graph.input(op, 0), graph.output(op)
    return None if source.shape[3] == output.shape[3] else f"{source.dimensions} to {output.dimensions}"


def fully_connected_shapes(graph: Graph, op: Operator) -> str | None:
    """Rows of as many values as the weights have taps, in the default weights format."""
    source, weights, output = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    channels, taps = weights.shape
    if op.options["weights_format"] != 0:
        return f"weights format {op.options['weights_format']}"
    if source.elements % taps or output.elements != source.elements // taps * channels:
        return f"input {source.dimensions}, weights {weights.dimensions}, output {output.dimensions}"
    if not output.shape or output.shape[-1] != channels:
        return f"{channels} channels into an output of {output.dimensions}"
    return None


def _kernel(graph: Graph, op: Operator) -> tuple[int, int]:
    if "filter_height" in op.options:
        return int(op.options["filter_height"]), int(op.options["filter_width"])
    return graph.input(op, 1).shape[1:3]


def _dilation(op: Operator) -> tuple[int, int]:
    return int(op.options.get("dilation_height", 1)), int(op.options.get("dilation_width", 1))
