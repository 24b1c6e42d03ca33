"""What the passes share that have several operators take the place of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from codegen import schema
from codegen.graph import Operator, Part, Tensor

CODES = {name: code for code, (name, _) in schema.OPERATORS.items()}
"""The BuiltinOperator of an operator's name."""

LIST = Tensor(0, "", (0,), "int32", 4, None, None)
"""What the constants of a slice and the like are, but for their values."""


def added(tensors: list[Tensor], like: Tensor, *, data: np.ndarray | None = None, **changes) -> int:
    """Adds a tensor, constant if it has ``data`` (whether ``like`` has or not), and returns its index."""
    if data is not None:
        data = np.ascontiguousarray(data)
        changes["shape"] = data.shape
    tensors.append(replace(like, index=len(tensors), data=data, **changes))
    return len(tensors) - 1


class Steps:
    """Collects the operators that take the place of one. ``tensors`` are those of the graph, to which theirs
    are added."""

    def __init__(self, op: Operator, tensors: list[Tensor]) -> None:
        self.tensors = tensors
        self._op, self._steps = op, []

    def value(self, like: Tensor, **changes: Any) -> int:
        """A tensor that a step makes."""
        return added(self.tensors, like, **changes)

    def constant(self, like: Tensor, data: Any) -> int:
        """A constant int8 that is quantized as a tensor is."""
        return added(self.tensors, like, data=np.asarray(data, np.int8))

    def numbers(self, values: Sequence[int]) -> int:
        """A constant list of int32."""
        return added(self.tensors, LIST, data=np.array(values, np.int32))

    def step(self, name: str, inputs: list[int], output: int, **options: Any) -> int:
        """The next operator; its output's index."""
        step = replace(self._op, name=name, opcode=CODES[name], options=options)
        self._steps.append(replace(step, inputs=tuple(inputs), outputs=(output,)))
        return output

    def operators(self) -> list[Operator]:
        """All of them, each a part of the operator unless it is the only one."""
        count = len(self._steps)
        if count == 1:
            return self._steps
        return [replace(step, part=Part(k, count, "step")) for k, step in enumerate(self._steps)]
