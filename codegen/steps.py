"""What an operator becomes that others take the place of (:mod:`codegen.expand`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from codegen.graph import Operator, Part, Tensor
from codegen.schema import CODES

_LIST = Tensor(0, "", (0,), "int32", 4, None, None)
"""What the constants of a slice and the like are, but for their values."""


class Steps:
    """Collects the operators that take the place of one. ``tensors`` are those of the graph, to which theirs
    are added."""

    def __init__(self, op: Operator, tensors: list[Tensor]) -> None:
        self.tensors = tensors
        self._op, self._steps = op, []

    def value(self, like: Tensor, **changes: Any) -> int:
        """A tensor that a step makes."""
        return self._added(like, data=None, **changes)

    def constant(self, like: Tensor, data: np.ndarray, **changes: Any) -> int:
        """A constant of a tensor's type, quantized as that is if ``changes`` do not say otherwise."""
        data = np.ascontiguousarray(data)
        return self._added(like, data=data, shape=data.shape, **changes)

    def numbers(self, values: Sequence[int]) -> int:
        """A constant list of int32."""
        return self.constant(_LIST, np.array(values, np.int32))

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

    def _added(self, like: Tensor, **changes: Any) -> int:
        self.tensors.append(replace(like, index=len(self.tensors), **changes))
        return len(self.tensors) - 1
