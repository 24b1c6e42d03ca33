"""Layers with weights or with windows that slide, and products of matrices."""

from __future__ import annotations

import numpy as np

from codegen.fixed_point import quantize_multiplier
from codegen.graph import Graph, Operator
from codegen.layers import Layer
from codegen.lookups import bias_of, channel_scales, matrices, padding_of, weights_matrix
from codegen.lowering import common
from codegen.mvp.m33_cost import cortex_m33_cycles
from codegen.options import (
    BatchMatmulOptions,
    Conv2DOptions,
    DepthwiseConv2DOptions,
    FullyConnectedOptions,
    Pool2DOptions,
)
from codegen.pack import (
    conv_scratch_bytes,
    depthwise_scratch_bytes,
    matmul_scratch_bytes,
    pack_channels,
    pack_depthwise,
    pack_weights,
)
from codegen.windows import folded_bias, pad_before

MANY_ROWS = 3
"""Of a dense layer. As pixels of a convolution, whose kernel takes four at a time, they can take half the
time or less, where its short way can be taken: with joined weights, and outputs that int8 alone bounds."""

SCRATCH_LIMIT = 8 << 10
"""Of such a layer, in bytes, lest one sets the RAM of the whole network."""

UNBOUNDED = {"clamp_min": -128, "clamp_max": 127}


def packed_channels(
    graph: Graph, op: Operator, *, pad: bool, product: type[np.floating] = np.float64
) -> np.ndarray:
    """Bias with the input's zero point folded in, and the factor from sums to outputs, by channel.

    ``product`` is the type in which the scales of input and weights are multiplied: float64 as in the
    reference. The vendor's build of it is older and multiplies those of a dense layer as float32.
    """
    source, output = graph.input(op, 0), graph.output(op)
    weights = weights_matrix(op, graph.input(op, 1))
    bias = folded_bias(bias_of(graph, op, len(weights)), weights, source.q.zero_point)
    products = product(source.q.scale) * channel_scales(graph, op, len(weights)).astype(product)
    factors = [float(scale) / output.q.scale for scale in products]
    return pack_channels(bias, [quantize_multiplier(factor) for factor in factors], pad=pad)


def _window(graph: Graph, op: Operator, kernel: tuple[int, int]) -> dict[str, int]:
    """The geometry that convolutions and pools share."""
    source, output = graph.input(op, 0).shape, graph.output(op).shape
    fields = {
        "input_height": source[1], "input_width": source[2],
        "output_height": output[1], "output_width": output[2],
        "kernel_height": kernel[0], "kernel_width": kernel[1],
    }  # fmt: skip
    for d, (side, pad) in enumerate((("height", "pad_top"), ("width", "pad_left"))):
        stride = int(op.options[f"stride_{side}"])
        dilation = int(op.options.get(f"dilation_{side}", 1))
        fields[f"stride_{side}"] = stride
        fields[pad] = pad_before(
            padding_of(op), source[d + 1], output[d + 1], kernel[d], stride, dilation
        )
    return fields


def _conv_fields(graph: Graph, op: Operator) -> dict[str, int]:
    source, weights, output = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    return {
        **_window(graph, op, weights.shape[1:3]),
        **common.clamp(graph, op),
        "input_channels": source.shape[3],
        "output_channels": output.shape[3],
        "dilation_height": int(op.options["dilation_height"]),
        "dilation_width": int(op.options["dilation_width"]),
        "pad_value": source.q.zero_point,
        "output_zero_point": output.q.zero_point,
    }


def conv_2d(graph: Graph, op: Operator) -> Layer:
    return _conv(graph, op, _conv_fields(graph, op))


def _conv(graph: Graph, op: Operator, fields: dict[str, int]) -> Layer:
    """Whatever an operator is called, the convolution of this geometry, with its weights."""
    weights = weights_matrix(op, graph.input(op, 1))
    taps = weights.shape[1]
    row_taps = taps // fields["kernel_height"]
    options = Conv2DOptions(
        **fields,
        taps=taps,
        **pack_weights(weights, row_taps),
        channels=packed_channels(graph, op, pad=True),
    )
    scratch = conv_scratch_bytes(taps, len(weights), row_taps, fields["input_width"])
    return common.layer_of(op, "conv_2d", options, scratch_bytes=scratch)


