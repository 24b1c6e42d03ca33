"""The accelerator's model in Python: run program images on bytes of memory, or count their cycles.

Bit-exact to the vendor's simulator in what it computes. Cycles come in three kinds (``TIMINGS``):
``ports`` and ``shared`` are estimates fitted to measurements of silicon that differ in how memory is
reached, ``vendor`` is what the vendor's simulator counts (memory is free).
"""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from host.errors import TokayError
from host.native import declared

PROGRAM_WORDS = 69
TIMINGS = {"ports": 0, "shared": 1, "vendor": 2}
SILICON = ("ports", "shared")
"""The rules that estimate silicon: an image runs by one of them."""
FLAGS = {
    0: "PROGDONE", 10: "ALUNAN", 11: "R0POSREAL", 12: "ALUOF", 13: "ALUUF", 14: "STORECONVERTOF",
    15: "STORECONVERTUF", 16: "STORECONVERTINF", 17: "STORECONVERTNAN", 18: "PERFCNT0", 19: "PERFCNT1",
    24: "LOOPFAULT", 25: "BUSERRFAULT", 26: "BUSALIGNFAULT", 27: "ALUFAULT", 28: "ARRAYFAULT",
    **{1 + loop: f"LOOP{loop}DONE" for loop in range(8)},
}
_FAULTS = 0x1F << 24


class _Counters(ctypes.Structure):
    """``mvp_counters_t``."""

    _fields_ = (
        ("cycles", ctypes.c_uint64), ("instructions", ctypes.c_uint64), ("stalls", ctypes.c_uint64),
        ("noops", ctypes.c_uint64), ("pipe_stalls", ctypes.c_uint64), ("fence_stalls", ctypes.c_uint64),
        ("load_stalls", ctypes.c_uint64 * 2),
    )


@dataclass(frozen=True)
class Counters:
    """What running programs cost, and the interrupt flags they raised."""

    cycles: int = 0
    instructions: int = 0
    stalls: int = 0
    flags: int = 0

    @property
    def flag_names(self) -> tuple[str, ...]:
        return tuple(name for bit, name in sorted(FLAGS.items()) if self.flags >> bit & 1)

    def __add__(self, other: Counters) -> Counters:
        return Counters(
            self.cycles + other.cycles, self.instructions + other.instructions, self.stalls + other.stalls,
            self.flags | other.flags,
        )


@functools.cache
def _native() -> ctypes.CDLL:
    pointer, u32, u64, boolean = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_bool
    counters = ctypes.POINTER(_Counters)
    return declared(
        {
            "mvp_size": (ctypes.c_size_t, []),
            "mvp_init": (None, [pointer, ctypes.c_int, boolean]),
            "mvp_add_window": (boolean, [pointer, u32, u32, pointer, boolean]),
            "mvp_remove_windows": (None, [pointer]),
            "mvp_run_program": (u32, [pointer, pointer, counters]),
            "mvp_count_program": (boolean, [pointer, ctypes.c_int, counters]),
            "mvp_alu": (u32, [u32, u32, u32, u32, ctypes.POINTER(u32)]),
            "mvp_read": (u32, [pointer, u32]),
            "mvp_write": (None, [pointer, u32, u32]),
            "mvp_advance": (None, [pointer, u64]),
            "mvp_remaining": (u64, [pointer]),
            "mvp_irq": (boolean, [pointer]),
        }
    )


def timing_number(name: str, among: Collection[str] = TIMINGS) -> int:
    """The library's number of a rule; TokayError if it is not one of ``among``."""
    if name not in among:
        raise TokayError(f"MVP timing {name!r}: no such rule", hint=f"one of {', '.join(among)}")
    return TIMINGS[name]


def _exactly(what: str, values: ArrayLike, kind: DTypeLike) -> NDArray[np.generic]:
    """A new array of an unsigned kind; refuses values that would change, but for signed bit patterns."""
    wanted = np.dtype(kind)
    try:
        given = np.asarray(values)
        with np.errstate(invalid="ignore"):
            array = given.astype(wanted, order="C")
        same = given.dtype.kind in "iu" and given.dtype.itemsize == wanted.itemsize
        if same or np.array_equal(given, array):
            return array
    except (TypeError, ValueError, OverflowError):
        pass
    raise TokayError(f"{what} must be whole numbers of {8 * wanted.itemsize} bits")


def program_array(programs: ArrayLike) -> NDArray[np.uint32]:
    """Checks the shape of one program or several; returns uint32[N, 69]."""
    words = np.atleast_2d(_exactly("the words of MVP programs", programs, np.uint32))
    if words.ndim != 2 or words.shape[1] != PROGRAM_WORDS:
        raise TokayError(f"MVP programs of shape {words.shape}: a program has {PROGRAM_WORDS} words")
    return words


