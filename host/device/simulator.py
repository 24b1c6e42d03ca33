"""The simulated chip as a transport: reading lets it run, in its own time."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from host.device.transport import TransportClosed


class Machine(Protocol):
    """What this needs of host.simulator.machine.Machine."""

    @property
    def time_s(self) -> float: ...

    def run(self, seconds: float) -> object: ...

    def uart_write(self, data: bytes) -> int: ...

    def uart_read(self) -> bytes: ...


class HearingMachine(Machine, Protocol):
    """One with a microphone."""

    @property
    def audio_position(self) -> int: ...

    def set_audio(self, audio: np.ndarray, *, sample_rate: int, mode: str) -> None: ...


class SimulatorTransport:
    """A machine's UART. ``now`` is virtual time: the machine stands still unless it is read."""

    def __init__(self, machine: Machine, name: str = "simulator", quantum_s: float = 0.005) -> None:
        self.name = name
        self._machine: Machine | None = machine
        self._quantum_s = quantum_s

    def now(self) -> float:
        return self._open().time_s

    def read(self, timeout_s: float) -> bytes:
        machine = self._open()
        end = machine.time_s + timeout_s
        while True:
            data = machine.uart_read()
            left = end - machine.time_s
            if data or left <= 0:
                return bytes(data)
            # Never less than a microsecond: time must go on, however little is left.
            machine.run(max(1e-6, min(self._quantum_s, left)))

    def write(self, data: bytes) -> None:
        machine = self._open()
        while data:
            data = data[machine.uart_write(data) :]
            if data:  # its queue is full: let it work
                machine.run(self._quantum_s)

    def close(self) -> None:
        self._machine = None

    def _open(self) -> Machine:
        if self._machine is None:
            raise TransportClosed(f"{self.name} has been closed")
        return self._machine


class RepeatedAudio(SimulatorTransport):
    """A machine whose microphone hears a recording over and over, so that it is being said whenever somebody
    comes to listen. ``audio`` is int16[n] at ``rate_hz``, which need not be the microphone's."""

    def __init__(
        self, machine: HearingMachine, audio: np.ndarray, rate_hz: int, name: str = "simulator"
    ) -> None:
        super().__init__(machine, name)
        self._hearing, self._audio, self._rate_hz = machine, audio, rate_hz
        self._play()

    def read(self, timeout_s: float) -> bytes:
        if self._hearing.audio_position >= self._audio.size:
            self._play()
        return super().read(timeout_s)

    def _play(self) -> None:
        self._hearing.set_audio(self._audio, sample_rate=self._rate_hz, mode="linear")
