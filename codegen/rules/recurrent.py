"""Rules of recurrent layers."""

from __future__ import annotations

import math

from codegen import lstm
from codegen.fixed_point import quantize_multiplier
from codegen.graph import Graph, Operator
from codegen.rules import common
from codegen.schema import ACTIVATION
from codegen.windows import largest_sums

LEFT_OUT = {
    "peepholes": (9, 10, 11), "a projection": (16, 17), "layer normalization": (20, 21, 22, 23),
}  # fmt: skip
CELL_EXPONENTS = range(-29, 3)
"""Of scales of cell states that the kernel can shift to."""


def as_of_keras(graph: Graph, op: Operator) -> str | None:
    """It is the LSTM that Keras has: four gates with weights and biases (no coupled input and forget gates),
    tanh as its activation, no peepholes, projection, layer normalization or diagonal weights."""
    for what, positions in LEFT_OUT.items():
        if any(graph.input(op, k) is not None for k in positions):
            return f"it has {what}"
    for k in (*lstm.INPUT_WEIGHTS, *lstm.HIDDEN_WEIGHTS, *lstm.BIASES, lstm.HIDDEN_STATE, lstm.CELL_STATE):
        if graph.input(op, k) is None:
            return f"input {k} is missing"
    if op.options["diagonal_recurrent_tensors"]:
        return "its recurrent weights are diagonal"
    activation = ACTIVATION.get(op.options["cell_activation"], f"number {op.options['cell_activation']}")
    return None if activation == "tanh" else f"its activation is {activation}"


def sequence_of_one(graph: Graph, op: Operator) -> str | None:
    """Input and output are one sequence, [1, steps, values] or, time major, [steps, 1, values] (convert the
    Keras model with a batch of 1)."""
    source, output = graph.input(op, 0), graph.output(op)
    batch = 1 if op.options["time_major"] else 0
    for tensor in (source, output):
        if len(tensor.shape) != 3 or tensor.shape[batch] != 1:
            return f"tensor {tensor.index} has the shape {tensor.dimensions}"
    same = source.shape[:2] == output.shape[:2]
    return None if same else f"the input is {source.dimensions}, the output {output.dimensions}"


def gates_fit(graph: Graph, op: Operator) -> str | None:
    """Weights are constant int8 of -127 to 127 with zero point 0 and one positive scale, biases constant
    int32, both for as many units as the output's last dimension."""
    inputs, units = graph.input(op, 0).shape[2], graph.output(op).shape[2]
    shapes = dict.fromkeys(lstm.INPUT_WEIGHTS, (units, inputs))
    shapes |= dict.fromkeys(lstm.HIDDEN_WEIGHTS, (units, units))
    for k, shape in shapes.items():
        weights = graph.input(op, k)
        if not weights.constant or weights.type != "int8" or weights.shape != shape:
            return f"the weight tensor (input {k}) is {common.described(weights)}"
        if reason := common.bad_symmetric(weights):
            return f"the weight tensor (input {k}) {reason}"
        if weights.data.min() == -128:
            return f"the weight tensor (input {k}) has a value of -128"
    for k in lstm.BIASES:
        bias = graph.input(op, k)
        if not bias.constant or bias.type != "int32" or bias.shape != (units,):
            return f"the bias (input {k}) is {common.described(bias)}"
    return None


def own_states(graph: Graph, op: Operator) -> str | None:
    """Its states are no constants, no other operator's, and as large as the output's last dimension: the
    hidden state int8, the cell state int16 with zero point 0 and a scale that is a power of two from 2^-29
    to 4. A cell clip is not negative."""
    units = graph.output(op).shape[2]
    hidden, cell = graph.input(op, lstm.HIDDEN_STATE), graph.input(op, lstm.CELL_STATE)
    for state, type in ((hidden, "int8"), (cell, "int16")):
        if state.type != type or state.elements != units or state.constant:
            return f"tensor {state.index}, a state, is {common.described(state)}"
        if reason := common.bad_quantization(state):
            return f"tensor {state.index}, a state, {reason}"
        if graph.uses(state.index) != 1:
            return f"tensor {state.index}, a state, is used by others too"
    fraction, exponent = math.frexp(cell.q.scale)
    if fraction != 0.5 or exponent - 1 not in CELL_EXPONENTS or cell.q.zero_point != 0:
        return f"the cell state has scale {cell.q.scale:g} and zero point {cell.q.zero_point}"
    clip = float(op.options["cell_clip"])
    return None if math.isfinite(clip) and clip >= 0 else f"the cell clip is {clip:g}"


def gates_sums_fit(graph: Graph, op: Operator) -> str | None:
    """Whatever the input, a gate's sums stay within 30 bits, also shifted left by as much as their multiplier
    has them; the hidden state's scale is above 2^-30."""
    for product in lstm.products(graph, op):
        for gate in range(lstm.GATES):
            sums = largest_sums(product.biases[gate], product.weights[gate], product.zero_point)
            largest, factor = int(sums.max()), product.factors[gate]
            if largest << max(quantize_multiplier(factor)[1], 0) >= 1 << 30:
                return f"sums of up to {largest} are rescaled by {factor:g}"
    scale = graph.input(op, lstm.HIDDEN_STATE).q.scale
    return None if lstm.output_factor(scale) < 1 else f"the hidden state has the scale {scale:g}"
