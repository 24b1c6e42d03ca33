"""Second pass: refuses, with the operator's index and the reason, whatever the kernels cannot do.

Each constraint is a small function that returns None or what is wrong; its docstring is the rule as a
user reads it (:func:`rules` lists them all). After this pass lowering cannot fail.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from codegen import schema
from codegen.errors import TokayError
from codegen.float_tables import FOLDED, steps_from_zero
from codegen.graph import Graph, Operator, Tensor
from codegen.lookups import (
    ACTIVATION_RULES_APPLY,
    DATA_INPUTS,
    DIVIDERS,
    RESHAPERS,
    activation_of,
    bias_of,
    channel_axis,
    channel_scales,
    constant_ints,
    data_positions,
    division_axis,
    division_sizes,
    limited_and_limit,
    padding_of,
    permutation,
    picked_elements,
    reduced_axes,
    slice_axes,
    source_of,
    weights_matrix,
)
from codegen.windows import largest_sums, output_size

Constraint = Callable[[Graph, Operator], "str | None"]

MAX_STEP = 1 << 15
MAX_EXTENT = 1 << 24
MAX_SOFTMAX_DEPTH = 511
MAX_TABLES = 256
MAX_CONSTANT_BYTES = 1 << 22

UNSUPPORTED = {
    "space_to_batch_nd": "export the model with a batch of 1: then it is a dilated convolution",
}
"""What to do about operators that the converter makes of something supported."""


def check_graph(graph: Graph) -> None:
    """Raises TokayError for the first rule that the network breaks."""
    _check_structure(graph)
    for operator in graph.operators:
        if operator.name not in CONSTRAINTS or operator.opcode not in schema.OPERATORS:
            hint = UNSUPPORTED.get(operator.name, "host.compile --operators lists what is")
            raise TokayError(f"{operator} is not supported", hint=hint)
        for constraint in (*GENERIC, *CONSTRAINTS[operator.name]):
            if reason := constraint(graph, operator):
                rule = " ".join((constraint.__doc__ or "").split())
                raise TokayError(f"{operator}: {reason}", hint=rule)
    _check_order(graph)


def rules() -> dict[str, list[str]]:
    """Every operator with its rules, and those of all under ``"*"``."""

    def docs(constraints: tuple[Constraint, ...]) -> list[str]:
        return [" ".join((c.__doc__ or "").split()) for c in constraints]

    return {"*": docs(GENERIC), **{name: docs(constraints) for name, constraints in CONSTRAINTS.items()}}


# --- the network -----------------------------------------------------------------------------------


def _check_structure(graph: Graph) -> None:
    constants = sum(t.bytes for op in graph.operators for t in _inputs(graph, op) if t.constant)
    if constants > MAX_CONSTANT_BYTES:
        raise TokayError(
            f"the operators' constants add up to {constants:,} bytes",
            hint=f"at most {MAX_CONSTANT_BYTES:,} are compiled, more than the chip's flash",
        )
    if not graph.operators:
        raise TokayError("no operator leads to the model's output")
    for what, tensors in (("inputs", graph.inputs), ("outputs", graph.outputs)):
        if len(tensors) != 1:
            raise TokayError(f"the model has {len(tensors)} {what}", hint="networks of one are supported")
        tensor = graph.tensors[tensors[0]]
        if tensor.constant:
            raise TokayError(f"tensor {tensor.index}, one of the model's {what}, is constant")
        if tensor.type not in ("int8", "float32"):
            raise TokayError(
                f"the model's {what[:-1]} is {tensor.type}", hint="quantize it to int8; float32 is converted"
            )


def _check_order(graph: Graph) -> None:
    """Operators come in an order in which each tensor is written once, before it is read."""
    written = set(graph.inputs)
    for operator in graph.operators:
        for tensor in _data_tensors(graph, operator)[:-1]:
            if not tensor.constant and tensor.index not in written:
                raise TokayError(f"{operator} reads tensor {tensor.index} before it is written")
        for index in operator.outputs:
            if index in written or graph.tensors[index].constant:
                raise TokayError(f"{operator} writes tensor {index}, which is constant or already written")
            written.add(index)
    if graph.outputs[0] not in written or graph.outputs[0] in graph.inputs:
        raise TokayError(f"no operator writes the model's output, tensor {graph.outputs[0]}")


# --- all operators ---------------------------------------------------------------------------------


def _has_operands(graph: Graph, op: Operator) -> str | None:
    """An operator has its data inputs and one output."""
    if len(op.outputs) != 1:
        return f"it has {len(op.outputs)} outputs"
    wanted = DATA_INPUTS[op.name] or range(max(1, len(op.inputs)))
    missing = [k for k in wanted if graph.input(op, k) is None]
    return f"input {missing[0]} is missing" if missing else None


def _has_elements(graph: Graph, op: Operator) -> str | None:
    """Every dimension is known and at least 1."""
    for tensor in _data_tensors(graph, op):
        if tensor.elements == 0:
            return f"tensor {tensor.index} has the shape {_shape(tensor)}"
    return None


def _is_int8(graph: Graph, op: Operator) -> str | None:
    """Data is int8 (convert with int8 operators alone and a representative dataset), with one scale
    (positive) and one zero point (-128..127) a tensor; quantize and dequantize convert from and to float32;
    reshape takes any type."""
    types = {"quantize": ({"int8", "float32"}, {"int8"}), "dequantize": ({"int8"}, {"float32"})}
    if op.name in RESHAPERS:
        a, b = graph.input(op, 0), graph.output(op)
        return None if a.type == b.type else f"the input is {a.type}, the output {b.type}"
    inputs, outputs = types.get(op.name, ({"int8"}, {"int8"}))
    for tensor in _data_tensors(graph, op):
        allowed = outputs if tensor.index == op.outputs[0] else inputs
        if tensor.type not in allowed:
            return f"tensor {tensor.index} is {tensor.type}, not {' or '.join(sorted(allowed))}"
        if tensor.type == "int8" and (reason := _bad_quantization(tensor)):
            return f"tensor {tensor.index} {reason}"
    return None


def _activation_known(graph: Graph, op: Operator) -> str | None:
    """A fused activation is none, relu, relu6 or relu_n1_to_1 (none for concatenation)."""
    if op.name not in ACTIVATION_RULES_APPLY:
        return None
    allowed = ("none",) if op.name == "concatenation" else ("none", "relu", "relu6", "relu_n1_to_1")
    name = activation_of(op)
    if name not in allowed:
        return f"the fused activation {name} is not supported"
    return None


GENERIC: tuple[Constraint, ...] = (_has_operands, _has_elements, _is_int8, _activation_known)


# --- windows ---------------------------------------------------------------------------------------


def _image(graph: Graph, op: Operator) -> str | None:
    """Input and output are [1, height, width, channels]."""
    for tensor in (graph.input(op, 0), graph.output(op)):
        if len(tensor.shape) != 4 or tensor.shape[0] != 1:
            return f"tensor {tensor.index} has the shape {_shape(tensor)}"
    return None


def _constant_weights(graph: Graph, op: Operator) -> str | None:
    """Weights are constant int8 with zero point 0, one positive scale or one for each output channel."""
    weights = graph.input(op, 1)
    if weights is None or not weights.constant:
        return "the weights are not constant"
    if weights.type != "int8":
        return f"the weights are {weights.type}"
    if len(weights.shape) != (2 if op.name == "fully_connected" else 4) or weights.elements == 0:
        return f"the weights have the shape {_shape(weights)}"
    q = weights.quantization
    if q is None or (q.zero_points != 0).any():
        return "the weights have no scale, or a zero point other than 0"
    if not (np.isfinite(q.scales).all() and (q.scales > 0).all()):
        return "a scale of the weights is not a positive number"
    axis = channel_axis(op)
    if q.per_channel and (q.dimension != axis or len(q.scales) != weights.shape[axis]):
        return f"the weights have {len(q.scales)} scales along dimension {q.dimension}"
    return None


def _constant_bias(graph: Graph, op: Operator) -> str | None:
    """The bias, where there is one, is a constant int32 for each output channel."""
    bias = graph.input(op, 2)
    if bias is None:
        return None
    channels = graph.input(op, 1).shape[channel_axis(op)]
    if not bias.constant or bias.type != "int32" or bias.elements != channels:
        return f"the bias is {bias.type} {_shape(bias)}, {'' if bias.constant else 'not '}constant"
    return None


def _sums_fit(graph: Graph, op: Operator) -> str | None:
    """Whatever the input, sums and their rescaled values stay within 31 bits."""
    source, output = graph.input(op, 0), graph.output(op)
    weights = weights_matrix(op, graph.input(op, 1))
    largest = largest_sums(bias_of(graph, op, len(weights)), weights, source.q.zero_point)
    factors = source.q.scale * channel_scales(graph, op, len(weights)).astype(np.float64) / output.q.scale
    if largest.max() >= 1 << 31:
        return f"the sum of channel {int(largest.argmax())} can reach {int(largest.max())}"
    rescaled = largest * factors
    if not rescaled.max() < 1 << 30:
        return f"channel {int(rescaled.argmax())} is rescaled by {factors[rescaled.argmax()]:g}"
    return None


def _window_steps(graph: Graph, op: Operator) -> str | None:
    """Padding is same or valid; kernel sizes, strides and dilations are at least 1, strides and
    dilations below 32768."""
    if padding_of(op) is None:
        return f"padding {op.options['padding']}"
    for name in ("stride_height", "stride_width", "dilation_height", "dilation_width"):
        if not 1 <= op.options.get(name, 1) < MAX_STEP:
            return f"{name} is {op.options[name]}"
    for size, dilation in zip(_kernel(graph, op), _dilation(op), strict=True):
        if size < 1 or size * dilation > MAX_EXTENT:
            return f"the kernel is {'x'.join(map(str, _kernel(graph, op)))}"
    return None


def _output_matches_window(graph: Graph, op: Operator) -> str | None:
    """The output is as large as padding, kernel, stride and dilation make it."""
    source, output = graph.input(op, 0), graph.output(op)
    steps = (op.options["stride_height"], op.options["stride_width"])
    expected = tuple(
        output_size(padding_of(op), *each)
        for each in zip(source.shape[1:3], _kernel(graph, op), steps, _dilation(op), strict=True)
    )
    if output.shape[1:3] != expected:
        return f"the output is {_shape(output)}, not 1x{expected[0]}x{expected[1]}"
    return None


def _conv_channels(graph: Graph, op: Operator) -> str | None:
    """Every filter sees all input channels, or those of its group (all groups are alike), and there is one
    filter for each output channel."""
    source, weights, output = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    if source.shape[3] % weights.shape[3] or weights.shape[0] % (source.shape[3] // weights.shape[3]):
        return f"{weights.shape[0]} filters of {weights.shape[3]} channels on an input of {source.shape[3]}"
    if weights.shape[0] != output.shape[3]:
        return f"{weights.shape[0]} filters for {output.shape[3]} output channels"
    return None


def _depthwise_channels(graph: Graph, op: Operator) -> str | None:
    """Output channels are input channels times the depth multiplier."""
    source, weights, output = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    multiplier = op.options["depth_multiplier"]
    if weights.shape[0] != 1 or not (weights.shape[3] == output.shape[3] == source.shape[3] * multiplier):
        return f"{_shape(source)} times {multiplier}, weights {_shape(weights)}, output {_shape(output)}"
    return None


def _pool_channels(graph: Graph, op: Operator) -> str | None:
    """Pooling keeps the number of channels."""
    source, output = graph.input(op, 0), graph.output(op)
    return None if source.shape[3] == output.shape[3] else f"{_shape(source)} to {_shape(output)}"


def _fully_connected_shapes(graph: Graph, op: Operator) -> str | None:
    """Rows of as many values as the weights have taps, in the default weights format."""
    source, weights, output = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    channels, taps = weights.shape
    if op.options["weights_format"] != 0:
        return f"weights format {op.options['weights_format']}"
    if source.elements % taps or output.elements != source.elements // taps * channels:
        return f"input {_shape(source)}, weights {_shape(weights)}, output {_shape(output)}"
    if not output.shape or output.shape[-1] != channels:
        return f"{channels} channels into an output of {_shape(output)}"
    return None


# --- element by element ----------------------------------------------------------------------------


def _rank_at_most_4(graph: Graph, op: Operator) -> str | None:
    """Tensors have at most four dimensions."""
    for tensor in _data_tensors(graph, op):
        if len(tensor.shape) > 4:
            return f"tensor {tensor.index} has the shape {_shape(tensor)}"
    return None


def _broadcasts(graph: Graph, op: Operator) -> str | None:
    """Both inputs broadcast to the output's shape."""
    shapes = [graph.input(op, k).shape for k in (0, 1)]
    try:
        expected = np.broadcast_shapes(*shapes)
    except ValueError:
        return f"the inputs {_shape(graph.input(op, 0))} and {_shape(graph.input(op, 1))} do not fit"
    output = graph.output(op)
    if (1,) * (len(output.shape) - len(expected)) + expected != output.shape:
        return f"the output is {_shape(output)}"
    return None


