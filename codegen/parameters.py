"""The parameters a model carries: typed key/value pairs in the ``SL_PARAMSv1`` metadata of a .tflite.

The entry is a FlatBuffer of its own: ``Dictionary {schema_version: ubyte; entries: [Entry]}`` with
``Entry {key: string; value: union}``, where every member of the union is a table with one field. The
vendor's device code reads a value by the type it was stored with, so types survive a round trip:
:class:`Parameters` is a plain dict of Python values with the stored type of each key in ``types``.

Reading needs nothing but the standard library (it is on the path of every command); writing
re-packs the model and imports the FlatBuffer schema when called.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from codegen.errors import TokayError

METADATA_NAME = "SL_PARAMSv1"
SCHEMA_VERSION = 1

# The union's members in the order of its type codes, which start at 1.
TYPES = (
    "bool", "i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "f32", "f64",
    "str", "str_list", "int32_list", "float_list", "bin",
)  # fmt: skip
_SCALARS = {
    "bool": "<?", "i8": "<b", "u8": "<B", "i16": "<h", "u16": "<H", "i32": "<i", "u32": "<I",
    "i64": "<q", "u64": "<Q", "f32": "<f", "f64": "<d",
}  # fmt: skip
_INTEGERS = {
    name: (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if name[0] == "i" else (0, (1 << bits) - 1)
    for name, bits in ((t, int(t[1:])) for t in TYPES if t[0] in "iu" and t[1:].isdigit())
}
_VECTORS = {"int32_list": "i", "float_list": "f"}
# The smallest type that holds an integer, unsigned before signed: what the vendor's tool stores.
_INTEGER_CHOICE = ("u8", "i8", "u16", "i16", "i32", "u32", "i64", "u64")

Value = bool | int | float | str | bytes | list[str] | list[int] | list[float]


class Parameters(dict[str, Value]):
    """A dict of parameters that remembers the stored type of each key in ``types``.

    Keys set without an entry in ``types`` get the smallest type that holds their value when written.
    """

    def __init__(self, values: Mapping[str, Value] | None = None, types: Mapping[str, str] | None = None):
        super().__init__(values or {})
        self.types: dict[str, str] = dict(types or {})

    def copy(self) -> Parameters:
        return Parameters(self, self.types)


def read_parameters(tflite: bytes) -> Parameters:
    """The parameters of a .tflite; empty if it has none; TokayError if they are damaged."""
    try:
        blob = _metadata(_Bytes(bytes(tflite)))
        return Parameters() if blob is None else _parse_dictionary(_Bytes(blob))
    except (_OutOfRange, UnicodeDecodeError) as error:
        raise TokayError(
            f"the model or its {METADATA_NAME} metadata is damaged: {error}",
            hint="fetch or train the model again",
        ) from error


def write_parameters(tflite: bytes, params: Mapping[str, Value], *, description: str | None = None) -> bytes:
    """A copy of the model that carries ``params`` instead of the parameters it had.

    The type of a key is the one in ``params.types`` (a :class:`Parameters`), else the one the model
    stored it with, else the smallest that holds the value; a type that cannot hold its value is an
    error. ``description`` replaces the model's own description where given.
    """
    stored = read_parameters(tflite).types
    given = params.types if isinstance(params, Parameters) else {}
    types = {key: given.get(key) or _keep(stored.get(key), value) for key, value in params.items()}
    return _repack(tflite, dictionary_bytes(params, types), description)


def infer_type(key: str, value: Value) -> str:
    """The type a value of this kind gets when nothing else says which."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        for name in _INTEGER_CHOICE:
            low, high = _INTEGERS[name]
            if low <= value <= high:
                return name
        raise TokayError(f"parameter {key}={value} does not fit in 64 bits")
    if isinstance(value, float):
        return "f32"
    if isinstance(value, str):
        return "str"
    if isinstance(value, bytes | bytearray):
        return "bin"
    if isinstance(value, Sequence):
        if value and all(isinstance(item, str) for item in value):
            return "str_list"
        if value and all(isinstance(item, int) and not isinstance(item, bool) for item in value):
            return "int32_list"
        if value and all(isinstance(item, int | float) and not isinstance(item, bool) for item in value):
            return "float_list"
    raise TokayError(
        f"parameter {key}={value!r} has a type that a model cannot hold",
        hint="use a bool, int, float, str, bytes or a list of str, int or float that is not empty",
    )


def check_type(key: str, value: Value, type_name: str) -> None:
    """Raises TokayError unless ``type_name`` is a type of the dictionary that holds ``value``."""
    if type_name not in TYPES:
        raise TokayError(f"parameter {key}: unknown type {type_name!r}", hint=f"one of {', '.join(TYPES)}")
    if not _holds(type_name, value):
        raise TokayError(f"parameter {key}={value!r} does not fit its type {type_name}")


