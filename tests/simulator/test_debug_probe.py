"""What pyOCD does with the core through the simulated probe: stops it at reset, reads, writes and steps."""

from __future__ import annotations

import pytest

pytest.importorskip("pyocd", reason="pyOCD is not installed (extra flash)")

from pyocd.core.exceptions import TransferFaultError

from host.errors import TokayError
from host.flashing import connection, programmer
from host.flashing import reset as reset_module
from host.flashing.reset import stop_at_reset
from host.flashing.simulated_probe import SimulatedProbe
from host.memory_map import FLASH_BASE, FLASH_BYTES
from host.simulator.machine import Machine
from tests.simulator.flashing import MARKER, PART, bootable, everything, flash, image_of, runs, silent


def at_reset(machine: Machine) -> tuple[bool, int]:
    """Whether the core is halted after a reset that is to stop it, and where."""
    with connection.connect(SimulatedProbe(machine), PART) as chip:
        chip.write_memory(MARKER, 0)
        stop_at_reset(chip)
        assert chip.read_memory(MARKER) == 0, "the image has run"
        return chip.is_halted(), chip.read_core_register("pc")


def test_core_stops_at_the_reset_vector(machine):
    """The chip does not obey the vector catch: what was flashed last would run."""
    flash(machine, bootable(0x11))
    assert at_reset(machine) == (True, FLASH_BASE + 8)


def test_the_next_reset_is_an_ordinary_one(machine):
    """Nothing stays behind that would stop the core, on chips that obey the vector catch neither."""
    flash(machine, bootable(0x11))
    with connection.connect(SimulatedProbe(machine), PART) as chip:
        stop_at_reset(chip)
        chip.reset()
        assert not chip.is_halted()
        assert chip.read_memory(0xE000EDFC) & 1 == 0, "DEMCR.VC_CORERESET"


def test_blank_part_is_flashed(machine):
    """Without a reset vector there is nothing to break at: the core locks up, and is halted there."""
    machine.write(FLASH_BASE, b"\xff" * FLASH_BYTES)
    assert at_reset(machine)[0]
    flash(machine, bootable(0x11))
    assert runs(machine) == 0x11


def test_core_that_does_not_stop_is_reported(machine, monkeypatch):
    """A chip whose breakpoints do not outlive the reset."""
    flash(machine, bootable(0x11))
    before = everything(machine)
    probe = SimulatedProbe(machine)
    reset = probe.chip.reset

    def forgetful() -> None:
        probe.chip.write(0xE0002000, 4, 2)
        reset()

    monkeypatch.setattr(probe.chip, "reset", forgetful)
    monkeypatch.setattr(reset_module, "_STOPS_S", 0.05)
    stopped = pytest.raises(TokayError, match=r"does not answer: the core does not stop at reset")
    with stopped, connection.connect(probe, PART) as chip:
        programmer.program(chip, image_of(bootable(0x22)), silent)
    assert everything(machine) == before


def test_other_ports_are_left_alone(machine):
    """Behind them nothing answers, or a core that is none of ours."""
    _, probe = flash(machine, bootable(0x11))
    assert probe.other_ports == 0


def test_pyocd_reads_writes_and_steps(machine):
    machine.write(FLASH_BASE, bootable(0x5A))
    with connection.connect(SimulatedProbe(machine), PART) as chip:
        assert chip.read_core_register("pc") == FLASH_BASE + 8
        chip.write_memory_block8(0x20000000, [0x99] * 8)
        chip.write_memory_block8(0x20000001, [1, 2, 3, 4, 5, 6])
        assert chip.read_memory_block8(0x20000000, 8) == [0x99, 1, 2, 3, 4, 5, 6, 0x99]
        assert machine.read(0x20000000, 8) == bytes([0x99, 1, 2, 3, 4, 5, 6, 0x99])
        chip.write32(0x20000100, 0)
        chip.write_memory(0x20000102, 0xBEEF, 16)
        assert chip.read32(0x20000100) == 0xBEEF0000
        for expected in (0x0A, 0x0C, 0x0E, 0x0E):
            chip.step()
            assert chip.read_core_register("pc") == FLASH_BASE + expected
        assert chip.read_core_register("r1") == chip.read32(MARKER) == 0x5A
        chip.write_core_register("control", 2)
        assert machine.register(19) == 2
        chip.resume()
        assert chip.get_state() == chip.State.RUNNING
        chip.halt()
        assert chip.is_halted()
        assert chip.read_core_register("pc") == FLASH_BASE + 0x0E


def test_nothing_there_is_a_fault(machine):
    with connection.connect(SimulatedProbe(machine), PART) as chip:
        for address in (0x30000000, 0x40030000):  # no memory; a peripheral whose clock is off
            with pytest.raises(TransferFaultError):
                chip.read32(address)
        with pytest.raises(TransferFaultError):
            chip.write32(FLASH_BASE, 0)  # flash is not written by writing
        chip.write32(0x40008068, 1 << 16)
        assert chip.read32(0x40030000) == 3  # the flash controller, its clock on


def test_software_breakpoint(machine):
    machine.write(FLASH_BASE, bootable(0x5A))
    with connection.connect(SimulatedProbe(machine), PART) as chip:
        chip.write_memory_block8(0x20000200, [0x01, 0x30, 0x01, 0x30, 0xFE, 0xE7])  # adds r0, #1 twice; b .
        chip.set_breakpoint(0x20000202, chip.BreakpointType.SW)
        chip.write_core_register("r0", 0)
        chip.write_core_register("pc", 0x20000200)
        chip.resume()
        while not chip.is_halted():
            pass
        assert (chip.read_core_register("pc"), chip.read_core_register("r0")) == (0x20000202, 1)
