"""Between checking and lowering: operators without a kernel of their own become others that have one.

Each gives what the operator's reference gives, to the bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from codegen.float_tables import FOLDED
from codegen.graph import Graph, Operator, Tensor
from codegen.lookups import MAX_TABLES, constant_indices, has_one_limit, repeated_beforehand
from codegen.separate import check_count
from codegen.steps import Steps
from codegen.ungroup import ungroup


def expand(graph: Graph) -> Graph:
    """The graph without such operators; those that one becomes share its index, the place in the .tflite.
    TokayError if that makes too many."""
    tensors, operators = list(graph.tensors), []
    for op in graph.operators:
        steps = Steps(op, tensors)
        if op.name in _EXPANSIONS and _EXPANSIONS[op.name](graph, op, steps):
            operators += steps.operators()
            check_count(operators, op, "steps")
        else:
            operators.append(op)
    return replace(graph, tensors=tuple(tensors), operators=tuple(operators))


def _prelu(graph: Graph, op: Operator, steps: Steps) -> bool:
    """With more slopes than tables are kept for: what is negative times the slopes, plus what is not. One of
    the two is the output's zero point, so their sum is the other."""
    source, slopes, output = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    if slopes.elements <= MAX_TABLES:
        return False
    zero = steps.constant(source, np.array([source.q.zero_point], np.int8))
    negative = steps.step("minimum", [source.index, zero], steps.value(source))
    products = steps.step("mul", [negative, slopes.index], steps.value(output), activation=0)
    others = steps.step("leaky_relu", [source.index], steps.value(output), alpha=0.0)
    steps.step("add", [products, others], output.index, activation=0)
    return True


def _reduce_min(graph: Graph, op: Operator, steps: Steps) -> bool:
    source, output = graph.input(op, 0), graph.output(op)
    _smallest(op, steps, source, output, op.inputs[1])
    return True


def _smallest(op: Operator, steps: Steps, source: Tensor, output: Tensor, axes: int) -> None:
    """What is left of values over some dimensions if the smallest are: the largest of the negated ones,
    negated. With a zero point of -1 - z for z, that is the same bits inverted."""
    q = replace(source.q, zero_points=np.array([-1 - source.q.zero_point]))
    folded = {FOLDED: True}
    negated = steps.step("neg", [source.index], steps.value(source, quantization=q), **folded)
    largest = steps.value(output, quantization=q)
    steps.step("reduce_max", [negated, axes], largest, keep_dims=op.options.get("keep_dims", False))
    steps.step("neg", [largest], output.index, **folded)


def _of_pairs(graph: Graph, op: Operator, steps: Steps) -> bool:
    """A minimum or maximum of two tensors: they are put one after the other and reduced."""
    if has_one_limit(graph, op):
        return False
    output = graph.output(op)
    rows = []
    for tensor in (graph.input(op, k) for k in (0, 1)):
        if tensor.shape == output.shape:
            rows.append(tensor.index)
        elif repeated_beforehand(tensor, output):
            rows.append(steps.constant(tensor, np.broadcast_to(tensor.data, output.shape)))
        else:
            shape = steps.numbers(output.shape)
            rows.append(steps.step("broadcast_to", [tensor.index, shape], steps.value(output)))
    both = steps.value(output, shape=(2, output.elements))
    steps.step("pack", rows, both, axis=0)
    axes = steps.numbers([0])
    if op.name == "maximum":
        steps.step("reduce_max", [both, axes], output.index, keep_dims=False)
    else:
        _smallest(op, steps, steps.tensors[both], output, axes)
    return True


def _gather(graph: Graph, op: Operator, steps: Steps) -> bool:
    """A slice for each run of indices in equal steps, and a concatenation of several."""
    source, output = graph.input(op, 0), graph.output(op)
    indices = constant_indices(graph, op, 1)
    axis = int(op.options["axis"]) % len(source.shape)
    runs = _runs([int(index) for index in indices.reshape(-1)])
    if len(runs) == 1:
        _slice(steps, source, axis, runs[0], output.index)
        return True
    shapes = [tuple(run[2] if d == axis else n for d, n in enumerate(source.shape)) for run in runs]
    parts = [
        _slice(steps, source, axis, run, steps.value(output, shape=shape))
        for run, shape in zip(runs, shapes, strict=True)
    ]
    if indices.ndim == 1:
        steps.step("concatenation", parts, output.index, axis=axis, activation=0)
        return True
    shape = tuple(indices.size if d == axis else n for d, n in enumerate(source.shape))
    whole = steps.value(output, shape=shape)
    steps.step("concatenation", parts, whole, axis=axis, activation=0)
    steps.step("reshape", [whole], output.index)
    return True


def _runs(indices: list[int]) -> list[tuple[int, int, int]]:
    """Indices as runs in equal steps: start, step and count."""
    runs: list[tuple[int, int, int]] = []
    for index in indices:
        start, step, count = runs[-1] if runs else (0, 0, 0)
        if count == 1 and index != start:
            runs[-1] = (start, index - start, 2)
        elif count > 1 and index == start + step * count:
            runs[-1] = (start, step, count + 1)
        else:
            runs.append((index, 1, 1))
    return runs


def _slice(steps: Steps, source: Tensor, axis: int, run: tuple[int, int, int], output: int) -> int:
    """What lies at the run's indices along a dimension."""
    start, step, count = run
    rank, end = len(source.shape), start + step * count
    others = (1 << rank) - 1 - (1 << axis)
    lists = [steps.numbers([value if d == axis else 1 for d in range(rank)]) for value in (start, end, step)]
    masks = {"begin_mask": others, "end_mask": others | (end < 0) << axis, "shrink_axis_mask": 0}
    return steps.step("strided_slice", [source.index, *lists], output, **masks)


_EXPANSIONS: dict[str, Callable[[Graph, Operator, Steps], bool]] = {
    "conv_2d": ungroup,
    "prelu": _prelu,
    "reduce_min": _reduce_min,
    "maximum": _of_pairs,
    "minimum": _of_pairs,
    "gather": _gather,
}
"""Each adds the steps that an operator becomes; False if it has a kernel as it is."""
