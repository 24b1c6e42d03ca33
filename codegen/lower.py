"""Third pass: each operator becomes a layer, a kernel with its options and packed weights.

The graph has passed :mod:`codegen.check`, so everything here is arithmetic: nothing can be refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from codegen.costs import macs_and_ops
from codegen.fixed_point import (
    activation_range,
    inverses,
    quantize,
    quantize_multiplier,
    softmax_table,
)
from codegen.graph import Graph, Operator
from codegen.layers import Layer
from codegen.lookups import (
    DATA_INPUTS,
    DIVIDERS,
    RESHAPERS,
    TABLES,
    activation_of,
    bias_of,
    channel_scales,
    constant_ints,
    data_positions,
    limited_and_limit,
    matrices,
    padding_of,
    picked_elements,
    reduced_axes,
    source_of,
    strides_of,
    weights_matrix,
)
from codegen.options import (
    AddOptions,
    BatchMatmulOptions,
    ConcatenationOptions,
    Conv2DOptions,
    CopyOptions,
    DepthwiseConv2DOptions,
    DivOptions,
    FullyConnectedOptions,
    MeanOptions,
    MulOptions,
    Options,
    PadOptions,
    Pool2DOptions,
    Quad,
    QuantizeOptions,
    RequantizeOptions,
    SoftmaxOptions,
    StridedSliceOptions,
    TableOptions,
)
from codegen.pack import (
    conv_scratch_bytes,
    depthwise_scratch_bytes,
    matmul_scratch_bytes,
    pack_channels,
    pack_depthwise,
    pack_weights,
)
from codegen.tables import TABLE_MAKERS
from codegen.windows import folded_bias, pad_before, reduction_window


def lower(graph: Graph, rounding: str = "double") -> tuple[Layer, ...]:
    """The layers of a checked graph, one for each operator, in its order."""
    layers = tuple(lower_operator(graph, operator) for operator in graph.operators)
    if rounding == "double":
        return layers
    return tuple(_rounded_once(graph, *pair) for pair in zip(graph.operators, layers, strict=True))


def _rounded_once(graph: Graph, op: Operator, layer: Layer) -> Layer:
    """The layer for kernels that round once (NN_SINGLE_ROUNDING), as the vendor's build of the reference:
    tables hold rounded values too."""
    if op.name == "softmax":
        table = softmax_table(graph.input(op, 0).q.scale, float(op.options["beta"]), "single")
        options = replace(layer.options, table_entries=len(table), exp_table=table)
    elif op.name in TABLE_MAKERS:
        options = replace(layer.options, table=TABLE_MAKERS[op.name](graph, op, "single"))
    elif op.name == "fully_connected" and not graph.input(op, 1).q.per_channel:
        options = replace(layer.options, channels=_channels(graph, op, pad=True, product=np.float32))
    else:
        return layer
    return replace(layer, options=options, weights_bytes=_constant_bytes(options))


def lower_operator(graph: Graph, op: Operator) -> Layer:
    """The layer of one operator of a checked graph."""
    layer = LOWERINGS[op.name](graph, op)
    macs, ops = macs_and_ops(graph, op)
    return replace(
        layer,
        macs=macs,
        ops=ops,
        weights_bytes=_constant_bytes(layer.options),
        input_shape=",".join(graph.tensors[i].dimensions for i in op.inputs if i >= 0),
        output_shape=graph.output(op).dimensions,
        options_text=_options_text(op),
    )


def _layer(op: Operator, kernel: str, options: Options, **more) -> Layer:
    positions = data_positions(op)
    return Layer(
        index=op.index,
        opcode=op.opcode,
        name=op.name,
        kernel=kernel,
        inputs=tuple(op.inputs[k] for k in positions),
        output=op.outputs[0],
        options=options,
        part=op.part,
        **more,
    )


# --- layers with weights ---------------------------------------------------------------------------


def _channels(
    graph: Graph, op: Operator, *, pad: bool, product: type[np.floating] = np.float64
) -> np.ndarray:
    """Bias with the input's zero point folded in, and the factor from sums to outputs, by channel.

    ``product`` is the type in which the scales of input and weights are multiplied: float64 as in the
    reference. The vendor's build of it is older and multiplies those of a dense layer as float32.
    """
    source, output = graph.input(op, 0), graph.output(op)
    weights = weights_matrix(op, graph.input(op, 1))
    bias = folded_bias(bias_of(graph, op, len(weights)), weights, source.q.zero_point)
    products = product(source.q.scale) * channel_scales(graph, op, len(weights)).astype(product)
    factors = [float(scale) / output.q.scale for scale in products]
    return pack_channels(bias, [quantize_multiplier(factor) for factor in factors], pad=pad)


def _clamp(graph: Graph, op: Operator) -> dict[str, int]:
    q = graph.output(op).q
    low, high = activation_range(activation_of(op), q.scale, q.zero_point)
    return {"clamp_min": low, "clamp_max": high}


def _window(graph: Graph, op: Operator, kernel: tuple[int, int]) -> dict[str, int]:
    """The geometry that convolutions and pools share."""
    source, output = graph.input(op, 0).shape, graph.output(op).shape
    fields = {
        "input_height": source[1], "input_width": source[2],
        "output_height": output[1], "output_width": output[2],
        "kernel_height": kernel[0], "kernel_width": kernel[1],
    }  # fmt: skip
    for d, (side, pad) in enumerate((("height", "pad_top"), ("width", "pad_left"))):
        stride = int(op.options[f"stride_{side}"])
        dilation = int(op.options.get(f"dilation_{side}", 1))
        fields[f"stride_{side}"] = stride
        fields[pad] = pad_before(
            padding_of(op), source[d + 1], output[d + 1], kernel[d], stride, dilation
        )
    return fields


def _conv_fields(graph: Graph, op: Operator) -> dict[str, int]:
    source, weights, output = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    return {
        **_window(graph, op, weights.shape[1:3]),
        **_clamp(graph, op),
        "input_channels": source.shape[3],
        "output_channels": output.shape[3],
        "dilation_height": int(op.options["dilation_height"]),
        "dilation_width": int(op.options["dilation_width"]),
        "pad_value": source.q.zero_point,
        "output_zero_point": output.q.zero_point,
    }


def _conv_2d(graph: Graph, op: Operator) -> Layer:
    weights = weights_matrix(op, graph.input(op, 1))
    taps = weights.shape[1]
    row_taps = taps // graph.input(op, 1).shape[1]
    options = Conv2DOptions(
        **_conv_fields(graph, op),
        taps=taps,
        **pack_weights(weights, row_taps),
        channels=_channels(graph, op, pad=True),
    )
    scratch = conv_scratch_bytes(taps, len(weights), row_taps, options.input_width)
    return _layer(op, "conv_2d", options, scratch_bytes=scratch)


def _depthwise_conv_2d(graph: Graph, op: Operator) -> Layer:
    weights = weights_matrix(op, graph.input(op, 1))
    fields = _conv_fields(graph, op)
    if fields["input_channels"] == 1:
        return _conv_of_one_channel(graph, op, weights, fields)
    options = DepthwiseConv2DOptions(
        **fields,
        depth_multiplier=int(op.options["depth_multiplier"]),
        weights=pack_depthwise(weights),
        channels=_channels(graph, op, pad=False),
    )
    scratch = depthwise_scratch_bytes(fields)
    return _layer(op, "depthwise_conv_2d", options, scratch_bytes=scratch)


def _conv_of_one_channel(graph: Graph, op: Operator, weights: np.ndarray, fields: dict[str, int]) -> Layer:
    """A depthwise convolution of a single channel is an ordinary one, whose kernel is faster."""
    taps = weights.shape[1]
    options = Conv2DOptions(
        **fields,
        taps=taps,
        **pack_weights(weights, fields["kernel_width"]),
        channels=_channels(graph, op, pad=True),
    )
    scratch = conv_scratch_bytes(taps, len(weights), fields["kernel_width"], fields["input_width"])
    return _layer(op, "conv_2d", options, scratch_bytes=scratch)


def _fully_connected(graph: Graph, op: Operator) -> Layer:
    weights = weights_matrix(op, graph.input(op, 1))
    channels, taps = weights.shape
    options = FullyConnectedOptions(
        **_clamp(graph, op),
        rows=graph.input(op, 0).elements // taps,
        taps=taps,
        output_channels=channels,
        output_zero_point=graph.output(op).q.zero_point,
        **pack_weights(weights, taps, splits=True),
        channels=_channels(graph, op, pad=True),
    )
    return _layer(op, "fully_connected", options)


def _batch_matmul(graph: Graph, op: Operator) -> Layer:
    a, b, output = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    taps = matrices(graph, op)[0][1]
    first, second = ([*_strides(_quad(tensor.shape))] for tensor in (a, b))
    if op.options["adj_x"]:
        first[2:] = first[:1:-1]
    if op.options["adj_y"]:
        second[2:] = second[:1:-1]
    multiplier, shift = quantize_multiplier(a.q.scale * b.q.scale / output.q.scale)
    options = BatchMatmulOptions(
        shape=_quad(output.shape),
        strides_1=(*first[:3], 0), strides_2=(*second[:2], 0, second[3]),
        taps=taps, tap_1=first[3], tap_2=second[2],
        zero_point_1=a.q.zero_point, zero_point_2=b.q.zero_point,
        output_zero_point=output.q.zero_point, output_multiplier=multiplier, output_shift=shift,
    )  # fmt: skip
    return _layer(op, "batch_matmul", options, scratch_bytes=matmul_scratch_bytes(taps))


def _pool(graph: Graph, op: Operator) -> Layer:
    kernel = (int(op.options["filter_height"]), int(op.options["filter_width"]))
    options = Pool2DOptions(
        **_window(graph, op, kernel), **_clamp(graph, op), channels=graph.input(op, 0).shape[3]
    )
    return _layer(op, op.name, options)


# --- element by element ----------------------------------------------------------------------------


def _broadcast(graph: Graph, op: Operator) -> dict[str, int | Quad]:
    """Shape and strides of both inputs in four dimensions, strides 0 where one is broadcast."""
    shapes = [_quad(graph.input(op, k).shape) for k in (0, 1)]
    output = _quad(graph.output(op).shape)
    first, second = map(_strides, shapes)
    return {
        "elements": math.prod(output),
        "broadcast": int(any(shape != output for shape in shapes)),
        "shape": output,
        "strides_1": first,
        "strides_2": second,
    }


def _strides(shape: Quad) -> Quad:
    """In elements, 0 along a dimension of one."""
    return tuple(0 if n == 1 else stride for n, stride in zip(shape, strides_of(shape), strict=True))


def _in_place(graph: Graph, op: Operator) -> tuple[int, ...]:
    """Positions of the inputs that have the output's shape."""
    positions = DATA_INPUTS[op.name]
    return tuple(k for k in positions if _quad(graph.input(op, k).shape) == _quad(graph.output(op).shape))


