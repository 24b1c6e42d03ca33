"""The flash algorithm by its own entry points, and what the simulator makes of one that does not wait."""

from __future__ import annotations

import random

import pytest

pytest.importorskip("pyocd", reason="pyOCD is not installed (extra flash)")

from host.flashing import algorithm
from host.memory_map import FLASH_BASE
from host.simulator.machine import Machine
from tests.simulator.flashing import bootable, everything


@pytest.fixture
def loaded():
    """A machine with the algorithm in RAM at an odd place, and a function to call it."""
    machine, code = Machine(), algorithm.stored()
    base = 0x20008124
    machine.debug_attach()
    machine.write(base, code.code)

    def call(name: str, *arguments: int) -> int:
        return machine.call(base + code.entries[name], *arguments, stack=0x20004000).value

    machine.stored_call = call
    yield machine
    machine.close()


def test_algorithm_is_position_independent(loaded):
    data = random.Random(1).randbytes(64)
    loaded.write(0x20010000, data)
    assert loaded.stored_call("Init", 0x08000000, 0, 1) == 0
    assert loaded.stored_call("EraseSector", 0x08004000) == 0
    assert loaded.stored_call("ProgramPage", 0x08004010, 64, 0x20010000) == 0
    assert loaded.read(0x08004010, 64) == data
    assert loaded.stored_call("Verify", 0x08004010, 64, 0x20010000) == 0x08004050
    loaded.write(0x08004030, b"\0\0\0\0")
    assert loaded.stored_call("Verify", 0x08004010, 64, 0x20010000) == 0x08004030
    assert loaded.stored_call("UnInit", 1) == 0


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("EraseSector", (0x08000004,)),  # not the start of a page
        ("EraseSector", (0x0FE00000,)),  # the user data page
        ("EraseSector", (0x08180000,)),  # behind the end
        ("ProgramPage", (0x0817FFFC, 8, 0x20010000)),  # over the end
        ("ProgramPage", (0x08000002, 4, 0x20010000)),
        ("ProgramPage", (0x08000000, 3, 0x20010000)),
        ("ProgramPage", (0x0FE00000, 4, 0x20010000)),
    ],
)
def test_algorithm_refuses_addresses(loaded, name, arguments):
    before = everything(loaded)
    assert loaded.stored_call("Init", 0x08000000, 0, 1) == 0
    assert algorithm.reason(loaded.stored_call(name, *arguments)) == "the address is not in flash"
    assert everything(loaded) == before


def test_algorithm_notices_flash_that_was_not_blank(loaded):
    loaded.write(0x20010000, b"\xff" * 16)
    loaded.write(0x08000000, b"\0" * 16)
    assert loaded.stored_call("Init", 0x08000000, 0, 2) == 0
    failed = loaded.stored_call("ProgramPage", 0x08000000, 16, 0x20010000)
    assert algorithm.reason(failed) == "what was written does not read back"


def test_algorithm_does_nothing_when_closed(loaded):
    assert loaded.stored_call("Init", 0x08000000, 0, 1) == 0
    assert loaded.stored_call("UnInit", 1) == 0
    loaded.write(0x08000000, b"\0" * 16)
    assert algorithm.reason(loaded.stored_call("EraseSector", 0x08000000)) == "the flash is locked there"
    assert loaded.read(0x08000000, 16) == b"\0" * 16


@pytest.mark.parametrize(
    ("code", "reason"),
    [(0x06, "the address is not in flash"), (0x42, "the flash is locked there"), (-1, None)],
)
def test_of_several_refusals_one_is_told(code, reason):
    assert algorithm.reason(code) == reason


def test_simulator_insists_on_the_handshake(machine):
    """An algorithm that does not wait for the flash would fail here as it does on the chip."""
    enable, write_enable, command, address, data = 0x40008068, 0x4003000C, 0x40030010, 0x40030014, 0x40030018
    machine.write(FLASH_BASE, bootable(0x5A))
    machine.reset()
    assert machine.debug_write(enable, 4, 1 << 16) and machine.debug_write(write_enable, 4, 1)
    assert machine.debug_write(address, 4, 0x08010000) and machine.debug_write(command, 4, 2)
    assert not machine.debug_write(address, 4, 0x08012000)
    assert not machine.debug_write(command, 4, 2)
    assert not machine.debug_write(data, 4, 0)
    machine.run(0.013)
    assert machine.debug_write(address, 4, 0x08010000) and machine.debug_write(data, 4, 0x1234)
    assert not machine.debug_write(data, 4, 0x5678)
    machine.run(0.001)
    assert machine.debug_write(data, 4, 0x5678)
    assert machine.read(0x08010000, 12) == b"\x34\x12\0\0\x78\x56\0\0\xff\xff\xff\xff"
