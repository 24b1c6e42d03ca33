"""A plan as C structures in this process's memory, for running it through the native library.

The layouts are derived from the same classes that the C emitter writes, so both describe one plan.
"""

from __future__ import annotations

import ctypes
import functools
from dataclasses import fields
from typing import Any

import numpy as np

from codegen import options as o
from codegen.layers import Layer
from codegen.options import Options
from codegen.plan import KERNELS, VERSION, Plan

_FIELD_TYPES = {
    "int": ctypes.c_int32,
    "float": ctypes.c_float,
    "Quad": ctypes.c_int32 * 4,
    "Int8Array": ctypes.c_void_p,
    "Int32Array": ctypes.c_void_p,
    "WordArray": ctypes.c_void_p,
    "HalfArray": ctypes.c_void_p,
    "ChannelArray": ctypes.c_void_p,
}


class NnTensor(ctypes.Structure):
    """nn_tensor_t"""

    _fields_ = [("constant", ctypes.c_void_p), ("offset", ctypes.c_uint32), ("bytes", ctypes.c_uint32)]


class NnLayer(ctypes.Structure):
    """nn_layer_t"""

    _fields_ = [
        ("kernel", ctypes.c_uint16), ("opcode", ctypes.c_uint16), ("output", ctypes.c_uint16),
        ("input_count", ctypes.c_uint16), ("inputs", ctypes.POINTER(ctypes.c_uint16)),
        ("options", ctypes.c_void_p), ("scratch_offset", ctypes.c_uint32),
        ("scratch_bytes", ctypes.c_uint32),
    ]  # fmt: skip


class NnPlan(ctypes.Structure):
    """nn_plan_t"""

    _fields_ = [
        ("version", ctypes.c_uint16), ("reset_count", ctypes.c_uint16),
        ("arena_bytes", ctypes.c_uint32), ("tensor_count", ctypes.c_uint16),
        ("layer_count", ctypes.c_uint16), ("input", ctypes.c_uint16), ("output", ctypes.c_uint16),
        ("tensors", ctypes.POINTER(NnTensor)), ("layers", ctypes.POINTER(NnLayer)),
        ("model_hash", ctypes.c_uint8 * 16),
    ]  # fmt: skip


class Nn(ctypes.Structure):
    """nn_t"""

    _fields_ = [
        ("plan", ctypes.POINTER(NnPlan)), ("kernels", ctypes.c_void_p), ("arena", ctypes.c_void_p),
        ("accelerator", ctypes.c_void_p),
    ]  # fmt: skip


@functools.cache
def structure(options: type[Options]) -> type[ctypes.Structure]:
    """The ctypes structure of an options class."""
    layout = [(field.name, _FIELD_TYPES[field.type]) for field in fields(options)]
    return type(options.c_type, (ctypes.Structure,), {"_fields_": layout})


def options_bytes(options: type[Options], *, pointer: int) -> int:
    """Size of the C structure where pointers have this size (they sort after the integers)."""
    sizes = [
        pointer if _FIELD_TYPES[f.type] is ctypes.c_void_p else ctypes.sizeof(_FIELD_TYPES[f.type])
        for f in fields(options)
    ]
    return sum(sizes)


_SIZED = (
    o.Conv2DOptions, o.DepthwiseConv2DOptions, o.FullyConnectedOptions, o.BatchMatmulOptions, o.Pool2DOptions,
    o.AddOptions, o.MulOptions, o.DivOptions, o.PadOptions, o.MeanOptions, o.CopyOptions, o.SoftmaxOptions,
    o.LogSoftmaxOptions, o.L2NormalizationOptions, o.SvdfOptions, o.QuantizeOptions, o.RequantizeOptions,
    o.ConcatenationOptions, o.TableOptions, o.StridedSliceOptions, o.LstmOptions, o.MvpOptions,
)  # fmt: skip


def sizes() -> list[int]:
    """Sizes of all structures, as the library's nn_native_sizes lists them."""
    every = [NnTensor, NnLayer, NnPlan, Nn, *(structure(options) for options in _SIZED)]
    return [ctypes.sizeof(each) for each in every] + [0]


class MemoryPlan:
    """Holds the structures of one plan and everything that they point to."""

    def __init__(self, plan: Plan) -> None:
        self._alive: list[Any] = []
        tensors = (NnTensor * len(plan.tensors))(*(self._tensor(plan, index) for index in plan.tensors))
        every = plan.every_layer
        layers = (NnLayer * len(every))(*(self._layer(plan, layer) for layer in every))
        self._alive += [tensors, layers]
        digest = bytes.fromhex(plan.sha256)[:16]
        self.c = NnPlan(
            VERSION, len(plan.resets), plan.memory.arena_bytes, len(tensors), len(plan.layers), plan.input,
            plan.output, tensors, layers, (ctypes.c_uint8 * 16)(*digest),
        )  # fmt: skip

    def _tensor(self, plan: Plan, index: int) -> NnTensor:
        tensor = plan.graph.tensors[index]
        if tensor.constant:
            return NnTensor(self._array(tensor.data), 0, tensor.bytes)
        return NnTensor(None, plan.memory.offsets[index], tensor.bytes)

    def _layer(self, plan: Plan, layer: Layer) -> NnLayer:
        inputs = (ctypes.c_uint16 * len(layer.inputs))(*(plan.number(t) for t in layer.inputs))
        options = self._options(layer.options)
        self._alive += [inputs, options]
        return NnLayer(
            KERNELS.index(layer.kernel), layer.opcode, plan.number(layer.output), len(layer.inputs), inputs,
            ctypes.addressof(options), plan.memory.scratch.get(layer.output, 0), layer.scratch_bytes,
        )  # fmt: skip

    def _options(self, options: Options) -> ctypes.Structure:
        values = []
        for field in fields(options):
            value = getattr(options, field.name)
            if isinstance(value, np.ndarray):
                value = self._array(value) if value.size else None
            elif field.type == "Quad":
                value = (ctypes.c_int32 * 4)(*value)
            values.append(value)
        return structure(type(options))(*values)

    def _array(self, array: np.ndarray) -> int:
        """Address of a copy that lives as long as the plan."""
        copy = np.array(array, order="C", copy=True)
        self._alive.append(copy)
        return copy.ctypes.data
