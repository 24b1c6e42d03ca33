"""Rules of operators that work value by value."""

from __future__ import annotations

import math

import numpy as np

from codegen.fixed_point import rsqrt_factor
from codegen.float_tables import FOLDED, steps_from_zero
from codegen.graph import Graph, Operator
from codegen.lookups import (
    MAX_TABLES,
    has_one_limit,
    pair_shapes,
    repeated_beforehand,
    repeated_elements,
)
from codegen.rules import common

MAX_SOFTMAX_DEPTH = 511
MAX_NORM_DEPTH = 1 << 15


def broadcasts(graph: Graph, op: Operator) -> str | None:
    """Both inputs broadcast to the output's shape."""
    shapes = [graph.input(op, k).shape for k in (0, 1)]
    try:
        expected = np.broadcast_shapes(*shapes)
    except ValueError:
        return f"the inputs {graph.input(op, 0).dimensions} and {graph.input(op, 1).dimensions} do not fit"
    output = graph.output(op)
    if (1,) * (len(output.shape) - len(expected)) + expected != output.shape:
        return f"the output is {output.dimensions}"
    return None


def four_repeated_alike(graph: Graph, op: Operator) -> str | None:
    """At most four dimensions are left where those are joined that follow each other and along which the same
    inputs are repeated."""
    return common.four_left(pair_shapes(graph, op)[2], graph.output(op))


def add_scales(graph: Graph, op: Operator) -> str | None:
    """The output's scale is not so much finer than the inputs' (2^19 times) that a result would not
    fit."""
    scales = [graph.input(op, k).q.scale for k in (0, 1)]
    factor = 2 * max(scales) / ((1 << 20) * graph.output(op).q.scale)
    smallest = min(scales) / (2 * max(scales))
    return None if 0 < factor < 1 and smallest > 0 else f"scales {scales} to {graph.output(op).q.scale:g}"


def product_scale(graph: Graph, op: Operator) -> str | None:
    """Rescaled products stay within 31 bits."""
    factor = graph.input(op, 0).q.scale * graph.input(op, 1).q.scale / graph.output(op).q.scale
    return None if 255 * 255 * factor < 1 << 30 else f"products are rescaled by {factor:g}"


def quotient_scale(graph: Graph, op: Operator) -> str | None:
    """Quotients are rescaled by less than 2^23, beyond which the reference shifts bits out."""
    factor = graph.input(op, 0).q.scale / (graph.input(op, 1).q.scale * graph.output(op).q.scale)
    return None if factor < 1 << 23 else f"quotients are rescaled by {factor:g}"


def squares_scale(graph: Graph, op: Operator) -> str | None:
    """Rescaled squares stay within 29 bits."""
    scales = [graph.input(op, k).q.scale for k in (0, 1)]
    factor = max(scales) ** 2 / graph.output(op).q.scale
    return None if 510 * 510 * factor < 1 << 29 else f"squares are rescaled by {factor:g}"


def four_of_each_are_left(graph: Graph, op: Operator) -> str | None:
    """At most four dimensions are left of an input that is repeated to the output's shape, where those are
    joined that follow each other and are repeated, or are not."""
    if has_one_limit(graph, op):
        return None
    output = graph.output(op)
    repeated = (t for t in (graph.input(op, k) for k in (0, 1)) if not repeated_beforehand(t, output))
    reasons = (common.four_left(repeated_elements(t, output).shape, t) for t in repeated)
    return next(filter(None, reasons), None)


def negates(graph: Graph, op: Operator) -> str | None:
    """The scale is below 2^100."""
    scale = graph.output(op).q.scale
    return None if scale < 2.0**100 else f"the scale is {scale:g}"


def softmax_scales(graph: Graph, op: Operator) -> str | None:
    """The output has scale 1/256 and zero point -128; the input's scale times beta exceeds 2^-26."""
    if reason := common.output_is(graph, op, 1 / 256, -128):
        return reason
    source, beta = graph.input(op, 0).q, op.options["beta"]
    if not (math.isfinite(beta) and beta * source.scale * (1 << 26) > 1):
        return f"beta {beta:g} times the input's scale {source.scale:g}"
    return None


def log_softmax_scales(graph: Graph, op: Operator) -> str | None:
    """The output has scale 1/16 and zero point 127; the input's scale exceeds 2^-26."""
    if reason := common.output_is(graph, op, 1 / 16, 127):
        return reason
    source = graph.input(op, 0).q
    return None if source.scale > 2.0**-26 else f"the input's scale is {source.scale:g}"


def norm_scale(graph: Graph, op: Operator) -> str | None:
    """The output has scale 1/128 and zero point 0."""
    return common.output_is(graph, op, 1 / 128, 0)


