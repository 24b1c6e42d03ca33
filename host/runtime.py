"""Runs a model on this PC through the firmware's own kernels.

``Model(path).invoke(x)`` gives what the device gives, bit for bit: the plan that would be compiled into
an image is laid out in memory and run by the same C, built for the PC. No compiler is needed.
"""

from __future__ import annotations

import copy
import ctypes
import functools
import weakref
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codegen.emit_memory import MemoryPlan, Nn, NnPlan, sizes
from codegen.graph import Tensor
from codegen.layers import Layer
from codegen.pipeline import compile_model
from codegen.plan import Plan
from host import model_files, native
from host.errors import TokayError
from host.simulator.mvp import FLAGS, timing_number, worst_cycles

_STATUS = ("ok", "plan version", "arena", "kernel missing", "accelerator fault")
_DTYPES = {"int8": np.int8, "float32": np.float32}


@dataclass(frozen=True)
class TensorDetails:
    """What goes in or comes out: ``value = (q - zero_point) * scale`` for int8."""

    shape: tuple[int, ...]
    dtype: type[np.generic]
    scale: float
    zero_point: int


@dataclass(frozen=True)
class AcceleratorCounters:
    """Programs that ran, and the cycles estimated for them."""

    programs: int
    cycles: int
    stalls: int


class Model:
    """A compiled model in memory.

    ``path`` is a .tflite, a model's name, or the bytes of a .tflite. Not for use by several threads at
    once: one arena holds the activations.

    ``rounding`` is "double", as the image's and TensorFlow Lite Micro's own builds round when they scale
    sums to int8, or "single", as the vendor's build of it rounds; only comparisons with its recordings
    want that. ``mvp_weights`` and ``timing`` are for accelerator "mvp", whose programs then run on the model
    of the accelerator: where weights are that are used often, "ram" or "flash", and by which rule
    ("ports" or "shared") its cycles are estimated.
    """

    def __init__(
        self,
        path: Path | str | bytes,
        accelerator: str = "none",
        *,
        rounding: str = "double",
        mvp_weights: str = "ram",
        timing: str = "ports",
    ) -> None:
        name, tflite = _load(path)
        self.tflite = tflite
        self.plan: Plan = compile_model(
            tflite, name=name, accelerator=accelerator, mvp_weights=mvp_weights, rounding=rounding,
            mvp_cycles=worst_cycles,
        )  # fmt: skip
        self.input = _details(self.plan.graph.tensors[self.plan.graph.inputs[0]])
        self.output = _details(self.plan.graph.tensors[self.plan.graph.outputs[0]])
        self._library = _library(rounding)
        self._timing = timing if accelerator == "mvp" else None
        self._bind()

    def twin(self) -> Model:
        """The same compiled model in memory of its own, for another thread; one that keeps state is as
        before the first inference."""
        other = copy.copy(self)
        other._bind()
        return other

    def _bind(self) -> None:
        """Lays the plan out in memory."""
        self._memory = MemoryPlan(self.plan)
        self._arena = _aligned(self.plan.memory.arena_bytes)
        self.nn = Nn()  # bound below; for C, good while this lives
        self._mvp = Accelerator(self._timing) if self._timing else None
        kernels = (ctypes.c_void_p * 0).in_dll(self._library, "nn_native_kernels")
        status = self._library.nn_init(
            self.nn, self._memory.c, ctypes.addressof(kernels), self._arena.ctypes.data,
            self._arena.nbytes, self._mvp.handle if self._mvp else None,
        )  # fmt: skip
        _check(status, "nn_init")

    @property
    def layers(self) -> tuple[Layer, ...]:
        """As they run: in the order of the .tflite's operators, of which one may have become several, or
        several one, and those that only lead to a variable come earlier."""
        return self.plan.layers

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)

    @property
    def keeps_state(self) -> bool:
        """Whether an inference depends on those before it."""
        return self.plan.keeps_state

    def reset(self) -> None:
        """Back to what the network was before the first inference."""
        self._library.nn_reset(self.nn)

    def invoke(self, x: np.ndarray) -> np.ndarray:
        """One inference: an array of the input's shape and type to one of the output's. A network that keeps
        state goes on where the one before ended."""
        self._set_input(x)
        self._check(self._library.nn_run(self.nn), "nn_run")
        return self._read(self.plan.graph.outputs[0])

    def invoke_layers(self, x: np.ndarray) -> list[np.ndarray]:
        """One inference, with the output of every layer as it was right after that layer ran."""
        self._set_input(x)
        outputs = []
        for position, layer in enumerate(self.layers):
            self._check(self._library.nn_run_layer(self.nn, position), f"layer {layer.index}")
            outputs.append(self._read(layer.output))
        return outputs

    def accelerator_counters(self) -> AcceleratorCounters:
        """What the accelerator did since the last call; all 0 without one."""
        return self._mvp.take_counters() if self._mvp else AcceleratorCounters(0, 0, 0)

    def _check(self, status: int, where: str) -> None:
        if status == _STATUS.index("accelerator fault") and self._mvp:
            where = f"{where}: {self._mvp.fault()}"
        _check(status, where)

    def _set_input(self, x: np.ndarray) -> None:
        x = np.asarray(x)
        if x.dtype != self.input.dtype or x.size != int(np.prod(self.input.shape)):
            raise TokayError(
                f"the input is {x.dtype} {list(x.shape)}, the model takes "
                f"{np.dtype(self.input.dtype)} {list(self.input.shape)}"
            )
        self._view(self.plan.graph.inputs[0])[...] = x.reshape(self.input.shape)

    def _read(self, tensor: int) -> np.ndarray:
        return self.plan.graph.tensors[tensor].values_of(self._view(tensor)).copy()

    def _view(self, index: int) -> np.ndarray:
        tensor = self.plan.graph.tensors[index]
        offset = self.plan.memory.offsets[index]
        part = self._arena[offset : offset + tensor.bytes]
        return part.view(np.dtype(tensor.type)).reshape(tensor.shape)


