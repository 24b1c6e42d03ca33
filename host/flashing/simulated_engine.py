"""The secure engine of the simulated chip, as far as a locked part needs it: its mailbox at access port 1
and the command that erases the device."""

from __future__ import annotations

from host.memory_map import FLASH_BASE, FLASH_BYTES
from host.simulator.machine import Machine

_CSW, _TAR, _DRW = 0x00, 0x04, 0x0C
_WDATA, _RDATA, _STATUS = 0x1000, 0x1004, 0x1008
_READ_VALID = 1 << 8
_ERASE_DEVICE = 0x430F0000
_OK, _UNKNOWN, _REFUSED = 0, 1, 2
_BUSY_POLLS = 3  # looks at the status before a command is done


class SecureEngine:
    """Takes commands; ``erased`` says that the lock falls with the next reset. ``erasable`` False is a part
    whose device erase was switched off, ``silent`` one whose engine never answers."""

    def __init__(self, machine: Machine, *, erasable: bool = True, silent: bool = False) -> None:
        self._machine, self._erasable, self._silent = machine, erasable, silent
        self.erased = False
        self._csw = self._address = self._polls = 0
        self._command: list[int] = []
        self._answer: list[int] = []

    def read(self, register: int) -> int:
        """A register of the access port."""
        if register == _CSW:
            return self._csw
        if register == _TAR:
            return self._address
        if register != _DRW or self._csw & 7 != 2:
            return 0
        if self._address == _STATUS:
            self._polls = max(0, self._polls - 1)
            return _READ_VALID if self._answer and not self._polls else 0
        if self._address == _RDATA and self._answer and not self._polls:
            return self._answer.pop(0)
        return 0

    def write(self, register: int, value: int) -> None:
        """A register of the access port."""
        if register == _CSW:
            self._csw = value
        elif register == _TAR:
            self._address = value
        elif register == _DRW and self._address == _WDATA and self._csw & 7 == 2:
            self._command.append(value)
            if len(self._command) * 4 >= self._command[0]:
                self._execute(self._command[1:])
                self._command = []

    def _execute(self, words: list[int]) -> None:
        if self._silent:
            return
        status = _UNKNOWN
        if words == [_ERASE_DEVICE]:
            status = _OK if self._erasable else _REFUSED
        if words == [_ERASE_DEVICE] and self._erasable:
            # The user data page stays.
            self._machine.write(FLASH_BASE, b"\xff" * FLASH_BYTES)
            self.erased = True
        self._answer, self._polls = [status << 16 | 4], _BUSY_POLLS
