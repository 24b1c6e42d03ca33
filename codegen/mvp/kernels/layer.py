"""What a kernel gives: programs, constants, memory needs and cost of one layer.

Addresses are known only after memory planning. A kernel is therefore a function of a
:class:`Placement`: called with :data:`NOMINAL` it tells sizes and costs, called with the final
addresses the same programs for good. Only array addresses (:data:`ADDRESS_WORDS`) depend on it, as
long as every address keeps its remainder by 4, so the programs can also be moved afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from codegen.mvp import isa
from codegen.mvp.assembler import clobbered_registers, used_registers

PROGRAM_CPU_CYCLES = 125
LAYER_CPU_CYCLES = 190
"""What loading, starting and awaiting one program costs the processor, and calling the kernel: estimates,
from the seed model in the simulator (60 programs of three convolutions, a pool of one)."""

ADDRESS_WORDS = tuple(isa.ARRAY_WORD + 4 * a for a in range(isa.ARRAYS))


@dataclass(frozen=True)
class Placement:
    """Addresses that a layer's programs use; each a multiple of 4.

    ``scratch`` may equal ``inputs[0]`` where nobody else reads that tensor and there is room for
    ``scratch_bytes``. ``copy`` is where in RAM the constants are copied before the layer runs, None to
    read them from flash.
    """

    inputs: tuple[int, ...]
    output: int
    scratch: int
    constants: int
    copy: int | None = None

    @property
    def tables(self) -> int:
        """Where programs find the constants."""
        return self.constants if self.copy is None else self.copy


_ROOMS = tuple(isa.RAM_BASE + (n << 20) for n in range(5))
NOMINAL = Placement(_ROOMS[:2], _ROOMS[2], _ROOMS[3], isa.FLASH_BASE, _ROOMS[4])
NOMINAL_FLASH = replace(NOMINAL, copy=None)
"""Roomy addresses that tell RAM from flash, for sizes and costs."""


Cycles = Callable[[NDArray[np.uint32]], int]
"""How many cycles the accelerator takes for programs [N, 69]: a model of it, which the caller brings."""


@dataclass(frozen=True, eq=False)
class MvpLayer:
    """One layer for the accelerator."""

    kernel: str
    variant: str
    programs: NDArray[np.uint32]  # [N, 69]
    constants: bytes  # 4-byte aligned, at Placement.constants
    scratch_bytes: int
    output_bytes: int  # may be one more than the tensor's: what the last store covers
    largest_sum: float  # bound of every partial sum, proven from the weights

    @property
    def program_bytes(self) -> int:
        """Flash for the programs, see :mod:`codegen.mvp.stream`."""
        from codegen.mvp import stream

        return stream.encode(self.programs, isa.RAM_BASE, isa.FLASH_BASE).nbytes

    @property
    def flash_bytes(self) -> int:
        return len(self.constants) + self.program_bytes

    def cost(self, cycles: Cycles) -> int:
        """What variants are compared by: the accelerator's cycles and the processor's for programs."""
        return cycles(self.programs) + PROGRAM_CPU_CYCLES * len(self.programs)


@dataclass(frozen=True)
class Refusal:
    """Why a layer cannot run on the accelerator (or should not)."""

    reason: str


Kernel = Callable[[Placement], MvpLayer]
"""Makes a layer's programs for addresses, the same ones for any."""


def checked(layer: MvpLayer) -> MvpLayer:
    """Asserts that no program changes a register that holds one of its constants, so that they need
    not be written again for the next."""
    for words in layer.programs:
        assert not used_registers(words) & clobbered_registers(words), "constants must stay untouched"
    return layer
