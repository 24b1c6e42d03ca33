"""Flashing the simulated chip through pyOCD's own code: what is written, power cuts, what is refused."""

from __future__ import annotations

import random

import pytest

pytest.importorskip("pyocd", reason="pyOCD is not installed (extra flash)")

from pyocd.core import exceptions

from host.errors import TokayError
from host.flashing import connection, programmer
from host.flashing.core_debug import PowerCut
from host.flashing.reset import stop_at_reset
from host.flashing.simulated_probe import SimulatedProbe
from host.memory_map import DEVICE_INFO, FLASH_BASE, FLASH_BYTES, SECTOR
from host.simulator.machine import Machine
from tests.simulator.flashing import MARKER, PART, bootable, everything, flash, image_of, runs, silent


def test_flash_changes_the_image_alone(machine):
    before, data = everything(machine), bootable(0x11)
    outcome, _ = flash(machine, data)
    padded = data + b"\xff" * (-len(data) % SECTOR)
    assert everything(machine) == padded + before[len(padded) :]
    assert outcome.sectors == outcome.sectors_written == 2
    assert [guard.split(" 0x")[0] for guard in outcome.guards] == [
        "user data page", "sector behind the image", "last sector",
    ]  # fmt: skip
    assert runs(machine) == 0x11


def test_sectors_that_fit_already_are_left_alone(machine):
    data = bytearray(bootable(0x11))
    flash(machine, bytes(data))
    outcome, probe = flash(machine, bytes(data))
    assert outcome.sectors_written == outcome.bytes_written == 0
    assert probe.chip.calls == 0  # nothing was called on it
    data[-1] ^= 0xFF
    outcome, _ = flash(machine, bytes(data))
    assert outcome.sectors_written == 2  # the sector that changed, and that of the vectors
    assert machine.read(FLASH_BASE, len(data)) == bytes(data)


