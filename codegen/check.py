"""Second pass: refuses, with the operator's index and the reason, whatever the kernels cannot do.

The rules are functions in :mod:`codegen.rules` (:func:`rules` lists them all), put together here for each
operator. After this pass lowering cannot fail.
"""

from __future__ import annotations

from codegen import schema, variables
from codegen.errors import TokayError
from codegen.graph import Graph
from codegen.lookups import DIVIDERS, RESHAPERS
from codegen.rules import common, elementwise, movers, products, recurrent, svdf, windowed
from codegen.rules.common import Constraint

MAX_CONSTANT_BYTES = 1 << 22

UNSUPPORTED = {
    "space_to_batch_nd": "export the model with a batch of 1: then it is a dilated convolution",
    **dict.fromkeys(
        ("select", "select_v2"),
        "leave out masks of attention: they make a scale at which int8 tells no scores apart",
    ),
}
"""What to do about operators that the converter makes of something that can be done otherwise."""


def check_graph(graph: Graph) -> None:
    """Raises TokayError for the first rule that the network breaks."""
    _check_structure(graph)
    for operator in graph.operators:
        if operator.name not in CONSTRAINTS or operator.opcode not in schema.OPERATORS:
            hint = UNSUPPORTED.get(operator.name, "host.compile --operators lists what is")
            raise TokayError(f"{operator} is not supported", hint=hint)
        for constraint in (*common.GENERIC, *CONSTRAINTS[operator.name]):
            if reason := constraint(graph, operator):
                rule = " ".join((constraint.__doc__ or "").split())
                raise TokayError(f"{operator}: {reason}", hint=rule)
    _check_order(graph)


def rules() -> dict[str, list[str]]:
    """Every operator with its rules, also those of earlier passes, and those of all under ``"*"``."""

    def docs(constraints: tuple[Constraint, ...]) -> list[str]:
        return [" ".join((c.__doc__ or "").split()) for c in constraints]

    every = {"*": docs(common.GENERIC), **{name: docs(own) for name, own in CONSTRAINTS.items()}}
    for name, own in variables.RULES.items():
        every[name] = [*own, *every.get(name, [])]
    return every


def _check_structure(graph: Graph) -> None:
    inputs = [graph.tensors[index] for op in graph.operators for index in op.inputs if index >= 0]
    constants = sum(tensor.bytes for tensor in inputs if tensor.constant)
    if constants > MAX_CONSTANT_BYTES:
        raise TokayError(
            f"the operators' constants add up to {constants:,} bytes",
            hint=f"at most {MAX_CONSTANT_BYTES:,} are compiled, more than the chip's flash",
        )
    if not graph.operators:
        raise TokayError("no operator leads to the model's output")
    for what, tensors in (("inputs", graph.inputs), ("outputs", graph.outputs)):
        if len(tensors) != 1:
            raise TokayError(
                f"the model has {len(tensors)} {what}",
                hint="networks of one are supported, beside states, whose inputs have state in their names",
            )
        tensor = graph.tensors[tensors[0]]
        if tensor.constant:
            raise TokayError(f"tensor {tensor.index}, one of the model's {what}, is constant")
        if tensor.type not in ("int8", "float32"):
            raise TokayError(
                f"the model's {what[:-1]} is {tensor.type}", hint="quantize it to int8; float32 is converted"
            )


def _check_order(graph: Graph) -> None:
    """Operators come in an order in which each tensor is written once, before it is read."""
    kept = {variable.tensor for variable in graph.variables}
    written = {*graph.inputs, *kept}
    for operator in graph.operators:
        for tensor in common.data_tensors(graph, operator)[:-1]:
            if not tensor.constant and tensor.index not in written:
                raise TokayError(f"{operator} reads tensor {tensor.index} before it is written")
        for index in operator.outputs:
            if index in written - kept or graph.tensors[index].constant:
                raise TokayError(f"{operator} writes tensor {index}, which is constant or already written")
            written.add(index)
    if graph.outputs[0] not in written or graph.outputs[0] in graph.inputs:
        raise TokayError(f"no operator writes the model's output, tensor {graph.outputs[0]}")


_WINDOW = (windowed.image, windowed.window_steps)
_WEIGHTS = (windowed.constant_weights, windowed.constant_bias)
_POOL = (*_WINDOW, windowed.pool_channels, windowed.output_matches_window, common.same_scale)

_PAIR = (elementwise.broadcasts, elementwise.four_repeated_alike)