def dictionary_bytes(params: Mapping[str, Value], types: Mapping[str, str] | None = None) -> bytes:
    """The FlatBuffer dictionary of ``params``, as it goes into the metadata."""
    import flatbuffers  # not at the top: reading must not wait for it

    types = types or {}
    builder = flatbuffers.Builder(1024)
    entries = []
    for key, value in params.items():
        type_name = types.get(key) or infer_type(key, value)
        check_type(key, value, type_name)
        key_offset = builder.CreateString(key)
        value_offset = _write_value(builder, type_name, value)
        builder.StartObject(3)
        builder.PrependUOffsetTRelativeSlot(0, key_offset, 0)
        builder.PrependUint8Slot(1, TYPES.index(type_name) + 1, 0)
        builder.PrependUOffsetTRelativeSlot(2, value_offset, 0)
        entries.append(builder.EndObject())
    entries_offset = _offset_vector(builder, entries)
    builder.StartObject(2)
    builder.PrependUint8Slot(0, SCHEMA_VERSION, 0)
    builder.PrependUOffsetTRelativeSlot(1, entries_offset, 0)
    builder.Finish(builder.EndObject())
    return bytes(builder.Output())


# --- reading -----------------------------------------------------------------------------------


class _OutOfRange(Exception):
    """A FlatBuffer offset or length that leaves its buffer."""


