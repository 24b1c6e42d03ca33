"""Flashing the simulated chip through pyOCD's own code: the algorithm, power cuts, parts locked or asleep."""

from __future__ import annotations

import random

import pytest

pytest.importorskip("pyocd", reason="pyOCD is not installed (extra flash)")

from pyocd.core import exceptions

from host.errors import TokayError
from host.flashing import algorithm, connection, images, programmer, target
from host.flashing import reset as reset_module
from host.flashing import unlock as unlocking
from host.flashing.core_debug import PowerCut
from host.flashing.reset import stop_at_reset
from host.flashing.simulated_engine import SecureEngine
from host.flashing.simulated_probe import SimulatedProbe
from host.simulator.machine import Machine, SimulatorFault

PART = target.PARTS[0]
MARKER = 0x20001000  # where the test images say that they run
WHOLE = images.FLASH_BYTES


def silent(done: int, steps: int) -> None:
    """Progress that nobody watches."""


def bootable(marker: int, size: int = images.SECTOR + 5000) -> bytes:
    """An image that stores ``marker`` at MARKER and waits; the rest is noise."""
    code = bytes.fromhex("0148 0249 0160 fee7".replace(" ", ""))  # ldr r0, =MARKER; ldr r1, =marker; str; b .
    head = [0x20040000, images.FLASH_BASE + 9]
    words = b"".join(word.to_bytes(4, "little") for word in (MARKER, marker))
    start = b"".join(word.to_bytes(4, "little") for word in head) + code + words
    return start + random.Random(marker).randbytes(size - len(start))


def image_of(data: bytes) -> images.FlashImage:
    return images.from_bytes("test", images.FLASH_BASE, data)


def flash(
    machine: Machine, data: bytes, **probe_options: object
) -> tuple[programmer.Outcome, SimulatedProbe]:
    probe = SimulatedProbe(machine, **probe_options)
    with connection.connect(probe, PART) as chip:
        outcome = programmer.program(chip, image_of(data), silent)
    return outcome, probe


def runs(machine: Machine) -> int | None:
    """The marker of the image that starts after power-on, None if none does."""
    machine.reset()
    machine.write(MARKER, bytes(4))
    try:
        machine.run(0.0002)
    except SimulatorFault:
        return None
    return int.from_bytes(machine.read(MARKER, 4), "little") or None


@pytest.fixture
def machine():
    made = Machine()
    made.write(images.FLASH_BASE, random.Random(7).randbytes(WHOLE))  # a chip that was used before
    yield made
    made.close()


def everything(machine: Machine) -> bytes:
    return machine.read(images.FLASH_BASE, WHOLE) + machine.read(images.USER_DATA, images.USER_DATA_BYTES)


def test_flash_changes_the_image_alone(machine):
    before, data = everything(machine), bootable(0x11)
    outcome, _ = flash(machine, data)
    padded = data + b"\xff" * (-len(data) % images.SECTOR)
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
    assert machine.read(images.FLASH_BASE, len(data)) == bytes(data)


