"""Images for host.flash: files of bytes, Intel HEX, what does not belong into the chip's flash."""

from __future__ import annotations

import random
import struct

import pytest

from host.errors import TokayError
from host.flashing import images
from host.memory_map import FLASH_BASE, FLASH_BYTES, LAST_SECTOR, SECTOR

DATA = random.Random(3).randbytes(300)
FIRMWARE = struct.pack("<II", 0x20001000, FLASH_BASE + 0x101) + DATA  # a vector table, and no code


def hex_record(kind: int, address: int, data: bytes) -> str:
    body = bytes([len(data), address >> 8, address & 0xFF, kind]) + data
    return ":" + (body + bytes([-sum(body) & 0xFF])).hex().upper()


def hex_file(pieces: list[tuple[int, bytes]]) -> str:
    lines = []
    for start, data in pieces:
        for offset in range(0, len(data), 16):
            address = start + offset
            lines.append(hex_record(4, 0, (address >> 16).to_bytes(2, "big")))
            lines.append(hex_record(0, address & 0xFFFF, data[offset : offset + 16]))
    return "\n".join([*lines, hex_record(5, 0, bytes(4)), hex_record(1, 0, b"")]) + "\n"


def test_binary_goes_to_its_base(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(DATA)
    image = images.read(path, 0x08004000 - 100)
    assert list(image.sectors) == [0x08002000, 0x08004000]
    assert image.sectors[0x08002000] == b"\xff" * (SECTOR - 100) + DATA[:100]
    assert image.sectors[0x08004000] == DATA[100:] + b"\xff" * (SECTOR - 200)
    assert image.used_bytes == 300 and image.boots_from is None
    path = tmp_path / "A.BIN"
    path.write_bytes(FIRMWARE)
    image = images.read(path)
    assert list(image.sectors) == [0x08000000] and image.boots_from == 0x08000000


@pytest.mark.parametrize(
    ("stack", "reset"),
    [
        (0xFFFFFFFF, 0xFFFFFFFF), (0x20000000, 0x08000101), (0x20040004, 0x08000101),
        (0x20040000, 0x08000100), (0x20040000, 0x08002101), (0x20040000, 0x00000101),
    ],
)  # fmt: skip
def test_what_has_no_vector_table_is_not_flashed(stack, reset, tmp_path):
    start = struct.pack("<II", stack, reset)
    (tmp_path / "a.bin").write_bytes(start + DATA)
    (tmp_path / "a.hex").write_text(hex_file([(FLASH_BASE, start)]))
    for name in ("a.bin", "a.hex"):
        with pytest.raises(TokayError, match=rf"{name}: no vector table at 0x08000000 .*{reset:08x}\)"):
            images.read(tmp_path / name)
    assert images.read(tmp_path / "a.bin", 0x08100000).boots_from is None


def test_the_stack_may_begin_at_the_end_of_ram(tmp_path):
    (tmp_path / "a.bin").write_bytes(struct.pack("<II", 0x20040000, 0x08000101) + DATA)
    assert images.read(tmp_path / "a.bin").boots_from == FLASH_BASE


def test_hex_with_a_gap(tmp_path):
    path = tmp_path / "a.hex"
    path.write_text(hex_file([(0x0800FFF0, DATA[:32]), (0x08014000, DATA[32:])]))
    image = images.read(path)
    assert list(image.sectors) == [0x0800E000, 0x08010000, 0x08014000]
    assert image.sectors[0x0800E000][-16:] + image.sectors[0x08010000][:16] == DATA[:32]
    assert image.boots_from is None
    names = [(guard.address, guard.size) for guard in image.guards]
    assert names == [
        (0x0FE00000, 0x400), (0x0800C000, 0x2000), (0x08012000, 0x2000), (0x08012000, 0x2000),
        (0x08016000, 0x2000), (0x0817E000, 0x2000),
    ]  # fmt: skip


def test_hex_as_other_tools_write_it(tmp_path):
    """With a start address, small letters, spaces and the line ends of another system; by segments."""
    path = tmp_path / "a.HEX"
    records = [
        hex_record(4, 0, b"\x08\x02"), hex_record(0, 0x20, DATA[:16]), hex_record(3, 0, bytes(4)),
        hex_record(4, 0, b"\x08\x03"), hex_record(0, 0x20, DATA[16:32]), hex_record(1, 0, b""),
    ]  # fmt: skip
    path.write_bytes("".join(f" {record.lower()} \r\n" for record in records).encode())
    image = images.read(path)
    assert [(address, data[0x20:0x30]) for address, data in image.sectors.items()] == [
        (0x08020000, DATA[:16]), (0x08030000, DATA[16:32]),
    ]  # fmt: skip
    records = [hex_record(2, 0, b"\x12\x34"), hex_record(0, 0x20, DATA[:16]), hex_record(1, 0, b"")]
    path.write_text("\n".join(records))
    with pytest.raises(TokayError, match=r"0x00012360\.\.0x00012370 is not in flash"):
        images.read(path)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda text: text.replace(":10", ":11", 1), r"line 2: not a record"),
        (lambda text: text.replace("FF", "FE", 1), r"not a record"),
        (lambda text: "hello\n" + text, r"line 1: not a record"),
        (lambda text: text[: text.rindex(":")], r"no end record"),
        (lambda text: hex_record(9, 0, b"") + "\n" + text, r"record type 9"),
        (lambda text: "\u00e9" + text, r"not an Intel HEX file"),
        (lambda text: ":0000000100FF\n" + text, r"line 1: not a record"),  # its checksum is right
        (lambda text: hex_record(2, 0, b"\1") + "\n" + text, r"line 1: "),
        (lambda text: "\n\n" + text.replace(":10", ":11", 1), r"line 4: not a record"),
        (lambda text: text + text, r"line 7: it goes on behind its end record \(two files in one"),
    ],
)
def test_damaged_hex_is_refused(tmp_path, change, message):
    path = tmp_path / "a.hex"
    path.write_text(change(hex_file([(0x08000000, b"\xff" * 20)])), encoding="utf-8")
    with pytest.raises(TokayError, match=message):
        images.read(path)


