"""The parameters a model carries: typed key/value pairs in the ``SL_PARAMSv1`` metadata of a .tflite.

The entry is a FlatBuffer of its own: ``Dictionary {schema_version: ubyte; entries: [Entry]}`` with
``Entry {key: string; value: union}``, where every member of the union is a table with one field. The
vendor's device code reads a value by the type it was stored with, so types survive a round trip:
:class:`Parameters` is a plain dict of Python values with the stored type of each key in ``types``.

Reading needs nothing but the standard library (it is on the path of every command); writing
re-packs the model and imports the FlatBuffer schema when called.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from codegen import schema
from codegen.errors import TokayError
from codegen.flatbuffer import FlatBufferError, Table

try:
    from lzma import LZMAError
except ImportError:  # Python was built without, so nothing raises it
    LZMAError = ValueError

ARCHIVE_DAMAGE = (zipfile.BadZipFile, RuntimeError, ValueError, OSError, EOFError, zlib.error, LZMAError)
"""What reading a damaged ZIP archive raises, some of it without a word."""

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
# Parameters that are lists, where the model does not have them yet.
_KNOWN_LISTS = {"classes": "str_list", "detection_threshold_list": "int32_list"}

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

    def updated(self, given: Mapping[str, Value], remove: Sequence[str] = ()) -> Parameters:
        """A copy with some removed and some put. TokayError for one to remove that is not there."""
        changed = self.copy()
        for key in remove:
            if key not in changed:
                raise TokayError(f"the model has no parameter {key!r}", hint=f"it has {', '.join(self)}")
            del changed[key]
            changed.types.pop(key, None)
        for key, value in given.items():
            changed.put(key, value)
        return changed

    def put(self, key: str, value: Value) -> None:
        """Sets a parameter and its type: the one it has where the value fits it, a wider one for an integer
        that outgrew it. TokayError for NaN and infinity, by which no parameter means anything and which
        JSON cannot say, and for a value of another kind."""
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, float) and not math.isfinite(number):
                raise TokayError(f"parameter {key}={value!r} is not a finite number")
        self[key], self.types[key] = value, _fitting_type(key, value, self.type_of(key))

    def type_of(self, key: str) -> str | None:
        """The type that a parameter has or, where it is known to be a list, has to have."""
        stored = self.types.get(key)
        return stored if stored and stored.endswith("_list") else _KNOWN_LISTS.get(key, stored)


def read_parameters(tflite: bytes) -> Parameters:
    """The parameters of a .tflite; empty if it has none; TokayError if they are damaged."""
    try:
        blob = _metadata(bytes(tflite))
        return Parameters() if blob is None else _parse_dictionary(Table.root(blob))
    except (FlatBufferError, UnicodeDecodeError) as error:
        raise TokayError(
            f"the model or its {METADATA_NAME} metadata is damaged: {error}",
            hint="fetch or train the model again",
        ) from error


def write_parameters(tflite: bytes, params: Mapping[str, Value], *, description: str | None = None) -> bytes:
    """A copy of the model that carries ``params`` instead of the parameters it had.

    The type of a key is the one in ``params.types`` (a :class:`Parameters`), else the one the model
    stored it with, else the smallest that holds the value; a type that cannot hold its value is an
    error. ``description`` replaces the model's own description where given. Files that TensorFlow Lite's
    metadata writer has put behind the model (labels, say, in an archive) stay there.
    """
    stored = read_parameters(tflite).types
    given = params.types if isinstance(params, Parameters) else {}
    types = {key: given.get(key) or _keep(stored.get(key), value) for key, value in params.items()}
    return _with_files_of(tflite, _repack(tflite, dictionary_bytes(params, types), description))


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


def _fitting_type(key: str, value: Value, stored: str | None) -> str:
    """The stored type; a wider one of its kind for an integer that outgrew it; else the natural one."""
    if stored is None:
        return infer_type(key, value)
    try:
        check_type(key, value, stored)
        return stored
    except TokayError as error:
        natural = infer_type(key, value)
        if stored[0] not in "iu" or "int32_list" in (stored, natural):
            raise
        if natural[0] in "iu":
            return natural
        if natural == "f32":
            raise TokayError(error.message, hint=f"--remove {key} as well to store it as f32") from error
        raise


def dictionary_bytes(params: Mapping[str, Value], types: Mapping[str, str] | None = None) -> bytes:
    """The FlatBuffer dictionary of ``params``, as it goes into the metadata."""
    import flatbuffers  # not at the top: reading must not wait for it

    if len(params) > _MAX_ENTRIES:
        raise TokayError(f"{len(params):,} parameters are too many", hint=f"a model holds {_MAX_ENTRIES:,}")
    types = types or {}
    builder = flatbuffers.Builder(1024)
    entries = []
    for key, value in params.items():
        type_name = types.get(key) or infer_type(key, value)
        check_type(key, value, type_name)
        if not _is_text(key):
            raise TokayError(f"parameter {key!a}: its name is not UTF-8")
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


_MAX_BUFFERS = 1 << 16
_MAX_ENTRIES = 1024


def _metadata(tflite: bytes) -> bytes | None:
    if tflite[4:8] != schema.FILE_IDENTIFIER:
        raise FlatBufferError("it is not a .tflite file")
    model = Table.root(tflite)
    buffers = model.tables(schema.MODEL["buffers"], _MAX_BUFFERS)
    for entry in model.tables(schema.MODEL["metadata"], _MAX_ENTRIES):
        if entry.blob(schema.METADATA["name"]) != METADATA_NAME.encode():
            continue
        index = entry.scalar(schema.METADATA["buffer"], "I")
        if index >= len(buffers):
            raise FlatBufferError(f"metadata names buffer {index} of {len(buffers)}")
        return buffers[index].blob(schema.BUFFER["data"]) or None
    return None


def _parse_dictionary(dictionary: Table) -> Parameters:
    version = dictionary.scalar(0, "B")
    if version != SCHEMA_VERSION:
        raise FlatBufferError(f"its schema version is {version}, not {SCHEMA_VERSION}")
    params = Parameters()
    for i, entry in enumerate(dictionary.tables(1, _MAX_ENTRIES)):
        code, value = entry.scalar(1, "B"), entry.table(2)
        if not entry.has(0) or value is None:
            raise FlatBufferError(f"entry {i} has no key or no value")
        if not 1 <= code <= len(TYPES):
            raise FlatBufferError(f"entry {i} has the unknown type {code}")
        key = entry.blob(0).decode()
        params[key] = _read_value(value, TYPES[code - 1])
        params.types[key] = TYPES[code - 1]
    return params


def _read_value(value: Table, type_name: str) -> Value:
    if form := _SCALARS.get(type_name):
        return value.scalar(0, form[1:], struct.unpack(form, bytes(struct.calcsize(form)))[0])
    if type_name == "str":
        return value.blob(0).decode()
    if type_name == "bin":
        return value.blob(0)
    if type_name == "str_list":
        return [item.decode() for item in value.blobs(0)]
    return value.unpacked(0, _VECTORS[type_name])


# --- writing -----------------------------------------------------------------------------------


def _keep(type_name: str | None, value: Value) -> str:
    """The stored type where it still holds the value; empty, so inferred, where it does not."""
    return type_name if type_name and _holds(type_name, value) else ""


def _is_text(value: Value) -> bool:
    """Whether it is a string that UTF-8 has: an argument in another encoding leaves surrogates."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _holds(type_name: str, value: Value) -> bool:
    if type_name == "bool":
        return isinstance(value, bool)
    if type_name in _INTEGERS:
        low, high = _INTEGERS[type_name]
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    if type_name in ("f32", "f64"):
        return _is_float(value, type_name)
    if type_name == "str":
        return _is_text(value)
    if type_name == "bin":
        return isinstance(value, bytes | bytearray)
    if not isinstance(value, Sequence) or isinstance(value, str | bytes | bytearray):
        return False
    if type_name == "str_list":
        return all(_is_text(item) for item in value)
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


