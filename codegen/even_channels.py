"""Between checking and lowering, for the accelerator: odd numbers of channels become even ones.

The accelerator works on pairs of channels, so a layer with an odd number of them is left to the core. Here
such tensors get one more channel, which nothing that counts depends on: whoever makes it has zero weights
for it, whoever sums over it too. So every other value stays what it was, to the bit.

A group is a set of tensors that can only be widened together: an addition's operands and its output, say.
It ends at layers with weights. Where it meets anything else (the network's output, a concatenation, a
softmax), it stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from codegen.graph import Graph, Operator, Quantization, Tensor, Widened
from codegen.lookups import RESHAPERS, TABLES, channel_axis, constant_ints, data_positions, reduced_axes

_SUMMING = ("conv_2d", "fully_connected")  # over all channels: these begin and end groups
_ANY_PLACE = (*TABLES, "relu", "relu6", "quantize", "maximum", "minimum")
_PAIRING = ("add", "sub", "mul")  # alike, or where an operand is repeated for each pixel, by channel
_BY_CHANNEL = ("depthwise_conv_2d", "max_pool_2d", "average_pool_2d", "pad", "padv2", "mean", "reduce_max")


@dataclass(frozen=True)
class Group:
    """Tensors, by index, of which every ``channels`` values that follow each other get one more."""

    channels: int
    tensors: frozenset[int]

    def touches(self, op: Operator) -> bool:
        return not self.tensors.isdisjoint((*op.inputs, *op.outputs))


def groups(graph: Graph) -> Iterator[Group]:
    """The groups of a checked graph that can be widened."""
    seen: set[int] = set()
    for op in graph.operators:
        output = graph.output(op)
        if op.name in _SUMMING and output.shape[-1] % 2 and output.index not in seen:
            group = _group(graph, output)
            if group:
                seen |= group.tensors
                yield group


def _group(graph: Graph, first: Tensor) -> Group | None:
    """What has to be widened together with a tensor, None if something of it cannot be."""
    channels, found, pending = first.shape[-1], {first.index}, [first.index]
    ends = {*graph.inputs, *graph.outputs}
    while pending:
        index = pending.pop()
        tensor = graph.tensors[index]
        if index in ends or tensor.constant or tensor.type != "int8" or _last(tensor) % channels:
            return None
        for op in graph.operators:
            if index not in (*op.inputs, *op.outputs):
                continue
            more = _others(graph, op, index, channels)
            if more is None:
                return None
            pending += more - found
            found |= more
    return Group(channels, frozenset(found))


def _others(graph: Graph, op: Operator, index: int, channels: int) -> set[int] | None:
    """The tensors that an operator needs widened along with one of its own, None if it cannot be."""
    inputs = [op.inputs[k] for k in data_positions(op)]
    if op.name in _ANY_PLACE:
        inputs = [i for i in inputs if not graph.tensors[i].constant]
    output = graph.output(op)
    if op.name in _SUMMING:
        if index == output.index:
            return set() if output.shape[-1] == channels else None
        return set() if graph.input(op, 1).shape[-1] % channels == 0 else None
    tensors = [graph.tensors[i] for i in (*inputs, output.index)]
    shapes = {tensor.shape for tensor in tensors}
    rank = len(graph.input(op, 0).shape)
    alike, by_channel = len(shapes) == 1, all(_last(tensor) == channels for tensor in tensors)
    together = {
        **dict.fromkeys(_ANY_PLACE, alike),
        **dict.fromkeys(_PAIRING, alike or by_channel),
        **dict.fromkeys(RESHAPERS, True),
        **dict.fromkeys(_BY_CHANNEL, by_channel),
    }.get(op.name, False)
    if op.name == "depthwise_conv_2d":
        together = together and op.options["depth_multiplier"] == 1
    elif op.name in ("pad", "padv2"):
        together = together and not any((constant_ints(graph, op, 1) or [1])[-2:])
    elif op.name in ("mean", "reduce_max"):
        together = together and rank - 1 not in reduced_axes(graph, op)
    return {*inputs, output.index} if together else None


def _last(tensor: Tensor) -> int:
    """The last dimension's size; a single value without dimensions is one of one channel."""
    return tensor.shape[-1] if tensor.shape else 1


def widen(graph: Graph, group: Group) -> Graph:
    """The graph with one more channel in a group's tensors. Indices of tensors and operators stay."""
    tensors = list(graph.tensors)
    for index in group.tensors:
        tensor = tensors[index]
        shape = (*tensor.shape[:-1], _last(tensor) // group.channels * (group.channels + 1))
        tensors[index] = replace(tensor, shape=shape, widened=Widened(tensor.shape, group.channels))
    operators = []
    for op in graph.operators:
        changes = _constants(graph, op, group) if group.touches(op) else {}
        inputs = list(op.inputs)
        for k, tensor in changes.items():
            inputs[k] = len(tensors)
            tensors.append(replace(tensor, index=len(tensors)))
        operators.append(replace(op, inputs=tuple(inputs)) if changes else op)
    return replace(graph, tensors=tuple(tensors), operators=tuple(operators))


def _constants(graph: Graph, op: Operator, group: Group) -> Mapping[int, Tensor]:
    """Weights and bias for widened tensors, by their positions; others may use the old ones too."""
    if op.name not in (*_SUMMING, "depthwise_conv_2d"):
        return {}
    weights, bias = graph.input(op, 1), graph.input(op, 2)
    found = {}
    if op.inputs[0] in group.tensors and op.name in _SUMMING:
        weights = found[1] = _extended(weights, group.channels)
    if op.outputs[0] in group.tensors:
        axis = channel_axis(op)
        found[1] = _appended(weights, axis)
        if bias is not None:
            found[2] = _appended(bias, len(bias.shape) - 1)
    return found


def _extended(weights: Tensor, channels: int) -> Tensor:
    """With a zero after every ``channels`` input channels."""
    data = weights.data.reshape(*weights.shape[:-1], -1, channels)
    data = np.concatenate([data, np.zeros_like(data[..., :1])], axis=-1)
    data = data.reshape(*weights.shape[:-1], -1)
    return replace(weights, data=data, shape=data.shape)


def _appended(constant: Tensor, axis: int) -> Tensor:
    """With zeros for one more output channel, whose scale is the last one's."""
    data = constant.data.reshape(constant.shape)
    zeros = np.zeros_like(data.take([0], axis=axis))
    data = np.concatenate([data, zeros], axis=axis)
    q = constant.quantization
    if q is not None and q.per_channel:
        q = Quantization(np.append(q.scales, q.scales[-1:]), np.append(q.zero_points, 0), q.dimension)
    return replace(constant, data=data, shape=data.shape, quantization=q)
