"""Reading FlatBuffers with every offset, length and index checked against the buffer.

The generated readers of the schema trust their input; a damaged file makes them loop over billions of
items or raise whatever comes. Here everything that leads outside the buffer is a
:class:`FlatBufferError`, vectors are views that copy nothing, and nothing recurses, so the work stays
proportional to what the caller asks for.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


class FlatBufferError(Exception):
    """An offset, length or index that leaves the buffer."""


class Table:
    """A table at ``position`` of ``data``; fields are named by their number in the schema."""

    __slots__ = ("_data", "_position", "_slots", "_vtable")

    def __init__(self, data: memoryview, position: int) -> None:
        self._data = data
        self._position = position
        self._vtable = position - _scalar(data, "<i", position)
        self._slots = max(0, (_scalar(data, "<H", self._vtable) - 4) // 2)

    @classmethod
    def root(cls, data: bytes | memoryview) -> Table:
        view = memoryview(data)
        return cls(view, _scalar(view, "<I", 0))

    def _field(self, field: int) -> int | None:
        if field >= self._slots:
            return None
        offset = _scalar(self._data, "<H", self._vtable + 4 + 2 * field)
        return self._position + offset if offset else None

    def scalar(self, field: int, form: str, default: int | float | bool = 0) -> int | float | bool:
        """The value of a scalar field; ``form`` is its :mod:`struct` letter."""
        at = self._field(field)
        return default if at is None else _scalar(self._data, f"<{form}", at)

    def has(self, field: int) -> bool:
        return self._field(field) is not None

    def table(self, field: int) -> Table | None:
        at = self._field(field)
        return None if at is None else Table(self._data, _follow(self._data, at))

    def count(self, field: int) -> int:
        """How many items a vector of tables has."""
        return self._vector(field, 4)[1]

    def tables(self, field: int, limit: int) -> list[Table]:
        """A vector of tables, of at most ``limit``."""
        start, count = self._vector(field, 4)
        if count > limit:
            raise FlatBufferError(f"a list of {count} items where at most {limit} are expected")
        return [Table(self._data, _follow(self._data, start + 4 * i)) for i in range(count)]

    def numbers(self, field: int, dtype: str) -> np.ndarray:
        """A vector of numbers as a read-only view of the buffer; empty if absent."""
        import numpy as np  # not at the top: reading parameters does without it

        item = np.dtype(dtype)
        start, count = self._vector(field, item.itemsize)
        return np.frombuffer(self._data, dtype=item, count=count, offset=start)

    def unpacked(self, field: int, form: str) -> list[int] | list[float]:
        """A vector of numbers as a list; ``form`` is the items' :mod:`struct` letter."""
        start, count = self._vector(field, struct.calcsize(f"<{form}"))
        return list(struct.unpack_from(f"<{count}{form}", self._data, start))

    def blob(self, field: int) -> bytes:
        """A vector of bytes or a string, copied; empty if absent."""
        start, count = self._vector(field, 1)
        return bytes(self._data[start : start + count])

    def blobs(self, field: int) -> list[bytes]:
        """A vector of strings, together no longer than the buffer."""
        start, count = self._vector(field, 4)
        items: list[bytes] = []
        left = len(self._data)
        for i in range(count):
            items.append(self._blob_at(_follow(self._data, start + 4 * i)))
            left -= len(items[-1])
            if left < 0:
                raise FlatBufferError("the strings of a list are longer than the file")
        return items

    def text(self, field: int, limit: int = 256) -> str:
        """A string, with what is not UTF-8 replaced, cut after ``limit`` bytes."""
        start, count = self._vector(field, 1)
        return bytes(self._data[start : start + min(count, limit)]).decode(errors="replace")

    def _blob_at(self, start: int) -> bytes:
        count = _scalar(self._data, "<I", start)
        if count > len(self._data) - start - 4:
            raise FlatBufferError(f"a string of {count} bytes at byte {start} is longer than the file")
        return bytes(self._data[start + 4 : start + 4 + count])

    def _vector(self, field: int, item_size: int) -> tuple[int, int]:
        at = self._field(field)
        if at is None:
            return 0, 0
        start = _follow(self._data, at)
        count = _scalar(self._data, "<I", start)
        if count * item_size > len(self._data) - start - 4:
            raise FlatBufferError(f"a list of {count} items at byte {start} is longer than the file")
        return start + 4, count


def _follow(data: memoryview, at: int) -> int:
    return at + _scalar(data, "<I", at)


def _scalar(data: memoryview, form: str, at: int) -> int | float | bool:
    if at < 0 or at + struct.calcsize(form) > len(data):
        raise FlatBufferError(f"an offset leads to byte {at} of {len(data)}")
    return struct.unpack_from(form, data, at)[0]
