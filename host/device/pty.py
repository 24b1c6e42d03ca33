"""Makes any transport appear as a serial port, so that programs that open ports can use a simulator.

The bridge runs in a thread and keeps a virtual clock no faster than the wall clock, so that a
program that waits in real seconds sees a device that lives in them.
"""

from __future__ import annotations

import os
import select
import threading
import time
import tty
from types import TracebackType

from host.device.transport import Transport
from host.errors import TokayError

_STEP_S = 0.01
_BACKLOG = 1 << 16  # bytes kept for a program that does not read; older ones are lost, as on a real line


class PtyBridge:
    """A pseudo-terminal whose other end is a transport; ``port`` is the name to open.

    The transport is the bridge's: :meth:`close` closes it, and so does a bridge that cannot be made, which
    raises TokayError.
    """

    def __init__(self, transport: Transport, *, link: str | None = None, paced: bool = True) -> None:
        self._transport = transport
        self._paced = paced
        try:
            self._master, slave = os.openpty()
        except OSError as error:  # a container without /dev/pts, or all are taken
            transport.close()
            raise TokayError(f"cannot make a pseudo-terminal: {error.strerror}") from error
        # The bridge keeps the slave open, so that the port outlives the programs that come and go.
        self._slave = slave
        tty.setraw(slave)
        os.set_blocking(self._master, False)
        self.port = os.ttyname(slave)
        self._link = link
        if link:
            self._make_link(link)
        self.lost_bytes = 0  # from the device, because nobody read the port
        self.error: Exception | None = None  # what ended the bridge, if it was not close()
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"bridge {self.port}", daemon=True)
        self._thread.start()

    def _make_link(self, link: str) -> None:
        try:
            if os.path.islink(link) and (not os.path.exists(link) or os.readlink(link) == self.port):
                os.unlink(link)  # of a bridge that was killed, maybe at our port; any other is somebody's
            os.symlink(self.port, link)
        except OSError as error:
            os.close(self._master)
            os.close(self._slave)
            self._transport.close()
            raise TokayError(f"cannot make {link}: {error.strerror}") from error
        self.port = link

    def __enter__(self) -> PtyBridge:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the bridge and closes the transport."""
        self._stop.set()
        self._thread.join()
        if self._master < 0:
            return
        if self._link and os.path.islink(self._link) and os.readlink(self._link) == os.ttyname(self._slave):
            os.unlink(self._link)
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = -1
        self._transport.close()

    def wait(self, timeout_s: float | None = None) -> None:
        """Returns when the bridge has ended by itself, or after a time."""
        # Not by join: Python 3.11 takes a thread for ended when Ctrl-C interrupts that.
        self._ended.wait(timeout_s)

    def _run(self) -> None:
        try:
            self._pump()
        except OSError as error:
            self.error = TokayError(f"bridge {self.port}: {error.strerror}")
        except Exception as error:  # kept for whoever owns the bridge: this is a thread
            self.error = error
        finally:
            self._ended.set()

    def _pump(self) -> None:
        backlog = b""
        wall, clock = time.monotonic(), self._transport.now()
        while not self._stop.is_set():
            data = self._from_program()
            if data:
                self._transport.write(data)
            backlog += self._transport.read(_STEP_S)
            backlog = backlog[self._to_program(backlog) :]
            if len(backlog) > _BACKLOG:
                self.lost_bytes += len(backlog) - _BACKLOG
                backlog = backlog[-_BACKLOG:]
            ahead = (self._transport.now() - clock) - (time.monotonic() - wall)
            if self._paced and ahead > 0:
                # Sleeping on the port means that a request wakes the bridge at once.
                select.select([self._master], [], [], ahead)

    def _from_program(self) -> bytes:
        try:
            return os.read(self._master, 4096)
        except BlockingIOError:
            return b""

    def _to_program(self, data: bytes) -> int:
        try:
            return os.write(self._master, data) if data else 0
        except BlockingIOError:
            return 0