def _add_scales(graph: Graph, op: Operator) -> str | None:
    """The output's scale is not so much finer than the inputs' (2^19 times) that a result would not
    fit."""
    scales = [graph.input(op, k).q.scale for k in (0, 1)]
    factor = 2 * max(scales) / ((1 << 20) * graph.output(op).q.scale)
    smallest = min(scales) / (2 * max(scales))
    return None if 0 < factor < 1 and smallest > 0 else f"scales {scales} to {graph.output(op).q.scale:g}"


def _product_scale(graph: Graph, op: Operator) -> str | None:
    """Rescaled products stay within 31 bits."""
    factor = graph.input(op, 0).q.scale * graph.input(op, 1).q.scale / graph.output(op).q.scale
    return None if 255 * 255 * factor < 1 << 30 else f"products are rescaled by {factor:g}"


def _rescale(graph: Graph, op: Operator) -> str | None:
    """Rescaled values stay within 31 bits."""
    source = graph.input(op, 0)
    if source.type != "int8":
        return None
    factor = source.q.scale / graph.output(op).q.scale
    return None if 255 * factor < 1 << 28 else f"values are rescaled by {factor:g}"


def _limits(graph: Graph, op: Operator) -> str | None:
    """One of two inputs is a constant of a single value, perhaps repeated; the other has the output's
    shape."""
    limited, limit = limited_and_limit(graph, op)
    if limited is None or limit is None:
        return "its inputs are not a tensor and a constant of a single value"
    output = graph.output(op)
    return None if limited.elements == output.elements else f"{_shape(limited)} to {_shape(output)}"