def test_progress_ends_when_all_is_done(machine):
    seen = []
    with connection.connect(SimulatedProbe(machine), PART) as chip:
        programmer.program(chip, image_of(bootable(0x11)), lambda done, steps: seen.append((done, steps)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]  # two sectors, erased and written


@pytest.mark.parametrize("lost", [0, 8, SECTOR])
def test_what_does_not_stick_is_told(machine, lost, monkeypatch):
    """A write that reports success and leaves the flash blank: of the vectors, behind them, elsewhere."""
    with connection.connect(SimulatedProbe(machine), PART) as chip:
        flash = chip.memory_map.get_region_for_address(FLASH_BASE).flash
        for name in ("program_page", "program_phrase"):
            write = getattr(flash, name)

            def leaky(address, data, write=write):
                if address != FLASH_BASE + lost:
                    write(address, data)

            monkeypatch.setattr(flash, name, leaky)
        with pytest.raises(
            TokayError, match=rf"^0x{FLASH_BASE + lost:08x} reads 0xff, 0x.. was written"
        ):
            programmer.program(chip, image_of(bootable(0x11)), silent)
    assert runs(machine) is None


def test_the_chip_runs_when_flashed(machine):
    flash(machine, bootable(0x22))
    machine.run(0.0002)  # not reset by us: the connection's end let it go
    assert int.from_bytes(machine.read(MARKER, 4), "little") == 0x22


def test_time_and_throughput(machine):
    data = bootable(0x33, 16 * SECTOR)
    outcome, probe = flash(machine, data)
    erase, write = 16 * 12e-3, 16 * 2048 * 11e-6  # the model's figures for a page and a word
    assert erase + write < probe.chip.busy_s < 1.2 * (erase + write)
    bits = 32 * len(data) / 4 * 3  # compared, written, read back
    assert probe.wire_bits > bits and probe.wire_s < 2 * bits / connection.FREQUENCY_HZ
    assert outcome.bytes_written == len(data)


def calls_of_a_flash() -> int:
    """How often the core is let run to flash the test image over another."""
    made = Machine()
    flash(made, bootable(0x41))
    _, probe = flash(made, bootable(0x42))
    made.close()
    return probe.chip.calls


@pytest.mark.parametrize("after_s", [0.0, 12e-6, 0.006, 1.0], ids=["before", "in a word", "amid", "end"])
def test_power_cut_at_every_operation(after_s):
    """Whatever starts afterwards is whole; what does not start can be flashed; nothing else has changed."""
    old, new = bootable(0x41), bootable(0x42)
    padded = [data + b"\xff" * (-len(data) % SECTOR) for data in (old, new)]
    count = calls_of_a_flash()
    assert count >= 8
    outcomes = set()
    machine = Machine()
    machine.write(FLASH_BASE, random.Random(7).randbytes(FLASH_BYTES))
    beyond = everything(machine)[len(padded[0]) :]
    for call in range(count):
        machine.write(FLASH_BASE, padded[0])
        with pytest.raises(TokayError, match=r"power was cut|no answer"):
            flash(machine, new, cut=PowerCut(call, after_s))
        found = everything(machine)
        assert found[len(padded[0]) :] == beyond, f"call {call}: flash outside the image has changed"
        started = runs(machine)
        outcomes.add(started)
        if started is not None:
            assert found[: len(padded[0])] in padded, f"call {call}: what starts is not whole"
        flash(machine, new)
        assert runs(machine) == 0x42, f"call {call}: flashing again does not help"
        assert everything(machine)[len(padded[0]) :] == beyond
    machine.close()
    assert outcomes == {None, 0x41, 0x42}


@pytest.mark.slow
def test_power_cut_at_any_moment(machine):
    """250 moments at random, many of them within the first microseconds of a call."""
    draw, count = random.Random(5), calls_of_a_flash()
    old, new = (data + b"\xff" * (-len(data) % SECTOR) for data in (bootable(0x41), bootable(0x42)))
    beyond = everything(machine)[len(old) :]
    seen = set()
    for _ in range(250):
        machine.write(FLASH_BASE, old)
        cut = PowerCut(draw.randrange(count), draw.choice([draw.uniform(0, 0.025), draw.uniform(0, 60e-6)]))
        with pytest.raises(TokayError):
            flash(machine, new, cut=cut)
        found, started = everything(machine), runs(machine)
        assert found[len(old) :] == beyond, cut
        assert started is None or found[: len(old)] in (old, new), cut
        seen.add(started)
    assert seen == {None, 0x41, 0x42}


@pytest.mark.parametrize("error", [exceptions.ProbeError, exceptions.TransferTimeoutError, OSError])
def test_a_probe_that_is_pulled_out(machine, error, monkeypatch):
    """At random transfers, while connecting too: one line, and the old image, the new one or none starts."""
    old, new = bootable(0x66, 3 * SECTOR), bootable(0x77, 3 * SECTOR)
    left, endless = [10**6], 10**6

    def counted(name):
        transfer = getattr(SimulatedProbe, name)

        def call(probe, *arguments, **options):
            left[0] -= 1
            if left[0] < 0:
                raise error("no such device")
            return transfer(probe, *arguments, **options)

        return call

    for name in ("read_dp", "write_dp", "read_ap", "write_ap", "read_ap_multiple", "write_ap_multiple"):
        monkeypatch.setattr(SimulatedProbe, name, counted(name))
    flash(machine, old)
    flash(machine, new)
    transfers, rng = (endless - left[0]) // 2, random.Random(error.__name__)
    for at in (0, *sorted(rng.sample(range(transfers), 5))):
        left[0] = endless
        flash(machine, old)
        left[0] = at
        with pytest.raises(TokayError, match=r"the connection to the chip broke|the chip does not answer"):
            flash(machine, new)
        assert runs(machine) in (0x66, 0x77, None)


def test_first_call_cut_leaves_the_old_image(machine):
    flash(machine, bootable(0x41))
    with pytest.raises(TokayError):
        flash(machine, bootable(0x42), cut=PowerCut(0, 0.0))
    assert runs(machine) == 0x41


def test_sleeping_part_is_woken_by_reset(machine):
    flash(machine, bootable(0x11), asleep=True)
    assert runs(machine) == 0x11


def test_another_chip_is_refused(machine):
    machine.write(DEVICE_INFO + 12, (128 << 16 | 512).to_bytes(4, "little"))
    with pytest.raises(TokayError, match=r"512 kB flash .* 128 kB RAM, so it is no EFR32MG24"):
        flash(machine, bootable(0x11))


def test_locked_page_is_reported(machine, monkeypatch):
    """A page locked in the flash controller until the next reset."""
    with connection.connect(SimulatedProbe(machine), PART) as chip:

        def reset_and_lock(target) -> None:
            stop_at_reset(target)
            target.write32(0x40008068, 1 << 16)
            target.write32(0x40030120, 1 << 1)

        monkeypatch.setattr(programmer, "stop_at_reset", reset_and_lock)
        with pytest.raises(TokayError, match=r"flashing failed at 0x08002000: the flash is locked there"):
            programmer.program(chip, image_of(bootable(0x11)), silent)
    assert runs(machine) is None
