"""Rules of products of matrices that are both computed."""

from __future__ import annotations

import numpy as np

from codegen.graph import Graph, Operator
from codegen.lookups import matrices


def matrices_fit(graph: Graph, op: Operator) -> str | None:
    """The last two dimensions are matrices, as many taps in both (adj_x and adj_y transpose them); dimensions
    before these broadcast; they make the output's shape."""
    first, second, output = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    said = f"{first.dimensions} times {second.dimensions} into {output.dimensions}"
    if min(len(first.shape), len(second.shape)) < 2:
        return said
    (rows, taps), (others, columns) = matrices(graph, op)
    try:
        batches = np.broadcast_shapes(first.shape[:-2], second.shape[:-2])
    except ValueError:
        return said
    fits = taps == others and output.shape == (*batches, rows, columns)
    return None if fits else said


def products_fit(graph: Graph, op: Operator) -> str | None:
    """Whatever the inputs, sums stay within 30 bits and their rescaled values within 29."""
    first, second, output = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    largest = 255 * 255 * matrices(graph, op)[0][1]
    factor = first.q.scale * second.q.scale / output.q.scale
    if largest >= 1 << 30:
        return f"sums can reach {largest}"
    return None if largest * factor < 1 << 29 else f"sums of up to {largest} are rescaled by {factor:g}"
