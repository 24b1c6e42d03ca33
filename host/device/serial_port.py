"""Serial ports: a transport over pyserial, and which ports are boards by their USB ids."""

from __future__ import annotations

import errno
import os
import time
from argparse import ArgumentTypeError
from collections.abc import Iterable
from dataclasses import dataclass

import serial
import serial.tools.list_ports

from host.device.transport import TransportClosed
from host.errors import TokayError

BAUD_RATE = 115200
NO_BOARD = "no board found: no serial port is that of a J-Link or CMSIS-DAP probe"
_HIGHEST_BAUD = 2**31 - 1  # a C int
_POLL_S = 0.02
_JLINK_VENDOR = 0x1366


@dataclass(frozen=True)
class Board:
    """A serial port that belongs to a debug probe, as the boards' virtual COM ports do."""

    port: str
    probe: str  # J-Link or CMSIS-DAP
    serial_number: str
    product: str
    usb_id: str


def _probe(port: object) -> str | None:
    """The kind of debug probe that a pyserial port belongs to, None for any other port."""
    words = f"{getattr(port, 'product', '') or ''} {getattr(port, 'description', '') or ''}".lower()
    if getattr(port, "vid", None) == _JLINK_VENDOR:
        return "J-Link"
    # CMSIS-DAP probes have no vendor id in common, but must say what they are in their product name.
    return "CMSIS-DAP" if "cmsis-dap" in words or "daplink" in words else None


def find_boards(ports: Iterable[object] | None = None) -> list[Board]:
    """The boards that are plugged in, sorted by port."""
    found = []
    for port in serial.tools.list_ports.comports() if ports is None else ports:
        probe = _probe(port)
        if probe:
            found.append(
                Board(
                    port=port.device,  # type: ignore[attr-defined]
                    probe=probe,
                    serial_number=port.serial_number or "",  # type: ignore[attr-defined]
                    product=port.product or port.description or "",  # type: ignore[attr-defined]
                    usb_id=f"{port.vid:04x}:{port.pid:04x}" if port.vid else "",  # type: ignore[attr-defined]
                )
            )
    return sorted(found, key=lambda board: board.port)


def choose_port(port: str | None = None, boards: list[Board] | None = None) -> str:
    """``port`` if given (a port, or a probe's serial number), else the port of the only board."""
    boards = find_boards() if boards is None else boards
    if port:
        return next((board.port for board in boards if board.serial_number == port), port)
    if not boards:
        raise TokayError(NO_BOARD, hint="plug it in, or give --port")
    if len(boards) > 1:
        names = ", ".join(f"{board.port} ({board.serial_number or board.probe})" for board in boards)
        raise TokayError(f"{len(boards)} boards found: {names}", hint="choose one with --port")
    return boards[0].port


def baud_rate(text: str) -> int:
    """Of a command's arguments: a rate that a driver can be asked for."""
    value = int(text) if text.isdecimal() else 0
    if not 0 < value <= _HIGHEST_BAUD:
        raise ArgumentTypeError(f"{text} is not a rate from 1 to {_HIGHEST_BAUD}")
    return value


class SerialTransport:
    """A serial port, 8N1, no flow control."""

    def __init__(self, port: str, baud_rate: int = BAUD_RATE) -> None:
        self.name = port
        try:
            self._port = serial.Serial(port, baud_rate, timeout=_POLL_S, write_timeout=2.0, exclusive=True)
        except (serial.SerialException, OSError, ValueError) as error:
            raise TokayError(f"cannot open {port}: {_reason(error)}", hint=_hint(error)) from error

    def now(self) -> float:
        return time.monotonic()

    def read(self, timeout_s: float) -> bytes:
        end = self.now() + timeout_s
        try:
            while True:
                data = self._port.read(max(1, self._port.in_waiting))
                if data or self.now() >= end:
                    return data
        except (serial.SerialException, OSError, TypeError) as error:
            raise TransportClosed(f"{self.name}: {_reason(error)}", hint="was it unplugged?") from error

    def write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except serial.SerialTimeoutException as error:
            raise TokayError(f"{self.name} takes no data", hint="reset the board") from error
        except (serial.SerialException, OSError) as error:
            raise TransportClosed(f"{self.name}: {_reason(error)}", hint="was it unplugged?") from error

    def close(self) -> None:
        self._port.close()


def _reason(error: Exception) -> str:
    # pyserial wraps the system's error in a sentence of its own; the system's words are enough.
    number = getattr(error, "errno", None)
    if number is not None:
        return os.strerror(number)
    text = str(error) or type(error).__name__
    if "returned no data" in text:  # readable and at its end: how a port goes away on Linux
        return "the port is gone"
    return "it is no serial port" if os.strerror(errno.ENOTTY) in text else text


def _hint(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EACCES:
        return "add yourself to the port's group, often dialout"
    if number in (errno.EAGAIN, errno.EBUSY):
        return "another program has it open"
    return "see python -m host.device list"
