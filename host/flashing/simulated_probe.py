"""A pyOCD debug probe whose other end is the simulator: pyOCD speaks to it as it does to one on USB."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pyocd.core import exceptions
from pyocd.probe.debug_probe import DebugProbe

from host.flashing.core_debug import ROM_TABLE, BusFault, CoreDebug, PowerCut, PowerLost
from host.flashing.simulated_engine import SecureEngine
from host.simulator.machine import Machine

_DPIDR = 0x6BA02477  # debug port version 2 of a Cortex-M33
_AP_IDR = 0x14770015  # its AHB5 access port
_CSW, _TAR, _DRW, _BANKED, _CFG, _BASE, _IDR = 0x00, 0x04, 0x0C, 0x10, 0xF4, 0xF8, 0xFC
_CSW_ENABLED = 1 << 6 | 1 << 23  # device enabled, secure accesses enabled
_CSW_WRITABLE = 0x7F000037
_OTHER_PORTS = (2, 3)
_POWER = 0x50000000  # the requests for power of debug and system, in the debug port's control
_TRANSFER_BITS = 46  # of one acknowledged SWD transfer: request, turnaround, acknowledge, data and parity


class SimulatedProbe(DebugProbe):
    """Debug port, access ports of the core, of the secure engine and two behind which nothing answers (the
    chip has such; what they lead to is not public), and the wire, whose bits it counts.
    ``locked`` is a part whose debug port is locked, until its ``engine`` has erased it; ``asleep`` one in
    deep sleep, whose core answers only from a reset on."""

    def __init__(
        self,
        machine: Machine,
        *,
        serial: str = "simulator",
        cut: PowerCut | None = None,
        locked: bool = False,
        asleep: bool = False,
        engine: SecureEngine | None = None,
    ) -> None:
        super().__init__()
        self.chip = CoreDebug(machine, cut)
        self._engine = engine or SecureEngine(machine)
        self.wire_bits = 0
        self.other_ports = 0  # how often one was read
        self.frequency = 1_000_000.0
        self._serial = serial
        self._locked, self._asleep, self._lost = locked, asleep, False
        self._open = self._connected = self._reset = False
        self._select = self._control = self._csw = self._address = self._buffer = 0

    # ---- what pyOCD asks about a probe ----

    vendor_name = property(lambda self: "Tokay")  # type: ignore[assignment]
    product_name = property(lambda self: "simulated EFR32MG24")  # type: ignore[assignment]
    unique_id = property(lambda self: self._serial)  # type: ignore[assignment]
    supported_wire_protocols = property(  # type: ignore[assignment]
        lambda self: (DebugProbe.Protocol.DEFAULT, DebugProbe.Protocol.SWD)
    )
    capabilities = property(lambda self: set())  # type: ignore[assignment]
    is_open = property(lambda self: self._open)  # type: ignore[assignment]

    @property
    def wire_protocol(self) -> DebugProbe.Protocol | None:
        return DebugProbe.Protocol.SWD if self._connected else None

    @property
    def wire_s(self) -> float:
        """Time that the wire was in use, without what a probe and USB add."""
        return self.wire_bits / self.frequency

    def open(self) -> None:
        self._open = True

    def close(self) -> None:
        self._open = False

    def connect(self, protocol: DebugProbe.Protocol | None = None) -> None:
        self._connected = True

    def disconnect(self) -> None:
        self._connected = False

    def set_clock(self, frequency: float) -> None:
        self.frequency = float(frequency)

    def reset(self) -> None:
        self.assert_reset(True)
        self.assert_reset(False)

    def assert_reset(self, asserted: bool) -> None:
        if asserted:
            self._asleep = False
        elif self._reset:
            self._locked = self._locked and not self._engine.erased
            self.chip.reset()
        self._reset = asserted

    def is_reset_asserted(self) -> bool:
        return self._reset

    # ---- debug port ----

    def _count(self, transfers: int = 1) -> None:
        self.wire_bits += _TRANSFER_BITS * transfers
        if self._lost or not self._connected:
            raise exceptions.TransferError("no answer: the chip has no power, or nobody has connected to it")

    def read_dp(self, addr: int, now: bool = True) -> int | Callable[[], int]:
        self._count()
        values = {0x0: _DPIDR, 0x4: self._control_status(), 0xC: self._buffer}
        value = values.get(addr & 0xC, 0)
        return value if now else lambda: value

    def _control_status(self) -> int:
        return self._control | (self._control & _POWER) << 1  # a power request is granted at once

    def write_dp(self, addr: int, data: int) -> None:
        self._count()
        if addr & 0xC == 0x8:
            self._select = data
        elif addr & 0xC == 0x4:
            self._control = data & (_POWER | 0xF00)

    # ---- access port ----

    def read_ap(self, addr: int, now: bool = True) -> int | Callable[[], int]:
        self._count()
        value = self._guarded(self._read_port, addr)
        return value if now else lambda: value

    def write_ap(self, addr: int, data: int) -> None:
        self._count()
        self._guarded(self._write_port, addr, data & 0xFFFFFFFF)

    def read_ap_multiple(
        self, addr: int, count: int = 1, now: bool = True
    ) -> Sequence[int] | Callable[[], Sequence[int]]:
        self._count(count)
        values = self._guarded(self._read_many, addr, count)
        return values if now else lambda: values

    def write_ap_multiple(self, addr: int, values: Sequence[int]) -> None:
        self._count(len(values))
        self._guarded(self._write_many, addr, values)

    def _guarded(self, what: Callable[..., Any], *arguments: Any) -> Any:
        if self._control & _POWER != _POWER:
            raise exceptions.TransferFaultError("the access ports have no power")
        try:
            return what(*arguments)
        except BusFault as error:
            raise exceptions.TransferFaultError(str(error)) from error
        except PowerLost as error:
            self._lost = True
            raise exceptions.TransferError(str(error)) from error

    def _read_port(self, addr: int) -> int:
        register = self._select & 0xF0 | addr & 0xC
        if self._select >> 24 in _OTHER_PORTS:
            return self._read_other_port(register)
        if self._select >> 24:
            return self._engine.read(register) if self._select >> 24 == 1 else 0
        fixed = {_TAR: self._address, _CFG: 0, _BASE: ROM_TABLE | 3, _IDR: _AP_IDR}
        if register == _CSW:
            return self._csw | (0 if self._locked else _CSW_ENABLED)
        if register == _DRW:
            return self._access(None)
        if register & 0xF0 == _BANKED:
            return self._memory(self._address & ~0xF | register & 0xC, 4)
        return fixed.get(register, 0)

    def _read_other_port(self, register: int) -> int:
        if register == _DRW or register & 0xF0 == _BANKED:
            raise BusFault(f"access through port {self._select >> 24}")
        self.other_ports += 1
        return {_CSW: _CSW_ENABLED, _BASE: 0xF0000003, _IDR: _AP_IDR}.get(register, 0)

    def _write_port(self, addr: int, data: int) -> None:
        register = self._select & 0xF0 | addr & 0xC
        if self._select >> 24:
            if self._select >> 24 == 1:
                self._engine.write(register, data)
            return
        if register == _CSW:
            self._csw = data & _CSW_WRITABLE
        elif register == _TAR:
            self._address = data
        elif register == _DRW:
            self._access(data)
        elif register & 0xF0 == _BANKED:
            self._reachable()
            self.chip.write(self._address & ~0xF | register & 0xC, 4, data)

    def _reachable(self) -> None:
        if self._locked:
            raise BusFault("access to a locked part")
        if self._asleep:
            raise BusFault("access to a part in deep sleep")

    def _memory(self, address: int, size: int) -> int:
        self._reachable()
        return self.chip.read(address, size)

    def _access(self, data: int | None) -> int:
        """The memory access of DRW, in the size that CSW says, on the byte lanes of its address."""
        self._reachable()
        size, address = 1 << (self._csw & 3), self._address
        shift, mask = 8 * (address & 3), (1 << 8 * size) - 1
        if data is None:
            value = (self.chip.read(address, size) & mask) << shift
        else:
            value = 0
            self.chip.write(address, size, data >> shift & mask)
        if self._csw >> 4 & 3:
            self._address = address & ~0x3FF | (address + size) & 0x3FF
        return value

    def _whole_words(self, addr: int, count: int) -> bool:
        """Whether a run of accesses is one of words at rising addresses, without a wrap."""
        register = self._select & 0xF0 | addr & 0xC
        words = self._csw & 0x37 == 0x12 and not self._select >> 24
        return register == _DRW and words and (self._address & 0x3FF) + 4 * count <= 0x400

    def _step_address(self, count: int) -> None:
        self._address = self._address & ~0x3FF | (self._address + 4 * count) & 0x3FF

    def _read_many(self, addr: int, count: int) -> list[int]:
        if self._whole_words(addr, count):
            self._reachable()
            data = self.chip.block(self._address, 4 * count)
            if data is not None:
                self._step_address(count)
                return [int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4)]
        return [self._read_port(addr) for _ in range(count)]

    def _write_many(self, addr: int, values: Sequence[int]) -> None:
        if self._whole_words(addr, len(values)):
            self._reachable()
            if self.chip.write_block(self._address, b"".join(v.to_bytes(4, "little") for v in values)):
                self._step_address(len(values))
                return
        for value in values:
            self._write_port(addr, value)