class Machine:
    """An accelerator with memory of its own, at the addresses where programs expect it."""

    def __init__(self, timing: str = "ports", *, at_once: bool = True) -> None:
        self._lib = _native()
        self._state = ctypes.create_string_buffer(self._lib.mvp_size())
        self._memories: list[NDArray[np.uint8]] = []
        self._lib.mvp_init(self._state, timing_number(timing), at_once)

    def attach(self, base: int, memory: NDArray[np.uint8], *, writable: bool = True) -> None:
        """Makes a contiguous uint8 array visible at ``base``; programs write into it in place."""
        if memory.dtype != np.uint8 or not memory.flags.c_contiguous:
            raise TokayError("MVP memory must be a contiguous uint8 array")
        if not 0 <= base <= (1 << 32) - memory.size:
            raise TokayError(f"MVP memory of {memory.size} bytes at {base:#x} is not in 32-bit address space")
        if not self._lib.mvp_add_window(self._state, base, memory.size, memory.ctypes.data, writable):
            raise TokayError("too many memories attached to one MVP")
        self._memories.append(memory)

    def detach(self) -> None:
        """Forgets all memories."""
        self._lib.mvp_remove_windows(self._state)
        self._memories.clear()

    def run(self, programs: ArrayLike) -> Counters:
        """Runs programs one after the other; stops with an error at a fault."""
        total = Counters()
        raw = _Counters()
        for index, words in enumerate(program_array(programs)):
            flags = self._lib.mvp_run_program(self._state, words.ctypes.data, ctypes.byref(raw))
            total += Counters(raw.cycles, raw.instructions, raw.stalls, flags)
            if flags & _FAULTS or not flags & 1:
                raise TokayError(f"MVP program {index}: {self.fault_text(total)}")
        return total

    def fault_text(self, counters: Counters) -> str:
        names = [name for name in counters.flag_names if name.endswith("FAULT")]
        if not names:
            return "does not end"
        status, address = self.read(0x024), self.read(0x028)
        return (f"{', '.join(names)} at instruction {status & 7}, array {status >> 8 & 7}, "
                f"address 0x{address:08x}")

    def read(self, offset: int) -> int:
        return self._lib.mvp_read(self._state, offset)

    def write(self, offset: int, value: int) -> None:
        self._lib.mvp_write(self._state, offset, value & 0xFFFFFFFF)

    def advance(self, cycles: int) -> None:
        """Lets time pass for a program that was started by a register write."""
        self._lib.mvp_advance(self._state, cycles)

    @property
    def remaining(self) -> int:
        return self._lib.mvp_remaining(self._state)

    @property
    def irq(self) -> bool:
        return self._lib.mvp_irq(self._state)


@functools.cache
def _machine(timing: str) -> Machine:
    return Machine(timing)


_one_at_a_time = threading.Lock()


def run_program(words: ArrayLike, memory: ArrayLike | bytes, base: int = 0,
                timing: str = "vendor") -> tuple[NDArray[np.uint8], Counters]:
    """Runs one program on a copy of ``memory`` (at address ``base``); returns the copy and the costs.

    All calls share one accelerator, those of other threads wait for it. By the vendor's clock its
    pipeline remembers the register that the previous program wrote last, so that a program that begins
    by using it waits a cycle; the silicon clocks have no such memory.
    """
    if isinstance(memory, bytes | bytearray | memoryview):
        memory = np.frombuffer(memory, np.uint8)
    result: NDArray[np.uint8] = _exactly("MVP memory", memory, np.uint8)
    with _one_at_a_time:
        machine = _machine(timing)
        machine.attach(base, result.reshape(-1))
        try:
            return result, machine.run(words)
        finally:
            machine.detach()


def count(programs: ArrayLike, timing: str = "ports") -> Counters:
    """What programs cost, without running them: their time depends on addresses only."""
    rule = timing_number(timing)
    total = Counters()
    raw = _Counters()
    for index, words in enumerate(program_array(programs)):
        if not _native().mvp_count_program(words.ctypes.data, rule, ctypes.byref(raw)):
            raise TokayError(f"MVP program {index} cannot be counted: it faults or does not end")
        total += Counters(raw.cycles, raw.instructions, raw.stalls)
    return total


def cycles(programs: ArrayLike, timing: str = "ports") -> int:
    """Estimated MVP cycles of programs, of programs for the chip's addresses."""
    return count(programs, timing).cycles


def worst_cycles(programs: ArrayLike) -> int:
    """Cycles by the slower of the two rules for silicon: what code generation compares programs by."""
    return max(cycles(programs, rule) for rule in SILICON)


def alu(operation: int, x: int, y: int = 0, a: int = 0, z: int = 0) -> int:
    """One ALU operation on words of two binary16 (real in the low half)."""
    result = ctypes.c_uint32(z)
    if _native().mvp_alu(operation, x, y, a, ctypes.byref(result)) >> 27 & 1:
        raise TokayError(f"ALU operation {operation}: no such operation")
    return result.value
