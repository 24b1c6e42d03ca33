"""Renode as a target: finds it, starts it without windows on an image, and connects to its serial port.

Renode runs in time of its own, at most as fast as real time, and its log goes to a file whose end is shown
when something fails. The devices it lacks are in ``boards/renode``.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from host import board as boards
from host.device.transport import SocketTransport, TransportClosed
from host.errors import TokayError
from host.files import write_atomic
from host.native import library_path
from host.simulator.mvp import SILICON, timing_number

VERSION = "1.16.1"
_HINT = (
    f"unpack the portable archive of release {VERSION} from github.com/renode/renode/releases and add its "
    "folder to PATH, or set RENODE to the program"
)
_START_S = 180.0  # it compiles our devices at first
_STOP_S = 5.0
_PATIENCE = 6.0  # how far behind real time it may fall before it is taken for dead
_LOG_LINES = 3
_REFUSED = re.compile(  # what its monitor says of a command that fails
    "^(There was an error executing command|Errors during compilation|No such command or device"
    "|Could not find file|Could not tokenize)",
    re.MULTILINE,
)
_PROMPT = re.compile(r"\([\w-]+\)")


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
    home = Path(os.path.expanduser("~"))  # as it is, for a user without one
    folders = [home, home / ".local", Path("/opt")]
    found = [sorted(folder.glob("renode*/renode"), key=_release, reverse=True) for folder in folders]
    return [path for paths in found for path in paths]


def _release(path: Path) -> tuple[list[int], str]:
    """The release that a program's folder names, as its numbers: 1.16 comes behind 1.9."""
    return [int(number) for number in re.findall("[0-9]+", path.parent.name)], path.parent.name


class SerialPort(SocketTransport):
    """Renode's serial port. Its clock is slow, so that whoever waits for an answer waits long enough on a
    machine where Renode is."""

    ended: Callable[[], TokayError] | None = None  # why it is closed, where that is known

    def now(self) -> float:
        return time.monotonic() / _PATIENCE

    def read(self, timeout_s: float) -> bytes:
        with self._explained():
            return super().read(timeout_s)

    def write(self, data: bytes) -> None:
        with self._explained():
            super().write(data)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except TransportClosed:
            if self.ended is None:
                raise
            why = self.ended()
            raise TransportClosed(why.message, hint=why.hint) from None


class Renode:
    """A running Renode with one image in it; ``transport`` is its serial port."""

    def __init__(self, elf: Path, board: str, *, timing: str = "ports", start_s: float = _START_S) -> None:
        program = find()
        platform = boards.folder(board) / "renode.repl"
        if not platform.is_file():
            raise TokayError(f"board {board} has no platform for Renode", hint="choose another --board")
        library = library_path()
        self._folder = Path(tempfile.mkdtemp(prefix="tokay-renode-"))
        self._log = self._folder / "renode.log"
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self.set_audio(np.zeros(0))
            uart = _free_port()
            script = self._folder / "run.resc"
            write_atomic(script, _script(elf, platform, library, self._audio, timing, uart))
            # As a command: a path that is given as such may have no space.
            begin = f"include {monitor_path(script)}"
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    [str(program.absolute()), "--disable-xwt", "--plain", "--console", "--execute", begin],
                    # At its end Renode quits: also when this process is no more.
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self._folder,
                    # Renode removes every folder renode-* in there, whosever it is, and leaves its own.
                    env={**os.environ, "TMPDIR": str(self._folder)},
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
        lines = [line.strip() for line in lines]
        lines = [line for line in lines if line and not _PROMPT.fullmatch(line)]
        refused = [number for number, line in enumerate(lines) if _REFUSED.match(line)]
        if refused:
            told = lines[refused[0] :][:_LOG_LINES]
        else:
            told = ([line for line in lines if "rror" in line.lower()] or lines)[-_LOG_LINES:]
        said = " | ".join(told)
        hint = f"this was written for Renode {VERSION}" if refused or not said else None
        return TokayError(f"Renode {what}" + (f"; its log says: {said}" if said else ""), hint=hint)

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
                transport.ended = self._ended
                return transport
            except TokayError:
                if self._has_refused():
                    time.sleep(0.2)  # the reason is in the lines that follow
                    raise self.failure("did not take its script") from None
                if time.monotonic() > end:
                    raise self.failure(f"did not start within {start_s:g} s") from None
                time.sleep(0.1)

    def _ended(self) -> TokayError:
        """What a closed connection means."""
        process = self._process
        if process is not None:
            with suppress(subprocess.TimeoutExpired):
                return self.failure(f"ended with status {process.wait(_STOP_S)}")
        return self.failure("closed the connection")

    def _has_refused(self) -> bool:
        """Whether a command of the script failed, after which Renode waits for another."""
        return _REFUSED.search(self._log.read_text(errors="replace")) is not None


def _script(elf: Path, platform: Path, library: Path, audio: Path, timing: str, port: int) -> str:
    lines = [
        f"$elf={monitor_path(elf)}",
        f"$board={monitor_path(platform)}",
        f"$native={monitor_path(library)}",
        f"$audio={monitor_path(audio)}",
        f"$timing={timing_number(timing, SILICON)}",
        "$wake_up=0",  # the audio that is put there begins with it
        "logLevel 3",
        f"include {monitor_path(boards.BOARDS / 'renode' / 'tokay.resc')}",
        f'emulation CreateServerSocketTerminal {port} "link" false',
        "connector Connect sysbus.eusart0 link",
        "start",
    ]
    return "\n".join(lines) + "\n"


def monitor_path(path: Path) -> str:
    """A path as Renode's monitor reads it."""
    text = str(path.resolve())
    if ";" in text:
        raise TokayError(f"{text}: Renode cannot read a path with a semicolon")
    return "@" + text.replace(" ", "\\ ")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and what it has started; its launcher may be a script."""
    assert process.stdin is not None
    process.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_S)
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S)