def _add(graph: Graph, op: Operator) -> Layer:
    """Sums, differences and their squares, of inputs that are brought to one scale."""
    a, b, output = graph.input(op, 0).q, graph.input(op, 1).q, graph.output(op).q
    twice = 2 * max(a.scale, b.scale)
    left_shift, whole = 20, twice / (1 << 20)
    if op.name == "squared_difference":
        left_shift, whole = 7, twice * twice / (1 << 14)
    factors = (a.scale / twice, b.scale / twice, whole / output.scale)
    (m1, s1), (m2, s2), (m, s) = map(quantize_multiplier, factors)
    options = AddOptions(
        **_broadcast(graph, op), **_clamp(graph, op),
        left_shift=left_shift,
        zero_point_1=a.zero_point, multiplier_1=m1, shift_1=s1,
        zero_point_2=b.zero_point, multiplier_2=m2, shift_2=s2,
        output_zero_point=output.zero_point, output_multiplier=m, output_shift=s,
    )  # fmt: skip
    return _layer(op, op.name, options, in_place=_in_place(graph, op))


def _mul(graph: Graph, op: Operator) -> Layer:
    a, b, output = graph.input(op, 0).q, graph.input(op, 1).q, graph.output(op).q
    multiplier, shift = quantize_multiplier(a.scale * b.scale / output.scale)
    options = MulOptions(
        **_broadcast(graph, op), **_clamp(graph, op),
        zero_point_1=a.zero_point, zero_point_2=b.zero_point,
        output_zero_point=output.zero_point, output_multiplier=multiplier, output_shift=shift,
    )  # fmt: skip
    return _layer(op, "mul", options, in_place=_in_place(graph, op))