def _same_elements(graph: Graph, op: Operator) -> str | None:
    """Input and output have the same number of elements."""
    source, output = graph.input(op, 0), graph.output(op)
    return None if source.elements == output.elements else f"{_shape(source)} to {_shape(output)}"


def _keeps_elements(graph: Graph, op: Operator) -> str | None:
    """Input and output have the same number of elements; an output whose shape is computed at run time is not
    known: export the model with a batch of 1."""
    return _same_elements(graph, op)


def _same_scale(graph: Graph, op: Operator) -> str | None:
    """Inputs and output share scale and zero point."""
    output = graph.output(op).q
    for tensor in _data_tensors(graph, op):
        near = abs(tensor.q.scale - output.scale) <= 1e-6 * output.scale
        if not near or tensor.q.zero_point != output.zero_point:
            return (
                f"tensor {tensor.index} has scale {tensor.q.scale:g} and zero point {tensor.q.zero_point}, "
                f"the output {output.scale:g} and {output.zero_point}"
            )
    return None


def _softmax_scales(graph: Graph, op: Operator) -> str | None:
    """The output has scale 1/256 and zero point -128; the input's scale times beta exceeds 2^-26."""
    source, output = graph.input(op, 0).q, graph.output(op).q
    if output.scale != 1 / 256 or output.zero_point != -128:
        return f"the output has scale {output.scale:g} and zero point {output.zero_point}"
    beta = op.options["beta"]
    if not (math.isfinite(beta) and beta * source.scale * (1 << 26) > 1):
        return f"beta {beta:g} times the input's scale {source.scale:g}"
    return None


