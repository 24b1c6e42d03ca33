"""Text commands and number formatting, in the C that runs on the board."""

from __future__ import annotations

import ctypes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host import native

KINDS = ("none", "unknown", "help", "mic", "verbose", "stats", "profile", "stall", "peek", "reset")


class Command(ctypes.Structure):
    _fields_ = (("kind", ctypes.c_int), ("argument", ctypes.c_uint32))


class Line(ctypes.Structure):
    _fields_ = (("text", ctypes.c_char * 48), ("length", ctypes.c_uint32))


class Format(ctypes.Structure):
    _fields_ = (("text", ctypes.c_void_p), ("capacity", ctypes.c_size_t), ("length", ctypes.c_size_t))


def received(data: bytes) -> list[tuple[str, int]]:
    """The commands in a stream of bytes."""
    lib, line, command, found = native.library(), Line(), Command(), []
    lib.command_receive.restype = ctypes.c_bool
    for byte in data:
        if lib.command_receive(ctypes.byref(line), ctypes.c_uint8(byte), ctypes.byref(command)):
            found.append((KINDS[command.kind], command.argument))
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("none", 0)),
        ("   ", ("none", 0)),
        ("help", ("help", 0)),
        ("help me", ("unknown", 0)),
        ("helpme", ("unknown", 0)),
        ("mic on", ("mic", 1)),
        ("mic  off", ("mic", 0)),
        ("mic", ("unknown", 0)),
        ("mic only", ("unknown", None)),
        ("profile", ("profile", 10)),
        ("profile 3", ("profile", 3)),
        ("profile 3x", ("unknown", None)),
        ("profile 0", ("unknown", None)),
        ("profile 1", ("profile", 1)),
        ("profile 1000", ("profile", 1000)),
        ("profile 1001", ("unknown", None)),
        ("stall", ("unknown", 0)),
        ("stall 0", ("unknown", None)),
        ("stall 10000", ("stall", 10000)),
        ("stall 10001", ("unknown", None)),
        ("peek 0x4004000C", ("peek", 0x4004000C)),
        ("peek 0xffffffff", ("peek", 0xFFFFFFFF)),
        ("peek 0X1f", ("peek", 0x1F)),
        ("peek 0x100000000", ("unknown", None)),
        ("peek 4294967295", ("peek", 4294967295)),
        ("peek 0x", ("unknown", None)),
        ("RESET", ("unknown", 0)),
        ("reset", ("reset", 0)),
        ("x" * 47, ("unknown", 0)),
        ("stats" + " " * 43, ("unknown", 0)),
    ],
)
def test_lines(text, expected):
    ((kind, argument),) = received(text.encode() + b"\n")
    assert kind == expected[0]
    assert expected[1] is None or argument == expected[1]


def test_a_line_too_long_spoils_only_itself():
    assert received(b"stats\r\n" + b"y" * 10_000 + b"\nmic on\n") == [
        ("stats", 0), ("none", 0), ("unknown", 0), ("mic", 1),
    ]  # fmt: skip


@given(st.binary(max_size=300))
def test_any_bytes(data):
    assert len(received(data)) == data.count(b"\n") + data.count(b"\r")


def formatted(function: str, *arguments, capacity: int = 32) -> tuple[str, int]:
    lib, buffer, out = native.library(), ctypes.create_string_buffer(b"\xaa" * 64, 64), Format()
    lib.format_init(ctypes.byref(out), buffer, ctypes.c_size_t(capacity))
    getattr(lib, function)(ctypes.byref(out), *arguments)
    assert buffer.raw[capacity:] == b"\xaa" * (64 - capacity)
    return buffer.value.decode(), out.length


@given(st.integers(0, 2**32 - 1), st.integers(0, 20))
def test_unsigned(value, width):
    text, length = formatted("format_unsigned", ctypes.c_uint32(value), width)
    assert (text, length) == (f"{value:{width}d}", max(width, len(str(value))))


@given(st.integers(-(2**31), 2**31 - 1), st.integers(0, 20))
def test_signed(value, width):
    assert formatted("format_signed", ctypes.c_int32(value), width)[0] == f"{value:{width}d}"


@given(st.integers(0, 2**32 - 1))
def test_hexadecimal(value):
    assert formatted("format_hex", ctypes.c_uint32(value), 8)[0] == f"{value:08x}"


def test_text_is_cut_off_at_the_end_of_the_buffer():
    assert formatted("format_text", b"abcdef", capacity=4) == ("abc", 6)
    assert formatted("format_text", b"abcdef", capacity=1) == ("", 6)