def _div(graph: Graph, op: Operator) -> Layer:
    a, b, output = graph.input(op, 0).q, graph.input(op, 1).q, graph.output(op).q
    multiplier, shift = quantize_multiplier(a.scale / (b.scale * output.scale))
    options = DivOptions(
        **_broadcast(graph, op), **_clamp(graph, op),
        zero_point_1=a.zero_point, zero_point_2=b.zero_point,
        output_zero_point=output.zero_point, output_multiplier=multiplier, output_shift=shift,
        inverses=inverses(),
    )  # fmt: skip
    return _layer(op, "div", options, in_place=_in_place(graph, op))


def _requantize_layer(graph: Graph, op: Operator, factor: float, low: int, high: int) -> Layer:
    source, output = graph.input(op, 0), graph.output(op)
    multiplier, shift = quantize_multiplier(factor)
    options = RequantizeOptions(
        elements=output.elements,
        input_zero_point=source.q.zero_point,
        multiplier=multiplier,
        shift=shift,
        output_zero_point=output.q.zero_point,
        clamp_min=low,
        clamp_max=high,
    )
    return _layer(op, "requantize", options, in_place=(0,))


def _relu(graph: Graph, op: Operator) -> Layer:
    source, output = graph.input(op, 0).q, graph.output(op).q
    # A division of floats, as the reference's.
    factor = float(np.float32(source.scale) / np.float32(output.scale))
    return _requantize_layer(graph, op, factor, max(-128, output.zero_point), 127)


