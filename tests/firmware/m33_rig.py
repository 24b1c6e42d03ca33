"""A bench for the Cortex-M33 kernels: the network library cross-compiled, a plan poked into memory, and
an instruction-set simulator to run it layer by layer. Not a test itself."""

from __future__ import annotations

import atexit
import functools
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from codegen.options import Options
from codegen.plan import KERNELS, VERSION, Plan
from host.simulator.machine import CallResult, Machine
from tests.places import ROOT

NN = ROOT / "firmware" / "nn"
COMPILER = "arm-none-eabi-gcc"
FLAGS = ("-std=c11", "-mcpu=cortex-m33", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16", "-O2",
         "-ffunction-sections", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wno-sign-conversion",
         "-Werror")  # fmt: skip

PLAN, ARENA, STACK = 0x0808_0000, 0x2000_0000, 0x2004_0000
GUARD = 64
"""Bytes past the arena that a kernel must leave alone."""
_GUARD_BYTES = b"\xa5" * GUARD

_SCRIPT = """
MEMORY { ROM (rx) : ORIGIN = 0x08000000, LENGTH = 0x80000 }
SECTIONS { .text : { KEEP(*(.text.nn_*)) *(.text*) *(.rodata*) } > ROM
           .data : { *(.data*) *(.bss*) *(COMMON) } > ROM }
"""

# Every kernel but the accelerator's.
_TABLE = """
#include "nn_kernels.h"
extern const nn_kernel_fn bench_kernels[NN_KERNEL_COUNT];
const nn_kernel_fn bench_kernels[NN_KERNEL_COUNT] = {
#define NN_KERNEL(name) [NN_KERNEL_##name] = nn_kernel_##name,
#define nn_kernel_mvp NULL
#include "nn_kernels.def"
};
"""


def available() -> str | None:
    """Why the bench cannot be used, or None."""
    return None if shutil.which(COMPILER) else f"{COMPILER} is not installed"


