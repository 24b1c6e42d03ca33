"""What checking and lowering both ask of an LSTM: which inputs are what, and its products."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from codegen.graph import Graph, Operator

GATES = 4
# Inputs by gate: input gate, forget gate, candidate, output gate.
INPUT_WEIGHTS = (1, 2, 3, 4)
HIDDEN_WEIGHTS = (5, 6, 7, 8)
BIASES = (12, 13, 14, 15)
HIDDEN_STATE, CELL_STATE = 18, 19

_GATE_SCALE = 2.0**-12  # of int16 before activations
_ACTIVATED_SCALE = 2.0**-15  # and after them


@dataclass(frozen=True, eq=False)
class Product:
    """Of all gates with the input, or with the hidden state: ``weights`` int8 [4][units][taps], ``biases``
    int32 [4][units], the zero point of what they are multiplied with, and the factors [4] from sums to
    gates."""

    weights: np.ndarray
    biases: np.ndarray
    zero_point: int
    factors: tuple[float, ...]


def products(graph: Graph, op: Operator) -> tuple[Product, Product]:
    """With the input, and with the hidden state, which has no biases of its own."""
    biases = np.stack([graph.input(op, k).data for k in BIASES])
    return (
        _product(graph, op, 0, INPUT_WEIGHTS, biases),
        _product(graph, op, HIDDEN_STATE, HIDDEN_WEIGHTS, np.zeros_like(biases)),
    )


def _product(graph: Graph, op: Operator, of: int, weights: tuple[int, ...], biases: np.ndarray) -> Product:
    source, gates = graph.input(op, of), [graph.input(op, k) for k in weights]
    factors = tuple(source.q.scale * gate.q.scale / _GATE_SCALE for gate in gates)
    return Product(np.stack([gate.data for gate in gates]), biases, source.q.zero_point, factors)


def output_factor(scale: float) -> float:
    """From the product of two activated gates to an output of this scale."""
    return _ACTIVATED_SCALE * _ACTIVATED_SCALE / scale
