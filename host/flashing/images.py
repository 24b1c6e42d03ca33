"""What is to be flashed: an ELF, Intel HEX or binary file as whole sectors, checked against the chip."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from host import model_layout
from host.errors import TokayError
from host.memory_map import (
    FLASH_BASE,
    FLASH_BYTES,
    LAST_SECTOR,
    RAM_BASE,
    RAM_BYTES,
    SECTOR,
    SLOTS,
    USER_DATA,
    USER_DATA_BYTES,
)
from host.simulator.image import read_image


@dataclass(frozen=True)
class Guard:
    """Flash that must come out as it went in."""

    name: str
    address: int
    size: int


@dataclass(frozen=True)
class FlashImage:
    """Whole sectors by address, 0xFF where the image has nothing."""

    sectors: dict[int, bytes]
    used_bytes: int  # of the image, each counted once
    begins_at: int = FLASH_BASE

    @property
    def boots_from(self) -> int | None:
        """The sector whose first words make the image one that starts, if the image has it: that of the
        vector table, or a model image's first."""
        return self.begins_at if self.begins_at in self.sectors else None

    @property
    def guards(self) -> tuple[Guard, ...]:
        """The neighbours of every run of sectors, the chip's last sector and its user data page."""
        found = [Guard("user data page", USER_DATA, USER_DATA_BYTES)]
        for address in sorted(self.sectors):
            for neighbour, where in ((address - SECTOR, "before"), (address + SECTOR, "behind")):
                if FLASH_BASE <= neighbour < LAST_SECTOR and neighbour not in self.sectors:
                    found.append(Guard(f"sector {where} the image", neighbour, SECTOR))
        found.append(Guard("last sector", LAST_SECTOR, SECTOR))
        return tuple(found)


def read(path: Path | str, base: int = FLASH_BASE) -> FlashImage:
    """Reads an image; ``base`` is where a file without addresses (.bin) goes."""
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".bin":
        try:
            pieces = [(base, path.read_bytes())]
        except OSError as error:
            raise TokayError(f"cannot read {path}: {error.strerror}") from error
    elif suffix == ".hex":
        pieces = _read_hex(path)
    else:
        pieces = [(segment.stored, segment.data) for segment in read_image(path).segments if segment.data]
    image = _sectors(str(path), pieces)
    _check_vectors(str(path), image)
    return image


def from_bytes(name: str, address: int, data: bytes) -> FlashImage:
    """Bytes for one address."""
    return _sectors(name, [(address, data)])


def with_blank(image: FlashImage, addresses: Iterable[int]) -> FlashImage:
    """The image, and the sectors at these addresses blank."""
    blank = dict.fromkeys(addresses, b"\xff" * SECTOR)
    return replace(image, sectors=dict(sorted({**image.sectors, **blank}.items())))


def firmware_image(image: FlashImage) -> FlashImage:
    """Firmware that takes models comes with empty slots, so that its own model runs until another comes."""
    first = image.sectors.get(FLASH_BASE)
    if first is None or model_layout.find_taker(first) is None:
        return image
    return with_blank(image, (slot for slot in SLOTS if slot not in image.sectors))


def to_hex(image: FlashImage) -> str:
    """Its sectors as Intel HEX."""
    lines, upper = [], -1
    for address, data in sorted(image.sectors.items()):
        if address >> 16 != upper:
            upper = address >> 16
            lines.append(_hex_record(4, 0, upper.to_bytes(2, "big")))
        for offset in range(0, len(data), 32):
            lines.append(_hex_record(0, address + offset & 0xFFFF, data[offset : offset + 32]))
    return "\n".join([*lines, _hex_record(1, 0, b"")]) + "\n"


def _hex_record(kind: int, address: int, data: bytes) -> str:
    body = bytes([len(data), address >> 8, address & 0xFF, kind]) + data
    return ":" + (body + bytes([-sum(body) & 0xFF])).hex().upper()


