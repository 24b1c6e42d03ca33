"""Frames on a serial line: the Python twin of firmware/link/link.c, byte for byte.

The rules are in firmware/link/PROTOCOL.md. An ``Encoder`` makes the frames of one direction, a
``Decoder`` takes the bytes of the other in pieces of any size and gives out frames, text lines and
what was damaged.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from host.device.messages import MAX_PAYLOAD, VERSION

HEADER = struct.Struct("<BBHI")  # version byte, type, boot id, sequence
CRC = struct.Struct("<I")
MAX_RAW = HEADER.size + MAX_PAYLOAD + CRC.size
MAX_SEGMENT = MAX_RAW + 1 + MAX_RAW // 254
DUPLICATE_WINDOW = 64
_TEXT = re.compile(rb"[\t-\r\x1b -~]*")
_LINE_END = re.compile(rb"[\r\n]")


def cobs_encode(data: bytes) -> bytes:
    """Bytes without zero that stand for ``data``."""
    out = bytearray()
    *inner, last = data.split(b"\0")
    for block in inner:
        # Length 255 stands for 254 bytes without a zero after them: the zero takes another block.
        _blocks(out, block, 253)
    _blocks(out, last, 254)
    return bytes(out)


def _blocks(out: bytearray, data: bytes, longest_end: int) -> None:
    at = 0
    while len(data) - at > longest_end:
        out.append(0xFF)
        out += data[at : at + 254]
        at += 254
    out.append(len(data) - at + 1)
    out += data[at:]


def cobs_decode(data: bytes) -> bytes | None:
    """What ``cobs_encode`` was given, or None if the bytes are not an encoding."""
    out = bytearray()
    at, count = 0, len(data)
    if 0 in data:
        return None
    while at < count:
        code = data[at]
        end = at + code
        if end > count:
            return None
        out += data[at + 1 : end]
        if code != 0xFF and end < count:
            out.append(0)
        at = end
    return bytes(out)


@dataclass(frozen=True)
class Frame:
    """A good frame."""

    type: int
    payload: bytes
    version: int
    boot_id: int
    sequence: int
    lost: int = 0  # frames known to be missing right before this one
    restarted: bool = False  # the sender has started again since its last frame


@dataclass(frozen=True)
class TextLine:
    """A line of text between frames, without its end."""

    text: str


class Damage(Enum):
    """Why bytes were not delivered."""

    CORRUPT = "neither a good frame nor text"
    OVERSIZE = "longer than any frame"
    DUPLICATE = "a frame that was delivered before"


@dataclass(frozen=True)
class Damaged:
    """Bytes that were not delivered."""

    reason: Damage


@dataclass(frozen=True)
class Mismatch:
    """A good frame of another protocol version."""

    version: int


Received = Frame | TextLine | Damaged | Mismatch


@dataclass
class Counters:
    """What came over one direction of the link since it was opened."""

    received: int = 0
    lost: int = 0
    corrupt: int = 0
    oversize: int = 0
    duplicates: int = 0
    mismatches: int = 0
    restarts: int = 0
    lines: int = 0


@dataclass
class Encoder:
    """Makes the frames of one sender."""

    boot_id: int
    sequence: int = 0

    def encode(self, message_type: int, payload: bytes, *, version: int = VERSION) -> bytes:
        """One frame, delimiters included; uses up a sequence number."""
        if len(payload) > MAX_PAYLOAD:
            raise ValueError(f"a payload of {len(payload)} bytes, at most {MAX_PAYLOAD} fit")
        body = HEADER.pack(0x80 | version, message_type, self.boot_id, self.sequence) + payload
        self.sequence = (self.sequence + 1) & 0xFFFFFFFF
        return b"\0" + cobs_encode(body + CRC.pack(zlib.crc32(body))) + b"\0"


@dataclass
class Decoder:
    """Takes a sender's bytes; keeps its place in the sender's sequence and the counters."""

    counters: Counters = field(default_factory=Counters)
    peer_boot_id: int | None = None  # None until a frame has been received
    expected: int = 0
    _segment: bytearray = field(default_factory=bytearray)
    _printable: bool = True
    _overflowed: bool = False

    def feed(self, data: bytes) -> Iterator[Received]:
        """What the bytes completed, in order. Iterate to the end, or bytes are left out."""
        first, *rest = data.split(b"\0")
        yield from self._extend(first)
        for piece in rest:
            yield from self._finish()
            yield from self._extend(piece)

    def _extend(self, piece: bytes) -> Iterator[TextLine]:
        at = 0
        while self._printable and at < len(piece):
            match = _TEXT.match(piece, at)
            assert match is not None
            # A frame's first byte may be anything: a line end there decides nothing yet.
            line_end = _LINE_END.search(piece, at + (not self._segment), match.end())
            room = at + MAX_SEGMENT - len(self._segment)
            end = line_end.end() if line_end else match.end()
            if line_end or end >= room:
                end = min(end, room)
                self._segment += piece[at:end]
                yield from self._text()
                self._segment.clear()
            else:
                self._segment += piece[at:end]
                self._printable = end == len(piece)
            at = end
        room = MAX_SEGMENT - len(self._segment)
        self._segment += piece[at : at + room]
        self._overflowed |= len(piece) - at > room

    def _finish(self) -> Iterator[Received]:
        segment, printable, overflowed = bytes(self._segment), self._printable, self._overflowed
        if overflowed:
            self.counters.oversize += 1
            yield Damaged(Damage.OVERSIZE)
        elif printable:
            yield from self._text()
        else:
            yield self._judge(segment)
        self._segment.clear()
        self._printable, self._overflowed = True, False

    def _text(self) -> Iterator[TextLine]:
        line = self._segment.decode("ascii").strip("\r\n")
        if line:
            self.counters.lines += 1
            yield TextLine(line)

    def _judge(self, segment: bytes) -> Received:
        raw = cobs_decode(segment)
        if raw is None or len(raw) < HEADER.size + CRC.size or not raw[0] & 0x80:
            return self._corrupt()
        body = raw[: -CRC.size]
        if CRC.unpack(raw[-CRC.size :])[0] != zlib.crc32(body):
            return self._corrupt()
        version, message_type, boot_id, sequence = HEADER.unpack_from(body)
        if version & 0x7F != VERSION:
            self.counters.mismatches += 1
            return Mismatch(version & 0x7F)
        return self._follow(message_type, body[HEADER.size :], boot_id, sequence)

    def _corrupt(self) -> Damaged:
        self.counters.corrupt += 1
        return Damaged(Damage.CORRUPT)

    def _follow(self, message_type: int, payload: bytes, boot_id: int, sequence: int) -> Received:
        """Where a good frame stands in its sender's sequence."""
        attached = self.peer_boot_id is not None
        same = boot_id == self.peer_boot_id
        ahead = (sequence - self.expected) & 0xFFFFFFFF
        if same and ahead >= 0x80000000:
            if 0x100000000 - ahead <= DUPLICATE_WINDOW:
                self.counters.duplicates += 1
                return Damaged(Damage.DUPLICATE)
            same = False
        # A sender's first frame has number 0: after a restart, those before this one are missing.
        lost = ahead if same else sequence if attached else 0
        restarted = attached and not same
        self.peer_boot_id = boot_id
        self.expected = (sequence + 1) & 0xFFFFFFFF
        self.counters.restarts += restarted
        self.counters.lost += lost
        self.counters.received += 1
        return Frame(message_type, payload, VERSION, boot_id, sequence, lost, restarted)
