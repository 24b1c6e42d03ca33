"""Random accesses to the registers of the chip's peripherals while time passes: any outcome but a crash or a
hang, and the same one again. A sanitized library notices more."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np

from host.errors import TokayError
from host.memory_map import RAM_BASE, RAM_BYTES
from host.simulator.machine import Machine

FLASH = 0x08000000
# Vectors; a loop that the core runs; stores and loads of a word, a halfword and a byte, to be called.
CODE = bytes.fromhex("00000420 09000008 fee7") + bytes.fromhex(
    "01607047 01807047 01707047 00687047 00887047 00787047"
)
STORES, LOADS = (FLASH + 10, FLASH + 14, FLASH + 18), (FLASH + 22, FLASH + 26, FLASH + 30)
MVP = 0x4D000000  # whose registers the accelerator's model has, not a table
CLOCKS = {0x40008064: 0xFDFFFFFF, 0x40008068: 0x7EFFEFFF}  # all that can be switched on
ALIASES = (0, 0, 0, 0x1000, 0x2000, 0x3000)


def is_modelled(machine: Machine, address: int) -> bool:
    try:
        machine.peripheral(address)
    except TokayError:
        return False
    return True


def peripherals(machine: Machine) -> list[list[int]]:
    """The registers of each, by their addresses."""
    pages = [base for base in range(0x40000000, 0x4E000000, 0x4000)
             if any(is_modelled(machine, base + offset) for offset in (0, 4, 0x5C))]  # fmt: skip
    found = [[a for a in range(base, base + 0x1000, 4) if is_modelled(machine, a)] for base in pages]
    return [*found, list(range(MVP, MVP + 0x208, 4))]


def value(rng: random.Random) -> int:
    return rng.choice(
        [1 << rng.randrange(32), rng.getrandbits(32), rng.randrange(16), RAM_BASE + rng.randrange(RAM_BYTES)]
    )


def shaken(seed: int, registers: list[list[int]]) -> tuple[Counter[str], list[int], bytes]:
    """What became of the accesses, and in which state they leave a machine."""
    rng, counts = random.Random(seed), Counter[str]()
    machine = Machine(stop_on_fault=False)
    machine.write(FLASH, CODE)
    machine.write(RAM_BASE, rng.randbytes(RAM_BYTES))
    machine.set_audio(np.arange(1000, dtype=np.int16), mode=rng.choice(["exact", "linear"]))
    machine.reset()
    few = rng.sample(registers, 5)
    for _ in range(200):
        if rng.random() < 0.3:
            for address, bits in CLOCKS.items():
                machine.debug_write(address, 4, bits)
        address, kind = rng.choice(rng.choice(few)) + rng.choice(ALIASES), rng.random()
        try:
            if kind < 0.4:
                counts["debug"] += machine.debug_write(address, 4, value(rng))
            elif kind < 0.5:
                machine.debug_read(address, rng.choice([1, 2, 4]))
            elif kind < 0.7:
                machine.call(rng.choice(STORES), address, value(rng), max_cycles=20_000)
                counts["core"] += 1
            elif kind < 0.8:
                machine.call(rng.choice(LOADS), address, max_cycles=20_000)
            elif kind < 0.95:
                machine.run(cycles=rng.choice([10, 1000, 20_000]))
            else:
                machine.uart_write(rng.randbytes(20))
        except TokayError:
            counts["refused"] += 1
            if rng.random() < 0.3:
                machine.reset()
    status = machine.status
    state = [status.cycles, status.instructions, status.time_ps, status.frames, status.core_hz]
    state += [machine.register(number) for number in range(20)]
    memory = machine.read(RAM_BASE, RAM_BYTES)
    machine.close()
    return counts, state, memory


def test_random_accesses():
    total, registers = Counter[str](), peripherals(Machine())
    assert len(registers) == 26, "bus.c knows so many"
    for seed in range(15):
        outcome = shaken(seed, registers)
        assert outcome == shaken(seed, registers), f"seed {seed}: two machines do not agree"
        total += outcome[0]
    assert min(total[kind] for kind in ("debug", "core", "refused")) > 100, total