def _softmax_depth(graph: Graph, op: Operator) -> str | None:
    """Softmax runs over a last dimension of at most 511."""
    shape = graph.input(op, 0).shape
    return None if shape and shape[-1] <= MAX_SOFTMAX_DEPTH else f"the input is {_shape(graph.input(op, 0))}"


def _logistic_scales(graph: Graph, op: Operator) -> str | None:
    """The output has scale 1/256 and zero point -128; the input's scale lies in [2^-27, 2^16]."""
    return _sigmoid_scales(graph, op, 1 / 256, -128)


def _tanh_scales(graph: Graph, op: Operator) -> str | None:
    """The output has scale 1/128 and zero point 0; the input's scale lies in [2^-27, 2^16]."""
    return _sigmoid_scales(graph, op, 1 / 128, 0)


def _sigmoid_scales(graph: Graph, op: Operator, scale: float, zero_point: int) -> str | None:
    source, output = graph.input(op, 0).q, graph.output(op).q
    if output.scale != scale or output.zero_point != zero_point:
        return f"the output has scale {output.scale:g} and zero point {output.zero_point}"
    return None if 2.0**-27 <= source.scale <= 2.0**16 else f"the input's scale is {source.scale:g}"


def _leaky_slope(graph: Graph, op: Operator) -> str | None:
    """The slope for negative values is not negative itself; what it makes of them stays within 31 bits."""
    alpha = op.options["alpha"]
    factor = graph.input(op, 0).q.scale * alpha / graph.output(op).q.scale
    return None if 0 <= 255 * factor < 1 << 28 else f"alpha {alpha:g} rescales values by {factor:g}"


