"""Fourth pass: where in the arena each tensor lives.

Tensors that share memory (:mod:`codegen.share_memory`) form one block. A block occupies the arena from the
layer that writes it first to the layer that reads it last, that of a variable always; a block may be larger
at its last layer, where the accelerator widens an input in its own place.
The lower bound of any plan with these blocks is the largest sum of blocks alive at one layer.
Blocks are placed greedily in several orders, at the lowest free offset or, every second one, at the
highest below the bound (which suits chains, where each layer reads from one end and writes to the other),
until the bound is met or a fixed number of placements has been tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from codegen.graph import Graph
from codegen.layers import Layer
from codegen.share_memory import groups

ALIGNMENT = 4
ARENA_ALIGNMENT = 8
SEARCH_LIMIT = 2_000  # placements tried beyond the greedy ones; more found nothing on the models at hand


@dataclass(frozen=True)
class Block:
    """Memory alive from layer ``first`` to layer ``last``, both included; ``last_bytes`` are its size at
    ``last`` if it grows there."""

    bytes: int
    first: int
    last: int
    tensors: tuple[int, ...] = ()
    last_bytes: int = 0

    def overlaps(self, other: Block) -> bool:
        return self.first <= other.last and other.first <= self.last

    def bytes_at(self, time: int) -> int:
        if not self.first <= time <= self.last:
            return 0
        return max(self.bytes, self.last_bytes) if time == self.last else self.bytes

    def bytes_beside(self, other: Block) -> int:
        """The size at most while another block is alive too."""
        return self.bytes_at(self.last) if other.first <= self.last <= other.last else self.bytes


@dataclass(frozen=True)
class MemoryPlan:
    """``offsets`` by tensor, ``scratch`` and ``prescaled`` by their layer's output; ``bound_bytes`` is what
    no plan can go below."""

    offsets: dict[int, int]
    scratch: dict[int, int]
    prescaled: dict[int, int]
    arena_bytes: int
    bound_bytes: int


def plan_memory(graph: Graph, layers: Sequence[Layer]) -> MemoryPlan:
    """Places every activation and every layer's scratch."""
    blocks = _tensor_blocks(graph, layers)
    widened = {t: block for block in blocks if block.last_bytes for t in block.tensors}
    scratch, prescaled = {}, {}
    for position, layer in enumerate(layers):
        if layer.scratch_bytes:
            scratch[layer.output] = Block(_align(layer.scratch_bytes), position, position)
        if layer.prescaled_bytes:
            own = widened.get(layer.inputs[0])
            in_place = own is not None and own.last == position
            new = Block(_align(layer.prescaled_bytes), position, position)
            prescaled[layer.output] = own if in_place else new
    every = list({id(b): b for b in (*blocks, *scratch.values(), *prescaled.values())}.values())
    bound = lower_bound(every)
    places = place(every, bound)
    offset = {id(block): place for block, place in zip(every, places, strict=True)}
    return MemoryPlan(
        offsets={tensor: offset[id(block)] for block in blocks for tensor in block.tensors},
        scratch={tensor: offset[id(block)] for tensor, block in scratch.items()},
        prescaled={tensor: offset[id(block)] for tensor, block in prescaled.items()},
        arena_bytes=_align(_height(every, places), ARENA_ALIGNMENT),
        bound_bytes=_align(bound, ARENA_ALIGNMENT),
    )


def lower_bound(blocks: Sequence[Block]) -> int:
    """The largest sum of blocks that are alive together."""
    times = {time for block in blocks for time in (block.first, block.last)}
    return max((sum(b.bytes_at(time) for b in blocks) for time in times), default=0)


def place(blocks: Sequence[Block], bound: int, limit: int = SEARCH_LIMIT) -> list[int]:
    """An offset for each block, so that no two alive together overlap; ``limit`` bounds the search."""
    neighbours = [
        [j for j, other in enumerate(blocks) if j != i and block.overlaps(other)]
        for i, block in enumerate(blocks)
    ]
    best: list[int] = []
    height = 0
    by_time = sorted(range(len(blocks)), key=lambda i: (blocks[i].first, -blocks[i].bytes))
    nowhere, every_second = frozenset(), frozenset(by_time[1::2])
    for order in _orders(blocks, limit):
        for high in (nowhere, every_second):
            places = _place_in_order(blocks, neighbours, order, high, bound)
            if not best or _height(blocks, places) < height:
                best, height = places, _height(blocks, places)
            if height <= bound:
                return best
    return best


