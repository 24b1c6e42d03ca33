"""The simulated chip as a transport: reading lets it run, in its own time."""

from __future__ import annotations

from typing import Protocol

from host.device.transport import TransportClosed


class Machine(Protocol):
    """What this needs of host.simulator.machine.Machine."""

    def run(self, seconds: float) -> object: ...

    def uart_write(self, data: bytes) -> object: ...

    def uart_read(self) -> bytes: ...


class SimulatorTransport:
    """A machine's UART. ``now`` is virtual time: the machine stands still unless it is read."""

    def __init__(self, machine: Machine, name: str = "simulator", quantum_s: float = 0.005) -> None:
        self.name = name
        self._machine: Machine | None = machine
        self._quantum_s = quantum_s
        self._now = 0.0

    def now(self) -> float:
        return self._now

    def read(self, timeout_s: float) -> bytes:
        machine = self._open()
        end = self._now + max(0.0, timeout_s)
        while True:
            data = machine.uart_read()
            left = end - self._now
            if data or left <= 0:
                return bytes(data)
            step = min(self._quantum_s, left)
            machine.run(step)
            # A sum of small steps may never reach the end exactly.
            self._now = end if left - step < 1e-9 else self._now + step

    def write(self, data: bytes) -> None:
        self._open().uart_write(data)

    def close(self) -> None:
        self._machine = None

    def _open(self) -> Machine:
        if self._machine is None:
            raise TransportClosed(f"{self.name} has been closed")
        return self._machine