def _alphas(graph: Graph, op: Operator) -> str | None:
    """The slopes are at most 256 constant int8 (shared_axes=[1, 2] in Keras shares them): one, or one for
    each index of the last dimension or dimensions; what they make of values stays within 31 bits."""
    source, alphas, output = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    if alphas is None or not alphas.constant or alphas.type != "int8":
        return "the slopes are not constant int8"
    if reason := _bad_quantization(alphas):
        return f"tensor {alphas.index} {reason}"
    shape = alphas.shape
    while shape and shape[0] == 1:
        shape = shape[1:]
    if shape != source.shape[len(source.shape) - len(shape) :] or not 1 <= alphas.elements <= MAX_TABLES:
        return f"slopes of {_shape(alphas)} for {_shape(source)}"
    factor = source.q.scale * alphas.q.scale / output.q.scale
    return None if 255 * 255 * factor < 1 << 28 else f"negative values are rescaled by {factor:g}"


def _steps_are_numbers(graph: Graph, op: Operator) -> str | None:
    """Scales are not so small or large that a result would be no number."""
    source, output = graph.input(op, 0).q, graph.output(op).q
    scales = (source.scale, source.zero_point), (output.scale, output.zero_point)
    steps = steps_from_zero(op.name, *scales, op.options)
    return f"scale {source.scale:g} to {output.scale:g}" if np.isnan(steps).any() else None


def _folded(graph: Graph, op: Operator) -> str | None:
    """Its input comes from a dequantize, and a quantize alone takes its output."""
    return None if op.options.get(FOLDED) else "it has no int8 kernel in the reference"


def _hard_swish_scales(graph: Graph, op: Operator) -> str | None:
    """The input's scale lies in [2^-20, 2^16], the output's is more than 1/128 of it and at most 512 times
    it."""
    source, output = graph.input(op, 0).q.scale, graph.output(op).q.scale
    if not 2.0**-20 <= source <= 2.0**16:
        return f"the input's scale is {source:g}"
    return None if source / 128 < output <= 512 * source else f"scale {source:g} to {output:g}"


# --- movers and reducers ---------------------------------------------------------------------------


def _concatenates(graph: Graph, op: Operator) -> str | None:
    """The inputs have the output's shape but along the axis, where their sizes add up."""
    output = graph.output(op)
    rank = len(output.shape)
    axis = op.options["axis"]
    if not -rank <= axis < rank:
        return f"axis {axis} of an output of {_shape(output)}"
    total = 0
    for k in range(len(op.inputs)):
        shape = graph.input(op, k).shape
        if len(shape) != rank or any(
            a != b for d, (a, b) in enumerate(zip(shape, output.shape, strict=True)) if d != axis % rank
        ):
            return f"input {k} of {_shape(graph.input(op, k))} in an output of {_shape(output)}"
        total += shape[axis]
    return None if total == output.shape[axis] else f"sizes add up to {total}, not {output.shape[axis]}"


def _stacks(graph: Graph, op: Operator) -> str | None:
    """The inputs have one shape, which the output has without the axis; that is as long as they are many."""
    output, axis = graph.output(op), op.options["axis"]
    rank = len(output.shape)
    if not -rank <= axis < rank:
        return f"axis {axis} of an output of {_shape(output)}"
    each = tuple(size for d, size in enumerate(output.shape) if d != axis % rank)
    for k in range(len(op.inputs)):
        if graph.input(op, k).shape != each:
            return f"input {k} of {_shape(graph.input(op, k))} in an output of {_shape(output)}"
    return None if len(op.inputs) == output.shape[axis] else f"{len(op.inputs)} inputs for {_shape(output)}"


