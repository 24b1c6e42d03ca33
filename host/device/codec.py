"""Messages to payload bytes and back by a table of fields: the Python twin of firmware/link/codec.c."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any, ClassVar, Protocol, TypeVar


class FieldCodec(Protocol):
    """One field's bytes."""

    name: str

    def encode(self, value: Any) -> bytes: ...

    def decode(self, payload: bytes, at: int) -> tuple[Any, int]: ...


Layout = tuple[FieldCodec, ...]
M = TypeVar("M", bound="Message")


def _unpack(code: str, count: int, payload: bytes, at: int) -> tuple[tuple[Any, ...], int]:
    form = f"<{count}{code}"
    end = at + struct.calcsize(form)
    if end > len(payload):
        raise ValueError(f"payload ends at {len(payload)}, a field needs {end} bytes")
    return struct.unpack_from(form, payload, at), end


def _slice(payload: bytes, at: int, count: int) -> tuple[bytes, int]:
    end = at + count
    if end > len(payload):
        raise ValueError(f"payload ends at {len(payload)}, a field needs {end} bytes")
    return payload[at:end], end


def _pack(name: str, code: str, values: Sequence[Any]) -> bytes:
    try:
        return struct.pack(f"<{len(values)}{code}", *values)
    except (struct.error, OverflowError) as error:  # the latter of a float past 32 bits
        raise ValueError(f"{name}: {error}") from error


@dataclass(frozen=True)
class Scalar:
    """A number; of an enumeration where ``enumeration`` is given (unknown numbers stay numbers)."""

    name: str
    code: str
    enumeration: Any = None

    def encode(self, value: Any) -> bytes:
        return _pack(self.name, self.code, (value,))

    def decode(self, payload: bytes, at: int) -> tuple[Any, int]:
        (value,), end = _unpack(self.code, 1, payload, at)
        if self.enumeration is None:
            return value, end
        if issubclass(self.enumeration, IntFlag):
            return self.enumeration(value), end
        return (self.enumeration(value) if value in list(self.enumeration) else value), end


@dataclass(frozen=True)
class Boolean:
    """One byte, 0 or 1."""

    name: str

    def encode(self, value: Any) -> bytes:
        return b"\x01" if value else b"\x00"

    def decode(self, payload: bytes, at: int) -> tuple[bool, int]:
        (value,), end = _unpack("B", 1, payload, at)
        if value > 1:
            raise ValueError(f"{self.name}: {value} is no truth value")
        return bool(value), end


@dataclass(frozen=True)
class Array:
    """Numbers: exactly ``maximum`` if ``fixed``, else a count and at most that many. u8 is bytes."""

    name: str
    code: str
    maximum: int
    fixed: bool = False

    def encode(self, value: Any) -> bytes:
        if self.fixed and len(value) != self.maximum:
            raise ValueError(f"{self.name}: {len(value)} values instead of {self.maximum}")
        if len(value) > self.maximum:
            raise ValueError(f"{self.name}: {len(value)} values, at most {self.maximum} fit")
        prefix = b"" if self.fixed else struct.pack("<H" if self.maximum > 255 else "<B", len(value))
        return prefix + _pack(self.name, self.code, value)

    def decode(self, payload: bytes, at: int) -> tuple[Any, int]:
        count = self.maximum
        if not self.fixed:
            (count,), at = _unpack("H" if self.maximum > 255 else "B", 1, payload, at)
            if count > self.maximum:
                raise ValueError(f"{self.name}: {count} values, at most {self.maximum} are allowed")
        if self.code == "B":
            return _slice(payload, at, count)
        return _unpack(self.code, count, payload, at)


@dataclass(frozen=True)
class Text:
    """A count and that many UTF-8 bytes without NUL."""

    name: str
    maximum: int

    def encode(self, value: str) -> bytes:
        raw = value.encode("utf-8", "surrogateescape")
        if len(raw) > self.maximum or 0 in raw:
            raise ValueError(f"{self.name}: {value!r} is over {self.maximum} bytes or holds a NUL")
        return bytes([len(raw)]) + raw

    def decode(self, payload: bytes, at: int) -> tuple[str, int]:
        (count,), at = _unpack("B", 1, payload, at)
        raw, end = _slice(payload, at, count)
        if count > self.maximum or 0 in raw:
            raise ValueError(f"{self.name}: a text of {count} bytes or with a NUL")
        return raw.decode("utf-8", "surrogateescape"), end


def value_name(value: int) -> str:
    """A value of an enumeration by its name, in lower case; one that this version does not know, by its
    number."""
    return value.name.lower() if isinstance(value, IntEnum) else str(value)


class Message:
    """What all generated messages share."""

    TYPE: ClassVar[int]
    NAME: ClassVar[str]
    ANSWER: ClassVar[int | None] = None
    REPEATABLE: ClassVar[bool] = True
    LAYOUT: ClassVar[Layout]

    @classmethod
    def room(cls, name: str) -> int:
        """How many elements the message's list or text of this name holds."""
        return next(field.maximum for field in cls.LAYOUT if field.name == name)

    def encode(self) -> bytes:
        """The payload; raises ValueError if a value does not fit its field."""
        return b"".join(field.encode(getattr(self, field.name)) for field in self.LAYOUT)

    @classmethod
    def decode(cls: type[M], payload: bytes) -> M:
        """The message in a payload; raises ValueError. Bytes after the last field are ignored."""
        at = 0
        values = {}
        for field in cls.LAYOUT:
            values[field.name], at = field.decode(payload, at)
        return cls(**values)
