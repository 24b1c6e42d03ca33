"""Conversations with a device, written down and played back.

A recording is a text file of JSON lines, so that one that was cut off is good up to its last whole
line, and a change of one shows in a diff:

    {"format": "tokay-conversation", "version": 1, "transport": "/dev/ttyACM0"}
    {"t": 0.0, "tx": "00058101…"}      what the host sent, in hexadecimal, t seconds after the start
    {"t": 0.012, "rx": "0006810…"}     what the device sent
    {"t": 1.5, "closed": "reason"}     the other end went away, or the recording was ended

``Recorder`` goes around any transport. ``Replay`` is a transport that answers from a file: it holds
the device's bytes back until the host has sent what it had sent before them, and insists that the
host's messages are the recorded ones.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from host.device.framing import Decoder, Frame
from host.device.messages import decode
from host.device.transport import Transport, TransportClosed
from host.errors import TokayError

FORMAT = "tokay-conversation"
VERSION = 1


@dataclass(frozen=True)
class Record:
    """One line of a recording."""

    time_s: float
    direction: str  # tx, rx or closed
    data: bytes


class Recorder:
    """A transport that writes down what passes through it."""

    def __init__(self, transport: Transport, path: Path | str) -> None:
        self.name = transport.name
        self._transport = transport
        self._path = path
        self._start = transport.now()
        try:
            self._file: IO[str] = Path(path).open("w", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            raise TokayError(f"cannot write {path}: {error.strerror}") from error
        self._line({"format": FORMAT, "version": VERSION, "transport": transport.name})

    def now(self) -> float:
        return self._transport.now()

    def read(self, timeout_s: float) -> bytes:
        try:
            data = self._transport.read(timeout_s)
        except TransportClosed as error:
            self._line({"t": self._time(), "closed": error.message})
            raise
        if data:
            self._line({"t": self._time(), "rx": data.hex()})
        return data

    def write(self, data: bytes) -> None:
        self._line({"t": self._time(), "tx": data.hex()})
        self._transport.write(data)

    def close(self) -> None:
        try:
            # So that a replay ends when the conversation did and not with its last byte.
            self._line({"t": self._time(), "closed": "the recording is over"})
            self._file.close()
        finally:
            self._transport.close()

    def _time(self) -> float:
        return round(self._transport.now() - self._start, 6)

    def _line(self, value: dict[str, object]) -> None:
        if self._file.closed:
            return  # it could not be written, which was said
        # One write a line, at once: a crash leaves at most the last line incomplete.
        try:
            self._file.write(json.dumps(value) + "\n")
            self._file.flush()
        except OSError as error:
            with suppress(OSError):  # it tries once more to write what is left
                self._file.close()
            raise TokayError(f"cannot write {self._path}: {error.strerror}") from error


def load(path: Path | str) -> list[Record]:
    """The records of a recording; an incomplete last line is left out."""
    return _read(path)[1]


def _read(path: Path | str) -> tuple[str, list[Record]]:
    """The name of the transport that was recorded, and the records."""
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise TokayError(f"cannot read {path}: {getattr(error, 'strerror', None) or 'not text'}") from error
    recorded, records = "", []
    for number, line in enumerate(lines[:-1], 1):  # what follows the last line end is incomplete
        try:
            value = json.loads(line)
            if number == 1:
                if value["format"] != FORMAT:
                    raise ValueError
                if value["version"] != VERSION:
                    raise TokayError(
                        f"{path} is a recording of version {value['version']}, this tool reads {VERSION}",
                        hint="record the conversation again, or use the tool that recorded it",
                    )
                recorded = str(value.get("transport", ""))
                continue
            direction = next(key for key in ("tx", "rx", "closed") if key in value)
            data = value[direction].encode() if direction == "closed" else bytes.fromhex(value[direction])
            records.append(Record(float(value["t"]), direction, data))
        except (
            ValueError, KeyError, TypeError, StopIteration, AttributeError, RecursionError, OverflowError,
        ) as error:  # fmt: skip
            raise TokayError(f"{path}:{number}: not a line of a recorded conversation") from error
    if len(lines) < 2:
        raise TokayError(f"{path}: not a recorded conversation")
    return recorded, records


class Replay:
    """A transport that plays a recording back, without waiting. ``recorded`` is the name of the transport
    that it was recorded from: "simulator", "renode" or a port."""

    def __init__(self, path: Path | str) -> None:
        self.name = str(path)
        self.recorded, self._records = _read(path)
        self._at = 0
        self._now = 0.0
        self._sent = Decoder()
        self._ahead: list[tuple[int, bytes]] = []  # messages that the host sent before the recording did

    def now(self) -> float:
        return self._now

    def read(self, timeout_s: float) -> bytes:
        self._take_sent()
        if self._at == len(self._records):
            raise TransportClosed(
                f"{self.name}: the recording is over", hint="was it cut off, or is it of another command?"
            )
        record, end = self._records[self._at], self._now + max(0.0, timeout_s)
        # Times are rounded: a host that waited until the end must be let wait until the end.
        early = record.time_s > end or (record.direction == "closed" and record.time_s > end - 1e-5)
        if early or record.direction == "tx":  # a message is the host's turn
            self._now = end
            return b""
        self._at += 1
        self._now = max(self._now, record.time_s)
        if record.direction == "closed":
            raise TransportClosed(f"{self.name}: {record.data.decode()}")
        return record.data

    def write(self, data: bytes) -> None:
        self._ahead += _messages(self._sent, data)
        self._take_sent()

    def close(self) -> None:
        """Nothing to let go of."""

    def _take_sent(self) -> None:
        """Goes past what the host has sent; raises if it sent something else. The clock goes on to when that
        was sent: between two messages the host may have been at work, on a board's time."""
        while self._at < len(self._records) and self._records[self._at].direction == "tx":
            record = self._records[self._at]
            expected = _messages(Decoder(), record.data)
            if len(self._ahead) < len(expected):
                return
            for want, have in zip(expected, self._ahead, strict=False):
                if want != have:
                    where = f"{self.name}:{self._at + 2}"
                    raise TokayError(
                        f"{where}: the host sent {_show(have)}, recorded is {_show(want)}",
                        hint="give the command and the options that were recorded",
                    )
            del self._ahead[: len(expected)]
            self._at += 1
            self._now = max(self._now, record.time_s)


def _messages(decoder: Decoder, data: bytes) -> list[tuple[int, bytes]]:
    return [(event.type, event.payload) for event in decoder.feed(data) if isinstance(event, Frame)]


def _show(message: tuple[int, bytes]) -> str:
    known = decode(*message)
    return f"type {message[0]:#04x}, {message[1].hex()}" if known is None else str(known)


def describe(path: Path | str) -> list[str]:
    """A recording as lines for people."""
    decoders = {"tx": Decoder(), "rx": Decoder()}
    lines = []
    for record in load(path):
        if record.direction == "closed":
            lines.append(f"{record.time_s:10.4f} --  {record.data.decode()}")
            continue
        arrow = "->" if record.direction == "tx" else "<-"
        for event in decoders[record.direction].feed(record.data):
            text = _show((event.type, event.payload)) if isinstance(event, Frame) else str(event)
            gap = f" after {event.lost} lost" if isinstance(event, Frame) and event.lost else ""
            lines.append(f"{record.time_s:10.4f} {arrow}  {text}{gap}")
    return lines