def _pads(graph: Graph, op: Operator) -> str | None:
    """Paddings are constant int32 pairs, not negative, that make the output's shape; padv2's value is a
    constant int8."""
    source, output = graph.input(op, 0), graph.output(op)
    paddings = constant_ints(graph, op, 1)
    if paddings is None or len(paddings) != 2 * len(source.shape) or min(paddings, default=0) < 0:
        return "the paddings are not constant int32 pairs for each dimension, or negative"
    expected = [n + a + b for n, a, b in zip(source.shape, paddings[::2], paddings[1::2], strict=True)]
    if list(output.shape) != expected:
        return f"the output is {_shape(output)}, not {'x'.join(map(str, expected))}"
    if op.name == "padv2":
        value = graph.input(op, 2)
        if value is None or not value.constant or value.type != "int8" or value.elements != 1:
            return "the padding value is not a constant int8"
    return None


def _reduces(graph: Graph, op: Operator) -> str | None:
    """Axes are constant int32 within the input's dimensions, and the output is what is left."""
    source, output = graph.input(op, 0), graph.output(op)
    axes = constant_ints(graph, op, 1)
    rank = len(source.shape)
    if not axes or any(not -rank <= axis < rank for axis in axes):
        return f"axes {axes if axes else 'that are not constant int32'} of {_shape(source)}"
    reduced = reduced_axes(graph, op)
    keep = op.options["keep_dims"]
    expected = tuple(1 if d in reduced else n for d, n in enumerate(source.shape) if keep or d not in reduced)
    return None if output.shape == expected else f"the output is {_shape(output)}, not {expected}"


def _slices(graph: Graph, op: Operator) -> str | None:
    """Begin, end and strides are constant int32 with a value for each dimension, strides not 0, no
    ellipsis, new axis or offset, and make the output's shape."""
    if op.options["ellipsis_mask"] or op.options["new_axis_mask"] or op.options["offset"]:
        return "it has an ellipsis, a new axis or an offset"
    source = graph.input(op, 0)
    lists = [constant_ints(graph, op, k) for k in (1, 2, 3)]
    if any(values is None or len(values) != len(source.shape) for values in lists) or 0 in lists[2]:
        return "begin, end or strides are not constant int32 for each dimension, or a stride is 0"
    return _slice_makes_output(graph, op)


def _cuts_out(graph: Graph, op: Operator) -> str | None:
    """Begin and size are constant int32 with a value for each dimension, within the input, and make the
    output's shape."""
    source = graph.input(op, 0)
    lists = [constant_ints(graph, op, k) for k in (1, 2)]
    if any(values is None or len(values) != len(source.shape) for values in lists):
        return "begin or size are not constant int32 for each dimension"
    return _slice_makes_output(graph, op)


def _divides(graph: Graph, op: Operator) -> str | None:
    """The dimension is constant and the input's, sizes (of split_v) are constant int32, and the outputs are
    all of the input along it."""
    source = source_of(graph, op)
    axis = division_axis(graph, op)
    if axis is None:
        return f"the dimension is not constant int32, or none of {_shape(source)}"
    sizes = division_sizes(graph, op)
    if sizes is None or len(sizes) != op.part.count or min(sizes) < 1 or sum(sizes) != source.shape[axis]:
        return f"{op.part.count} outputs of sizes {sizes} along dimension {axis} of {_shape(source)}"
    return _slice_makes_output(graph, op)


def _slice_makes_output(graph: Graph, op: Operator) -> str | None:
    source, output = source_of(graph, op), graph.output(op)
    axes = slice_axes(graph, op)
    expected = tuple(axis.count for axis in axes if not axis.shrink)
    if output.shape != expected or any(
        not (axis.count > 0 and 0 <= axis.start < n and 0 <= axis.start + (axis.count - 1) * axis.stride < n)
        for axis, n in zip(axes, source.shape, strict=True)
    ):
        return f"the slice of {_shape(source)} is {expected}, the output {_shape(output)}"
    return None


def _transposes(graph: Graph, op: Operator) -> str | None:
    """The order of dimensions is constant int32, names each once, and makes the output's shape."""
    source, output = graph.input(op, 0), graph.output(op)
    axes, rank = constant_ints(graph, op, 1), len(source.shape)
    order = permutation(graph, op) if rank else []
    if axes is None or sorted(order) != list(range(rank)) or any(not -rank <= axis < rank for axis in axes):
        return f"the order {axes if axes is not None else 'that is not constant int32'} of {_shape(source)}"
    expected = tuple(source.shape[d] for d in order)
    return None if output.shape == expected else f"the output is {_shape(output)}, not {expected}"


