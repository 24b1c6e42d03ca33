"""The layer of an SVDF."""

from __future__ import annotations

import numpy as np

from codegen.fixed_point import quantize_multiplier
from codegen.graph import Graph, Operator
from codegen.layers import Layer
from codegen.lookups import svdf_bias, svdf_factors
from codegen.lowering import common
from codegen.options import SvdfOptions
from codegen.windows import folded_bias


def svdf(graph: Graph, op: Operator) -> Layer:
    """Zero points of input and state go into biases, which wrap with the sums that begin with them."""
    source, features, times, state = (graph.input(op, k) for k in (0, 1, 2, 4))
    output, rank = graph.output(op), int(op.options["rank"])
    (m1, s1), (m2, s2) = map(quantize_multiplier, svdf_factors(graph, op))
    units = times.data.reshape(output.elements, -1)
    options = SvdfOptions(
        inputs=source.elements, units=output.elements, rank=rank, memory=times.shape[1],
        state_bytes=state.item_bytes,
        state_zero_point=state.q.zero_point, state_multiplier=m1, state_shift=s1,
        output_zero_point=output.q.zero_point, output_multiplier=m2, output_shift=s2,
        feature_weights=features.data.reshape(-1),
        feature_biases=_int32(folded_bias(np.zeros(len(features.data)), features.data, source.q.zero_point)),
        time_weights=np.ascontiguousarray(times.data).reshape(-1).view(np.int8),
        biases=_int32(folded_bias(svdf_bias(graph, op), units, state.q.zero_point)),
    )  # fmt: skip
    return common.layer_of(op, "svdf", options)


def _int32(values: np.ndarray) -> np.ndarray:
    return values.astype(np.int32)
