"""The schema, what is generated from it, and the document about it say the same."""

from __future__ import annotations

import ctypes
import re

import pytest

from host import native
from host.device import framing, generate, messages
from host.device.codec import Array
from host.errors import TokayError
from tests.native_link import MAX_FRAME, _Link

SCHEMA = generate.load()
DOCUMENT = (generate.ROOT / "firmware/link/PROTOCOL.md").read_text(encoding="utf-8")
HEADER = (generate.ROOT / "firmware/link/messages.h").read_text(encoding="utf-8")
LINK = (generate.ROOT / "firmware/link/link.h").read_text(encoding="utf-8")


class CField(ctypes.Structure):
    _fields_ = [
        ("kind", ctypes.c_uint8),
        ("element_bytes", ctypes.c_uint8),
        ("maximum", ctypes.c_uint16),
        ("offset", ctypes.c_uint16),
        ("count_offset", ctypes.c_uint16),
    ]


class CLayout(ctypes.Structure):
    _fields_ = [
        ("fields", ctypes.POINTER(CField)),
        ("field_count", ctypes.c_uint16),
        ("struct_bytes", ctypes.c_uint16),
    ]


def test_generated_files_are_up_to_date() -> None:
    for path, text in generate.render(SCHEMA).items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run python -m host.device.generate"