def _four_are_left(graph: Graph, op: Operator) -> str | None:
    """At most four dimensions are left where those are joined that follow each other in the input too."""
    left = picked_elements(graph, op).shape
    return f"{len(left)} dimensions are left of {_shape(source_of(graph, op))}" if len(left) > 4 else None


_WINDOW = (_image, _window_steps)
_WEIGHTS = (_constant_weights, _constant_bias)
_POOL = (*_WINDOW, _pool_channels, _output_matches_window, _same_scale)

CONSTRAINTS: dict[str, tuple[Constraint, ...]] = {
    "conv_2d": (_image, *_WEIGHTS, _window_steps, _conv_channels, _output_matches_window, _sums_fit),
    "depthwise_conv_2d": (
        _image, *_WEIGHTS, _window_steps, _depthwise_channels, _output_matches_window, _sums_fit,
    ),
    "fully_connected": (*_WEIGHTS, _fully_connected_shapes, _sums_fit),
    "max_pool_2d": _POOL,
    "average_pool_2d": _POOL,
    "add": (_rank_at_most_4, _broadcasts, _add_scales),
    "sub": (_rank_at_most_4, _broadcasts, _add_scales),
    "mul": (_rank_at_most_4, _broadcasts, _product_scale),
    **dict.fromkeys(("maximum", "minimum"), (_rank_at_most_4, _broadcasts, _limits, _same_scale)),
    "pad": (_rank_at_most_4, _pads, _same_scale),
    "padv2": (_rank_at_most_4, _pads, _same_scale),
    "mean": (_rank_at_most_4, _reduces, _rescale),
    "reduce_max": (_rank_at_most_4, _reduces, _same_scale),
    **dict.fromkeys(RESHAPERS, (_keeps_elements,)),
    "softmax": (_same_elements, _softmax_scales, _softmax_depth),
    "quantize": (_same_elements, _rescale),
    "dequantize": (_same_elements,),
    "concatenation": (_concatenates, _same_scale),
    "relu": (_same_elements, _rescale),
    "relu6": (_same_elements, _same_scale),
    "logistic": (_same_elements, _logistic_scales),
    "tanh": (_same_elements, _tanh_scales),
    "leaky_relu": (_same_elements, _rescale, _leaky_slope),
    "hard_swish": (_same_elements, _hard_swish_scales),
    "abs": (_same_elements, _rescale),
    "prelu": (_rank_at_most_4, _same_elements, _rescale, _alphas),
    **dict.fromkeys(("elu", "gelu"), (_same_elements, _rescale, _steps_are_numbers)),
    **dict.fromkeys(("exp", "log"), (_same_elements, _steps_are_numbers)),
    **dict.fromkeys(("neg", "square"), (_folded, _same_elements, _steps_are_numbers)),
    "strided_slice": (_slices, _four_are_left, _same_scale),
    "slice": (_cuts_out, _four_are_left, _same_scale),
    **dict.fromkeys(DIVIDERS, (_divides, _four_are_left, _same_scale)),
    "pack": (_stacks, _same_scale),
    "transpose": (_transposes, _four_are_left, _same_scale),
}  # fmt: skip


# --- small helpers ---------------------------------------------------------------------------------


def _inputs(graph: Graph, op: Operator) -> list[Tensor]:
    return [graph.tensors[index] for index in op.inputs if index >= 0]


def _data_tensors(graph: Graph, op: Operator) -> list[Tensor]:
    return [*(graph.input(op, k) for k in data_positions(op)), graph.output(op)]


def _bad_quantization(tensor: Tensor) -> str | None:
    q = tensor.quantization
    if q is None:
        return "has no scale"
    if q.per_channel:
        return f"has {len(q.scales)} scales"
    if not (math.isfinite(q.scale) and q.scale > 0):
        return f"has the scale {q.scale:g}"
    return None if -128 <= q.zero_point <= 127 else f"has the zero point {q.zero_point}"


def _kernel(graph: Graph, op: Operator) -> tuple[int, int]:
    if "filter_height" in op.options:
        return int(op.options["filter_height"]), int(op.options["filter_width"])
    return graph.input(op, 1).shape[1:3]


def _dilation(op: Operator) -> tuple[int, int]:
    return int(op.options.get("dilation_height", 1)), int(op.options.get("dilation_width", 1))


def _shape(tensor: Tensor) -> str:
    return tensor.dimensions
