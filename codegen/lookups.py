"""Questions that both checking and lowering ask of an operator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codegen import schema
from codegen.graph import Graph, Operator, Tensor

KERNEL_RANK = 4
"""Dimensions that kernels go through."""

# Inputs that carry data at run time; None: all of them.
DATA_INPUTS: dict[str, tuple[int, ...] | None] = {
    **dict.fromkeys([name for name, _ in schema.OPERATORS.values()], (0,)),
    "add": (0, 1),
    "sub": (0, 1),
    "squared_difference": (0, 1),
    "mul": (0, 1),
    "batch_matmul": (0, 1),
    "div": (0, 1),
    "maximum": (0, 1),
    "minimum": (0, 1),
    "concatenation": None,
    "pack": None,
    "split": (1,),
    "svdf": (0, 4),
}

SHOWN_INPUTS = {"unidirectional_sequence_lstm": (0, 1, 5, 12)}
"""Of an operator with many alike, those that reports give the shapes of."""

TABLES = (
    "abs", "elu", "exp", "gelu", "hard_swish", "leaky_relu", "log", "logistic", "neg", "rsqrt", "sqrt",
    "square", "tanh",
)  # fmt: skip
"""Operators whose outcome is a function of one int8: all 256 are stored."""

MAX_TABLES = 256
"""Of slopes of a prelu, each of which has its own; more are multiplied."""

MAX_REPEATED = 1 << 16
"""Bytes of a constant that is repeated when code is generated; more are repeated at run time."""

RESHAPERS = ("reshape", "squeeze", "expand_dims")
"""Operators that give their input another shape and leave its bytes alone."""

REPEATERS = ("tile", "broadcast_to")
"""Operators that repeat their input along dimensions."""

DIVIDERS = ("split", "split_v", "unpack")
"""Operators whose outputs are the input's pieces along one dimension."""

ACTIVATION_RULES_APPLY = frozenset(
    name for name, options in schema.OPERATORS.values() if "activation" in options
)


def activation_of(op: Operator) -> str:
    """The name of the fused activation, or its number where it has none."""
    code = op.options.get("activation", 0)
    return schema.ACTIVATION.get(code, f"number {code}")


def padding_of(op: Operator) -> str | None:
    return schema.PADDING.get(op.options["padding"])


def channel_axis(op: Operator) -> int:
    """The dimension of the weights that is the output channel."""
    return 3 if op.name == "depthwise_conv_2d" else 0


def weights_matrix(op: Operator, weights: Tensor) -> np.ndarray:
    """The weights as int8 [output channels][taps]."""
    if op.name == "depthwise_conv_2d":
        return weights.data.reshape(-1, weights.shape[3]).T
    return weights.data.reshape(weights.shape[0], -1)


def bias_of(graph: Graph, op: Operator, channels: int) -> np.ndarray:
    """The bias, zeros where there is none."""
    bias = graph.input(op, 2)
    return np.zeros(channels, np.int32) if bias is None else bias.data.reshape(-1)


def channel_scales(graph: Graph, op: Operator, channels: int) -> np.ndarray:
    """float32[channels]: the scale of each output channel's weights."""
    q = graph.input(op, 1).q
    return q.scales if q.per_channel else np.full(channels, q.scales[0], np.float32)


def svdf_bias(graph: Graph, op: Operator) -> np.ndarray:
    """int32[units]: the bias of an svdf, zeros where there is none."""
    bias = graph.input(op, 3)
    return np.zeros(graph.output(op).elements, np.int32) if bias is None else bias.data.reshape(-1)


def svdf_factors(graph: Graph, op: Operator) -> tuple[float, float]:
    """What an svdf's sums are rescaled by, to the state and to the output."""
    source, features, times, state = (graph.input(op, k).q.scale for k in (0, 1, 2, 4))
    return source * features / state, state * times / graph.output(op).q.scale


def constant_indices(graph: Graph, op: Operator, k: int) -> np.ndarray | None:
    """A constant int32 input in its shape, None if it is anything else."""
    values = constant_ints(graph, op, k)
    return None if values is None else np.array(values, np.int64).reshape(graph.input(op, k).shape)


def constant_ints(graph: Graph, op: Operator, k: int) -> list[int] | None:
    """The values of a constant int32 input, None if it is anything else."""
    tensor = graph.input(op, k)
    if tensor is None or not tensor.constant or tensor.type != "int32" or tensor.elements > 64:
        return None
    return [int(value) for value in tensor.data.reshape(-1)]


def data_positions(op: Operator) -> Sequence[int]:
    """The positions of an operator's data inputs."""
    return DATA_INPUTS[op.name] or range(len(op.inputs))


