"""Random programs, fresh each day, on our model and on the vendor's simulator.

Runs where the silabs-mltk wheel is: installed beside Python 3.11, or unpacked in the folder that
TOKAY_VENDOR_WHEEL names. Its SystemC model is driven through exported C functions, as a black box. Its
programs use host addresses, so its memory has to lie below 4 GiB.
"""

from __future__ import annotations

import ctypes
import datetime
import importlib.metadata
import mmap
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from codegen.mvp import isa
from host.simulator.mvp import Machine
from tests.places import ROOT

MEMORY = 1 << 16
COUNT = 300


def wheel_folder() -> Path | None:
    named = os.environ.get("TOKAY_VENDOR_WHEEL")
    if named:
        roots = [Path(named)]
    else:
        try:
            roots = [Path(str(importlib.metadata.distribution("silabs-mltk").locate_file("")))]
        except importlib.metadata.PackageNotFoundError:
            return None
    for root in roots:
        found = sorted(root.glob("**/tflite_micro/_tflite_micro_wrapper*.so"))
        if found:
            return found[0].parent
    return None


def random_program(rng: np.random.Generator) -> np.ndarray:
    """An image whose arrays stay within 256..767 of a 1,024-byte memory."""
    w = np.zeros(isa.PROGRAM_WORDS, np.uint32)
    numbers = rng.normal(0, 3, 16).astype("<f2").view("<u4")
    w[:8] = rng.integers(1 << 32, size=8) if rng.random() < 0.5 else numbers
    for a in range(isa.ARRAYS):
        kind, pair = int(rng.integers(3)), int(rng.integers(2))
        size = (2 if kind == 2 else 1) << pair
        words = [int(rng.integers(6)) | (int(rng.integers(-6, 7)) & 0xFFF) << 16 for _ in range(3)]
        words[0] |= kind << 12 | pair << 14
        w[isa.ARRAY_WORD + 4 * a :][:4] = (256 + int(rng.integers(512)) // size * size, *words)
    count = int(rng.integers(2, 8))
    for i in range(count):
        modifiers = rng.integers(16, size=3) * (rng.random(3) < 0.3)
        sources = sum((int(rng.integers(8)) | int(m) << 4) << 8 * k for k, m in enumerate(modifiers))
        streams = sum(
            (int(rng.integers(8)) | 8 | int(rng.integers(5)) << 4 | int(rng.integers(8)) << 7) << 10 * s
            for s in range(3) if rng.random() < 0.5
        )  # fmt: skip
        w[isa.INSTRUCTION_WORD + 3 * i :][:3] = (
            sources | int(rng.integers(1, 8)) << 28, streams,
            int(rng.choice(list(isa.OPCODES.values()))) << 20 | (i == count - 1) << 31,
        )  # fmt: skip
    first, last = 0, count - 1
    for l in range(int(rng.integers(0, 5))):
        first = int(rng.integers(first, last + 1))
        last = int(rng.integers(first, last + 1))
        moves = [int(rng.integers(1 << 20)) << 12 & 0x77777000 if rng.random() < 0.4 else 0 for _ in range(2)]
        w[isa.LOOP_WORD + 2 * l :][:2] = (int(rng.integers(4)) | moves[0], moves[1])
        w[isa.INSTRUCTION_WORD + 3 * first + 2] |= 1 << 2 * l
        w[isa.INSTRUCTION_WORD + 3 * last + 2] |= 2 << 2 * l
    w[isa.COMMAND_WORD] = isa.START
    return w


class _Job(ctypes.Structure):
    """job_t of mvp_vendor_driver.c."""

    _fields_ = (
        ("init", ctypes.c_void_p), ("execute", ctypes.c_void_p), ("wait_for_completion", ctypes.c_void_p),
        ("programs", ctypes.c_void_p), ("count", ctypes.c_uint32), ("device_memory", ctypes.c_void_p),
        ("memory", ctypes.c_void_p), ("results", ctypes.c_void_p), ("memory_bytes", ctypes.c_uint32),
    )  # fmt: skip


def vendor_results(folder: Path, driver: Path, programs: np.ndarray, memory: np.ndarray) -> np.ndarray:
    """Memory after each program, run from the same ``memory`` each time."""
    ctypes.CDLL(str(next(folder.glob("_tflite_micro_wrapper*.so"))), mode=ctypes.RTLD_GLOBAL)
    library = ctypes.CDLL(str(next(folder.glob("accelerators/mvp/_mvp_wrapper*.so"))))
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
    below_4_gib = 0x40
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | below_4_gib
    bases = [libc.mmap(None, MEMORY, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0) for _ in range(2)]
    for name, base in zip((b"sram", b"flash"), bases, strict=True):
        library.sli_mvp_set_simulator_memory(name, ctypes.c_void_p(base), ctypes.c_uint32(MEMORY))
    placed = programs.copy()
    placed[:, isa.ARRAY_WORD : isa.LOOP_WORD : 4] += np.uint32(bases[0])
    results = np.zeros((len(programs), memory.size), np.uint8)

    def address(function) -> int | None:
        return ctypes.cast(function, ctypes.c_void_p).value

    job = _Job(
        address(library.sli_mvp_init), address(library.sli_mvp_execute),
        address(library.sli_mvp_wait_for_completion), placed.ctypes.data, len(placed), bases[0],
        memory.ctypes.data, results.ctypes.data, memory.size,
    )  # fmt: skip
    ctypes.CDLL(str(driver)).drive(library.sli_mvp_invoke_in_simulator, ctypes.byref(job))
    return results


def test_random_programs(tmp_path):
    """The vendor's library runs in a process of its own: it is not made to be loaded beside others."""
    folder = wheel_folder()
    if folder is None or sys.version_info[:2] != (3, 11):
        pytest.skip("the silabs-mltk wheel is not here, or this is not Python 3.11")
    rng = np.random.default_rng(datetime.date.today().toordinal())
    programs = np.stack([random_program(rng) for _ in range(COUNT)])
    memory = rng.integers(0, 256, 1024, dtype=np.uint8)
    given, results, driver = tmp_path / "given.npz", tmp_path / "results.npy", tmp_path / "driver.so"
    source = Path(__file__).with_name("mvp_vendor_driver.c")
    subprocess.run(["cc", "-std=c11", "-O1", "-shared", "-fPIC", "-o", driver, source], check=True)
    np.savez(given, programs=programs, memory=memory)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, __file__, folder, driver, given, results]
    subprocess.run(command, check=True, env=environment, timeout=120)
    for index, (words, expected) in enumerate(zip(programs, np.load(results), strict=True)):
        ours = memory.copy()
        machine = Machine("vendor")
        machine.attach(0, ours)
        machine.run(words)
        np.testing.assert_array_equal(ours, expected, err_msg=f"program {index} of {given}")


if __name__ == "__main__":
    recorded = np.load(sys.argv[3])
    found = vendor_results(Path(sys.argv[1]), Path(sys.argv[2]), recorded["programs"], recorded["memory"])
    np.save(sys.argv[4], found)