def _relu6(graph: Graph, op: Operator) -> Layer:
    q = graph.input(op, 0).q
    six = max(-128, min(127, quantize(6.0, q.scale, q.zero_point)))
    return _requantize_layer(graph, op, 1.0, q.zero_point, six)


def _quantize(graph: Graph, op: Operator) -> Layer:
    source, output = graph.input(op, 0), graph.output(op)
    if source.type == "int8":
        return _requantize_layer(graph, op, source.q.scale / output.q.scale, -128, 127)
    options = QuantizeOptions(output.elements, output.q.scale, output.q.zero_point)
    return _layer(op, "quantize", options, in_place=(0,))


def _dequantize(graph: Graph, op: Operator) -> Layer:
    source = graph.input(op, 0)
    options = QuantizeOptions(source.elements, source.q.scale, source.q.zero_point)
    return _layer(op, "dequantize", options)


def _softmax(graph: Graph, op: Operator) -> Layer:
    source = graph.input(op, 0)
    table = softmax_table(source.q.scale, float(op.options["beta"]))
    depth = source.shape[-1]
    options = SoftmaxOptions(source.elements // depth, depth, len(table), table)
    return _layer(op, "softmax", options, in_place=(0,))


def _table(graph: Graph, op: Operator) -> Layer:
    table = TABLE_MAKERS[op.name](graph, op, "double")
    options = TableOptions(graph.output(op).elements, len(table) // 256, table)
    return _layer(op, "table", options, in_place=(0,))


def _limit(graph: Graph, op: Operator) -> Layer:
    """A minimum or maximum with one value: a table of one input, where a clamp of the requantization's kernel
    takes ten times as long."""
    return replace(_table(graph, op), inputs=(limited_and_limit(graph, op)[0].index,))


# --- movers and reducers ---------------------------------------------------------------------------


def _copy(graph: Graph, op: Operator) -> Layer:
    return _layer(op, "copy", CopyOptions(graph.output(op).bytes), alias=True)


def _concatenation(graph: Graph, op: Operator) -> Layer:
    shape = graph.output(op).shape
    axis = int(op.options["axis"]) % len(shape)
    blocks = [math.prod(graph.input(op, k).shape[axis:]) for k in range(len(op.inputs))]
    options = ConcatenationOptions(math.prod(shape[:axis]), np.array(blocks, np.int32))
    return _layer(op, "concatenation", options)


def _pack(graph: Graph, op: Operator) -> Layer:
    """A concatenation of inputs that are 1 long along a dimension which they do not have."""
    shape = graph.output(op).shape
    axis = int(op.options["axis"]) % len(shape)
    blocks = [math.prod(shape[axis + 1 :])] * len(op.inputs)
    options = ConcatenationOptions(math.prod(shape[:axis]), np.array(blocks, np.int32))
    return _layer(op, "concatenation", options)


def _pad(graph: Graph, op: Operator) -> Layer:
    source, output = graph.input(op, 0), graph.output(op)
    before = (constant_ints(graph, op, 1) or [])[::2]
    value = int(graph.input(op, 2).data.reshape(-1)[0]) if op.name == "padv2" else output.q.zero_point
    options = PadOptions(_quad(source.shape), _quad(output.shape), _quad(tuple(before), fill=0), value)
    return _layer(op, "pad", options)


def _mean(graph: Graph, op: Operator) -> Layer:
    """A mean, or a sum, which is one that nothing divides."""
    source, output = graph.input(op, 0), graph.output(op)
    shape = _quad(source.shape)
    lead = 4 - len(source.shape)
    reduced = {lead + axis for axis in reduced_axes(graph, op)}
    count = math.prod(shape[d] for d in reduced)
    multiplier, shift = quantize_multiplier(source.q.scale / output.q.scale)
    if op.name == "mean":
        # 1 / count goes into the multiplier, shifted up first by as many bits as it loses.
        up = min(count.bit_length() - 1, 32, 31 + shift)
        multiplier, shift = (multiplier << up) // count, shift - up
    strides = strides_of(shape)

    def pick(which: bool, values: Quad, neutral: int) -> Quad:
        return tuple(value if (d in reduced) == which else neutral for d, value in enumerate(values))

    options = MeanOptions(
        kept_shape=pick(False, shape, 1),
        kept_strides=pick(False, strides, 0),
        reduced_shape=pick(True, shape, 1),
        reduced_strides=pick(True, strides, 0),
        offset=count * source.q.zero_point,
        output_zero_point=output.q.zero_point,
        output_multiplier=multiplier,
        output_shift=shift,
    )
    return _layer(op, "mean", options)


def _reduce_max(graph: Graph, op: Operator) -> Layer:
    """A maximum over any dimensions is max pooling of the same bytes seen as another shape."""
    (height, width, channels), (rows, columns) = reduction_window(
        graph.input(op, 0).shape, reduced_axes(graph, op)
    )
    options = Pool2DOptions(
        input_height=height, input_width=width, channels=channels,
        output_height=height // rows, output_width=width // columns,
        kernel_height=rows, kernel_width=columns, stride_height=rows, stride_width=columns,
        pad_top=0, pad_left=0, clamp_min=-128, clamp_max=127,
    )  # fmt: skip
    return _layer(op, "max_pool_2d", options)


def _picked(graph: Graph, op: Operator) -> Layer:
    """Elements of the input by strides, or nothing to do where they are all of it in their order."""
    picked = picked_elements(graph, op)
    if (picked.shape, picked.strides) == ((source_of(graph, op).elements,), (1,)):
        return _copy(graph, op)
    options = StridedSliceOptions(_quad(picked.shape), _quad(picked.strides, fill=0), picked.start)
    return _layer(op, "strided_slice", options)


LOWERINGS: dict[str, Callable[[Graph, Operator], Layer]] = {
    "conv_2d": _conv_2d,
    "depthwise_conv_2d": _depthwise_conv_2d,
    "fully_connected": _fully_connected,
    "batch_matmul": _batch_matmul,
    "max_pool_2d": _pool,
    "average_pool_2d": _pool,
    "add": _add,
    "sub": _add,
    "squared_difference": _add,
    "mul": _mul,
    "div": _div,
    "maximum": _limit,
    "minimum": _limit,
    "pad": _pad,
    "padv2": _pad,
    "mean": _mean,
    "sum": _mean,
    "reduce_max": _reduce_max,
    **dict.fromkeys(RESHAPERS, _copy),
    "softmax": _softmax,
    "quantize": _quantize,
    "dequantize": _dequantize,
    "concatenation": _concatenation,
    "relu": _relu,
    "relu6": _relu6,
    **dict.fromkeys((*TABLES, "prelu"), _table),
    **dict.fromkeys(("strided_slice", "slice", "transpose", *DIVIDERS), _picked),
    "pack": _pack,
}


# --- small helpers ---------------------------------------------------------------------------------


def _quad(values: tuple[int, ...], fill: int = 1) -> Quad:
    """Four dimensions, outermost first; missing ones are ``fill``."""
    return (fill,) * (4 - len(values)) + tuple(values)


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
    if "activation" in o:
        parts.append(f"activation:{activation_of(op)}")
    if "axis" in o:
        parts.append(f"axis:{o['axis']}")
    if op.part is not None:
        parts.append(f"{op.part.kind}:{op.part.number} of {op.part.count}")
    for name in ("alpha", "beta"):
        if name in o:
            parts.append(f"{name}:{o[name]:g}")
    return " ".join(parts)