def depthwise_conv_2d(graph: Graph, op: Operator) -> Layer:
    """That of a single channel is an ordinary convolution, whose kernel is faster."""
    fields = _conv_fields(graph, op)
    if fields["input_channels"] == 1:
        return _conv(graph, op, fields)
    options = DepthwiseConv2DOptions(
        **fields,
        depth_multiplier=int(op.options["depth_multiplier"]),
        weights=pack_depthwise(weights_matrix(op, graph.input(op, 1))),
        channels=packed_channels(graph, op, pad=False),
    )
    scratch = depthwise_scratch_bytes(options)
    return common.layer_of(op, "depthwise_conv_2d", options, scratch_bytes=scratch)


def fully_connected(graph: Graph, op: Operator) -> Layer:
    weights = weights_matrix(op, graph.input(op, 1))
    channels, taps = weights.shape
    rows = graph.input(op, 0).elements // taps
    options = FullyConnectedOptions(
        **common.clamp(graph, op),
        rows=rows,
        taps=taps,
        output_channels=channels,
        output_zero_point=graph.output(op).q.zero_point,
        **pack_weights(weights, taps, splits=True),
        channels=packed_channels(graph, op, pad=True),
    )
    dense = common.layer_of(op, "fully_connected", options)
    if rows < MANY_ROWS or common.clamp(graph, op) != UNBOUNDED:
        return dense
    pixels = _conv(graph, op, _pixel_fields(graph, op, options))
    possible = pixels.options.joined and pixels.scratch_bytes <= SCRATCH_LIMIT
    return pixels if possible and _takes_less(pixels, dense, rows * taps) else dense


def _takes_less(layer: Layer, other: Layer, inputs: int) -> bool:
    """Estimated: gathering pixels costs more than it saves where few channels use them, or few of four do."""
    return cortex_m33_cycles(layer, inputs) < cortex_m33_cycles(other, inputs)


def _pixel_fields(graph: Graph, op: Operator, dense: FullyConnectedOptions) -> dict[str, int]:
    """The geometry of a dense layer as a convolution of a pixel for each row."""
    return {
        **common.clamp(graph, op),
        "input_height": dense.rows, "input_width": 1, "input_channels": dense.taps,
        "output_height": dense.rows, "output_width": 1, "output_channels": dense.output_channels,
        "kernel_height": 1, "kernel_width": 1, "stride_height": 1, "stride_width": 1,
        "dilation_height": 1, "dilation_width": 1, "pad_top": 0, "pad_left": 0,
        "pad_value": graph.input(op, 0).q.zero_point, "output_zero_point": dense.output_zero_point,
    }  # fmt: skip


def batch_matmul(graph: Graph, op: Operator) -> Layer:
    a, b, output = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    taps = matrices(graph, op)[0][1]
    first, second = ([*common.strides_in_elements(common.quad(tensor.shape))] for tensor in (a, b))
    if op.options["adj_x"]:
        first[2:] = first[:1:-1]
    if op.options["adj_y"]:
        second[2:] = second[:1:-1]
    multiplier, shift = quantize_multiplier(a.q.scale * b.q.scale / output.q.scale)
    options = BatchMatmulOptions(
        shape=common.quad(output.shape),
        strides_1=(*first[:3], 0), strides_2=(*second[:2], 0, second[3]),
        taps=taps, tap_1=first[3], tap_2=second[2],
        zero_point_1=a.q.zero_point, zero_point_2=b.q.zero_point,
        output_zero_point=output.q.zero_point, output_multiplier=multiplier, output_shift=shift,
    )  # fmt: skip
    return common.layer_of(op, "batch_matmul", options, scratch_bytes=matmul_scratch_bytes(taps))


def pool(graph: Graph, op: Operator) -> Layer:
    kernel = (int(op.options["filter_height"]), int(op.options["filter_width"]))
    options = Pool2DOptions(
        **_window(graph, op, kernel), **common.clamp(graph, op), channels=graph.input(op, 0).shape[3]
    )
    return common.layer_of(op, op.name, options)
