"""The debug side of the simulated chip: what its access port sees, memory and the core's debug registers.

Addresses and bits are those of the Armv8-M architecture. The core runs only while somebody looks: each
read of DHCSR lets a running core have a slice of virtual time, so the same reads give the same results.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from host.memory_map import FLASH_BASE, FLASH_BYTES, INFO_BASE, INFO_BYTES, RAM_BASE, RAM_BYTES, SECTOR
from host.simulator.machine import Machine

SLICE_S = 0.001  # virtual time between two looks of a debugger: about what USB takes
_INSTANT_S = 1e-7  # what the core can be let run at least: some instructions

DFSR, AIRCR, DHCSR, DCRSR, DCRDR, DEMCR = (
    0xE000ED30, 0xE000ED0C, 0xE000EDF0, 0xE000EDF4, 0xE000EDF8, 0xE000EDFC,
)  # fmt: skip
_BREAKPOINTS, _COMPARATORS, _COMPARATOR_0 = 0xE0002000, 8, 0xE0002008
_KEY = 0xA05F0000
_DEBUGEN, _HALT, _STEP = 1, 2, 4
_S_REGRDY, _S_HALT, _S_LOCKUP, _S_RETIRED, _S_RESET = 1 << 16, 1 << 17, 1 << 19, 1 << 24, 1 << 25
_DFSR_HALTED, _DFSR_BKPT = 1, 2
_MSC_WRITECMD, _MSC_ADDRB, _MSC_STATUS = 0x40030010, 0x40030014, 0x4003001C  # of registers.h
_MSC_STATUS_BUSY, _MSC_WRITECMD_ERASEPAGE = 1, 2
# Special registers by DCRSR number: the simulator's number (20, the four masks, is put together).
_SPECIAL = {16: 16, 17: 17, 18: 18, 33: 23}


def _component(base: int, part: int, kind: int, devarch: int = 0) -> dict[int, int]:
    """Identification registers of one of Arm's debug components."""
    peripheral = (part & 0xFF, 0xB0 | part >> 8, 0x0B, 0)
    component = (0x0D, kind << 4, 0x05, 0xB1)
    words = {base + 0xFD0: 0x04, base + 0xFBC: devarch}
    words |= {base + 0xFE0 + 4 * i: value for i, value in enumerate(peripheral)}
    words |= {base + 0xFF0 + 4 * i: value for i, value in enumerate(component)}
    return words


ROM_TABLE = 0xE00FF000
# The ROM table names the system control space of a Cortex-M33 with security extension and its breakpoints.
_IDENTIFICATION = {
    ROM_TABLE: (0xE000E000 - ROM_TABLE) & 0xFFFFFFFF | 3,
    ROM_TABLE + 4: (_BREAKPOINTS - ROM_TABLE) & 0xFFFFFFFF | 3,
    **_component(ROM_TABLE, 0x4C9, 1),
    **_component(0xE000E000, 0xD21, 9, 0x47702A04),
    **_component(_BREAKPOINTS, 0xD21, 9, 0x47701A03),
    0xE000ED44: 0x210,  # PFR1: security extension
    0xE000EE08: 1 << 16,  # DSCSR: the core is in secure state
}


class BusFault(Exception):
    """Nothing answers at an address."""


class PowerLost(Exception):
    """The power cut that was asked for has come."""


@dataclass(frozen=True)
class PowerCut:
    """When to cut the power: so long into the n-th (from 0) function that a debugger has the core run."""

    call: int
    after_s: float