CONSTRAINTS: dict[str, tuple[Constraint, ...]] = {
    "conv_2d": (
        windowed.image, *_WEIGHTS, windowed.window_steps, windowed.conv_channels,
        windowed.output_matches_window, windowed.sums_fit,
    ),
    "depthwise_conv_2d": (
        windowed.image, *_WEIGHTS, windowed.window_steps, windowed.depthwise_channels,
        windowed.output_matches_window, windowed.sums_fit,
    ),
    "fully_connected": (*_WEIGHTS, windowed.fully_connected_shapes, windowed.sums_fit),
    "batch_matmul": (common.rank_at_most_4, products.matrices_fit, products.products_fit),
    "svdf": (svdf.operands, svdf.fits, svdf.activation, svdf.sums_fit),
    "max_pool_2d": _POOL,
    "average_pool_2d": _POOL,
    "add": (*_PAIR, elementwise.add_scales),
    "sub": (*_PAIR, elementwise.add_scales),
    "squared_difference": (*_PAIR, elementwise.squares_scale),
    "mul": (*_PAIR, elementwise.product_scale),
    "div": (*_PAIR, elementwise.quotient_scale),
    **dict.fromkeys(
        ("maximum", "minimum"),
        (elementwise.broadcasts, elementwise.four_of_each_are_left, common.same_scale, elementwise.negates),
    ),
    "pad": (common.rank_at_most_4, movers.pads, common.same_scale),
    "padv2": (common.rank_at_most_4, movers.pads, common.same_scale),
    "mean": (movers.reduces, movers.four_reduced_alike, common.rescale),
    "sum": (movers.reduces, movers.four_reduced_alike, movers.sums_fit),
    "reduce_max": (movers.reduces, movers.four_reduced_alike, common.same_scale),
    "reduce_min": (movers.reduces, movers.four_reduced_alike, common.same_scale, elementwise.negates),
    **dict.fromkeys(RESHAPERS, (common.keeps_elements,)),
    "softmax": (common.same_elements, elementwise.softmax_scales, elementwise.softmax_depth),
    "log_softmax": (common.same_elements, elementwise.log_softmax_scales, elementwise.softmax_depth),
    "l2_normalization": (common.same_elements, elementwise.norm_scale, elementwise.norm_depth),
    "quantize": (common.same_elements, common.rescale),
    "dequantize": (common.same_elements,),
    "concatenation": (movers.concatenates, common.same_scale),
    "relu": (common.same_elements, common.rescale),
    "relu6": (common.same_elements, common.same_scale),
    "logistic": (common.same_elements, elementwise.logistic_scales),
    "tanh": (common.same_elements, elementwise.tanh_scales),
    "leaky_relu": (common.same_elements, common.rescale, elementwise.leaky_slope),
    "hard_swish": (common.same_elements, elementwise.hard_swish_scales),
    "abs": (common.same_elements, common.rescale),
    "prelu": (common.rank_at_most_4, common.same_elements, common.rescale, elementwise.alphas),
    **dict.fromkeys(("elu", "gelu"), (common.same_elements, common.rescale, elementwise.steps_are_numbers)),
    **dict.fromkeys(("exp", "log", "sqrt"), (common.same_elements, elementwise.steps_are_numbers)),
    **dict.fromkeys(
        ("neg", "square"), (elementwise.folded, common.same_elements, elementwise.steps_are_numbers)
    ),
    "rsqrt": (common.same_elements, elementwise.rsqrt_scales),
    "strided_slice": (movers.slices, movers.four_are_left, common.same_scale),
    "slice": (movers.cuts_out, movers.four_are_left, common.same_scale),
    **dict.fromkeys(DIVIDERS, (movers.divides, movers.four_are_left, common.same_scale)),
    "pack": (movers.stacks, common.same_scale),
    "tile": (movers.tiles, movers.four_are_left, common.same_scale),
    "broadcast_to": (movers.broadcasts_to, movers.four_are_left, common.same_scale),
    "gather": (movers.gathers, common.same_scale),
    **dict.fromkeys(("read_variable", "assign_variable"), (common.same_elements, common.same_scale)),
    "unidirectional_sequence_lstm": (
        recurrent.as_of_keras, recurrent.sequence_of_one, recurrent.gates_fit, recurrent.own_states,
        recurrent.gates_sums_fit,
    ),
    "reverse_v2": (movers.reverses, movers.four_are_left),
    "transpose": (movers.transposes, movers.four_are_left, common.same_scale),
}  # fmt: skip
