"""Reads an operator of a checked graph into the parameters that a kernel takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from codegen.fixed_point import activation_range
from codegen.graph import Graph, Operator
from codegen.lookups import activation_of, bias_of, channel_scales, padding_of, reduced_axes
from codegen.mvp.kernels.conv_2d_layer import Conv2D
from codegen.mvp.kernels.elementwise import Dimension, Elementwise
from codegen.mvp.kernels.pool import Pool
from codegen.windows import pad_before, reduction_window

Pair = tuple[int, int]
"""Of rows and columns."""


def conv_2d(graph: Graph, op: Operator) -> Conv2D:
    return _convolution(graph, op, graph.input(op, 1).data)


def depthwise_conv_2d(graph: Graph, op: Operator) -> Conv2D:
    """As a convolution with weights [multiplier * channels][rows][columns][1]."""
    w = graph.input(op, 1)
    return _convolution(graph, op, w.data.reshape(w.shape[1:]).transpose(2, 0, 1)[..., None])


def _convolution(graph: Graph, op: Operator, weights: np.ndarray) -> Conv2D:
    x, w, y = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    o = op.options
    stride = (o["stride_height"], o["stride_width"])
    dilation = (o.get("dilation_height", 1), o.get("dilation_width", 1))
    return Conv2D(
        input_shape=tuple(x.shape[1:]),
        output_shape=tuple(y.shape[1:]),
        stride=stride,
        pad=_pads(graph, op, w.shape[1:3], stride, dilation),
        weights=weights,
        dilation=dilation,
        **_arithmetic(graph, op, y.shape[3]),
    ).with_constants()


def _pads(graph: Graph, op: Operator, kernel: Pair, stride: Pair, dilation: Pair = (1, 1)) -> Pair:
    x, y, padding = graph.input(op, 0).shape, graph.output(op).shape, padding_of(op)
    return tuple(
        pad_before(padding, x[1 + d], y[1 + d], kernel[d], stride[d], dilation[d]) for d in (0, 1)
    )


def _arithmetic(graph: Graph, op: Operator, channels: int) -> dict[str, Any]:
    """The fields of :class:`Conv2D` that say what is done with sums, whatever the shapes."""
    x, y = graph.input(op, 0).q, graph.output(op).q
    return {
        "bias": bias_of(graph, op, channels),
        "in_scale": x.scale,
        "in_zero_point": x.zero_point,
        "weight_scales": channel_scales(graph, op, channels),
        "out_scale": y.scale,
        "out_zero_point": y.zero_point,
        "clamp": activation_range(activation_of(op), y.scale, y.zero_point),
    }


def fully_connected(graph: Graph, op: Operator) -> Conv2D:
    """As a 1x1 convolution with a pixel for each row of values."""
    x, w = graph.input(op, 0), graph.input(op, 1)
    outputs, inputs = w.shape
    rows = x.elements // inputs
    return Conv2D(
        input_shape=(rows, 1, inputs),
        output_shape=(rows, 1, outputs),
        stride=(1, 1),
        pad=(0, 0),
        weights=w.data.reshape(outputs, 1, 1, inputs),
        **_arithmetic(graph, op, outputs),
    ).with_constants()


def pool(graph: Graph, op: Operator) -> Pool:
    x, y, o = graph.input(op, 0), graph.output(op), op.options
    window = (o["filter_height"], o["filter_width"])
    stride = (o["stride_height"], o["stride_width"])
    return Pool(
        operation="max" if op.name == "max_pool_2d" else "average",
        input_shape=tuple(x.shape[1:]),
        output_shape=tuple(y.shape[1:]),
        window=window,
        stride=stride,
        pad=_pads(graph, op, window, stride),
        clamp=activation_range(activation_of(op), y.q.scale, y.q.zero_point),
    )


LARGEST_OFFSET = 320
"""In units of a mean's output: what summing values without their zero point adds to it. Beyond, the rounding
of binary16 shows in the result."""


def mean(graph: Graph, op: Operator) -> Pool:
    """As average pooling of the same bytes."""
    x, y = graph.input(op, 0), graph.output(op)
    whole = replace(_reduction(graph, op, "average"), scale=x.q.scale / y.q.scale)
    offset = whole.scale * x.q.zero_point
    if abs(offset) > LARGEST_OFFSET:
        return replace(whole, offset=y.q.zero_point, centre=x.q.zero_point).in_whole_lines()
    return replace(whole, offset=y.q.zero_point - offset).in_whole_lines()


def reduce_max(graph: Graph, op: Operator) -> Pool:
    """As max pooling of the same bytes."""
    return _reduction(graph, op, "max")


def _reduction(graph: Graph, op: Operator, operation: str) -> Pool:
    shape, window = reduction_window(graph.input(op, 0).shape, reduced_axes(graph, op))
    height, width, channels = shape
    return Pool(
        operation=operation,
        input_shape=shape,
        output_shape=(height // window[0], width // window[1], channels),
        window=window,
        stride=window,
        pad=(0, 0),
    )


def elementwise(graph: Graph, op: Operator) -> Elementwise:
    a, b, y = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    return Elementwise(
        operation=op.name,
        elements=y.elements,
        scales=(a.q.scale, b.q.scale, y.q.scale),
        zero_points=(a.q.zero_point, b.q.zero_point, y.q.zero_point),
        clamp=activation_range(activation_of(op), y.q.scale, y.q.zero_point),
        repeated=() if a.shape == b.shape else _repeated(a.shape, b.shape, y.shape),
    )


def _repeated(a: tuple[int, ...], b: tuple[int, ...], y: tuple[int, ...]) -> tuple[Dimension, ...]:
    """The output's dimensions, innermost first, as few as they can be."""
    sizes = np.array([(1,) * (len(y) - len(shape)) + shape for shape in (a, b)])
    found: list[Dimension] = []
    for d in reversed(range(len(y))):
        steps = tuple(int(np.prod(row[d + 1 :])) if row[d] > 1 else 0 for row in sizes)
        if y[d] == 1:
            continue
        if found and steps == tuple(found[-1].count * step for step in found[-1].steps):
            found[-1] = Dimension(found[-1].count * y[d], found[-1].steps)
        else:
            found.append(Dimension(y[d], steps))
    return tuple(found) or (Dimension(1, (1, 1)),)
