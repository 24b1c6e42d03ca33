"""Renode as a target: finds it, starts it without windows on an image, and connects to its serial port.

Renode runs in time of its own, at most as fast as real time, and its log goes to a file whose end is shown
when something fails. The devices it lacks are in ``boards/renode``.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from host.cli import write_atomic
from host.device.transport import SocketTransport
from host.errors import TokayError
from host.native import library_path

VERSION = "1.16.1"
_BOARDS = Path(__file__).resolve().parent.parent / "boards"
_HINT = (
    f"unpack the portable archive of release {VERSION} from github.com/renode/renode/releases and add its "
    "folder to PATH, or set RENODE to the program"
)
_START_S = 180.0  # it compiles our devices at first
_STOP_S = 5.0
_PATIENCE = 6.0  # how far behind real time it may fall before it is taken for dead
_TIMINGS = {"ports": 0, "shared": 1}
_LOG_LINES = 3


def find() -> Path:
    """Path of Renode's program: ``RENODE`` (it or its folder), PATH, the usual places; TokayError if none."""
    told = os.environ.get("RENODE")
    if told:
        path = Path(told).expanduser()
        path = path / "renode" if path.is_dir() else path
        if path.is_file() and os.access(path, os.X_OK):
            return path
        raise TokayError(f"RENODE={told} is no program", hint="set it to Renode's program or its folder")
    found = shutil.which("renode")
    if found:
        return Path(found)
    for place in _usual_places():
        if place.is_file() and os.access(place, os.X_OK):
            return place
    raise TokayError("Renode was not found", hint=_HINT)


def _usual_places() -> list[Path]:
    if sys.platform == "darwin":
        return [Path("/Applications/Renode.app/Contents/MacOS/renode")]
    folders = [Path.home(), Path.home() / ".local", Path("/opt")]
    return [path for folder in folders for path in sorted(folder.glob("renode*/renode"), reverse=True)]


class SerialPort(SocketTransport):
    """Renode's serial port. Its clock is slow, so that whoever waits for an answer waits long enough on a
    machine where Renode is."""

    def now(self) -> float:
        return time.monotonic() / _PATIENCE


class Renode:
    """A running Renode with one image in it; ``transport`` is its serial port."""

    def __init__(self, elf: Path, board: str, *, timing: str = "ports", start_s: float = _START_S) -> None:
        program = find()
        platform = _BOARDS / board / "renode.repl"
        if not platform.is_file():
            raise TokayError(f"board {board} has no platform for Renode", hint="choose another --board")
        library = library_path()
        self._folder = Path(tempfile.mkdtemp(prefix="tokay-renode-"))
        self._log = self._folder / "renode.log"
        self._process: subprocess.Popen[bytes] | None = None
        try:
            uart, monitor = _free_ports(2)
            script = self._folder / "run.resc"
            write_atomic(script, _script(elf, platform, library, self._audio, timing, uart))
            command = [str(program), "--disable-xwt", "--plain", "--port", str(monitor), str(script)]
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self._folder,
                    start_new_session=True,
                )
            self.transport = self._connect(uart, start_s)
        except OSError as error:
            self.close()
            raise TokayError(f"cannot start {program}: {error.strerror or error}") from error
        except BaseException:
            self.close()
            raise

    @property
    def _audio(self) -> Path:
        return self._folder / "microphone.raw"

    def set_audio(self, samples: np.ndarray) -> None:
        """What the microphone hears from its next start on: int16, one sample a frame; then silence."""
        write_atomic(self._audio, np.asarray(samples, dtype="<i2").tobytes())

    def close(self) -> None:
        """Stops Renode and removes its files; may be called again."""
        if hasattr(self, "transport"):
            self.transport.close()
        process, self._process = self._process, None
        if process is not None:
            _stop(process)
        shutil.rmtree(self._folder, ignore_errors=True)

    def failure(self, what: str) -> TokayError:
        """An error with the end of Renode's log, which is gone once this is closed."""
        try:
            lines = self._log.read_text(errors="replace").splitlines()
        except OSError:
            lines = []
        told = [line.strip() for line in lines if "[ERROR]" in line or "rror" in line] or lines
        end = " | ".join(line.strip() for line in told[-_LOG_LINES:] if line.strip())
        return TokayError(f"Renode {what}" + (f"; its log ends: {end}" if end else ""), hint=_log_hint(end))

    def _connect(self, port: int, start_s: float) -> SerialPort:
        """Waits for the serial port's socket, which the script opens last."""
        end = time.monotonic() + start_s
        process = self._process
        assert process is not None
        while True:
            if process.poll() is not None:
                raise self.failure(f"ended with status {process.returncode}")
            try:
                transport = SerialPort("127.0.0.1", port, timeout_s=1.0)
                transport.name = "renode"
                return transport
            except TokayError:
                if time.monotonic() > end:
                    raise self.failure(f"did not start within {start_s:g} s") from None
                time.sleep(0.1)


def _log_hint(end: str) -> str | None:
    return None if end else f"this was written for Renode {VERSION}"


def _script(elf: Path, platform: Path, library: Path, audio: Path, timing: str, port: int) -> str:
    if timing not in _TIMINGS:
        raise TokayError(f"timing {timing!r}: Renode has {', '.join(_TIMINGS)}")
    lines = [
        f"$elf={_path(elf)}",
        f"$board={_path(platform)}",
        f"$native={_path(library)}",
        f"$audio={_path(audio)}",
        f"$timing={_TIMINGS[timing]}",
        "$wake_up=0",  # the audio that is put there begins with it
        "logLevel 3",
        f"include {_path(_BOARDS / 'renode' / 'tokay.resc')}",
        f'emulation CreateServerSocketTerminal {port} "link" false',
        "connector Connect sysbus.eusart0 link",
        "start",
    ]
    return "\n".join(lines) + "\n"


def _path(path: Path) -> str:
    """A path as Renode's monitor reads it."""
    text = str(path.resolve())
    if ";" in text:
        raise TokayError(f"{text}: Renode cannot read a path with a semicolon")
    return "@" + text.replace(" ", "\\ ")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and what it has started; its launcher may be a script."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S)

