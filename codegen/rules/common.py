"""Rules of all operators, and those that several kinds share."""

from __future__ import annotations

import math
from collections.abc import Callable

from codegen.graph import Graph, Operator, Tensor
from codegen.lookups import (
    ACTIVATION_RULES_APPLY,
    DATA_INPUTS,
    KERNEL_RANK,
    RESHAPERS,
    activation_of,
    data_positions,
)

Constraint = Callable[[Graph, Operator], "str | None"]


def has_operands(graph: Graph, op: Operator) -> str | None:
    """An operator has its data inputs and one output; one that divides a tensor, one for each part."""
    if len(op.outputs) != 1:
        return f"it has {len(op.outputs)} outputs"
    wanted = DATA_INPUTS[op.name] or range(max(1, len(op.inputs)))
    missing = [k for k in wanted if graph.input(op, k) is None]
    return f"input {missing[0]} is missing" if missing else None


def has_elements(graph: Graph, op: Operator) -> str | None:
    """Every dimension is known and at least 1."""
    for tensor in data_tensors(graph, op):
        if reason := has_no_elements(tensor):
            return f"tensor {tensor.index} {reason}"
    return None


def is_int8(graph: Graph, op: Operator) -> str | None:
    """Data is int8 (convert with int8 operators alone and a representative dataset), with one scale
    (positive) and one zero point (-128..127) a tensor; quantize and dequantize convert from and to float32;
    reshape takes any type; the state of svdf may be int16."""
    types = {
        "quantize": ({"int8", "float32"}, {"int8"}),
        "dequantize": ({"int8"}, {"float32"}),
        "svdf": ({"int8", "int16"}, {"int8"}),
    }
    if op.name in RESHAPERS:
        a, b = graph.input(op, 0), graph.output(op)
        return None if a.type == b.type else f"the input is {a.type}, the output {b.type}"
    inputs, outputs = types.get(op.name, ({"int8"}, {"int8"}))
    for tensor in data_tensors(graph, op):
        allowed = outputs if tensor.index == op.outputs[0] else inputs
        if tensor.type not in allowed:
            return f"tensor {tensor.index} is {tensor.type}, not {' or '.join(sorted(allowed))}"
        if tensor.type == "int8" and (reason := bad_quantization(tensor)):
            return f"tensor {tensor.index} {reason}"
    return None


def activation_known(graph: Graph, op: Operator) -> str | None:
    """A fused activation is none, relu, relu6 or relu_n1_to_1 (none for concatenation and
    l2_normalization)."""
    if op.name not in ACTIVATION_RULES_APPLY:
        return None
    alone = op.name in ("concatenation", "l2_normalization")
    allowed = ("none",) if alone else ("none", "relu", "relu6", "relu_n1_to_1")
    name = activation_of(op)
    if name not in allowed:
        return f"the fused activation {name} is not supported"
    return None


GENERIC: tuple[Constraint, ...] = (has_operands, has_elements, is_int8, activation_known)


def rank_at_most_4(graph: Graph, op: Operator) -> str | None:
    """Tensors have at most four dimensions."""
    for tensor in data_tensors(graph, op):
        if len(tensor.shape) > KERNEL_RANK:
            return f"tensor {tensor.index} has the shape {tensor.dimensions}"
    return None


def four_left(left: tuple[int, ...], tensor: Tensor) -> str | None:
    """Whether kernels go through what is left of a tensor's dimensions; no rule by itself."""
    return f"{len(left)} dimensions are left of {tensor.dimensions}" if len(left) > KERNEL_RANK else None


def output_is(graph: Graph, op: Operator, scale: float, zero_point: int) -> str | None:
    """Whether the output is quantized so; no rule by itself."""
    q = graph.output(op).q
    fits = (q.scale, q.zero_point) == (scale, zero_point)
    return None if fits else f"the output has scale {q.scale:g} and zero point {q.zero_point}"


def same_elements(graph: Graph, op: Operator) -> str | None:
    """Input and output have the same number of elements."""
    source, output = graph.input(op, 0), graph.output(op)
    return None if source.elements == output.elements else f"{source.dimensions} to {output.dimensions}"


def keeps_elements(graph: Graph, op: Operator) -> str | None:
    """Input and output have the same number of elements; an output whose shape is computed at run time is not
    known: export the model with a batch of 1."""
    return same_elements(graph, op)


def same_scale(graph: Graph, op: Operator) -> str | None:
    """Inputs and output share scale and zero point."""
    output = graph.output(op).q
    for tensor in data_tensors(graph, op):
        if not same_quantization(tensor, graph.output(op)):
            return (
                f"tensor {tensor.index} has scale {tensor.q.scale:g} and zero point {tensor.q.zero_point}, "
                f"the output {output.scale:g} and {output.zero_point}"
            )
    return None


def rescale(graph: Graph, op: Operator) -> str | None:
    """Rescaled values stay within 31 bits."""
    source = graph.input(op, 0)
    if source.type != "int8":
        return None
    factor = source.q.scale / graph.output(op).q.scale
    return None if 255 * factor < 1 << 28 else f"values are rescaled by {factor:g}"


def data_tensors(graph: Graph, op: Operator) -> list[Tensor]:
    return [*(graph.input(op, k) for k in data_positions(op)), graph.output(op)]


def described(tensor: Tensor) -> str:
    """Of an operand whose type, shape or being constant does not fit."""
    return f"{tensor.type} {tensor.dimensions}, {'' if tensor.constant else 'not '}constant"


def same_quantization(a: Tensor, b: Tensor) -> bool:
    """Whether the same bytes are the same values in both; no rule by itself."""
    near = abs(a.q.scale - b.q.scale) <= 1e-6 * b.q.scale
    return near and a.q.zero_point == b.q.zero_point


def are_alike(a: Tensor, b: Tensor) -> bool:
    """Whether they are of one type, shape, scale and zero point; no rule by itself."""
    if (a.type, a.shape) != (b.type, b.shape) or bad_quantization(a) or bad_quantization(b):
        return False
    return same_quantization(a, b)


def has_no_elements(tensor: Tensor) -> str | None:
    return f"has the shape {tensor.dimensions}" if tensor.elements == 0 else None


def bad_quantization(tensor: Tensor) -> str | None:
    q = tensor.quantization
    if q is None:
        return "has no scale"
    if q.per_channel:
        return f"has {len(q.scales)} scales"
    if not (math.isfinite(q.scale) and q.scale > 0):
        return f"has the scale {q.scale:g}"
    return None if -128 <= q.zero_point <= 127 else f"has the zero point {q.zero_point}"


def bad_symmetric(tensor: Tensor) -> str | None:
    """As bad_quantization, and whether the zero point is another than 0; no rule by itself."""
    reason = bad_quantization(tensor)
    return reason or (f"has the zero point {tensor.q.zero_point}" if tensor.q.zero_point != 0 else None)
