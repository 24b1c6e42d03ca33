"""The finished plan: everything that the emitters write, and what reports say of it."""

from __future__ import annotations

from dataclasses import dataclass

from codegen.graph import Graph
from codegen.layers import Layer
from codegen.plan_memory import MemoryPlan

VERSION = 1  # NN_PLAN_VERSION
KERNELS = (
    "conv_2d", "depthwise_conv_2d", "fully_connected", "max_pool_2d", "average_pool_2d", "add", "mul",
    "pad", "mean", "copy", "softmax", "quantize", "dequantize", "requantize", "concatenation", "table",
    "strided_slice", "mvp", "sub", "squared_difference", "div", "batch_matmul",
    "log_softmax", "l2_normalization", "svdf", "lstm",
)  # fmt: skip
"""The lines of nn_kernels.def, in order."""

# Structures of nn.h on the chip, whose pointers have four bytes.
_POINTER_BYTES = 4
_TENSOR_BYTES, _LAYER_BYTES, _PLAN_BYTES = 12, 24, 40
_INPUT_BYTES = 2  # of a layer, in its list


@dataclass(frozen=True, eq=False)
class Plan:
    """``resets`` are layers that bring variables to what they are before the first inference. ``tensors`` are
    those that layers read or write, by index in the graph; a tensor's number in the emitted plan is its
    position in this tuple."""

    name: str
    sha256: str
    accelerator: str
    graph: Graph
    layers: tuple[Layer, ...]
    resets: tuple[Layer, ...]
    memory: MemoryPlan
    tensors: tuple[int, ...]

    def number(self, tensor: int) -> int:
        return self.tensors.index(tensor)

    @property
    def input(self) -> int:
        return self.number(self.graph.inputs[0])

    @property
    def output(self) -> int:
        return self.number(self.graph.outputs[0])

    @property
    def keeps_state(self) -> bool:
        """Whether an inference depends on those before it."""
        return bool(self.resets)

    @property
    def every_layer(self) -> tuple[Layer, ...]:
        """As the emitted plan has them: those of an inference, then those of a reset."""
        return (*self.layers, *self.resets)

    @property
    def kernels(self) -> tuple[str, ...]:
        """The kernels that the layers call, in the order of their numbers."""
        used = {layer.kernel for layer in self.every_layer}
        return tuple(name for name in KERNELS if name in used)

    @property
    def flash_bytes(self) -> int:
        """Weights, tables, options and plan structures on the chip (32-bit pointers); no code, and none of
        the few bytes between arrays that the linker aligns."""
        from codegen.emit_memory import options_bytes

        constants = sum(self.graph.tensors[t].bytes for t in self.tensors if self.graph.tensors[t].constant)
        layers = sum(
            layer.weights_bytes
            + options_bytes(type(layer.options), pointer=_POINTER_BYTES)
            + _LAYER_BYTES
            + _INPUT_BYTES * len(layer.inputs)
            for layer in self.every_layer
        )
        kernels = _POINTER_BYTES * len(KERNELS)
        return constants + layers + _TENSOR_BYTES * len(self.tensors) + _PLAN_BYTES + kernels


def build_plan(
    graph: Graph, layers: tuple[Layer, ...], resets: tuple[Layer, ...], memory: MemoryPlan, *,
    name: str, sha256: str, accelerator: str,
) -> Plan:  # fmt: skip
    touched = (t for layer in (*layers, *resets) for t in (layer.output, *layer.inputs))
    used = {graph.inputs[0], *touched}
    return Plan(name, sha256, accelerator, graph, layers, resets, memory, tuple(sorted(used)))
