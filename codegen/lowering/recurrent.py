"""Layers that go through a sequence."""

from __future__ import annotations

import math

import numpy as np

from codegen import lstm
from codegen.fixed_point import INT16_MAX, quantize_multiplier, sigmoid_table
from codegen.graph import Graph, Operator
from codegen.layers import Layer
from codegen.lowering import common
from codegen.options import LstmOptions
from codegen.pack import lstm_scratch_bytes, pack_gates
from codegen.windows import folded_bias

_GATE_BITS = 12  # fraction bits of gates before their activation


def lstm_layer(graph: Graph, op: Operator) -> Layer:
    """Rows of gates are stored by unit: their sums are all that its new states need. The output is the hidden
    state's bytes, as in the reference, whatever the output's scale."""
    source, units = graph.input(op, 0), graph.output(op).shape[2]
    hidden, cell = graph.input(op, lstm.HIDDEN_STATE).q, graph.input(op, lstm.CELL_STATE).q
    exponent = math.frexp(cell.scale)[1] - 1
    multiplier, shift = quantize_multiplier(lstm.output_factor(hidden.scale))
    of_inputs, of_hidden = lstm.products(graph, op)
    options = LstmOptions(
        steps=source.elements // source.shape[2], inputs=source.shape[2], units=units,
        **_fields("input", of_inputs), **_fields("hidden", of_hidden),
        cell_shift=-29 - exponent, **_cell_bounds(float(op.options["cell_clip"]), cell.scale),
        tanh_multiplier=3 << max(exponent + _GATE_BITS, 0), tanh_shift=max(-exponent - _GATE_BITS, 0),
        output_zero_point=hidden.zero_point, output_multiplier=multiplier, output_shift=shift,
        sigmoid=sigmoid_table(),
    )  # fmt: skip
    return common.layer_of(op, "lstm", options, scratch_bytes=lstm_scratch_bytes(options.inputs, units))


def _fields(name: str, product: lstm.Product) -> dict[str, object]:
    """The options of a product of all gates."""
    biases = [
        folded_bias(bias, weights, product.zero_point)
        for bias, weights in zip(product.biases, product.weights, strict=True)
    ]
    multipliers = [quantize_multiplier(factor) for factor in product.factors]
    return {
        f"{name}_weights": pack_gates(product.weights),
        f"{name}_bias": np.stack(biases, axis=1).reshape(-1).astype(np.int32),
        f"{name}_multiplier": tuple(multiplier for multiplier, _ in multipliers),
        f"{name}_shift": tuple(shift for _, shift in multipliers),
    }


def _cell_bounds(clip: float, scale: float) -> dict[str, int]:
    """What int16 and the clip, where it is not 0, leave of a cell state."""
    if clip == 0:
        return {"cell_min": -INT16_MAX - 1, "cell_max": INT16_MAX}
    limit = min(int(clip / scale), INT16_MAX)
    return {"cell_min": -limit, "cell_max": limit}