class _NnMvp(ctypes.Structure):
    """nn_mvp_t"""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("words", "wait", "address")),
        ("counting", ctypes.c_int32),
        *((name, ctypes.c_uint32) for name in ("programs", "run_cycles", "stall_cycles", "wait_cycles")),
        *((f"fault_{name}", ctypes.c_uint32) for name in ("layer", "program", "flags", "status", "address")),
    )


class Accelerator:
    """The driver of an accelerator's model, for nn_init."""

    def __init__(self, timing: str) -> None:
        driver = native.library()
        driver.nn_mvp_model_create.restype = ctypes.POINTER(_NnMvp)
        driver.nn_mvp_model_destroy.argtypes = [ctypes.POINTER(_NnMvp)]
        driver.nn_mvp_model_destroy.restype = None
        self._driver = driver.nn_mvp_model_create(timing_number(timing))
        weakref.finalize(self, driver.nn_mvp_model_destroy, self._driver)

    @property
    def handle(self) -> int:
        return ctypes.addressof(self._driver.contents)

    def take_counters(self) -> AcceleratorCounters:
        driver = self._driver.contents
        found = AcceleratorCounters(driver.programs, driver.run_cycles, driver.stall_cycles)
        driver.programs = driver.run_cycles = driver.stall_cycles = 0
        return found

    def fault(self) -> str:
        """The last program that did not end well."""
        driver = self._driver.contents
        names = [name for bit, name in sorted(FLAGS.items()) if driver.fault_flags >> bit & 1 and bit >= 24]
        where = f"layer {driver.fault_layer}, program {driver.fault_program}"
        if not names:
            return f"{where}: does not end"
        status = driver.fault_status
        return (
            f"{where}: {', '.join(names)} at instruction {status & 7}, array {status >> 8 & 7}, "
            f"address 0x{driver.fault_address:08x}"
        )


def _load(model: Path | str | bytes) -> tuple[str, bytes]:
    if isinstance(model, bytes | bytearray):
        return "model", bytes(model)
    file = model_files.read(str(model))
    return file.name, file.tflite


def _details(tensor: Tensor) -> TensorDetails:
    q = tensor.quantization
    return TensorDetails(
        shape=tensor.shape,
        dtype=_DTYPES[tensor.type],
        scale=q.scale if q and tensor.type == "int8" else 0.0,
        zero_point=q.zero_point if q and tensor.type == "int8" else 0,
    )


def _aligned(size: int, alignment: int = 16) -> np.ndarray:
    """Zeroed bytes at an aligned address."""
    raw = np.zeros(size + alignment, np.uint8)
    start = -raw.ctypes.data % alignment
    return raw[start : start + size]


@functools.cache
def _library(rounding: str) -> ctypes.CDLL:
    if rounding not in ("double", "single"):
        raise TokayError(f"rounding {rounding!r}", hint="double or single")
    if rounding == "double":
        return _declared(native.library())
    path = native.library_path().with_name("libtokay_nn_single_rounding.so")
    if not path.is_file():
        raise TokayError(f"{path}: not built", hint="run: make setup")
    return _declared(ctypes.CDLL(str(path)))


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    nn, plan, status = ctypes.POINTER(Nn), ctypes.POINTER(NnPlan), ctypes.c_int
    pointer, u32 = ctypes.c_void_p, ctypes.c_uint32
    native.declared(
        {
            "nn_init": (status, [nn, plan, pointer, pointer, u32, pointer]),
            "nn_run": (status, [nn]),
            "nn_run_layer": (status, [nn, u32]),
            "nn_reset": (None, [nn]),
        },
        library,
    )
    expected = sizes()
    if list((ctypes.c_uint32 * len(expected)).in_dll(library, "nn_native_sizes")) != expected:
        raise native.outdated()
    return library


def _check(status: int, where: str) -> None:
    if status != 0:
        name = _STATUS[status] if status < len(_STATUS) else str(status)
        raise RuntimeError(f"{where}: {name}")
