"""The passes around memory planning that give layers to the MVP: which and how, then their programs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from codegen.even_channels import Group, groups, widen
from codegen.graph import Graph, Operator, Tensor
from codegen.layers import Layer
from codegen.lower import lower_operator
from codegen.mvp import isa, stream
from codegen.mvp.kernels.copy import copy
from codegen.mvp.kernels.layer import LAYER_CPU_CYCLES, Cycles, Kernel, Placement, Refusal
from codegen.mvp.m33_cost import cortex_m33_cycles
from codegen.mvp.select import Choice, select
from codegen.options import MvpOptions
from codegen.plan_memory import MemoryPlan

ARENA, CONSTANTS = isa.RAM_BASE, isa.FLASH_BASE
"""Where programs are built for; the kernel moves them (:mod:`codegen.mvp.stream`)."""

WEIGHTS = ("ram", "flash")
"""Where the accelerator reads weights that it uses often."""

SCRATCH_LIMIT = 24 << 10
"""Of a layer's binary16 input, in bytes. Larger ones are made in bands of rows, at the cost of a few
programs, lest one wide layer sets the RAM of the whole network."""

_WORTH_A_LOOK = 0.08  # share of a layer's cycles that copying its weights takes


class Chooser:
    """How the accelerator runs operators: with its ``weights`` where :data:`WEIGHTS` says, by what programs
    take (``cycles``).

    Kernels are compared by building and timing the programs of all their variants, which takes a while for a
    large layer. A choice depends on an operator and its tensors alone, so each is kept for who asks next.
    """

    def __init__(self, weights: str, cycles: Cycles) -> None:
        self.cycles = cycles
        self._weights = weights
        self._made: dict[tuple[int, tuple[Tensor | None, ...]], Choice | Refusal] = {}

    def choose(self, graph: Graph, op: Operator) -> Choice | Refusal:
        """A kernel for an operator, or why there is none."""
        key = op.index, (graph.output(op), *(graph.input(op, k) for k in range(len(op.inputs))))
        if key not in self._made:
            self._made[key] = self._make(graph, op)
        return self._made[key]

    def _make(self, graph: Graph, op: Operator) -> Choice | Refusal:
        """The cheaper of weights that are copied to RAM, if they may be, and weights in flash."""
        choice = select(graph, op, self.cycles, copy=self._weights == "ram", scratch_limit=SCRATCH_LIMIT)
        if isinstance(choice, Refusal) or not choice.copy:
            return choice
        first = copy(CONSTANTS, ARENA, len(choice.nominal.constants))
        copying = replace(choice.nominal, programs=np.stack(first)).cost(self.cycles)
        cost = choice.nominal.cost(self.cycles)
        if copying < _WORTH_A_LOOK * cost:
            return choice
        other = select(graph, op, self.cycles, copy=False, scratch_limit=SCRATCH_LIMIT)
        cheaper = isinstance(other, Choice) and other.nominal.cost(self.cycles) <= cost + copying
        return other if cheaper else choice


def give_to_mvp(
    graph: Graph, layers: tuple[Layer, ...], chooser: Chooser
) -> tuple[tuple[Layer, ...], dict[int, Kernel]]:
    """The layers, those of the accelerator at nominal addresses, and how to build these for others."""
    given: list[Layer] = []
    builds: dict[int, Kernel] = {}
    for op, layer in zip(graph.operators, layers, strict=True):
        if layer.alias:  # nothing to do
            given.append(layer)
            continue
        choice = chooser.choose(graph, op)
        if isinstance(choice, Refusal):
            given.append(replace(layer, reason=choice.reason))
            continue
        better, reason = _compare(graph, layer, choice, chooser.cycles)
        if not better:
            given.append(replace(layer, reason=reason))
            continue
        builds[layer.output] = choice.build
        given.append(replace(_accelerated(layer, choice), reason=reason))
    return tuple(given), builds


def with_even_channels(graph: Graph, chooser: Chooser) -> Graph:
    """The graph with even numbers of channels where that takes fewer cycles (estimates)."""
    for group in groups(graph):
        wide = widen(graph, group)
        if _touched(wide, group, chooser) < _touched(graph, group, chooser):
            graph = wide
    return graph


def _touched(graph: Graph, group: Group, chooser: Chooser) -> int:
    """Estimated cycles of the layers that read or write a group of tensors, where they are known."""
    total = 0
    for op in graph.operators:
        if not group.touches(op):
            continue
        choice = chooser.choose(graph, op)
        costs = [_m33_cycles(graph, lower_operator(graph, op))]
        if isinstance(choice, Choice):
            costs.append(_mvp_cycles(choice, chooser.cycles))
        total += min((cost for cost in costs if cost is not None), default=0)
    return total


def _mvp_cycles(choice: Choice, cycles: Cycles) -> int:
    return choice.nominal.cost(cycles) + LAYER_CPU_CYCLES


def _m33_cycles(graph: Graph, layer: Layer) -> int | None:
    return cortex_m33_cycles(layer, graph.tensors[layer.inputs[0]].elements)


def described_as(own: tuple[Layer, ...], wide: tuple[Layer, ...], graph: Graph) -> tuple[Layer, ...]:
    """The layers of a ``graph`` that was widened, with shapes and operations of the network's ``own``; the
    options say where it was."""
    return tuple(
        replace(
            layer,
            macs=before.macs,
            ops=before.ops,
            input_shape=before.input_shape,
            output_shape=before.output_shape,
            options_text=" ".join(filter(None, (before.options_text, _stored(graph.tensors[layer.output])))),
        )
        for before, layer in zip(own, wide, strict=True)
    )


def _stored(tensor: Tensor) -> str:
    return f"stored_channels:{tensor.widened.channels + 1}" if tensor.widened else ""


def _compare(graph: Graph, layer: Layer, choice: Choice, cycles: Cycles) -> tuple[bool, str]:
    """Whether the accelerator is the cheaper place for a layer, and why."""
    ours, m33 = _mvp_cycles(choice, cycles), _m33_cycles(graph, layer)
    if m33 is None:
        return True, ""
    reason = f"about {ours:,} cycles on the accelerator, {m33:,} on the Cortex-M33 (estimates)"
    return ours < m33, reason


def _accelerated(layer: Layer, choice: Choice) -> Layer:
    nominal = choice.nominal
    return replace(
        layer,
        kernel="mvp",
        mvp=nominal,
        scratch_bytes=len(nominal.constants) if choice.copy else 0,
        prescaled_bytes=nominal.scratch_bytes,
        prescaled_in_place=choice.in_place,
    )


def build_programs(
    layers: tuple[Layer, ...], builds: dict[int, Kernel], memory: MemoryPlan
) -> tuple[Layer, ...]:
    """The layers with programs for their places in the arena."""
    return tuple(
        _built(layer, builds[layer.output], memory) if layer.output in builds else layer for layer in layers
    )


def _built(layer: Layer, build: Kernel, memory: MemoryPlan) -> Layer:
    assert layer.mvp is not None
    copied = layer.scratch_bytes != 0
    built = build(
        Placement(
            inputs=tuple(ARENA + memory.offsets[tensor] for tensor in layer.inputs),
            output=ARENA + memory.offsets[layer.output],
            scratch=ARENA + memory.prescaled.get(layer.output, 0),
            constants=CONSTANTS,
            copy=ARENA + memory.scratch[layer.output] if copied else None,
        )
    )
    assert built.constants == layer.mvp.constants and built.scratch_bytes == layer.mvp.scratch_bytes
    size = len(built.constants)
    if copied:
        first = copy(CONSTANTS, ARENA + memory.scratch[layer.output], size)
        built = replace(built, programs=np.concatenate([first, built.programs]))
    options = MvpOptions(
        program_count=len(built.programs),
        constant_bytes=size,
        programs=stream.encode(built.programs, ARENA, CONSTANTS),
        constants=np.frombuffer(built.constants, np.int8),
    )
    return replace(layer, mvp=built, options=options, weights_bytes=size + options.programs.nbytes)