def test_progress_ends_when_all_is_done(machine):
    seen = []
    with connection.connect(SimulatedProbe(machine), PART) as chip:
        programmer.program(chip, image_of(bootable(0x11)), lambda done, steps: seen.append((done, steps)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]  # two sectors, erased and written


@pytest.mark.parametrize("lost", [0, 8, images.SECTOR])
def test_what_does_not_stick_is_told(machine, lost, monkeypatch):
    """A write that reports success and leaves the flash blank: of the vectors, behind them, elsewhere."""
    with connection.connect(SimulatedProbe(machine), PART) as chip:
        flash = chip.memory_map.get_region_for_address(images.FLASH_BASE).flash
        for name in ("program_page", "program_phrase"):
            write = getattr(flash, name)

            def leaky(address, data, write=write):
                if address != images.FLASH_BASE + lost:
                    write(address, data)

            monkeypatch.setattr(flash, name, leaky)
        with pytest.raises(
            TokayError, match=rf"^0x{images.FLASH_BASE + lost:08x} reads 0xff, 0x.. was written"
        ):
            programmer.program(chip, image_of(bootable(0x11)), silent)
    assert runs(machine) is None


def test_the_chip_runs_when_flashed(machine):
    flash(machine, bootable(0x22))
    machine.run(0.0002)  # not reset by us: the connection's end let it go
    assert int.from_bytes(machine.read(MARKER, 4), "little") == 0x22


def test_time_and_throughput(machine):
    data = bootable(0x33, 16 * images.SECTOR)
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
    padded = [data + b"\xff" * (-len(data) % images.SECTOR) for data in (old, new)]
    count = calls_of_a_flash()
    assert count >= 8
    outcomes = set()
    machine = Machine()
    machine.write(images.FLASH_BASE, random.Random(7).randbytes(WHOLE))
    beyond = everything(machine)[len(padded[0]) :]
    for call in range(count):
        machine.write(images.FLASH_BASE, padded[0])
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
    old, new = (data + b"\xff" * (-len(data) % images.SECTOR) for data in (bootable(0x41), bootable(0x42)))
    beyond = everything(machine)[len(old) :]
    seen = set()
    for _ in range(250):
        machine.write(images.FLASH_BASE, old)
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
    old, new = bootable(0x66, 3 * images.SECTOR), bootable(0x77, 3 * images.SECTOR)
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


def test_locked_part_is_told_apart(machine):
    before = everything(machine)
    with pytest.raises(TokayError, match=r"the part is locked.*--unlock.*is lost"):
        flash(machine, bootable(0x11), locked=True)
    assert everything(machine) == before


def unlock(machine: Machine, data: bytes, probe: SimulatedProbe) -> None:
    with connection.connect(probe, PART, unlocking=True) as chip:
        programmer.program(chip, image_of(data), silent)


def test_locked_part_is_erased_and_unlocked_when_asked(machine):
    user_data = machine.read(images.USER_DATA, images.USER_DATA_BYTES)
    data = bootable(0x11)
    unlock(machine, data, SimulatedProbe(machine, locked=True))
    assert runs(machine) == 0x11
    after = machine.read(images.FLASH_BASE, images.FLASH_BYTES)
    assert after[: len(data)] == data and set(after[len(data) :]) == {0xFF}
    assert machine.read(images.USER_DATA, images.USER_DATA_BYTES) == user_data


def test_unlocking_erases_no_part_that_is_not_locked(machine):
    before = machine.read(images.FLASH_BASE, images.FLASH_BYTES)
    data = bootable(0x11)
    unlock(machine, data, SimulatedProbe(machine))
    whole = -(-len(data) // images.SECTOR) * images.SECTOR
    assert machine.read(images.FLASH_BASE + whole, images.FLASH_BYTES - whole) == before[whole:]


class SlowEngine(SecureEngine):
    """Loses a word that comes before it took the last one, and answers with more than a status."""

    pending = 0

    def read(self, register: int) -> int:
        value = super().read(register)
        if (register, self._address) == (0x0C, 0x1008) and self.pending:
            self.pending -= 1
            value |= 1  # its mailbox is full
        return value

    def write(self, register: int, value: int) -> None:
        if (register, self._address) == (0x0C, 0x1000):
            if self.pending:
                return
            self.pending = 3
        super().write(register, value)

    def _execute(self, words: list[int]) -> None:
        super()._execute(words)
        self._answer = [self._answer[0] + 8, 0x11, 0x22]


def test_a_slow_engine_is_waited_for_and_heard_out(machine):
    engine = SlowEngine(machine)
    unlock(machine, bootable(0x11), SimulatedProbe(machine, locked=True, engine=engine))
    assert runs(machine) == 0x11 and engine._answer == []


class NeverUnlocks(SecureEngine):
    """Erases, and the lock stays until its power was off."""

    erased = property(lambda self: False, lambda self, value: None)


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        (
            lambda machine: SecureEngine(machine, erasable=False),
            r"refuses to erase the part: status 2 \(device",
        ),
        (
            lambda machine: SecureEngine(machine, silent=True),
            r"the secure engine does not answer: nothing with",
        ),
        (NeverUnlocks, r"was erased and is still locked \(unplug the board"),
    ],
    ids=["refused", "silent", "still locked"],
)
def test_part_that_cannot_be_unlocked(machine, engine, message, monkeypatch):
    monkeypatch.setattr(unlocking, "_ERASED_S", 0.1)
    before, made = everything(machine), engine(machine)
    with pytest.raises(TokayError, match=message) as raised:
        unlock(machine, bootable(0x11), SimulatedProbe(machine, locked=True, engine=made))
    assert "\n" not in str(raised.value)
    assert (everything(machine) == before) == (type(made) is SecureEngine)


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
    assert at_reset(machine) == (True, images.FLASH_BASE + 8)


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
    machine.write(images.FLASH_BASE, b"\xff" * WHOLE)
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