def _sectors(name: str, pieces: list[tuple[int, bytes]]) -> FlashImage:
    sectors: dict[int, bytearray] = {}
    given: dict[int, bytearray] = {}  # 1 for each byte that is the image's
    for start, data in pieces:
        if start < FLASH_BASE or start + len(data) > FLASH_BASE + FLASH_BYTES:
            raise TokayError(
                f"{name}: 0x{start:08x}..0x{start + len(data):08x} is not in flash "
                f"(0x{FLASH_BASE:08x}..0x{FLASH_BASE + FLASH_BYTES:08x})",
                hint="the image is for another chip",
            )
        if start + len(data) > LAST_SECTOR:
            raise TokayError(
                f"{name} reaches into the last sector of flash (0x{LAST_SECTOR:08x})",
                hint="that sector is the bootloader's and is never written",
            )
        done = 0
        while done < len(data):
            address = (start + done) & ~(SECTOR - 1)
            offset = start + done - address
            part = data[done : done + SECTOR - offset]
            sector = sectors.setdefault(address, bytearray(b"\xff" * SECTOR))
            known = given.setdefault(address, bytearray(SECTOR))
            for i, byte in enumerate(part, offset):
                if known[i] and sector[i] != byte:
                    raise TokayError(
                        f"{name}: 0x{address + i:08x} is to be 0x{sector[i]:02x} and 0x{byte:02x}",
                        hint="were two images joined that overlap?",
                    )
            sector[offset : offset + len(part)] = part
            known[offset : offset + len(part)] = b"\1" * len(part)
            done += len(part)
    if not sectors:
        raise TokayError(f"{name}: nothing in it to flash")
    used = sum(sum(known) for known in given.values())
    return FlashImage({address: bytes(sectors[address]) for address in sorted(sectors)}, used)


def _check_vectors(name: str, image: FlashImage) -> None:
    """Refuses what would take the place of the vector table and is none, before anything is erased for it."""
    first = image.sectors.get(FLASH_BASE)
    if first is None:
        return
    stack, reset = struct.unpack_from("<II", first)
    if not RAM_BASE < stack <= RAM_BASE + RAM_BYTES or not reset & 1 or reset & -SECTOR not in image.sectors:
        raise TokayError(
            f"{name}: no vector table at 0x{FLASH_BASE:08x} (stack pointer 0x{stack:08x}, reset vector "
            f"0x{reset:08x})",
            hint="the file is no firmware for this chip, or a .bin that needs --base",
        )


def _read_hex(path: Path) -> list[tuple[int, bytes]]:
    """Intel HEX: records of length, address, type, data and a checksum."""
    try:
        lines = [line.strip() for line in path.read_text("ascii").splitlines()]
    except OSError as error:
        raise TokayError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TokayError(f"{path}: not an Intel HEX file") from error
    pieces: list[tuple[int, bytes]] = []
    upper, ended = 0, False
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        if ended:
            raise TokayError(
                f"{path}, line {number}: it goes on behind its end record",
                hint="two files in one? Flash them one after the other, or merge them with a tool for that",
            )
        try:
            record = bytes.fromhex(line[1:]) if line.startswith(":") else b""
        except ValueError:
            record = b""
        if len(record) < 5 or len(record) != record[0] + 5 or sum(record) & 0xFF:
            raise TokayError(f"{path}, line {number}: not a record of Intel HEX", hint="the file is damaged")
        address, kind, data = int.from_bytes(record[1:3], "big"), record[3], record[4:-1]
        if kind == 0:
            pieces.append((upper + address, data))
        elif kind == 1:
            ended = True
        elif kind in (2, 4) and len(data) == 2:
            upper = int.from_bytes(data, "big") << (4 if kind == 2 else 16)
        elif kind not in (3, 5):
            raise TokayError(f"{path}, line {number}: record type {kind} is not known")
    if not ended:
        raise TokayError(f"{path}: no end record", hint="the file is incomplete")
    return pieces