def test_bytes_that_are_given_twice_must_be_the_same(tmp_path):
    path = tmp_path / "a.hex"
    first, inner = (0x08010000, DATA), (0x08010010, DATA[0x10:0x30])
    path.write_text(hex_file([first, inner]))
    assert images.read(path) == images.from_bytes("a", *first)
    path.write_text(hex_file([first, (inner[0], bytes(b ^ 1 for b in inner[1]))]))
    there = f"0x08010010 is to be 0x{DATA[16]:02x} and 0x{DATA[16] ^ 1:02x}"
    with pytest.raises(TokayError, match=there):
        images.read(path)


@pytest.mark.parametrize(
    "base, size, message",
    [
        (0x07FFFFF0, 32, "is not in flash"),
        (0x20000000, 32, "is not in flash"),
        (0x0817FFF0, 32, "is not in flash"),
        (0x0FE00000, 32, "is not in flash"),
        (0x0817DFF0, 32, "the last sector"),
        (0x08000000, 0, "nothing in it"),
    ],
)
def test_images_that_do_not_belong(base, size, message):
    with pytest.raises(TokayError, match=message):
        images.from_bytes("x", base, bytes(size))


def test_whole_flash_but_the_last_sector_fits():
    image = images.from_bytes("x", FLASH_BASE, bytes(FLASH_BYTES - SECTOR))
    assert [guard.name for guard in image.guards] == ["user data page", "last sector"]


def test_the_first_sector_is_guarded_and_the_last_one_once():
    second = images.from_bytes("x", FLASH_BASE + SECTOR, b"1")
    assert (FLASH_BASE, SECTOR) in [(guard.address, guard.size) for guard in second.guards]
    last_but_one = images.from_bytes("x", LAST_SECTOR - SECTOR, b"1")
    assert [guard.address for guard in last_but_one.guards].count(LAST_SECTOR) == 1