def test_sleeping_part_is_woken_by_reset(machine):
    flash(machine, bootable(0x11), asleep=True)
    assert runs(machine) == 0x11


def test_another_chip_is_refused(machine):
    machine.write(target.DEVICE_INFO + 12, (128 << 16 | 512).to_bytes(4, "little"))
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


# ---- the algorithm itself, by its own entry points ----


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
    assert algorithm.ERRORS[loaded.stored_call(name, *arguments)] == "the address is not in flash"
    assert everything(loaded) == before


def test_algorithm_notices_flash_that_was_not_blank(loaded):
    loaded.write(0x20010000, b"\xff" * 16)
    loaded.write(0x08000000, b"\0" * 16)
    assert loaded.stored_call("Init", 0x08000000, 0, 2) == 0
    failed = loaded.stored_call("ProgramPage", 0x08000000, 16, 0x20010000)
    assert algorithm.ERRORS[failed] == "what was written does not read back"


def test_algorithm_does_nothing_when_closed(loaded):
    assert loaded.stored_call("Init", 0x08000000, 0, 1) == 0
    assert loaded.stored_call("UnInit", 1) == 0
    loaded.write(0x08000000, b"\0" * 16)
    assert algorithm.ERRORS[loaded.stored_call("EraseSector", 0x08000000)] == "the flash is locked there"
    assert loaded.read(0x08000000, 16) == b"\0" * 16


def test_simulator_insists_on_the_handshake(machine):
    """An algorithm that does not wait for the flash would fail here as it does on the chip."""
    enable, write_enable, command, address, data = 0x40008068, 0x4003000C, 0x40030010, 0x40030014, 0x40030018
    machine.write(images.FLASH_BASE, bootable(0x5A))
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


# ---- the probe ----


def test_pyocd_reads_writes_and_steps(machine):
    machine.write(images.FLASH_BASE, bootable(0x5A))
    with connection.connect(SimulatedProbe(machine), PART) as chip:
        assert chip.read_core_register("pc") == images.FLASH_BASE + 8
        chip.write_memory_block8(0x20000000, [0x99] * 8)
        chip.write_memory_block8(0x20000001, [1, 2, 3, 4, 5, 6])
        assert chip.read_memory_block8(0x20000000, 8) == [0x99, 1, 2, 3, 4, 5, 6, 0x99]
        assert machine.read(0x20000000, 8) == bytes([0x99, 1, 2, 3, 4, 5, 6, 0x99])
        chip.write32(0x20000100, 0)
        chip.write_memory(0x20000102, 0xBEEF, 16)
        assert chip.read32(0x20000100) == 0xBEEF0000
        for expected in (0x0A, 0x0C, 0x0E, 0x0E):
            chip.step()
            assert chip.read_core_register("pc") == images.FLASH_BASE + expected
        assert chip.read_core_register("r1") == chip.read32(MARKER) == 0x5A
        chip.write_core_register("control", 2)
        assert machine.register(19) == 2
        chip.resume()
        assert chip.get_state() == chip.State.RUNNING
        chip.halt()
        assert chip.is_halted()
        assert chip.read_core_register("pc") == images.FLASH_BASE + 0x0E


def test_nothing_there_is_a_fault(machine):
    from pyocd.core.exceptions import TransferFaultError

    with connection.connect(SimulatedProbe(machine), PART) as chip:
        for address in (0x30000000, 0x40030000):  # no memory; a peripheral whose clock is off
            with pytest.raises(TransferFaultError):
                chip.read32(address)
        with pytest.raises(TransferFaultError):
            chip.write32(images.FLASH_BASE, 0)  # flash is not written by writing
        chip.write32(0x40008068, 1 << 16)
        assert chip.read32(0x40030000) == 3  # the flash controller, its clock on


def test_software_breakpoint(machine):
    machine.write(images.FLASH_BASE, bootable(0x5A))
    with connection.connect(SimulatedProbe(machine), PART) as chip:
        chip.write_memory_block8(0x20000200, [0x01, 0x30, 0x01, 0x30, 0xFE, 0xE7])  # adds r0, #1 twice; b .
        chip.set_breakpoint(0x20000202, chip.BreakpointType.SW)
        chip.write_core_register("r0", 0)
        chip.write_core_register("pc", 0x20000200)
        chip.resume()
        while not chip.is_halted():
            pass
        assert (chip.read_core_register("pc"), chip.read_core_register("r0")) == (0x20000202, 1)
