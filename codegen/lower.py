"""Third pass: each operator becomes a layer, a kernel with its options and packed weights.

The graph has passed :mod:`codegen.check`, so everything here and in :mod:`codegen.lowering` is arithmetic:
nothing can be refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from codegen.costs import macs_and_ops
from codegen.float_tables import BEFORE
from codegen.graph import Graph, Operator
from codegen.layers import Layer
from codegen.lookups import (
    DIVIDERS,
    REPEATERS,
    RESHAPERS,
    SHOWN_INPUTS,
    TABLES,
    activation_of,
    padding_of,
)
from codegen.lowering import elementwise, movers, recurrent, svdf, windowed
from codegen.lowering.tables import TABLE_MAKERS
from codegen.options import Options


def lower(graph: Graph, rounding: str = "double") -> tuple[Layer, ...]:
    """The layers of a checked graph, one for each operator, in its order."""
    layers = tuple(lower_operator(graph, operator) for operator in graph.operators)
    if rounding == "double":
        return layers
    return tuple(_rounded_once(graph, *pair) for pair in zip(graph.operators, layers, strict=True))


def lower_resets(graph: Graph) -> tuple[Layer, ...]:
    """For each variable, what gives it the values that it has before the first inference."""
    return tuple(movers.reset(graph, variable) for variable in graph.variables)


def _rounded_once(graph: Graph, op: Operator, layer: Layer) -> Layer:
    """The layer for kernels that round once (NN_SINGLE_ROUNDING), as the vendor's build of the reference:
    tables hold rounded values too."""
    if op.name in ("softmax", "log_softmax"):
        options = LOWERINGS[op.name](graph, op, "single").options
    elif op.name in TABLE_MAKERS:
        options = replace(layer.options, table=TABLE_MAKERS[op.name](graph, op, "single"))
    elif op.name == "fully_connected" and not graph.input(op, 1).q.per_channel:
        channels = windowed.packed_channels(graph, op, pad=True, product=np.float32)
        options = replace(layer.options, channels=channels)
    else:
        return layer
    return replace(layer, options=options, weights_bytes=_constant_bytes(options))


def lower_operator(graph: Graph, op: Operator) -> Layer:
    """The layer of one operator of a checked graph."""
    layer = LOWERINGS[op.name](graph, op)
    macs, ops = macs_and_ops(graph, op)
    shown = [graph.input(op, k) for k in SHOWN_INPUTS.get(op.name, range(len(op.inputs)))]
    return replace(
        layer,
        macs=macs,
        ops=ops,
        weights_bytes=_constant_bytes(layer.options),
        input_shape=",".join(tensor.dimensions for tensor in shown if tensor is not None),
        output_shape=graph.output(op).dimensions,
        options_text=_options_text(op),
    )


LOWERINGS: dict[str, Callable[..., Layer]] = {
    "conv_2d": windowed.conv_2d,
    "depthwise_conv_2d": windowed.depthwise_conv_2d,
    "fully_connected": windowed.fully_connected,
    "batch_matmul": windowed.batch_matmul,
    "svdf": svdf.svdf,
    "max_pool_2d": windowed.pool,
    "average_pool_2d": windowed.pool,
    "add": elementwise.add,
    "sub": elementwise.add,
    "squared_difference": elementwise.add,
    "mul": elementwise.mul,
    "div": elementwise.div,
    "maximum": elementwise.limit,
    "minimum": elementwise.limit,
    "pad": movers.pad,
    "padv2": movers.pad,
    "mean": movers.mean,
    "sum": movers.mean,
    "reduce_max": movers.reduce_max,
    **dict.fromkeys((*RESHAPERS, "read_variable", "assign_variable"), movers.copy),
    "softmax": elementwise.softmax,
    "log_softmax": elementwise.log_softmax,
    "l2_normalization": elementwise.l2_normalization,
    "quantize": elementwise.quantize_layer,
    "dequantize": elementwise.dequantize,
    **dict.fromkeys(("concatenation", "pack"), movers.concatenation),
    "relu": elementwise.relu,
    "relu6": elementwise.relu6,
    **dict.fromkeys((*TABLES, "prelu"), elementwise.table),
    **dict.fromkeys(
        ("strided_slice", "slice", "reverse_v2", "transpose", *DIVIDERS, *REPEATERS), movers.picked
    ),
    "unidirectional_sequence_lstm": recurrent.lstm_layer,
}


def _constant_bytes(options: Options) -> int:
    """Flash that the layer's arrays take."""
    return sum(value.nbytes for value in vars(options).values() if isinstance(value, np.ndarray))


def _options_text(op: Operator) -> str:
    """The options as the vendor's profiler writes them, width before height."""
    o = op.options
    parts = []
    if "depth_multiplier" in o:
        parts.append(f"multiplier:{o['depth_multiplier']}")
    if "padding" in o:
        parts.append(f"padding:{padding_of(op)} stride:{o['stride_width']}x{o['stride_height']}")
    if "filter_width" in o:
        parts.append(f"filter:{o['filter_width']}x{o['filter_height']}")
    if (o.get("dilation_width", 1), o.get("dilation_height", 1)) != (1, 1):
        parts.append(f"dilation:{o['dilation_width']}x{o['dilation_height']}")
    if "rank" in o:
        parts.append(f"rank:{o['rank']}")
    if "activation" in o:
        parts.append(f"activation:{activation_of(op)}")
    if "axis" in o:
        parts.append(f"axis:{o['axis']}")
    parts += [name for name in ("adj_x", "adj_y") if o.get(name)]
    if BEFORE in o:
        parts.append("of:" + ",".join(name for name, _ in o[BEFORE]))
    if op.part is not None:
        parts.append(f"{op.part.kind}:{op.part.number} of {op.part.count}")
    for name in ("alpha", "beta"):
        if name in o:
            parts.append(f"{name}:{o[name]:g}")
    return " ".join(parts)
