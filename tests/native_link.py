"""The firmware's own link, in C, by ctypes: the other end of the line."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

from host import native
from host.device.framing import MAX_SEGMENT, Damage, Damaged, Frame, Mismatch, Received, TextLine
from host.device.messages import MAX_PAYLOAD

MAX_FRAME = MAX_SEGMENT + 2


class _Counters(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_uint32)
        for name in (
            "sent", "dropped", "received", "lost", "corrupt", "oversize",
            "duplicates", "mismatches", "restarts", "lines",
        )
    ]  # fmt: skip


class _Frame(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_uint8),
        ("version", ctypes.c_uint8),
        ("boot_id", ctypes.c_uint16),
        ("sequence", ctypes.c_uint32),
        ("lost", ctypes.c_uint32),
        ("restarted", ctypes.c_bool),
        ("length", ctypes.c_uint16),
        ("payload", ctypes.POINTER(ctypes.c_uint8)),
    ]


class _Link(ctypes.Structure):
    _fields_ = [
        ("boot_id", ctypes.c_uint16),
        ("sequence", ctypes.c_uint32),
        ("peer_boot_id", ctypes.c_uint16),
        ("peer_sequence", ctypes.c_uint32),
        ("attached", ctypes.c_bool),
        ("overflowed", ctypes.c_bool),
        ("printable", ctypes.c_bool),
        ("repeat_known", ctypes.c_bool),
        ("repeat_request", ctypes.c_uint16),
        ("repeat_code", ctypes.c_uint8),
        ("used", ctypes.c_uint16),
        ("segment", ctypes.c_uint8 * MAX_SEGMENT),
        ("counters", _Counters),
    ]


_NOTHING, _FRAME, _TEXT, _CORRUPT, _OVERSIZE, _DUPLICATE, _MISMATCH = range(7)
_DAMAGE = {_CORRUPT: Damage.CORRUPT, _OVERSIZE: Damage.OVERSIZE, _DUPLICATE: Damage.DUPLICATE}


class NativeLink:
    """One end of a link, run by link.c."""

    def __init__(self, boot_id: int) -> None:
        library = native.library()
        self._encode, self._receive = library.link_encode, library.link_receive_bytes
        self._encode.restype = self._receive.restype = ctypes.c_size_t
        self._link = _Link()
        self._frame = _Frame()
        self._out = (ctypes.c_uint8 * MAX_FRAME)()
        library.link_init(ctypes.byref(self._link), ctypes.c_uint16(boot_id))

    @property
    def state(self) -> _Link:
        """The C structure itself."""
        return self._link

    @property
    def counters(self) -> _Counters:
        return self._link.counters

    def encode(self, message_type: int, payload: bytes, capacity: int = MAX_FRAME) -> bytes:
        """One frame, or nothing if it does not fit."""
        count = self._encode(
            ctypes.byref(self._link), ctypes.c_uint8(message_type), payload,
            ctypes.c_size_t(len(payload)), self._out, ctypes.c_size_t(min(capacity, MAX_FRAME)),
        )  # fmt: skip
        return bytes(self._out[:count])

    def dropped(self) -> None:
        """A frame could not be passed on."""
        native.library().link_dropped(ctypes.byref(self._link))

    def feed(self, data: bytes) -> Iterator[Received]:
        """As ``framing.Decoder.feed``."""
        buffer = ctypes.create_string_buffer(data, len(data)) if data else None
        at = 0
        event = ctypes.c_int()
        while at < len(data):
            at += self._receive(
                ctypes.byref(self._link), ctypes.byref(buffer, at), ctypes.c_size_t(len(data) - at),
                ctypes.byref(event), ctypes.byref(self._frame),
            )  # fmt: skip
            if event.value != _NOTHING:
                yield self._event(event.value)

    def repeated(self, request: int) -> int | None:
        """The code that this request was answered with, if it is the last one of its kind again."""
        code = ctypes.c_uint8()
        found = native.library().link_request_repeated
        found.restype = ctypes.c_bool
        known = found(ctypes.byref(self._link), ctypes.c_uint16(request), ctypes.byref(code))
        return code.value if known else None

    def done(self, request: int, code: int) -> None:
        """Remembers how a request that must not run twice was answered."""
        native.library().link_request_done(
            ctypes.byref(self._link), ctypes.c_uint16(request), ctypes.c_uint8(code)
        )

    def _event(self, event: int) -> Received:
        frame = self._frame
        if event in _DAMAGE:
            return Damaged(_DAMAGE[event])
        if event == _MISMATCH:
            return Mismatch(frame.version)
        assert frame.length <= max(MAX_PAYLOAD, MAX_SEGMENT)
        payload = ctypes.string_at(frame.payload, frame.length)
        if event == _TEXT:
            return TextLine(payload.decode("ascii"))
        return Frame(
            frame.type, payload, frame.version, frame.boot_id, frame.sequence, frame.lost, frame.restarted
        )