def test_check_notices_a_stale_file(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    with pytest.raises(TokayError, match="out of date"):
        generate.main(["--check"])
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    page = tmp_path / "firmware/link/PROTOCOL.md"
    page.write_text(page.read_text().replace("hello", "hallo", 1))
    with pytest.raises(TokayError, match=r"out of date: firmware/link/PROTOCOL\.md"):
        generate.main(["--check"])


def test_c_tables_are_the_schema() -> None:
    find = native.library().message_layout
    find.restype = ctypes.POINTER(CLayout)
    known = {message.type: message for message in SCHEMA.messages}
    kinds = {"CODEC_FIXED": 0, "CODEC_BOOL": 1, "CODEC_LIST8": 2, "CODEC_LIST16": 3, "CODEC_TEXT": 4}
    for number in range(256):
        pointer = find(ctypes.c_uint8(number))
        assert bool(pointer) == (number in known)
        if not pointer:
            continue
        layout = pointer.contents
        have = [(f.kind, f.element_bytes, f.maximum) for f in layout.fields[: layout.field_count]]
        want = [(kinds[f.kind], f.element_bytes, f.maximum) for f in known[number].fields]
        assert have == want, known[number].name


def test_only_requests_are_requests() -> None:
    find = native.library().message_request_layout
    find.restype = ctypes.c_void_p
    requests = {message.type for message in SCHEMA.messages if message.kind == "request"}
    assert {number for number in range(256) if find(ctypes.c_uint8(number))} == requests


def test_the_firmware_executes_once_what_the_schema_says() -> None:
    source = (generate.ROOT / "firmware/app/requests.c").read_text(encoding="utf-8")
    body = re.search(r"\nstatic bool is_executed_once\(.*?\n}", source, re.S)[0]
    once = {message.name for message in SCHEMA.messages if not message.repeatable}
    assert {name.lower() for name in re.findall(r"MESSAGE_(\w+)", body)} == once


def test_python_messages_are_the_schema() -> None:
    assert (SCHEMA.version, SCHEMA.max_payload) == (messages.VERSION, messages.MAX_PAYLOAD)
    assert set(messages.MESSAGES) == {message.type for message in SCHEMA.messages}
    numbers = {message.name: message.type for message in SCHEMA.messages}
    for message in SCHEMA.messages:
        cls = messages.MESSAGES[message.type]
        assert (cls.__name__, cls.NAME) == (message.python_name, message.name)
        assert [field.name for field in cls.LAYOUT] == [field.name for field in message.fields]
        assert numbers.get(message.answer) == cls.ANSWER
        assert message.repeatable == cls.REPEATABLE
    for enumeration in SCHEMA.enums:
        cls = getattr(messages, enumeration.python_name)
        assert {item.name: item.value for item in cls} == {
            choice.name.upper(): choice.value for choice in enumeration.choices
        }
        for choice in enumeration.choices:
            line = rf"{enumeration.name.upper()}_{choice.name.upper()} = {choice.value},"
            assert re.search(rf"^    {line}", HEADER, re.M), line


def test_document_has_every_message_with_its_bytes() -> None:
    for message in SCHEMA.messages:
        section = DOCUMENT.split(f"### {message.name} (0x{message.type:02X}, {message.kind})\n")
        assert len(section) == 2, message.name
        rows = re.findall(r"^\| ([^|]+) \| (\w+) \| (\S+) \| .+ \|$", section[1].split("\n###")[0], re.M)
        assert rows.pop(0) == ("offset", "field", "type")
        assert [(name, type_) for _, name, type_ in rows] == [(f.name, f.type) for f in message.fields]
        # The offsets, filled in for lists that are full, must be where the Python codec puts things.
        fullest = {f.name: f.maximum for f in message.fields if f.prefix_bytes}
        lengths = {f"n({name})": str(count) for name, count in fullest.items()}
        expected = 0
        for (offset, name, _), field in zip(rows, message.fields, strict=True):
            formula = offset.replace("·", "*")
            for term, count in lengths.items():
                formula = formula.replace(term, count)
            assert re.fullmatch(r"[\d +*]+", formula)
            assert eval(formula) == expected, f"{message.name}.{name}"
            expected += field.max_bytes
        assert expected == message.max_bytes <= SCHEMA.max_payload
        line = rf"\| 0x{message.type:02X} \| {message.name} \| .*\| (≤ )?{message.max_bytes} \|"
        assert re.search(line, DOCUMENT)
        assert f"#define MESSAGE_{message.name.upper()}_MAX_BYTES {message.max_bytes}\n" in HEADER


def test_sizes_agree() -> None:
    constants = dict(re.findall(r"#define (LINK_\w+) (\d+)$", LINK, re.M))
    assert int(constants["LINK_HEADER_BYTES"]) == framing.HEADER.size
    assert int(constants["LINK_CRC_BYTES"]) == framing.CRC.size
    assert int(constants["LINK_DUPLICATE_WINDOW"]) == framing.DUPLICATE_WINDOW
    assert f"at most {SCHEMA.max_payload} bytes |" in DOCUMENT
    assert f"at most {framing.DUPLICATE_WINDOW} before" in DOCUMENT
    # The largest frame of the C code, and the structure it keeps, are as the wrapper assumes.
    biggest = framing.Encoder(1).encode(1, b"\x01" * SCHEMA.max_payload)
    assert len(biggest) <= MAX_FRAME <= 512
    assert ctypes.sizeof(_Link) < 600


def test_max_bytes_are_reached() -> None:
    for message in SCHEMA.messages:
        values: dict[str, object] = {}
        for field in message.fields:
            if field.shape == "text":
                values[field.name] = "y" * field.maximum
            elif field.shape == "list":
                values[field.name] = bytes(field.maximum) if field.base == "u8" else (0,) * field.maximum
        assert len(messages.MESSAGES[message.type](**values).encode()) == message.max_bytes


@pytest.mark.parametrize(("maximum", "prefix", "kind"), [(255, 1, "CODEC_LIST8"), (256, 2, "CODEC_LIST16")])
def test_a_count_takes_two_bytes_where_one_is_too_small(tmp_path, maximum: int, prefix: int, kind: str):
    """Where the languages could differ, though no message has a list of either length."""
    text = generate.SCHEMA.read_text(encoding="utf-8")
    path = tmp_path / "schema.toml"
    path.write_text(text.replace('"i16[<=224]"', f'"u8[<={maximum}]"', 1), encoding="utf-8")
    (field,) = (f for m in generate.load(path).messages for f in m.fields if f.type == f"u8[<={maximum}]")
    assert (field.prefix_bytes, field.max_bytes, field.kind) == (prefix, maximum + prefix, kind)
    codec = Array("list", "B", maximum)
    for value in (b"", b"ab", bytes(range(maximum % 256))):
        encoded = codec.encode(value)
        assert encoded == len(value).to_bytes(prefix, "little") + value
        assert codec.decode(encoded, 0) == (value, len(encoded))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('["rms", "u16",', '["rms", "u24",', "level.rms: unknown type u24"),
        ('["rms", "u16",', '["peak", "u16",', "repeated fields"),
        ("type = 0x02", "type = 0x01", "a name or type occurs twice"),
        ('name = "level"', 'name = "scores"', "a name or type occurs twice"),
        ("i16[<=224]", "i16[<=300]", "bytes are too many"),
        ('answer = "hello"', 'answer = "detection"', "no such answer"),
        ("text[<=32]", "text[32]", "a text has a bound"),
        ("version = 1", "version = 128", "must be 1..127"),
        ("version = 1", "version = 0", "must be 1..127"),
        ("[enums.result]", "[enums.Result]", "Result: not a name"),
        ('["ok", "done"]', '["failed", "done"]', "result: a name occurs twice"),
        ('["rms", "u16",', '["rms", "u16"], ["u",', "a field is [name, type, meaning]"),
        ('["rms", "u16",', '["RMS", "u16",', "level.RMS"),
        ('["rms", "u16",', '["rms", "u16 ",', "unknown type u16 "),
        ('["rms", "u16",', '["rms", "bool[2]",', "no bool[2]"),
        ('["rms", "u16",', '["rms", "u16[0]",', "no u16[0]"),
        ('["rms", "u16",', '["rms", "result[2]",', "lists of enumerations"),
        ("text[<=32]", "text[<=256]", "a text has a bound"),
        ('answer = "hello"', "", "requests, and only they"),
        ("type = 0x02", "type = 0", "the type does not fit a byte"),
        ("type = 0x02", "type = 256", "the type does not fit a byte"),
        ("[[messages]]", "[messages", "schema.toml"),
    ],
)
def test_a_wrong_schema_is_refused(tmp_path, old: str, new: str, says: str) -> None:
    text = generate.SCHEMA.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "schema.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(TokayError, match=re.escape(says)):
        generate.load(path)
