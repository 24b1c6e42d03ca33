"""Layers that work value by value, and softmax."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from codegen.fixed_point import (
    inverses,
    log_softmax_table,
    quantize,
    quantize_multiplier,
    softmax_multiplier,
    softmax_table,
)
from codegen.graph import Graph, Operator
from codegen.layers import Layer
from codegen.lookups import limited_and_limit, pair_shapes
from codegen.lowering import common
from codegen.lowering.tables import TABLE_MAKERS
from codegen.options import (
    AddOptions,
    DivOptions,
    L2NormalizationOptions,
    LogSoftmaxOptions,
    MulOptions,
    Quad,
    QuantizeOptions,
    RequantizeOptions,
    SoftmaxOptions,
    TableOptions,
)


def _broadcast(graph: Graph, op: Operator) -> dict[str, Quad]:
    """Shape and strides of both inputs in four dimensions, strides 0 where one is broadcast."""
    *shapes, output = map(common.quad, pair_shapes(graph, op))
    first, second = map(common.strides_in_elements, shapes)
    return {"shape": output, "strides_1": first, "strides_2": second}


def _in_place(graph: Graph, op: Operator) -> tuple[int, ...]:
    """Positions of the inputs that have the output's shape."""
    *shapes, output = map(common.quad, pair_shapes(graph, op))
    return tuple(k for k, shape in enumerate(shapes) if shape == output)


def add(graph: Graph, op: Operator) -> Layer:
    """Sums, differences and their squares, of inputs that are brought to one scale."""
    a, b, output = graph.input(op, 0).q, graph.input(op, 1).q, graph.output(op).q
    twice = 2 * max(a.scale, b.scale)
    left_shift, whole = 20, twice / (1 << 20)
    if op.name == "squared_difference":
        left_shift, whole = 7, twice * twice / (1 << 14)
    factors = (a.scale / twice, b.scale / twice, whole / output.scale)
    (m1, s1), (m2, s2), (m, s) = map(quantize_multiplier, factors)
    options = AddOptions(
        **_broadcast(graph, op), **common.clamp(graph, op),
        left_shift=left_shift,
        zero_point_1=a.zero_point, multiplier_1=m1, shift_1=s1,
        zero_point_2=b.zero_point, multiplier_2=m2, shift_2=s2,
        output_zero_point=output.zero_point, output_multiplier=m, output_shift=s,
    )  # fmt: skip
    return common.layer_of(op, op.name, options, in_place=_in_place(graph, op))


def _rescaled(graph: Graph, op: Operator, factor: float) -> dict[str, int | Quad]:
    """What products and quotients share, which are rescaled by a factor."""
    a, b, output = graph.input(op, 0).q, graph.input(op, 1).q, graph.output(op).q
    multiplier, shift = quantize_multiplier(factor)
    return {
        **_broadcast(graph, op), **common.clamp(graph, op),
        "zero_point_1": a.zero_point, "zero_point_2": b.zero_point,
        "output_zero_point": output.zero_point, "output_multiplier": multiplier, "output_shift": shift,
    }  # fmt: skip


def mul(graph: Graph, op: Operator) -> Layer:
    a, b, output = graph.input(op, 0).q, graph.input(op, 1).q, graph.output(op).q
    options = MulOptions(**_rescaled(graph, op, a.scale * b.scale / output.scale))
    return common.layer_of(op, "mul", options, in_place=_in_place(graph, op))


def div(graph: Graph, op: Operator) -> Layer:
    a, b, output = graph.input(op, 0).q, graph.input(op, 1).q, graph.output(op).q
    options = DivOptions(**_rescaled(graph, op, a.scale / (b.scale * output.scale)), inverses=inverses())
    return common.layer_of(op, "div", options, in_place=_in_place(graph, op))


def _requantize_layer(graph: Graph, op: Operator, factor: float, low: int, high: int) -> Layer:
    source, output = graph.input(op, 0), graph.output(op)
    multiplier, shift = quantize_multiplier(factor)
    options = RequantizeOptions(
        elements=output.elements,
        input_zero_point=source.q.zero_point,
        multiplier=multiplier,
        shift=shift,
        output_zero_point=output.q.zero_point,
        clamp_min=low,
        clamp_max=high,
    )
    return common.layer_of(op, "requantize", options, in_place=(0,))


def relu(graph: Graph, op: Operator) -> Layer:
    source, output = graph.input(op, 0).q, graph.output(op).q
    # A division of floats, as the reference's.
    factor = float(np.float32(source.scale) / np.float32(output.scale))
    return _requantize_layer(graph, op, factor, max(-128, output.zero_point), 127)


def relu6(graph: Graph, op: Operator) -> Layer:
    q = graph.input(op, 0).q
    six = max(-128, min(127, quantize(6.0, q.scale, q.zero_point)))
    return _requantize_layer(graph, op, 1.0, q.zero_point, six)


def quantize_layer(graph: Graph, op: Operator) -> Layer:
    source, output = graph.input(op, 0), graph.output(op)
    if source.type == "int8":
        return _requantize_layer(graph, op, source.q.scale / output.q.scale, -128, 127)
    options = QuantizeOptions(output.elements, output.q.scale, output.q.zero_point)
    return common.layer_of(op, "quantize", options, in_place=(0,))


def dequantize(graph: Graph, op: Operator) -> Layer:
    source = graph.input(op, 0)
    options = QuantizeOptions(source.elements, source.q.scale, source.q.zero_point)
    return common.layer_of(op, "dequantize", options)


def softmax(graph: Graph, op: Operator, rounding: str = "double") -> Layer:
    source = graph.input(op, 0)
    table = softmax_table(source.q.scale, float(op.options["beta"]), rounding)
    depth = source.shape[-1]
    options = SoftmaxOptions(source.elements // depth, depth, len(table), table)
    return common.layer_of(op, "softmax", options, in_place=(0,))


def log_softmax(graph: Graph, op: Operator, rounding: str = "double") -> Layer:
    source = graph.input(op, 0)
    table = log_softmax_table(source.q.scale, rounding)
    multiplier, shift = softmax_multiplier(source.q.scale, 1.0, rounding)
    depth = source.shape[-1]
    options = LogSoftmaxOptions(source.elements // depth, depth, multiplier, shift, len(table), table)
    return common.layer_of(op, "log_softmax", options, in_place=(0,))


def l2_normalization(graph: Graph, op: Operator) -> Layer:
    source = graph.input(op, 0)
    depth = source.shape[-1]
    options = L2NormalizationOptions(source.elements // depth, depth, source.q.zero_point)
    return common.layer_of(op, "l2_normalization", options, in_place=(0,))


def table(graph: Graph, op: Operator) -> Layer:
    table = TABLE_MAKERS[op.name](graph, op, "double")
    options = TableOptions(graph.output(op).elements, len(table) // 256, table)
    return common.layer_of(op, "table", options, in_place=(0,))


def limit(graph: Graph, op: Operator) -> Layer:
    """A minimum or maximum with one value: a table of one input, where a clamp of the requantization's kernel
    takes ten times as long."""
    return replace(table(graph, op), inputs=(limited_and_limit(graph, op)[0].index,))
