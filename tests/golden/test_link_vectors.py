"""The C and the Python codec both give the committed bytes, in both directions."""

from __future__ import annotations

import ctypes
import functools
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from host import native
from host.device import generate, messages
from host.device.framing import Damaged, Decoder, Encoder, Frame, Mismatch, TextLine
from tests.native_link import NativeLink

VECTORS = json.loads((Path(__file__).parent / "vectors" / "link.json").read_text(encoding="utf-8"))
SCHEMA = generate.load()
C_TYPES = {
    "u8": ctypes.c_uint8, "u16": ctypes.c_uint16, "u32": ctypes.c_uint32, "u64": ctypes.c_uint64,
    "i8": ctypes.c_int8, "i16": ctypes.c_int16, "i32": ctypes.c_int32, "f32": ctypes.c_float,
    "bool": ctypes.c_bool,
}  # fmt: skip


@functools.cache
def structure(message_type: int) -> tuple[generate.Message, type[ctypes.Structure]]:
    """The C structure of a message, made from the schema and not from messages.h."""
    message = next(item for item in SCHEMA.messages if item.type == message_type)
    fields: list[tuple[str, Any]] = []
    for field in message.fields:
        if field.shape == "text":
            fields.append((field.name, ctypes.c_char * (field.maximum + 1)))
            continue
        if field.shape == "list":
            fields.append((f"{field.name}_count", ctypes.c_uint16))
        item = C_TYPES[field.base]
        fields.append((field.name, item if field.shape == "plain" else item * field.maximum))
    return message, type(message.name, (ctypes.Structure,), {"_fields_": fields})


@functools.cache
def layout(message_type: int) -> int:
    find = native.library().message_layout
    find.restype = ctypes.c_void_p
    return find(ctypes.c_uint8(message_type))


def from_json(message: generate.Message, fields: dict[str, Any]) -> dict[str, Any]:
    """Values as the Python messages hold them."""
    values = {}
    for field in message.fields:
        value = fields[field.name]
        if field.base == "u8" and field.shape != "plain":
            value = bytes.fromhex(value)
        values[field.name] = tuple(value) if isinstance(value, list) else value
    return values


def c_encode(message_type: int, values: dict[str, Any]) -> bytes:
    message, cls = structure(message_type)
    value = cls()
    for field in message.fields:
        item = values[field.name]
        if field.shape == "text":
            setattr(value, field.name, item.encode())
        elif field.shape == "plain":
            setattr(value, field.name, item)
        else:
            getattr(value, field.name)[: len(item)] = list(item)
            if field.shape == "list":
                setattr(value, f"{field.name}_count", len(item))
    out = (ctypes.c_uint8 * messages.MAX_PAYLOAD)()
    encode = native.library().codec_encode
    encode.restype = ctypes.c_size_t
    pointer = ctypes.c_void_p(layout(message_type))
    return bytes(out[: encode(pointer, ctypes.byref(value), out, ctypes.c_size_t(len(out)))])


def c_decode(message_type: int, payload: bytes) -> dict[str, Any] | None:
    message, cls = structure(message_type)
    value = cls()
    decode = native.library().codec_decode
    decode.restype = ctypes.c_bool
    pointer = ctypes.c_void_p(layout(message_type))
    if not decode(pointer, payload, ctypes.c_size_t(len(payload)), ctypes.byref(value)):
        return None
    values = {}
    for field in message.fields:
        item = getattr(value, field.name)
        if field.shape == "text":
            values[field.name] = item.decode()
        elif field.shape == "plain":
            values[field.name] = item
        else:
            count = getattr(value, f"{field.name}_count") if field.shape == "list" else field.maximum
            values[field.name] = bytes(item[:count]) if field.base == "u8" else tuple(item[:count])
    return values


MESSAGE_IDS = [f"{messages.MESSAGES[v['type']].NAME}{k % 4}" for k, v in enumerate(VECTORS["messages"])]


@pytest.mark.parametrize("vector", VECTORS["messages"], ids=MESSAGE_IDS)
def test_messages(vector: dict[str, Any]) -> None:
    message_type, payload = vector["type"], bytes.fromhex(vector["payload"])
    values = from_json(structure(message_type)[0], vector["fields"])
    cls = messages.MESSAGES[message_type]
    assert cls(**values).encode() == payload
    assert c_encode(message_type, values) == payload
    assert asdict(cls.decode(payload)) == values
    assert c_decode(message_type, payload) == values
    # A newer peer may have added fields at the end; a payload that is too short is refused.
    assert cls.decode(payload + b"\xff\0new") == cls.decode(payload)
    assert c_decode(message_type, payload + b"\xff\0new") == values
    for count in {0, 1, len(payload) // 2, len(payload) - 1}:
        assert c_decode(message_type, payload[:count]) is None
        with pytest.raises(ValueError):
            cls.decode(payload[:count])


def test_every_message_is_there() -> None:
    assert {vector["type"] for vector in VECTORS["messages"]} == set(messages.MESSAGES)


def test_frames() -> None:
    for message_type, boot_id, sequence, payload_hex, frame_hex in VECTORS["frames"]:
        payload, frame = bytes.fromhex(payload_hex), bytes.fromhex(frame_hex)
        link = NativeLink(boot_id)
        link.state.sequence = sequence
        assert Encoder(boot_id, sequence).encode(message_type, payload) == frame
        assert link.encode(message_type, payload) == frame
        assert frame[0] == frame[-1] == 0 and 0 not in frame[1:-1]
        for decoder in (Decoder(), NativeLink(1)):
            (got,) = decoder.feed(frame)
            assert isinstance(got, Frame)
            assert (got.type, got.payload) == (message_type, payload)
            assert (got.boot_id, got.sequence) == (boot_id, sequence)


def flat(item: object) -> list[Any]:
    """An event as the file has it."""
    if isinstance(item, Frame):
        where = [item.boot_id, item.sequence, item.lost, item.restarted]
        return ["frame", item.type, item.payload.hex(), *where]
    if isinstance(item, TextLine):
        return ["text", item.text]
    if isinstance(item, Mismatch):
        return ["mismatch", item.version]
    assert isinstance(item, Damaged)
    return [item.reason.name.lower()]


@pytest.mark.parametrize("vector", VECTORS["streams"], ids=[v["name"] for v in VECTORS["streams"]])
def test_streams(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["bytes"])
    for piece in (len(data), 1, 7):
        for decoder in (Decoder(), NativeLink(1)):
            pieces = (data[at : at + piece] for at in range(0, len(data), piece))
            assert [flat(e) for part in pieces for e in decoder.feed(part)] == vector["events"]