def compiler_version() -> str:
    """As the compiler says it: 12.2.1."""
    command = [COMPILER, "-dumpfullversion"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def kernel_sources(*, optimized: bool) -> list[Path]:
    """One file for each kernel; the M33's own where there is one and they are wanted."""
    chosen = {path.name: path for path in (NN / "kernels" / "portable").glob("*.c")}
    if optimized:
        chosen |= {path.name: path for path in (NN / "kernels" / "cortex_m33").glob("*.c")}
    return [chosen[name] for name in sorted(chosen)]


@functools.cache
def build(*defines: str, optimized: bool = True) -> Path:
    """The network library with every kernel, linked for the bench."""
    folder = Path(tempfile.mkdtemp(prefix="tokay-m33-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    script, elf = folder / "bench.ld", folder / "bench.elf"
    script.write_text(_SCRIPT)
    table = folder / "table.c"
    table.write_text(_TABLE)
    sources = [NN / "nn.c", table, *kernel_sources(optimized=optimized)]
    command = [COMPILER, *FLAGS, *defines, f"-I{NN}", "-nostartfiles", "--specs=nosys.specs", f"-T{script}",
               "-Wl,-e,0", "-Wl,--no-warn-rwx-segments", "-o", elf, *sources, "-lm"]  # fmt: skip
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    errors = [line for line in result.stderr.splitlines() if "warning: _" not in line and "note:" not in line]
    assert result.returncode == 0, "\n".join(errors)
    return elf


class PlanImage:
    """A plan's structures as the 32-bit target lays them out, at a fixed address."""

    def __init__(self, plan: Plan, base: int = PLAN) -> None:
        self._base, self._bytes = base, bytearray()
        tensors = b"".join(self._tensor(plan, index) for index in plan.tensors)
        layers = b"".join(self._layer(plan, layer) for layer in plan.every_layer)
        self.plan = self._put(
            struct.pack("<HHIHHHHII", VERSION, len(plan.resets), plan.memory.arena_bytes, len(plan.tensors),
                        len(plan.layers), plan.input, plan.output, self._put(tensors), self._put(layers))
            + bytes.fromhex(plan.sha256)[:16]
        )  # fmt: skip

    @property
    def data(self) -> bytes:
        return bytes(self._bytes)

    def _put(self, data: bytes) -> int:
        self._bytes += bytes(-len(self._bytes) % 8)
        address = self._base + len(self._bytes)
        self._bytes += data
        return address

    def _tensor(self, plan: Plan, index: int) -> bytes:
        tensor = plan.graph.tensors[index]
        if tensor.constant:
            data = np.ascontiguousarray(tensor.data).tobytes()
            return struct.pack("<III", self._put(data), 0, tensor.bytes)
        return struct.pack("<III", 0, plan.memory.offsets[index], tensor.bytes)

    def _layer(self, plan: Plan, layer) -> bytes:
        inputs = self._put(b"".join(struct.pack("<H", plan.number(t)) for t in layer.inputs))
        scratch = plan.memory.scratch.get(layer.output, 0)
        return struct.pack(
            "<HHHHIIII", KERNELS.index(layer.kernel), layer.opcode, plan.number(layer.output),
            len(layer.inputs), inputs, self._options(layer.options), scratch, layer.scratch_bytes,
        )  # fmt: skip

    def _options(self, options: Options) -> int:
        packed = b""
        for field in fields(options):
            value = getattr(options, field.name)
            if isinstance(value, np.ndarray):
                packed += struct.pack("<I", self._put(np.ascontiguousarray(value).tobytes()))
            elif field.type == "Quad":
                packed += struct.pack("<4i", *value)
            else:
                packed += struct.pack("<f" if field.type == "float" else "<i", value)
        return self._put(packed)


@dataclass(frozen=True)
class LayerRun:
    """A layer's output and what it took: exact instructions, estimated cycles."""

    output: np.ndarray
    instructions: int
    cycles: int


class Bench:
    """Runs plans on the simulated chip."""

    def __init__(self, elf: Path) -> None:
        self.machine = Machine(elf)

    def run(self, plan: Plan, x: np.ndarray) -> list[LayerRun]:
        """One inference, layer by layer. Checks that nothing past the arena is written."""
        return self.run_all(plan, [x])[0]

    def run_all(self, plan: Plan, inputs: Sequence[np.ndarray]) -> list[list[LayerRun]]:
        """Ditto of several inferences, the first after a reset."""
        machine, image = self.machine, PlanImage(plan)
        end = ARENA + plan.memory.arena_bytes
        nn = (end + GUARD + 7) & ~7
        machine.write(PLAN, image.data)
        machine.write(end, _GUARD_BYTES)
        kernels = machine.symbol("bench_kernels")
        status = self._call("nn_init", nn, image.plan, kernels, ARENA, plan.memory.arena_bytes, 0).value
        assert status == 0, f"nn_init: {status}"
        return [self._inference(plan, x, nn) for x in inputs]

    def _inference(self, plan: Plan, x: np.ndarray, nn: int) -> list[LayerRun]:
        machine, end = self.machine, ARENA + plan.memory.arena_bytes
        machine.write(ARENA + plan.memory.offsets[plan.graph.inputs[0]], np.ascontiguousarray(x).tobytes())
        runs = []
        for position, layer in enumerate(plan.layers):
            result = self._call("nn_run_layer", nn, position)
            assert result.value == 0, f"layer {position}: {result.value}"
            tensor = plan.graph.tensors[layer.output]
            data = machine.read(ARENA + plan.memory.offsets[layer.output], tensor.bytes)
            output = np.frombuffer(data, np.dtype(tensor.type)).reshape(tensor.shape)
            runs.append(LayerRun(output, result.instructions, result.cycles))
            assert machine.read(end, GUARD) == _GUARD_BYTES, f"layer {position} writes past the arena"
        return runs

    def _call(self, name: str, *arguments: int) -> CallResult:
        return self.machine.call(name, *arguments, stack=STACK)
