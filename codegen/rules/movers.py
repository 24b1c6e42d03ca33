"""Rules of operators that move values, or reduce them."""

from __future__ import annotations

from codegen.graph import Graph, Operator
from codegen.lookups import (
    constant_indices,
    constant_ints,
    division_axis,
    division_sizes,
    permutation,
    picked_elements,
    reduced_axes,
    reduction,
    slice_axes,
    source_of,
)
from codegen.rules import common


def sums_fit(graph: Graph, op: Operator) -> str | None:
    """Rescaled sums stay within 31 bits."""
    source, output = graph.input(op, 0), graph.output(op)
    count, factor = source.elements // output.elements, source.q.scale / output.q.scale
    return None if 255 * count * factor < 1 << 30 else f"sums of {count} values are rescaled by {factor:g}"


def concatenates(graph: Graph, op: Operator) -> str | None:
    """The inputs have the output's shape but along the axis, where their sizes add up."""
    output = graph.output(op)
    rank = len(output.shape)
    axis = op.options["axis"]
    if not -rank <= axis < rank:
        return f"axis {axis} of an output of {output.dimensions}"
    total = 0
    for k in range(len(op.inputs)):
        shape = graph.input(op, k).shape
        if len(shape) != rank or any(
            a != b for d, (a, b) in enumerate(zip(shape, output.shape, strict=True)) if d != axis % rank
        ):
            return f"input {k} of {graph.input(op, k).dimensions} in an output of {output.dimensions}"
        total += shape[axis]
    return None if total == output.shape[axis] else f"sizes add up to {total}, not {output.shape[axis]}"


def stacks(graph: Graph, op: Operator) -> str | None:
    """The inputs have one shape, which the output has without the axis; that is as long as they are many."""
    output, axis = graph.output(op), op.options["axis"]
    rank = len(output.shape)
    if not -rank <= axis < rank:
        return f"axis {axis} of an output of {output.dimensions}"
    each = tuple(size for d, size in enumerate(output.shape) if d != axis % rank)
    for k in range(len(op.inputs)):
        if graph.input(op, k).shape != each:
            return f"input {k} of {graph.input(op, k).dimensions} in an output of {output.dimensions}"
    if len(op.inputs) != output.shape[axis]:
        return f"{len(op.inputs)} inputs for {output.dimensions}"
    return None


def pads(graph: Graph, op: Operator) -> str | None:
    """Paddings are constant int32 pairs, not negative, that make the output's shape; padv2's value is a
    constant int8 in the output's scale and zero point."""
    source, output = graph.input(op, 0), graph.output(op)
    paddings = constant_ints(graph, op, 1)
    if paddings is None or len(paddings) != 2 * len(source.shape) or min(paddings, default=0) < 0:
        return "the paddings are not constant int32 pairs for each dimension, or negative"
    expected = [n + a + b for n, a, b in zip(source.shape, paddings[::2], paddings[1::2], strict=True)]
    if list(output.shape) != expected:
        return f"the output is {output.dimensions}, not {'x'.join(map(str, expected))}"
    if op.name == "padv2":
        value = graph.input(op, 2)
        if value is None or not value.constant or value.type != "int8" or value.elements != 1:
            return "the padding value is not a constant int8"
        q = value.quantization
        if q is None or (q.scale, q.zero_point) != (output.q.scale, output.q.zero_point):
            has = "no scale" if q is None else f"scale {q.scale:g} and zero point {q.zero_point}"
            return f"the padding value has {has}, the output {output.q.scale:g} and {output.q.zero_point}"
    return None


def reduces(graph: Graph, op: Operator) -> str | None:
    """Axes are constant int32 within the input's dimensions, and the output is what is left."""
    source, output = graph.input(op, 0), graph.output(op)
    axes = constant_ints(graph, op, 1)
    rank = len(source.shape)
    if not axes or any(not -rank <= axis < rank for axis in axes):
        return f"axes {axes if axes else 'that are not constant int32'} of {source.dimensions}"
    reduced = reduced_axes(graph, op)
    keep = op.options["keep_dims"]
    expected = tuple(1 if d in reduced else n for d, n in enumerate(source.shape) if keep or d not in reduced)
    return None if output.shape == expected else f"the output is {output.dimensions}, not {expected}"


def four_reduced_alike(graph: Graph, op: Operator) -> str | None:
    """At most four dimensions are left where those are joined that follow each other and are all reduced, or
    all not."""
    return common.four_left(reduction(graph, op)[0], graph.input(op, 0))


def slices(graph: Graph, op: Operator) -> str | None:
    """Begin, end and strides are constant int32 with a value for each dimension, strides not 0, no
    ellipsis, new axis or offset, and make the output's shape."""
    if op.options["ellipsis_mask"] or op.options["new_axis_mask"] or op.options["offset"]:
        return "it has an ellipsis, a new axis or an offset"
    source = graph.input(op, 0)
    lists = [constant_ints(graph, op, k) for k in (1, 2, 3)]
    if any(values is None or len(values) != len(source.shape) for values in lists) or 0 in lists[2]:
        return "begin, end or strides are not constant int32 for each dimension, or a stride is 0"
    return slice_makes_output(graph, op)