class _Bytes:
    """A FlatBuffer, read with every offset checked."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def scalar(self, form: str, at: int) -> Any:
        if at < 0 or at + struct.calcsize(form) > len(self.data):
            raise _OutOfRange(f"offset {at} is outside its {len(self.data)} bytes")
        return struct.unpack_from(form, self.data, at)[0]

    def follow(self, at: int) -> int:
        return at + self.scalar("<I", at)

    def field(self, table: int, index: int) -> int | None:
        """Where field ``index`` of a table is, None if the table leaves it out."""
        vtable = table - self.scalar("<i", table)
        slot = 4 + 2 * index
        if slot + 2 > self.scalar("<H", vtable):
            return None
        offset = self.scalar("<H", vtable + slot)
        return table + offset if offset else None

    def vector(self, at: int, item_size: int) -> tuple[int, int]:
        """Start and length of the vector that the offset at ``at`` leads to."""
        start = self.follow(at)
        count = self.scalar("<I", start)
        if start + 4 + count * item_size > len(self.data):
            raise _OutOfRange(f"a vector of {count} items is longer than its buffer")
        return start + 4, count

    def blob(self, at: int) -> bytes:
        start, count = self.vector(at, 1)
        return self.data[start : start + count]


def _metadata(model: _Bytes) -> bytes | None:
    if model.data[4:8] != b"TFL3":
        raise _OutOfRange("it is not a .tflite file")
    root = model.follow(0)
    metadata, buffers = model.field(root, 6), model.field(root, 4)
    if metadata is None or buffers is None:
        return None
    start, count = model.vector(metadata, 4)
    for i in range(count):
        entry = model.follow(start + 4 * i)
        name = model.field(entry, 0)
        if name is None or model.blob(name) != METADATA_NAME.encode():
            continue
        index_at = model.field(entry, 1)
        index = 0 if index_at is None else model.scalar("<I", index_at)
        first, buffer_count = model.vector(buffers, 4)
        if index >= buffer_count:
            raise _OutOfRange(f"metadata names buffer {index} of {buffer_count}")
        data = model.field(model.follow(first + 4 * index), 0)
        return None if data is None else model.blob(data)
    return None


def _parse_dictionary(buffer: _Bytes) -> Parameters:
    root = buffer.follow(0)
    version_at = buffer.field(root, 0)
    version = 0 if version_at is None else buffer.scalar("<B", version_at)
    if version != SCHEMA_VERSION:
        raise _OutOfRange(f"its schema version is {version}, not {SCHEMA_VERSION}")
    params = Parameters()
    entries = buffer.field(root, 1)
    if entries is None:
        return params
    start, count = buffer.vector(entries, 4)
    for i in range(count):
        entry = buffer.follow(start + 4 * i)
        key_at, code_at, value_at = (buffer.field(entry, field) for field in range(3))
        if key_at is None or code_at is None or value_at is None:
            raise _OutOfRange(f"entry {i} has no key or no value")
        code = buffer.scalar("<B", code_at)
        if not 1 <= code <= len(TYPES):
            raise _OutOfRange(f"entry {i} has the unknown type {code}")
        key = buffer.blob(key_at).decode()
        params[key] = _read_value(buffer, TYPES[code - 1], buffer.follow(value_at))
        params.types[key] = TYPES[code - 1]
    return params


def _read_value(buffer: _Bytes, type_name: str, table: int) -> Value:
    at = buffer.field(table, 0)
    if form := _SCALARS.get(type_name):
        value = struct.unpack(form, bytes(8)[: struct.calcsize(form)])[0] if at is None else None
        return buffer.scalar(form, at) if at is not None else value
    if type_name == "str":
        return "" if at is None else buffer.blob(at).decode()
    if type_name == "bin":
        return b"" if at is None else buffer.blob(at)
    if at is None:
        return []
    start, count = buffer.vector(at, 4)
    if type_name == "str_list":
        return [buffer.blob(start + 4 * i).decode() for i in range(count)]
    return list(struct.unpack_from(f"<{count}{_VECTORS[type_name]}", buffer.data, start))


# --- writing -----------------------------------------------------------------------------------


def _keep(type_name: str | None, value: Value) -> str:
    """The stored type where it still holds the value; empty, so inferred, where it does not."""
    return type_name if type_name and _holds(type_name, value) else ""


def _holds(type_name: str, value: Value) -> bool:
    if type_name == "bool":
        return isinstance(value, bool)
    if type_name in _INTEGERS:
        low, high = _INTEGERS[type_name]
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    if type_name in ("f32", "f64"):
        return _is_float(value, type_name)
    if type_name == "str":
        return isinstance(value, str)
    if type_name == "bin":
        return isinstance(value, bytes | bytearray)
    if not isinstance(value, Sequence) or isinstance(value, str | bytes | bytearray):
        return False
    if type_name == "str_list":
        return all(isinstance(item, str) for item in value)
    if type_name == "int32_list":
        return all(_holds("i32", item) for item in value)
    return all(_is_float(item, "f32") for item in value)


def _is_float(value: Any, type_name: str) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        struct.pack(_SCALARS[type_name], value)
    except (OverflowError, struct.error):
        return isinstance(value, float) and math.isinf(value)
    return True


def _offset_vector(builder: Any, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _write_value(builder: Any, type_name: str, value: Any) -> int:
    """Writes one member of the union; returns the offset of its table."""
    if form := _SCALARS.get(type_name):
        number, size = struct.pack(form, value), struct.calcsize(form)
        builder.StartObject(1)
        if any(number):  # a zero is left out: the field's default
            builder.Prep(size, 0)
            builder.head -= size
            builder.Bytes[builder.head : builder.head + size] = number
            builder.Slot(0)
        return builder.EndObject()
    if type_name == "str":
        offset = builder.CreateString(value)
    elif type_name == "bin":
        offset = builder.CreateByteVector(bytes(value))
    elif type_name == "str_list":
        offset = _offset_vector(builder, [builder.CreateString(item) for item in value])
    else:
        prepend = builder.PrependInt32 if type_name == "int32_list" else builder.PrependFloat32
        builder.StartVector(4, len(value), 4)
        for item in reversed(value):
            prepend(item)
        offset = builder.EndVector()
    builder.StartObject(1)
    builder.PrependUOffsetTRelativeSlot(0, offset, 0)
    return builder.EndObject()


def _repack(tflite: bytes, blob: bytes, description: str | None) -> bytes:
    import flatbuffers
    import numpy
    from ai_edge_litert import schema_py_generated as schema

    class AlignedBuffer(schema.BufferT):
        """A buffer whose data starts on 16 bytes, which the schema asks for and Pack ignores."""

        def Pack(self, builder: Any) -> int:
            offset = 0
            if self.data is not None and len(self.data):
                raw = bytes(bytearray(self.data))
                builder.StartVector(1, len(raw), 16)
                builder.head -= len(raw)
                builder.Bytes[builder.head : builder.head + len(raw)] = raw
                offset = builder.EndVector()
            schema.BufferStart(builder)
            if offset:
                schema.BufferAddData(builder, offset)
            return schema.BufferEnd(builder)

    try:
        model = schema.ModelT.InitFromPackedBuf(bytearray(tflite), 0)
        entry = next((m for m in model.metadata or [] if m.name == METADATA_NAME.encode()), None)
        if entry is None:
            entry = schema.MetadataT()
            entry.name, entry.buffer = METADATA_NAME.encode(), len(model.buffers)
            model.metadata = [*(model.metadata or []), entry]
            model.buffers.append(schema.BufferT())
        model.buffers[entry.buffer].data = numpy.frombuffer(blob, numpy.uint8)
        for buffer in model.buffers:
            if buffer.offset > 1:
                raise TokayError("the model keeps its weights behind the FlatBuffer, which is not supported")
            buffer.__class__ = AlignedBuffer
        if description is not None:
            model.description = description.encode()
        builder = flatbuffers.Builder(len(tflite) + len(blob) + 1024)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())
    except TokayError:
        raise
    except Exception as error:  # the generated reader fails in any way on a damaged file
        raise TokayError(f"the model is damaged and cannot be rewritten: {error}") from error