def _tensor_blocks(graph: Graph, layers: Sequence[Layer]) -> list[Block]:
    first: dict[int, int] = {graph.inputs[0]: 0}
    last: dict[int, int] = {graph.inputs[0]: 0}
    variables = {variable.tensor for variable in graph.variables}
    for position, layer in enumerate(layers):
        for tensor in layer.inputs:
            if not graph.tensors[tensor].constant:
                last[tensor] = position
        if layer.output not in variables:
            first[layer.output] = last[layer.output] = position
    last[graph.outputs[0]] = len(layers)
    shared = groups(graph, layers, last)
    for variable in variables:
        first[variable], last[variable] = 0, len(layers)
    slack = {layer.output: layer.mvp.output_bytes for layer in layers if layer.mvp is not None}
    return [
        Block(
            bytes=_align(max(max(graph.tensors[t].bytes, slack.get(t, 0)) for t in group)),
            first=min(first[t] for t in group),
            last=max(last[t] for t in group),
            tensors=tuple(group),
            last_bytes=_align(_widened_bytes(layers, group, max(last[t] for t in group))),
        )
        for group in shared
    ]


def _widened_bytes(layers: Sequence[Layer], group: list[int], last: int) -> int:
    """What a group's last reader needs to widen it where it lies, 0 if it does not."""
    if last >= len(layers):
        return 0
    layer = layers[last]
    return layer.prescaled_bytes if layer.prescaled_in_place and layer.inputs[0] in group else 0


def _orders(blocks: Sequence[Block], limit: int) -> Iterator[list[int]]:
    """Orders to place the blocks in: sensible ones, then neighbours of them, deterministically."""
    indices = range(len(blocks))
    size = [block.bytes_at(block.last) for block in blocks]
    span = [block.last - block.first + 1 for block in blocks]
    keys = (
        lambda i: (-size[i], blocks[i].first),
        lambda i: (-size[i] * span[i], blocks[i].first),
        lambda i: (-span[i], -size[i]),
        lambda i: (blocks[i].first, -size[i]),
        lambda i: (-blocks[i].last, -size[i]),
    )
    starts = [sorted(indices, key=key) for key in keys]
    yield from starts
    tried = 0
    state = 1
    while tried < limit // max(1, len(blocks) // 8) and len(blocks) > 2:
        order = list(starts[tried % len(starts)])
        for _ in range(1 + tried % 4):
            # A linear congruential generator: the same plan on every machine.
            state = (state * 1103515245 + 12345) & 0x7FFFFFFF
            i, j = (state >> 8) % len(order), (state >> 16) % len(order)
            order.insert(j, order.pop(i))
        tried += 1
        yield order


def _place_in_order(
    blocks: Sequence[Block],
    neighbours: Sequence[Sequence[int]],
    order: Sequence[int],
    high: frozenset[int],
    bound: int,
) -> list[int]:
    """Each block in turn at an offset that is free for its whole life: the lowest, or for those in
    ``high`` the highest below the bound where there is one."""
    places = [-1] * len(blocks)
    for i in order:
        block = blocks[i]
        # Offsets from the first to before the second would reach into a neighbour.
        taken = sorted(
            (places[j] - block.bytes_beside(blocks[j]) + 1, places[j] + blocks[j].bytes_beside(block))
            for j in neighbours[i]
            if places[j] >= 0
        )
        offset = _highest(taken, bound - block.bytes_at(block.last)) if i in high else -1
        places[i] = offset if offset >= 0 else _lowest(taken)
    return places


def _lowest(taken: Sequence[tuple[int, int]]) -> int:
    offset = 0
    for start, end in taken:
        if offset < start:
            break
        offset = max(offset, end)
    return offset


def _highest(taken: Sequence[tuple[int, int]], limit: int) -> int:
    """The highest offset up to the limit, negative if there is none."""
    offset = limit
    for start, end in sorted(taken, key=lambda place: -place[1]):
        if end <= offset:
            break
        offset = min(offset, start - 1)
    return offset


def _height(blocks: Sequence[Block], places: Sequence[int]) -> int:
    tops = (offset + block.bytes_at(block.last) for block, offset in zip(blocks, places, strict=True))
    return max(tops, default=0)


def _align(size: int, alignment: int = ALIGNMENT) -> int:
    return -(-size // alignment) * alignment
