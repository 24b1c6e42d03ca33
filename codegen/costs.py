"""Multiply-accumulates and operations of an operator, counted as the vendor's profiler counts them.

A MAC is two operations; a bias adds one for each output, a fused activation two. Positions outside the
input count as MACs too. Operators that the vendor counts as nothing (reshape, mean, logistic) do here,
and so do others that are tables like logistic; a reduce_max counts as the max pooling that it is.
"""

from __future__ import annotations

from codegen.graph import Graph, Operator
from codegen.lookups import activation_of, channel_axis, matrices
from codegen.lstm import GATES

_LSTM_UNIT_OPS = 4 + 5 + 4
"""A step's sums of both products, activations, and what they are multiplied and added to the new states."""


def macs_and_ops(graph: Graph, op: Operator) -> tuple[int, int]:
    """(MACs, operations) of one inference."""
    outputs = graph.output(op).elements
    if op.name in ("conv_2d", "depthwise_conv_2d", "fully_connected"):
        weights = graph.input(op, 1)
        macs = outputs * weights.elements // weights.shape[channel_axis(op)]
        biases = outputs if graph.input(op, 2) is not None else 0
        return macs, 2 * macs + biases + _activation_ops(op, outputs)
    if op.name == "batch_matmul":
        macs = outputs * matrices(graph, op)[0][1]
        return macs, 2 * macs
    if op.name == "svdf":
        macs = sum(graph.input(op, k).elements for k in (1, 2))
        return macs, 2 * macs + outputs + _activation_ops(op, outputs)
    if op.name == "unidirectional_sequence_lstm":
        inputs, units = graph.input(op, 0).shape[2], graph.output(op).shape[2]
        macs = outputs * GATES * (inputs + units)
        return macs, 2 * macs + outputs * (GATES + _LSTM_UNIT_OPS)
    return 0, _other_ops(graph, op, outputs)


def _other_ops(graph: Graph, op: Operator, outputs: int) -> int:
    inputs = graph.input(op, 0).elements
    if op.name in ("max_pool_2d", "average_pool_2d"):
        window = int(op.options["filter_height"]) * int(op.options["filter_width"])
        division = 1 if op.name == "average_pool_2d" else 0
        return outputs * (window + division) + _activation_ops(op, outputs)
    each = {
        "add": 1, "sub": 1, "mul": 1, "softmax": 5, "quantize": 4, "dequantize": 2, "relu": 2, "relu6": 2,
        "maximum": 1, "minimum": 1, "pad": 6, "padv2": 6, "reduce_max": 1,
        "squared_difference": 2, "div": 1, "log_softmax": 5, "l2_normalization": 3,
    }  # fmt: skip
    return each.get(op.name, 0) * (outputs if op.name in ("pad", "padv2") else max(inputs, outputs))


def _activation_ops(op: Operator, outputs: int) -> int:
    return 0 if activation_of(op) == "none" else 2 * outputs
