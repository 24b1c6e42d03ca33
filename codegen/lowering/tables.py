"""Which 256 outcomes an operator has that is a function of one int8: :data:`TABLE_MAKERS`, by its name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from codegen.fixed_point import (
    Scale,
    abs_table,
    hard_swish_table,
    leaky_relu_table,
    logistic_table,
    prelu_table,
    rsqrt_table,
    tanh_table,
)
from codegen.float_tables import FUNCTIONS, float_table
from codegen.graph import Graph, Operator, Tensor
from codegen.lookups import limited_and_limit


def _scale(tensor: Tensor) -> Scale:
    return tensor.q.scale, tensor.q.zero_point


def _logistic_table(graph: Graph, op: Operator, rounding: str) -> np.ndarray:
    return logistic_table(*_scale(graph.input(op, 0)), rounding)


def _tanh_table(graph: Graph, op: Operator, rounding: str) -> np.ndarray:
    return tanh_table(*_scale(graph.input(op, 0)), rounding)


def _leaky_relu_table(graph: Graph, op: Operator, rounding: str) -> np.ndarray:
    scales = (_scale(graph.input(op, 0)), _scale(graph.output(op)))
    return leaky_relu_table(*scales, float(op.options["alpha"]), rounding)


def _abs_table(graph: Graph, op: Operator, rounding: str) -> np.ndarray:
    return abs_table(_scale(graph.input(op, 0)), _scale(graph.output(op)), rounding)


def _float_table(graph: Graph, op: Operator, rounding: str) -> np.ndarray:
    return float_table(op.name, _scale(graph.input(op, 0)), _scale(graph.output(op)), op.options)


def _prelu_tables(graph: Graph, op: Operator, rounding: str) -> np.ndarray:
    """A table for each alpha."""
    scales = [_scale(tensor) for tensor in (graph.input(op, 0), graph.input(op, 1), graph.output(op))]
    alphas = graph.input(op, 1).data.reshape(-1)
    return np.concatenate([prelu_table(*scales, int(alpha), rounding) for alpha in alphas])


def _limited_table(graph: Graph, op: Operator, rounding: str) -> np.ndarray:
    limit = limited_and_limit(graph, op)[1]
    low, high = (-128, limit) if op.name == "minimum" else (limit, 127)
    return np.arange(-128, 128).clip(low, high).astype(np.int8)


def _hard_swish_table(graph: Graph, op: Operator, rounding: str) -> np.ndarray:
    """The reference rounds these as it always does, however it is built."""
    return hard_swish_table(_scale(graph.input(op, 0)), _scale(graph.output(op)))


def _rsqrt_table(graph: Graph, op: Operator, rounding: str) -> np.ndarray:
    return rsqrt_table(_scale(graph.input(op, 0)), _scale(graph.output(op)), rounding)


TABLE_MAKERS: dict[str, Callable[[Graph, Operator, str], np.ndarray]] = {
    **dict.fromkeys(FUNCTIONS, _float_table),
    "abs": _abs_table,
    "logistic": _logistic_table,
    "tanh": _tanh_table,
    "leaky_relu": _leaky_relu_table,
    "hard_swish": _hard_swish_table,
    "maximum": _limited_table,
    "minimum": _limited_table,
    "prelu": _prelu_tables,
    "rsqrt": _rsqrt_table,
}