def cuts_out(graph: Graph, op: Operator) -> str | None:
    """Begin and size are constant int32 with a value for each dimension, within the input, and make the
    output's shape."""
    source = graph.input(op, 0)
    lists = [constant_ints(graph, op, k) for k in (1, 2)]
    if any(values is None or len(values) != len(source.shape) for values in lists):
        return "begin or size are not constant int32 for each dimension"
    return slice_makes_output(graph, op)


def reverses(graph: Graph, op: Operator) -> str | None:
    """The dimensions that are turned round are constant int32, different ones of the input's, which has the
    output's shape."""
    source, axes = graph.input(op, 0), constant_ints(graph, op, 1)
    rank = len(source.shape)
    if axes is None or len({axis % rank for axis in axes if -rank <= axis < rank}) != len(axes):
        given = axes if axes is not None else "that are not constant int32"
        return f"the dimensions {given} of {source.dimensions}"
    return slice_makes_output(graph, op)


def divides(graph: Graph, op: Operator) -> str | None:
    """The dimension is constant and the input's, sizes (of split_v) are constant int32, and the outputs are
    all of the input along it."""
    source = source_of(graph, op)
    axis = division_axis(graph, op)
    if axis is None:
        return f"the dimension is not constant int32, or none of {source.dimensions}"
    sizes = division_sizes(graph, op)
    if sizes is None or len(sizes) != op.part.count or min(sizes) < 0 or sum(sizes) != source.shape[axis]:
        return f"{op.part.count} outputs of sizes {sizes} along dimension {axis} of {source.dimensions}"
    return slice_makes_output(graph, op)


def slice_makes_output(graph: Graph, op: Operator) -> str | None:
    source, output = source_of(graph, op), graph.output(op)
    axes = slice_axes(graph, op)
    expected = tuple(axis.count for axis in axes if not axis.shrink)
    if output.shape != expected or any(
        not (axis.count > 0 and 0 <= axis.start < n and 0 <= axis.start + (axis.count - 1) * axis.stride < n)
        for axis, n in zip(axes, source.shape, strict=True)
    ):
        return f"the slice of {source.dimensions} is {expected}, the output {output.dimensions}"
    return None


def tiles(graph: Graph, op: Operator) -> str | None:
    """How often each dimension is repeated is constant int32, and makes the output's shape."""
    source, output = graph.input(op, 0), graph.output(op)
    times = constant_ints(graph, op, 1)
    if times is None or len(times) != len(source.shape):
        return "how often is not constant int32 for each dimension"
    expected = tuple(n * by for n, by in zip(source.shape, times, strict=True))
    return None if output.shape == expected else f"the output is {output.dimensions}, not {expected}"


def broadcasts_to(graph: Graph, op: Operator) -> str | None:
    """The shape is constant int32 and the output's; the input's dimensions are those of it, or 1."""
    source, output = graph.input(op, 0), graph.output(op)
    shape = constant_ints(graph, op, 1)
    if shape is None or tuple(shape) != output.shape:
        return f"the shape {shape if shape else 'that is not constant int32'} of {output.dimensions}"
    missing = len(shape) - len(source.shape)
    fits = missing >= 0 and all(n in (1, to) for n, to in zip(source.shape, shape[missing:], strict=True))
    return None if fits else f"{source.dimensions} to {output.dimensions}"


def gathers(graph: Graph, op: Operator) -> str | None:
    """The indices are at most 64 constant int32 within a dimension of the input (no batch dimensions), and
    make the output's shape."""
    source, output, rank = graph.input(op, 0), graph.output(op), len(graph.input(op, 0).shape)
    indices, axis = constant_indices(graph, op, 1), op.options["axis"]
    if indices is None or indices.size == 0 or op.options["batch_dims"]:
        return "the indices are not at most 64 constant int32, or there are batch dimensions"
    if not -rank <= axis < rank:
        return f"axis {axis} of {source.dimensions}"
    axis %= rank
    least, most = int(indices.min()), int(indices.max())
    if least < 0 or most >= source.shape[axis]:
        return f"indices from {least} to {most} along dimension {axis} of {source.dimensions}"
    expected = (*source.shape[:axis], *indices.shape, *source.shape[axis + 1 :])
    return None if output.shape == expected else f"the output is {output.dimensions}, not {expected}"


def transposes(graph: Graph, op: Operator) -> str | None:
    """The order of dimensions is constant int32, names each once, and makes the output's shape."""
    source, output = graph.input(op, 0), graph.output(op)
    axes, rank = constant_ints(graph, op, 1), len(source.shape)
    order = permutation(graph, op) if rank else []
    if axes is None or sorted(order) != list(range(rank)) or any(not -rank <= axis < rank for axis in axes):
        given = axes if axes is not None else "that is not constant int32"
        return f"the order {given} of {source.dimensions}"
    expected = tuple(source.shape[d] for d in order)
    return None if output.shape == expected else f"the output is {output.dimensions}, not {expected}"


def four_are_left(graph: Graph, op: Operator) -> str | None:
    """At most four dimensions are left where those are joined that follow each other in the input too."""
    return common.four_left(picked_elements(graph, op).shape, source_of(graph, op))