def source_of(graph: Graph, op: Operator) -> Tensor:
    """The first of an operator's data inputs."""
    return graph.input(op, data_positions(op)[0])


def limited_and_limit(graph: Graph, op: Operator) -> tuple[Tensor | None, int | None]:
    """The tensor that a minimum or maximum limits, and the int8 that it is limited to; None for what it does
    not have."""
    inputs = [graph.input(op, k) for k in data_positions(op)]
    limited = next((tensor for tensor in inputs if not tensor.constant), None)
    limits = {int(value) for tensor in inputs if tensor.constant for value in np.unique(tensor.data)}
    return limited, limits.pop() if len(limits) == 1 else None


def has_one_limit(graph: Graph, op: Operator) -> bool:
    """Whether a minimum or maximum limits a tensor of the output's shape to one value."""
    limited, limit = limited_and_limit(graph, op)
    return limited is not None and limit is not None and limited.elements == graph.output(op).elements


def repeated_beforehand(tensor: Tensor, output: Tensor) -> bool:
    """Whether a tensor of a pair is a constant that is stored as often as the output has it."""
    return tensor.constant and output.elements <= MAX_REPEATED


def matrices(graph: Graph, op: Operator) -> tuple[tuple[int, int], tuple[int, int]]:
    """Of a batch_matmul: the first input's rows and taps, and the second's taps and columns."""
    first, second = (graph.input(op, k).shape[-2:] for k in (0, 1))
    return first[:: -1 if op.options["adj_x"] else 1], second[:: -1 if op.options["adj_y"] else 1]


def reduced_axes(graph: Graph, op: Operator) -> set[int]:
    """The dimensions that a mean or maximum is taken over, counted from the outermost."""
    rank = len(graph.input(op, 0).shape)
    return {axis % rank for axis in constant_ints(graph, op, 1) or []}


def reduction(graph: Graph, op: Operator) -> tuple[tuple[int, ...], set[int]]:
    """The shape of a reduction's input and the dimensions that it is over. Where there are more than four,
    those that follow each other and are all reduced, or all not, are one."""
    shape, reduced = graph.input(op, 0).shape, reduced_axes(graph, op)
    if len(shape) <= KERNEL_RANK:
        return shape, reduced
    joined = _joined_by_kind(shape, [d in reduced for d in range(len(shape))])
    return tuple(size for size, _ in joined), {d for d, (_, which) in enumerate(joined) if which}


def pair_shapes(graph: Graph, op: Operator) -> tuple[tuple[int, ...], ...]:
    """The shapes of two inputs that broadcast and of the output. Dimensions that follow each other and are
    repeated for the same inputs are one."""
    shapes = [graph.input(op, 0).shape, graph.input(op, 1).shape, graph.output(op).shape]
    rank = len(shapes[2])
    repeated = [[size == 1 for size in (1,) * (rank - len(shape)) + shape] for shape in shapes[:2]]
    joined = _joined_by_kind(shapes[2], list(zip(*repeated, strict=True)))
    inputs = (tuple(1 if kind[k] else size for size, kind in joined) for k in (0, 1))
    return (*inputs, tuple(size for size, _ in joined))


def _joined_by_kind(shape: tuple[int, ...], kinds: list) -> list[tuple[int, Any]]:
    """Sizes and kinds of dimensions: those of one kind that follow each other are joined, those of size 1 are
    left out."""
    joined: list[tuple[int, Any]] = []
    for size, kind in zip(shape, kinds, strict=True):
        if joined and joined[-1][1] == kind:
            joined[-1] = (joined[-1][0] * size, kind)
        elif size != 1:
            joined.append((size, kind))
    return joined


def permutation(graph: Graph, op: Operator) -> list[int]:
    """The dimension of a transposition's input that each of its output's is, counted from the outermost."""
    rank = len(graph.input(op, 0).shape)
    return [axis % rank for axis in constant_ints(graph, op, 1) or []]


@dataclass(frozen=True)
class SliceAxis:
    """One dimension of a slice: ``count`` elements from ``start`` in steps of ``stride``."""

    start: int
    stride: int
    count: int
    shrink: bool


