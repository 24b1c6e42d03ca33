"""Parts whose debug port is locked: told apart, and erased and unlocked by the secure engine where asked."""

from __future__ import annotations

import pytest

pytest.importorskip("pyocd", reason="pyOCD is not installed (extra flash)")

from host.errors import TokayError
from host.flashing import connection, programmer
from host.flashing import unlock as unlocking
from host.flashing.simulated_engine import SecureEngine
from host.flashing.simulated_probe import SimulatedProbe
from host.memory_map import FLASH_BASE, FLASH_BYTES, SECTOR, USER_DATA, USER_DATA_BYTES
from host.simulator.machine import Machine
from tests.simulator.flashing import PART, bootable, everything, flash, image_of, runs, silent


def test_locked_part_is_told_apart(machine):
    before = everything(machine)
    with pytest.raises(TokayError, match=r"the part is locked.*--unlock.*is lost"):
        flash(machine, bootable(0x11), locked=True)
    assert everything(machine) == before


def unlock(machine: Machine, data: bytes, probe: SimulatedProbe) -> None:
    with connection.connect(probe, PART, unlocking=True) as chip:
        programmer.program(chip, image_of(data), silent)


def test_locked_part_is_erased_and_unlocked_when_asked(machine):
    user_data = machine.read(USER_DATA, USER_DATA_BYTES)
    data = bootable(0x11)
    unlock(machine, data, SimulatedProbe(machine, locked=True))
    assert runs(machine) == 0x11
    after = machine.read(FLASH_BASE, FLASH_BYTES)
    assert after[: len(data)] == data and set(after[len(data) :]) == {0xFF}
    assert machine.read(USER_DATA, USER_DATA_BYTES) == user_data


def test_unlocking_erases_no_part_that_is_not_locked(machine):
    before = machine.read(FLASH_BASE, FLASH_BYTES)
    data = bootable(0x11)
    unlock(machine, data, SimulatedProbe(machine))
    whole = -(-len(data) // SECTOR) * SECTOR
    assert machine.read(FLASH_BASE + whole, FLASH_BYTES - whole) == before[whole:]


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
    probe = SimulatedProbe(machine, locked=True, engine=made)
    with pytest.raises(TokayError, match=message) as raised:
        unlock(machine, bootable(0x11), probe)
    assert "\n" not in str(raised.value) and not probe.is_open
    assert (everything(machine) == before) == (type(made) is SecureEngine)
