"""Rules of SVDF, which keeps a state."""

from __future__ import annotations

import numpy as np

from codegen.graph import Graph, Operator, Tensor
from codegen.lookups import activation_of, svdf_bias, svdf_factors
from codegen.rules import common
from codegen.windows import largest_sums


def operands(graph: Graph, op: Operator) -> str | None:
    """Weights are constants of one positive scale and zero point 0: int8 of features, and of time int8 or
    int16, as the state is; an int16 state has zero point 0. The bias, where there is one, is constant
    int32."""
    source, state = graph.input(op, 0), graph.input(op, 4)
    if source.type != "int8":
        return f"the input is {source.type}"
    for k, what, kind in ((1, "feature", "int8"), (2, "time", state.type)):
        if reason := _bad_weights(graph.input(op, k), kind):
            return f"input {k}, the {what} weights, {reason}"
    if state.type == "int16" and (reason := common.bad_symmetric(state)):
        return f"the state, tensor {state.index}, {reason}"
    bias = graph.input(op, 3)
    if bias is not None and not (bias.constant and bias.type == "int32"):
        return f"the bias is {common.described(bias)}"
    return None


def _bad_weights(weights: Tensor | None, kind: str) -> str | None:
    if weights is None:
        return "is missing"
    if not weights.constant or weights.type != kind:
        return f"is {common.described(weights)}; it has to be constant {kind}"
    return common.bad_symmetric(weights)


def fits(graph: Graph, op: Operator) -> str | None:
    """Input [1, inputs], weights of features [filters, inputs] and of time [filters, memory], state
    [1, filters * memory], output [1, filters / rank]."""
    shapes = [graph.input(op, k).shape for k in (0, 1, 2, 4)]
    source, features, times, state = shapes
    output, rank = graph.output(op).shape, int(op.options["rank"])
    said = ", ".join("x".join(map(str, shape)) for shape in (*shapes, output))
    if any(len(shape) != 2 for shape in (*shapes, output)) or 0 in times or rank < 1 or features[0] % rank:
        return f"{said}, rank {rank}"
    filters, units = features[0], features[0] // rank
    bias = graph.input(op, 3)
    fits = (
        (source[0], features[1], times[0]) == (1, source[1], filters)
        and (state, output) == ((1, filters * times[1]), (1, units))
        and (bias is None or bias.elements == units)
    )
    return None if fits else f"{said}, rank {rank}"


def activation(graph: Graph, op: Operator) -> str | None:
    """The fused activation is none, or relu with the output's zero point -128: the reference has int8's
    bounds alone."""
    name, zero_point = activation_of(op), graph.output(op).q.zero_point
    if name == "none" or (name, zero_point) == ("relu", -128):
        return None
    return f"the fused activation is {name}, the output's zero point {zero_point}"


def sums_fit(graph: Graph, op: Operator) -> str | None:
    """Rescaled sums stay within 31 bits, whatever the input; sums over an int16 state, which wrap in 32 bits,
    are rescaled by less than a half."""
    source, features, times, state = (graph.input(op, k) for k in (0, 1, 2, 4))
    factors = svdf_factors(graph, op)
    largest = largest_sums(np.zeros(len(features.data)), features.data, source.q.zero_point).max()
    if not (largest < 1 << 31 and largest * factors[0] < 1 << 30):
        return f"sums of up to {largest} are rescaled by {factors[0]:g}"
    if state.type == "int16":
        return None if factors[1] < 0.5 else f"sums over the state are rescaled by {factors[1]:g}"
    weights = times.data.reshape(graph.output(op).elements, -1)
    largest = largest_sums(svdf_bias(graph, op), weights, state.q.zero_point).max()
    if not (largest < 1 << 31 and largest * factors[1] < 1 << 30):
        return f"sums over the state of up to {largest} are rescaled by {factors[1]:g}"
    return None
