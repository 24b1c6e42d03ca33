"""The network as read from a .tflite: tensors and operators, nothing interpreted yet."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from codegen import schema


@dataclass(frozen=True, eq=False)
class Quantization:
    """Scales and zero points: one each for the tensor, or one for each channel of ``dimension``."""

    scales: np.ndarray
    zero_points: np.ndarray
    dimension: int

    @property
    def scale(self) -> float:
        return float(self.scales[0])

    @property
    def zero_point(self) -> int:
        return int(self.zero_points[0])

    @property
    def per_channel(self) -> bool:
        return len(self.scales) > 1


@dataclass(frozen=True)
class Widened:
    """Of a tensor that is stored with a value more after every ``channels`` ones
    (:mod:`codegen.even_channels`): these, and the network's own shape of it."""

    shape: tuple[int, ...]
    channels: int


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor; ``data`` is its array if it is constant. ``shape`` is that of what is stored. ``variable``
    says that the .tflite marks it as one that keeps its values between inferences."""

    index: int
    name: str
    shape: tuple[int, ...]
    type: str
    item_bytes: int
    quantization: Quantization | None
    data: np.ndarray | None
    widened: Widened | None = None
    variable: bool = False

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.elements * self.item_bytes

    @property
    def dimensions(self) -> str:
        """The shape, as messages and reports write it."""
        return "x".join(map(str, self.shape)) or "scalar"

    @property
    def constant(self) -> bool:
        return self.data is not None

    def values_of(self, stored: np.ndarray) -> np.ndarray:
        """The network's own values of a stored array, in its own shape."""
        if self.widened is None:
            return stored.reshape(self.shape)
        channels = self.widened.channels
        return stored.reshape(-1, channels + 1)[:, :channels].reshape(self.widened.shape)

    def stored_of(self, values: np.ndarray) -> np.ndarray:
        """The other way round; what the network does not have is 0."""
        if self.widened is None:
            return values.reshape(self.shape)
        groups = values.reshape(-1, self.widened.channels)
        return np.pad(groups, ((0, 0), (0, 1))).reshape(self.shape)

    @property
    def q(self) -> Quantization:
        """The quantization of a tensor that is known to have one."""
        assert self.quantization is not None
        return self.quantization


@dataclass(frozen=True)
class Part:
    """Which of an operator's ``count`` outputs, from 0; or which of so many steps that give its output."""

    number: int
    count: int
    kind: str = "output"

    def __str__(self) -> str:
        return f"{self.kind} {self.number} of {self.count}"


@dataclass(frozen=True)
class Operator:
    """An operator: tensors by index, -1 where an optional input is left out. One with ``part`` makes that
    output of several (:mod:`codegen.separate`), or is a step of several
    (:mod:`codegen.expand`)."""

    index: int
    opcode: int
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any]
    part: Part | None = None

    def __str__(self) -> str:
        return f"operator {self.index} ({schema.shown(self.name)})"


@dataclass(frozen=True)
class Variable:
    """What the network keeps from one inference to the next: a tensor, and the constant whose values it has
    before the first one. A constant of one byte stands for as many as the tensor has."""

    name: str
    tensor: int
    initial: int


def zero_like(tensor: Tensor, index: int) -> Tensor:
    """The constant of one byte that stands for zeros in all of an int8 or int16 tensor."""
    q = tensor.quantization
    zero_point = q.zero_point if q is not None and tensor.type == "int8" else 0
    data = np.array([zero_point]).astype(np.int8)
    return replace(tensor, index=index, type="int8", item_bytes=1, shape=(1,), data=data, variable=False)


@dataclass(frozen=True, eq=False)
class Graph:
    """One network with its inputs and outputs.

    ``operators`` are those that lead to an output; an operator's ``index`` is its place in the .tflite,
    which is not its place here where others have been left out or one has become several.

    ``initializers`` are the subgraphs that the operators call once, by number. They are there until
    ``variables`` are (:mod:`codegen.variables`).
    """

    description: str
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    variables: tuple[Variable, ...] = ()
    initializers: Mapping[int, Graph] = field(default_factory=dict)

    def input(self, operator: Operator, k: int) -> Tensor | None:
        """Input ``k`` of an operator, None if it has none there."""
        if k >= len(operator.inputs) or operator.inputs[k] < 0:
            return None
        return self.tensors[operator.inputs[k]]

    def uses(self, tensor: int) -> int:
        """How often a tensor is read or written, by operators or from outside."""
        return sum([*end.inputs, *end.outputs].count(tensor) for end in (self, *self.operators))

    def output(self, operator: Operator) -> Tensor:
        return self.tensors[operator.outputs[0]]