def _with_files_of(before: bytes, tflite: bytes) -> bytes:
    """The model with the archive behind it that it had before: a ZIP is found from its end, and places in it
    count from the file's beginning, so it is written anew."""
    if not zipfile.is_zipfile(io.BytesIO(before)):
        return tflite
    whole = io.BytesIO(tflite)
    try:
        with zipfile.ZipFile(io.BytesIO(before)) as old, zipfile.ZipFile(whole, "a") as new:
            for entry in old.infolist():
                new.writestr(entry, old.read(entry))
            new.comment = old.comment
    except ARCHIVE_DAMAGE as error:
        reason = str(error) or "cut off"
        raise TokayError(f"the files behind the model are damaged and cannot be kept: {reason}") from error
    return whole.getvalue()


def _repack(tflite: bytes, blob: bytes, description: str | None) -> bytes:
    import flatbuffers
    import numpy
    from ai_edge_litert import schema_py_generated as tflite_schema

    class AlignedBuffer(tflite_schema.BufferT):
        """A buffer whose data starts on 16 bytes, which the schema asks for and Pack ignores."""

        def Pack(self, builder: Any) -> int:
            offset = 0
            if self.data is not None and len(self.data):
                raw = bytes(bytearray(self.data))
                builder.StartVector(1, len(raw), 16)
                builder.head -= len(raw)
                builder.Bytes[builder.head : builder.head + len(raw)] = raw
                offset = builder.EndVector()
            tflite_schema.BufferStart(builder)
            if offset:
                tflite_schema.BufferAddData(builder, offset)
            return tflite_schema.BufferEnd(builder)

    if description is not None and not _is_text(description):
        raise TokayError(f"the description {description!a} is not UTF-8")
    try:
        model = tflite_schema.ModelT.InitFromPackedBuf(bytearray(tflite), 0)
        entry = next((m for m in model.metadata or [] if m.name == METADATA_NAME.encode()), None)
        if entry is None:
            entry = tflite_schema.MetadataT()
            entry.name, entry.buffer = METADATA_NAME.encode(), len(model.buffers)
            model.metadata = [*(model.metadata or []), entry]
            model.buffers.append(tflite_schema.BufferT())
        model.buffers[entry.buffer].data = numpy.frombuffer(blob, numpy.uint8)
        for buffer in model.buffers:
            if buffer.offset > 1:
                raise TokayError("the model keeps its weights behind the FlatBuffer, which is not supported")
            buffer.__class__ = AlignedBuffer
        if description is not None:
            model.description = description.encode()
        builder = flatbuffers.Builder(len(tflite) + len(blob) + 1024)
        builder.Finish(model.Pack(builder), file_identifier=schema.FILE_IDENTIFIER)
        return bytes(builder.Output())
    except TokayError:
        raise
    except Exception as error:  # the generated reader fails in any way on a damaged file
        raise TokayError(f"the model is damaged and cannot be rewritten: {error}") from error
