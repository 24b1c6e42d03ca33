"""Part of memory planning: which tensors lie in one place, a group.

A reshape's two sides do, and the input and output of an operator that may write over what it reads. A
variable has a place for ever: what is read of it lies there if nothing is written to it until the last use,
and what is assigned to it is made there if the values before are not read any more. Else the copy that
reading and assigning are is done.
"""

from __future__ import annotations

from collections.abc import Sequence

from codegen.graph import Graph
from codegen.layers import Layer


def groups(graph: Graph, layers: Sequence[Layer], last: dict[int, int]) -> list[list[int]]:
    """Groups of tensors that share memory; most have one. ``last`` is the position of the layer that reads a
    tensor last."""
    return _Groups(graph, layers, last).found()


class _Groups:
    def __init__(self, graph: Graph, layers: Sequence[Layer], last: dict[int, int]) -> None:
        self._graph, self._layers, self._last = graph, layers, last
        self._variables = {variable.tensor for variable in graph.variables}
        self._made = {layer.output: position for position, layer in enumerate(layers)}
        self._group_of = {tensor: [tensor] for tensor in (graph.inputs[0], *self._variables)}

    def found(self) -> list[list[int]]:
        for position, layer in enumerate(self._layers):
            if layer.output in self._variables:
                self._assign(layer, position)
                continue
            group = self._taken_over(layer, position) or []
            group.append(layer.output)
            self._group_of[layer.output] = group
        unique = {id(group): group for group in self._group_of.values()}
        return list(unique.values())

    def _taken_over(self, layer: Layer, position: int) -> list[int] | None:
        """The group of an input whose memory the output may have."""
        for k in (0,) if layer.alias else layer.in_place:
            source = layer.inputs[k]
            if self._graph.tensors[source].constant:
                continue
            group = self._group_of[source]
            if self._is_view(layer, group) if layer.alias else self._is_free(layer, k, group, position):
                return group
        return None

    def _variable_in(self, group: list[int]) -> int | None:
        return next((tensor for tensor in group if tensor in self._variables), None)

    def _is_view(self, layer: Layer, group: list[int]) -> bool:
        """Whether what a layer gives stays what it is in the place of its input: nothing is written there but
        by an assignment to a variable, or by who resets it."""
        variable, end = self._variable_in(group), self._last[layer.output]
        if variable is None:
            return True
        assigned = self._made.get(variable, len(self._layers))
        return end < len(self._layers) and (end <= assigned or self._made[layer.output] > assigned)

    def _is_free(self, layer: Layer, k: int, group: list[int], position: int) -> bool:
        """Whether a layer may write over its input ``k``: nothing in the group is wanted afterwards."""
        dead = all(self._last[tensor] <= position for tensor in group)
        return dead and self._variable_in(group) is None and self._writes_over(layer, k, group)

    def _writes_over(self, layer: Layer, k: int, group: list[int]) -> bool:
        """Whether a layer's output may lie where its input ``k`` does: it is no larger, and no other input
        lies there."""
        tensors = self._graph.tensors
        smaller = tensors[layer.output].bytes <= tensors[layer.inputs[k]].bytes
        return smaller and sum(tensor in group for tensor in layer.inputs) == 1

    def _assign(self, layer: Layer, position: int) -> None:
        """What is assigned goes to the variable's place right away, if it may."""
        source = layer.inputs[0]
        if self._graph.tensors[source].constant:
            return
        own, group = self._group_of[layer.output], self._group_of[source]
        if group is not own and self._may_be_made_in(own, layer.output, group):
            own += group
            self._group_of |= dict.fromkeys(group, own)

    def _may_be_made_in(self, own: list[int], variable: int, group: list[int]) -> bool:
        """Whether all that a group holds in turn may lie in a variable's place, whose group is ``own``."""
        tensors, end = self._graph.tensors, len(self._layers)
        alien = self._graph.inputs[0] in group or self._variable_in(group) is not None
        if alien or any(self._last[t] >= end or tensors[t].bytes > tensors[variable].bytes for t in group):
            return False
        begins = min(self._made[tensor] for tensor in group)
        read = max(self._last.get(tensor, -1) for tensor in own)
        first = self._layers[begins]
        over = any(first.inputs[k] in own and self._writes_over(first, k, own) for k in first.in_place)
        return read < begins or (read == begins and over)
