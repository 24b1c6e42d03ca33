"""Which operators of a graph the accelerator runs, and how: the kernels behind one interface.

``select`` answers with sizes and costs at nominal addresses; after memory planning the answer's
``build`` makes the programs for the final ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from codegen.graph import Graph, Operator
from codegen.lookups import data_positions
from codegen.mvp import from_graph
from codegen.mvp.kernels import conv_2d, depthwise_conv_2d, elementwise, fully_connected, pool
from codegen.mvp.kernels.conv_2d_layer import Variant
from codegen.mvp.kernels.depthwise_conv_2d import Rows
from codegen.mvp.kernels.layer import NOMINAL, Cycles, Kernel, MvpLayer, Placement, Refusal

_OPERATORS = (
    "conv_2d", "depthwise_conv_2d", "fully_connected", "max_pool_2d", "average_pool_2d", "mean", "reduce_max",
    "add", "sub", "mul",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Choice:
    """``nominal`` tells variant and sizes. ``copy``: the constants have to be in RAM.
    ``in_place``: the scratch may be the input tensor's memory."""

    nominal: MvpLayer
    build: Kernel
    copy: bool
    in_place: bool


def select(
    graph: Graph, op: Operator, cycles: Cycles, *, copy: bool = True, scratch_limit: int | None = None
) -> Choice | Refusal:
    """How the accelerator runs an operator, or why it does not.

    ``cycles`` tells what programs take, to choose among variants; ``copy`` allows weights that are used
    often to be copied to RAM before the layer; ``scratch_limit`` bounds the binary16 copy of the input,
    which is then made in bands of rows.
    """
    if op.name not in _OPERATORS:
        return Refusal(f"the accelerator has no kernel for {op.name}")
    if any(graph.input(op, k).constant for k in data_positions(op)):
        return Refusal("a constant operand, which is not in the arena")
    if op.name == "conv_2d":
        layer = from_graph.conv_2d(graph, op)
        found = conv_2d.conv_2d(layer, cycles, copy=copy, scratch_limit=scratch_limit)
        return _choice(found, partial(conv_2d.build, layer), copy)
    if op.name == "depthwise_conv_2d":
        layer = from_graph.depthwise_conv_2d(graph, op)
        found = depthwise_conv_2d.depthwise_conv_2d(layer, cycles, copy=copy, scratch_limit=scratch_limit)
        return _choice(found, partial(depthwise_conv_2d.build, layer), copy)
    if op.name == "fully_connected":
        layer = from_graph.fully_connected(graph, op)
        if layer.input_shape[0] > 1:  # its weights are used again for each row
            found = conv_2d.conv_2d(layer, cycles, copy=copy, scratch_limit=scratch_limit)
            return _choice(found, partial(conv_2d.build, layer), copy)
        build = partial(fully_connected.build_fully_connected, layer)
        return _choice(fully_connected.fully_connected(layer, cycles), build, False)
    if op.name in ("max_pool_2d", "average_pool_2d"):
        return _simple(partial(pool.pool, from_graph.pool(graph, op)))
    if op.name == "mean":
        return _simple(partial(pool.pool, from_graph.mean(graph, op)), "mean")
    if op.name == "reduce_max":
        return _simple(partial(pool.pool, from_graph.reduce_max(graph, op)), "reduce_max")
    return _simple(partial(elementwise.elementwise, from_graph.elementwise(graph, op)))


def _choice(
    found: tuple[Variant | Rows, MvpLayer] | Refusal, build: Callable[..., MvpLayer], copy: bool
) -> Choice | Refusal:
    """A kernel's cheapest variant, if any; ``build`` makes it from the variant and a placement."""
    if isinstance(found, Refusal):
        return found
    variant, nominal = found
    return Choice(nominal, partial(_renamed, build, variant, nominal.kernel), copy, variant.in_place)


def _renamed(build: Callable[..., MvpLayer], variant: Variant | Rows, kernel: str, at: Placement) -> MvpLayer:
    return replace(build(variant, at), kernel=kernel)


def _simple(
    kernel: Callable[[Placement], MvpLayer | Refusal], name: str | None = None
) -> Choice | Refusal:
    """A kernel without variants; ``name`` where it serves an operator of another name."""

    def build(at: Placement) -> MvpLayer:
        layer = kernel(at)
        assert isinstance(layer, MvpLayer), "shapes decide, not addresses"
        return layer if name is None else replace(layer, kernel=name)

    nominal = kernel(NOMINAL)
    return nominal if isinstance(nominal, Refusal) else Choice(build(NOMINAL), build, False, in_place=False)