def slice_axes(graph: Graph, op: Operator) -> list[SliceAxis]:
    """The dimensions of what a slice or a divider's part takes of its source, with masks and negative indices
    resolved."""
    if op.name == "strided_slice":
        return _strided_axes(graph, op)
    shape = source_of(graph, op).shape
    if op.name == "slice":
        begins, sizes = (constant_ints(graph, op, k) or [] for k in (1, 2))
        return [
            SliceAxis(begin, 1, n - begin if size == -1 else size, False)
            for n, begin, size in zip(shape, begins, sizes, strict=True)
        ]
    if op.name == "reverse_v2":
        turned = {axis % len(shape) for axis in constant_ints(graph, op, 1) or []}
        return [SliceAxis(n - 1, -1, n, False) if d in turned else SliceAxis(0, 1, n, False)
                for d, n in enumerate(shape)]  # fmt: skip
    axis, sizes, number = division_axis(graph, op), division_sizes(graph, op), op.part.number
    axes = [SliceAxis(0, 1, n, False) for n in shape]
    axes[axis] = SliceAxis(sum(sizes[:number]), 1, sizes[number], op.name == "unpack")
    return axes


@dataclass(frozen=True)
class Picked:
    """Elements of a tensor in the order of their indices: that of index i is at start + sum of i[d] *
    strides[d], counted in elements."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    start: int


def picked_elements(graph: Graph, op: Operator) -> Picked:
    """What a slice, a divider's part, a transposition or a repetition takes of its source, in as few
    dimensions as say it, at least one: what lies side by side can be copied at once."""
    if op.name in REPEATERS:
        return repeated_elements(source_of(graph, op), graph.output(op))
    strides = strides_of(source_of(graph, op).shape)
    if op.name == "transpose":
        order = permutation(graph, op)
        return Picked(*_joined(graph.output(op).shape, [strides[d] for d in order]), start=0)
    axes = slice_axes(graph, op)
    steps = [axis.stride * n for axis, n in zip(axes, strides, strict=True)]
    start = sum(axis.start * n for axis, n in zip(axes, strides, strict=True))
    return Picked(*_joined([axis.count for axis in axes], steps), start)


def repeated_elements(source: Tensor, output: Tensor) -> Picked:
    """A tensor whose dimensions are repeated as often as an output has them."""
    shape = (1,) * (len(output.shape) - len(source.shape)) + source.shape
    sizes, strides = [], []
    for total, size, stride in zip(output.shape, shape, strides_of(shape), strict=True):
        sizes += [total // size, size]
        strides += [0, stride]
    return Picked(*_joined(sizes, strides), start=0)


def strides_of(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Elements from one index to the next, by dimension."""
    return tuple(math.prod(shape[d + 1 :]) for d in range(len(shape)))


def _joined(shape: Sequence[int], strides: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shape and strides in as few dimensions as give the same elements in the same order, at least one."""
    joined = [(1, 1)]
    for size, stride in zip(shape, strides, strict=True):
        outer, outer_stride = joined[-1]
        if outer == 1 or size == 1:
            joined[-1] = (size, stride) if outer == 1 and size != 1 else joined[-1]
        elif outer_stride == size * stride:
            joined[-1] = (outer * size, stride)
        else:
            joined.append((size, stride))
    sizes, steps = zip(*joined, strict=True)
    return sizes, steps


def division_axis(graph: Graph, op: Operator) -> int | None:
    """The dimension that a divider goes along, counted from the outermost; None if it has no such."""
    rank = len(source_of(graph, op).shape)
    if op.name == "unpack":
        axes = [op.options["axis"]]
    else:
        axes = constant_ints(graph, op, 0 if op.name == "split" else 2) or []
    return axes[0] % rank if len(axes) == 1 and -rank <= axes[0] < rank else None


def division_sizes(graph: Graph, op: Operator) -> list[int] | None:
    """How much of its dimension each output of a divider takes; None if that is not known."""
    size, count = source_of(graph, op).shape[division_axis(graph, op)], op.part.count
    if op.name == "unpack":
        return [1] * count
    if op.name == "split":
        return [size // count] * count
    sizes = constant_ints(graph, op, 1)
    if sizes and sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = size - sum(sizes) - 1
    return sizes


def _strided_axes(graph: Graph, op: Operator) -> list[SliceAxis]:
    begins, ends, strides = (constant_ints(graph, op, k) or [] for k in (1, 2, 3))
    axes = []
    for d, size in enumerate(graph.input(op, 0).shape):
        stride, bit = strides[d], 1 << d
        low, high = (0, size) if stride > 0 else (-1, size - 1)
        first, end = (low, high) if stride > 0 else (high, low)
        start = first if op.options["begin_mask"] & bit else _bounded(begins[d], size, low, high)
        stop = end if op.options["end_mask"] & bit else _bounded(ends[d], size, low, high)
        shrink = bool(op.options["shrink_axis_mask"] & bit)
        count = 1 if shrink else max(0, -(-(stop - start) // stride))
        axes.append(SliceAxis(start, stride, count, shrink))
    return axes


def _bounded(index: int, size: int, low: int, high: int) -> int:
    """An index, counted from the end where negative, within the bounds."""
    return min(max(index + size if index < 0 else index, low), high)