def norm_depth(graph: Graph, op: Operator) -> str | None:
    """It runs over a last dimension of at most 32768, whose squares add up within 31 bits."""
    shape = graph.input(op, 0).shape
    fits = shape and shape[-1] <= MAX_NORM_DEPTH
    return None if fits else f"the input is {graph.input(op, 0).dimensions}"


def softmax_depth(graph: Graph, op: Operator) -> str | None:
    """Softmax runs over a last dimension of at most 511."""
    shape = graph.input(op, 0).shape
    fits = shape and shape[-1] <= MAX_SOFTMAX_DEPTH
    return None if fits else f"the input is {graph.input(op, 0).dimensions}"


def logistic_scales(graph: Graph, op: Operator) -> str | None:
    """The output has scale 1/256 and zero point -128; the input's scale lies in [2^-27, 2^16]."""
    return _sigmoid_scales(graph, op, 1 / 256, -128)


def tanh_scales(graph: Graph, op: Operator) -> str | None:
    """The output has scale 1/128 and zero point 0; the input's scale lies in [2^-27, 2^16]."""
    return _sigmoid_scales(graph, op, 1 / 128, 0)


def _sigmoid_scales(graph: Graph, op: Operator, scale: float, zero_point: int) -> str | None:
    if reason := common.output_is(graph, op, scale, zero_point):
        return reason
    source = graph.input(op, 0).q
    return None if 2.0**-27 <= source.scale <= 2.0**16 else f"the input's scale is {source.scale:g}"


def leaky_slope(graph: Graph, op: Operator) -> str | None:
    """The slope for negative values is not negative itself; what it makes of them stays within 31 bits."""
    alpha = op.options["alpha"]
    factor = graph.input(op, 0).q.scale * alpha / graph.output(op).q.scale
    return None if 0 <= 255 * factor < 1 << 28 else f"alpha {alpha:g} rescales values by {factor:g}"


def alphas(graph: Graph, op: Operator) -> str | None:
    """The slopes are constant int8: one, or one for each index of the last dimension or dimensions; what they
    make of values stays within 31 bits. With more than 256 of them (shared_axes=[1, 2] in Keras shares them)
    the output has the input's shape."""
    source, alphas, output = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    if alphas is None or not alphas.constant or alphas.type != "int8":
        return "the slopes are not constant int8"
    if reason := common.bad_quantization(alphas):
        return f"tensor {alphas.index} {reason}"
    shape = alphas.shape
    while shape and shape[0] == 1:
        shape = shape[1:]
    if shape != source.shape[len(source.shape) - len(shape) :] or alphas.elements == 0:
        return f"slopes of {alphas.dimensions} for {source.dimensions}"
    if alphas.elements > MAX_TABLES and source.shape != output.shape:
        return f"{alphas.elements} slopes from {source.dimensions} to {output.dimensions}"
    factor = source.q.scale * alphas.q.scale / output.q.scale
    return None if 255 * 255 * factor < 1 << 28 else f"negative values are rescaled by {factor:g}"


def steps_are_numbers(graph: Graph, op: Operator) -> str | None:
    """Scales are not so small or large that a result would be no number."""
    source, output = graph.input(op, 0).q, graph.output(op).q
    scales = (source.scale, source.zero_point), (output.scale, output.zero_point)
    steps = steps_from_zero(op.name, *scales, op.options)
    return f"scale {source.scale:g} to {output.scale:g}" if np.isnan(steps).any() else None


def rsqrt_scales(graph: Graph, op: Operator) -> str | None:
    """The output's scale times the root of the input's lies in [2^-29, 2^12]."""
    source, output = graph.input(op, 0).q.scale, graph.output(op).q.scale
    fits = 2.0**-12 <= rsqrt_factor(source, output) <= 2.0**29
    return None if fits else f"scale {source:g} to {output:g}"


def folded(graph: Graph, op: Operator) -> str | None:
    """Its input comes from a dequantize, and a quantize takes its output, perhaps by way of other functions
    of one value."""
    return None if op.options.get(FOLDED) else "it has no int8 kernel in the reference"


def hard_swish_scales(graph: Graph, op: Operator) -> str | None:
    """The input's scale lies in [2^-20, 2^16], the output's is more than 1/128 of it and at most 512 times
    it."""
    source, output = graph.input(op, 0).q.scale, graph.output(op).q.scale
    if not 2.0**-20 <= source <= 2.0**16:
        return f"the input's scale is {source:g}"
    return None if source / 128 < output <= 512 * source else f"scale {source:g} to {output:g}"
