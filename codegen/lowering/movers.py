"""Layers that move values, or reduce them."""

from __future__ import annotations

import math

import numpy as np

from codegen.fixed_point import quantize_multiplier
from codegen.graph import Graph, Operator, Variable
from codegen.layers import Layer
from codegen.lookups import constant_ints, picked_elements, reduced_axes, reduction, source_of, strides_of
from codegen.lowering import common
from codegen.options import (
    ConcatenationOptions,
    CopyOptions,
    MeanOptions,
    PadOptions,
    Pool2DOptions,
    Quad,
    StridedSliceOptions,
)
from codegen.schema import CODES
from codegen.windows import reduction_window


def copy(graph: Graph, op: Operator) -> Layer:
    return common.layer_of(op, "copy", CopyOptions(graph.output(op).bytes), alias=True)


def reset(graph: Graph, variable: Variable) -> Layer:
    """A variable's initial values, of which one may stand for all, copied to its place."""
    tensor, initial = graph.tensors[variable.tensor], graph.tensors[variable.initial]
    kernel, options = "copy", CopyOptions(tensor.bytes)
    if initial.bytes < tensor.bytes:
        kernel, options = "strided_slice", StridedSliceOptions((1, 1, 1, tensor.bytes), (0, 0, 0, 0), 0)
    return Layer(
        index=0,
        opcode=CODES["assign_variable"],
        name="assign_variable",
        kernel=kernel,
        inputs=(initial.index,),
        output=tensor.index,
        options=options,
        input_shape=initial.dimensions,
        output_shape=tensor.dimensions,
    )


def concatenation(graph: Graph, op: Operator) -> Layer:
    """Blocks of each input in turn; the inputs of a pack are as if 1 long along a dimension they lack."""
    shape = graph.output(op).shape
    outer = math.prod(shape[: int(op.options["axis"]) % len(shape)])
    blocks = [graph.input(op, k).elements // outer for k in range(len(op.inputs))]
    options = ConcatenationOptions(outer, np.array(blocks, np.int32))
    return common.layer_of(op, "concatenation", options)


def pad(graph: Graph, op: Operator) -> Layer:
    source, output = graph.input(op, 0), graph.output(op)
    before = (constant_ints(graph, op, 1) or [])[::2]
    value = int(graph.input(op, 2).data.reshape(-1)[0]) if op.name == "padv2" else output.q.zero_point
    shapes = common.quad(source.shape), common.quad(output.shape)
    options = PadOptions(*shapes, common.quad(tuple(before), fill=0), value)
    return common.layer_of(op, "pad", options)


def mean(graph: Graph, op: Operator) -> Layer:
    """A mean, or a sum, which is one that nothing divides."""
    source, output = graph.input(op, 0), graph.output(op)
    shape, axes = reduction(graph, op)
    lead = 4 - len(shape)
    shape, reduced = common.quad(shape), {lead + axis for axis in axes}
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
    return common.layer_of(op, "mean", options)


def reduce_max(graph: Graph, op: Operator) -> Layer:
    """A maximum over any dimensions is max pooling of the same bytes seen as another shape."""
    shape, window = reduction_window(graph.input(op, 0).shape, reduced_axes(graph, op))
    (height, width, channels), (rows, columns) = shape, window
    options = Pool2DOptions(
        input_height=height, input_width=width, channels=channels,
        output_height=height // rows, output_width=width // columns,
        kernel_height=rows, kernel_width=columns, stride_height=rows, stride_width=columns,
        pad_top=0, pad_left=0, clamp_min=-128, clamp_max=127,
    )  # fmt: skip
    return common.layer_of(op, "max_pool_2d", options)


def picked(graph: Graph, op: Operator) -> Layer:
    """Elements of the input by strides, or nothing to do where they are all of it in their order."""
    picked = picked_elements(graph, op)
    if (picked.shape, picked.strides) == ((source_of(graph, op).elements,), (1,)):
        return copy(graph, op)
    strides = common.quad(picked.strides, fill=0)
    options = StridedSliceOptions(common.quad(picked.shape), strides, picked.start)
    return common.layer_of(op, "strided_slice", options)
