"""What carries the bytes to a device and back: the protocol that every kind implements, and sockets."""

from __future__ import annotations

import select
import socket
import time
from typing import Protocol

from host.errors import TokayError


class TransportClosed(TokayError):
    """The other end is gone: cable pulled, simulator ended, recording over."""


class Transport(Protocol):
    """A byte stream with a clock. Timeouts are in the clock's seconds, which may be virtual."""

    name: str  # for people: a port, a file

    def now(self) -> float:
        """Seconds since some start, never going back."""
        ...

    def read(self, timeout_s: float) -> bytes:
        """What has arrived; waits for at least a byte, but no longer than ``timeout_s``."""
        ...

    def write(self, data: bytes) -> None:
        """Sends all of it."""
        ...

    def close(self) -> None:
        """Lets go of the other end; may be called again."""
        ...


class SocketTransport:
    """A TCP connection to a UART, such as Renode's socket terminal."""

    def __init__(self, host: str, port: int, timeout_s: float = 5.0) -> None:
        self.name = f"{host}:{port}"
        try:
            self._socket = socket.create_connection((host, port), timeout_s)
        except OSError as error:
            raise TokayError(
                f"cannot connect to {self.name}: {error.strerror or error}", hint="is the other side running?"
            ) from error

    def now(self) -> float:
        return time.monotonic()

    def read(self, timeout_s: float) -> bytes:
        if not select.select([self._socket], [], [], max(0.0, timeout_s))[0]:
            return b""
        try:
            data = self._socket.recv(65536)
        except OSError as error:
            raise TransportClosed(f"{self.name}: {error.strerror or error}") from error
        if not data:
            raise TransportClosed(f"{self.name}: the other side closed the connection")
        return data

    def write(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise TransportClosed(f"{self.name}: {error.strerror or error}") from error

    def close(self) -> None:
        self._socket.close()