class CoreDebug:
    """A simulated chip behind an access port. Its breakpoints stop it at its first instruction only."""

    def __init__(self, machine: Machine, cut: PowerCut | None = None) -> None:
        self.machine = machine
        machine.debug_attach()
        self.cut = cut
        self.calls = 0  # how often the core was let run
        self.busy_s = 0.0  # virtual time that it ran
        self._enabled = self._halted = self._stuck = False
        self._was_reset, self._retired = True, False
        self._vector_catch = self._dfsr = self._transfer = 0
        self._stops, self._stops_at = False, [0] * _COMPARATORS
        self._called_s = 0.0

    # ---- memory ----

    def read(self, address: int, size: int) -> int:
        """One access of the access port."""
        word = address & ~3
        registers = {DHCSR: self._status, DFSR: lambda: self._dfsr, DCRDR: lambda: self._transfer}
        registers[_BREAKPOINTS] = lambda: 1 << 28 | _COMPARATORS << 4 | self._stops
        if word in registers:
            return registers[word]() >> 8 * (address & 3)
        if word in _IDENTIFICATION:
            return _IDENTIFICATION[word]
        if 0xE0000000 <= word < 0xE0100000 and word & 0xFFF >= 0xFA0:
            return 0
        value = self.machine.debug_read(address, size)
        if value is None:
            raise BusFault(f"read of 0x{address:08x}")
        return value

    def write(self, address: int, size: int, value: int) -> None:
        """One access of the access port."""
        if RAM_BASE <= address < RAM_BASE + RAM_BYTES:
            self.machine.write(address, value.to_bytes(size, "little"))  # forgets code that ran there
            return
        if address == DHCSR:
            self._control(value)
        elif address == DFSR:
            self._dfsr &= ~value
        elif address == DCRDR:
            self._transfer = value
        elif address == DCRSR:
            self._transfer_register(value)
        elif address == AIRCR and value >> 16 == 0x05FA and value & 4:
            self.reset()
        elif address == _BREAKPOINTS:
            self._stops = bool(value & 1) if value & 2 else self._stops
        elif _COMPARATOR_0 <= address < _COMPARATOR_0 + 4 * _COMPARATORS:
            self._stops_at[(address - _COMPARATOR_0) // 4] = value
        elif not self.machine.debug_write(address, size, value):
            raise BusFault(f"write to 0x{address:08x}")
        if address == DEMCR:
            self._vector_catch = value

    def block(self, address: int, size: int) -> bytes | None:
        """Plain memory at once, which is quicker; None where it is not plain memory."""
        for base, length in ((RAM_BASE, RAM_BYTES), (FLASH_BASE, FLASH_BYTES), (INFO_BASE, INFO_BYTES)):
            if base <= address and address + size <= base + length:
                return self.machine.read(address, size)
        return None

    def write_block(self, address: int, data: bytes) -> bool:
        """RAM at once; False where it is not RAM."""
        if not RAM_BASE <= address <= RAM_BASE + RAM_BYTES - len(data):
            return False
        self.machine.write(address, data)
        return True

    # ---- the core ----

    def reset(self) -> None:
        """System reset; debug and breakpoints stay as they are, as on the chip, which does not stop for the
        vector catch either (see host.flashing.reset)."""
        self.machine.debug_reset()
        if self._vector_catch:
            self.machine.debug_write(DEMCR, 4, self._vector_catch)
        self._was_reset, self._retired, self._stuck = True, False, False
        entry = int.from_bytes(self.machine.read(FLASH_BASE + 4, 4), "little")
        self._halted = self._enabled and self._stops and entry in self._stops_at
        self._dfsr |= _DFSR_BKPT if self._halted else 0

    def _status(self) -> int:
        if not self._halted:
            self._advance()
        value = (_DEBUGEN if self._enabled else 0) | (_HALT if self._halted else 0) | _S_REGRDY
        value |= (_S_HALT if self._halted else 0) | (_S_LOCKUP if self._stuck and not self._halted else 0)
        value |= (_S_RETIRED if self._retired else 0) | (_S_RESET if self._was_reset else 0)
        self._retired = self._was_reset = False
        return value

    def _control(self, value: int) -> None:
        if value & 0xFFFF0000 != _KEY:
            return
        self._enabled = bool(value & _DEBUGEN)
        if not self._enabled:
            self._halted = False
        elif value & _HALT:
            self._dfsr |= 0 if self._halted else _DFSR_HALTED
            self._halted, self._stuck = True, False
        elif self._halted and value & _STEP:
            self._stuck = self.machine.debug_step() == "stuck"
            self._retired = True
            self._dfsr |= _DFSR_HALTED
        elif self._halted:
            self._halted, self._called_s = False, 0.0
            self.calls += 1
            self._check_power(0.0)

    def _advance(self) -> None:
        """A slice of time for the running core."""
        if self._stuck:
            return
        before = self.machine.time_s
        left = SLICE_S
        if self.cut is not None and self.calls - 1 == self.cut.call:
            left = min(left, max(self.cut.after_s - self._called_s, _INSTANT_S))
        stop = self.machine.debug_run(left)
        self._retired = True
        taken = self.machine.time_s - before
        self.busy_s += taken
        self._called_s += taken
        if stop == "breakpoint" and self._enabled:
            self.machine.set_register(15, self.machine.register(15) - 2)  # the debugger sees it not yet run
            self._halted = True
            self._dfsr |= _DFSR_BKPT
        self._stuck = stop == "stuck"
        self._check_power(self._called_s)

    def _transfer_register(self, value: int) -> None:
        """DCRSR: a core register to or from DCRDR. Those that are not modelled read as zero."""
        number, write = value & 0x7F, bool(value >> 16 & 1)
        if number == 20:  # CONTROL, FAULTMASK, BASEPRI, PRIMASK from the top
            parts = ((20, 0), (21, 8), (22, 16), (19, 24))
            if write:
                for register, shift in parts:
                    self.machine.set_register(register, self._transfer >> shift & 0xFF)
            else:
                self._transfer = sum((self.machine.register(r) & 0xFF) << shift for r, shift in parts)
            return
        known = number if number < 16 else _SPECIAL.get(number)
        if 64 <= number < 96:
            known = number - 32
        if known is None:
            self._transfer = self._transfer if write else 0
        elif write:
            self.machine.set_register(known, self._transfer)
        else:
            self._transfer = self.machine.register(known)

    # ---- power ----

    def _check_power(self, called_s: float) -> None:
        if self.cut is None or self.calls - 1 != self.cut.call:
            return
        if called_s >= self.cut.after_s or self._halted:
            self.lose_power()
            raise PowerLost(f"power was cut {1e3 * called_s:.1f} ms into call {self.cut.call}")

    def lose_power(self) -> None:
        """What the chip is left with: RAM is noise; a page that was being erased, or a word that was being
        written, has bits of before and after."""
        noise = random.Random(self.calls)
        status, address = self.machine.peripheral(_MSC_STATUS), self.machine.peripheral(_MSC_ADDRB)
        if status & _MSC_STATUS_BUSY and FLASH_BASE <= address <= FLASH_BASE + FLASH_BYTES:
            # The model erases at once, at the start.
            if self.machine.peripheral(_MSC_WRITECMD) & _MSC_WRITECMD_ERASEPAGE:
                page = address & ~(SECTOR - 1)
                self.machine.write(page, noise.randbytes(SECTOR))
            else:
                word = int.from_bytes(self.machine.read(address - 4, 4), "little") | noise.getrandbits(32)
                self.machine.write(address - 4, word.to_bytes(4, "little"))
        self.machine.write(RAM_BASE, noise.randbytes(RAM_BYTES))
        self.machine.reset()
