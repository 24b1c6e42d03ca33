"""What a model image and a firmware that takes one must agree in: the structures, by a hash of the headers
that define them, the image's header and what the firmware says of itself (firmware/app/model_slots.h)."""

from __future__ import annotations

import dataclasses
import functools
import re
import struct
import zlib
from dataclasses import dataclass

from codegen.plan import KERNELS
from host.errors import TokayError
from host.places import SOURCES

# To be raised when constants get another meaning in structures that stay as they are.
REVISION = 1
PROOF_INFERENCES = 10  # MODEL_PROOF_INFERENCES
MAGIC = 0x314D4B54
BLANK = 0xFFFFFFFF
OPTIONAL_KERNELS = ("mvp",)  # what a firmware can be without; it has all others of its layout
_FIRMWARE = SOURCES / "firmware"
_HEADERS = (  # and the reader of the accelerator's programs, whose form no header describes
    "app/model.h", "detector/detector.h", "frontend/frontend_config.h", "nn/nn.h", "nn/nn_kernels.h",
    "nn/nn_kernels.def", "nn/weights.h", "nn/quantization.h", "nn/kernels/mvp/nn_mvp.h",
    "nn/kernels/mvp/mvp.c",
)  # fmt: skip
_HEADER = struct.Struct("<9I")
_CHECKED_FROM = 16  # the CRC covers what follows the words that the firmware writes
_TAKER = struct.Struct("<8s3I")
_TAKER_MAGIC = b"TokaySwp"
_TAKER_WITHIN = 4096  # of flash: it follows the vector table


@functools.cache
def layout() -> int:
    """The number that firmware and model image compare. Comments and spaces do not count."""
    crc = zlib.crc32(f"revision {REVISION}".encode())
    for name in _HEADERS:
        text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", (_FIRMWARE / name).read_text(), flags=re.DOTALL)
        crc = zlib.crc32(" ".join(text.split()).encode(), crc)
    return crc


@dataclass(frozen=True)
class Header:
    """The first words of a slot, as they are in flash."""

    magic: int
    crc: int
    tried: int
    proven: int
    layout: int
    address: int
    bytes: int
    sequence: int
    model: int

    @property
    def is_proven(self) -> bool:
        return self.proven == 0


def read_header(data: bytes) -> Header | None:
    """The header that a slot begins with, None where there is none."""
    header = Header(*_HEADER.unpack_from(data))
    return header if header.magic == MAGIC else None


def is_whole(header: Header, data: bytes) -> bool:
    """Whether a slot's bytes are those that were written."""
    return _HEADER.size <= header.bytes <= len(data) and _crc(data[: header.bytes]) == header.crc


def seal(data: bytes, address: int, model: int, sequence: int, *, layout_number: int | None = None) -> bytes:
    """A model image: `data`, linked for `address` with room for the header in front, with that header.
    `model` is the address of its model_t."""
    number = layout() if layout_number is None else layout_number
    header = Header(MAGIC, 0, BLANK, BLANK, number, address, len(data), sequence, model)
    body = _HEADER.pack(*dataclasses.astuple(header)) + data[_HEADER.size :]
    header = dataclasses.replace(header, crc=_crc(body))
    return _HEADER.pack(*dataclasses.astuple(header)) + data[_HEADER.size :]


def _crc(data: bytes) -> int:
    return zlib.crc32(data[_CHECKED_FROM:])


@dataclass(frozen=True)
class Taker:
    """What a firmware takes."""

    layout: int
    optional_kernels: int  # which of OPTIONAL_KERNELS it has, a bit a kernel number
    memory_bytes: int


def find_taker(flash: bytes) -> Taker | None:
    """From the first bytes of flash; None for a firmware that takes no models."""
    where = flash[:_TAKER_WITHIN].find(_TAKER_MAGIC)
    if where < 0 or where + _TAKER.size > len(flash):
        return None
    return Taker(*_TAKER.unpack_from(flash, where)[1:])


def check(taker: Taker | None, kernels: tuple[str, ...], memory_bytes: int) -> None:
    """Raises TokayError where a firmware would refuse a model that needs this."""
    hint = "flash firmware of this version with --swappable first"
    if taker is None:
        raise TokayError("the firmware on the chip takes no models from flash", hint=hint)
    if taker.layout != layout():
        raise TokayError(
            f"the firmware on the chip takes models of layout {taker.layout:08x}, this is {layout():08x}",
            hint=hint,
        )
    optional = [name for name in kernels if name in OPTIONAL_KERNELS]
    missing = [name for name in optional if not taker.optional_kernels >> KERNELS.index(name) & 1]
    if missing:
        raise TokayError(
            f"the firmware on the chip lacks what the model needs: {', '.join(missing)}",
            hint="compile the model with --accelerator none, or flash firmware with --accelerator mvp",
        )
    if memory_bytes > taker.memory_bytes:
        raise TokayError(
            f"the model needs {memory_bytes} bytes of RAM, the firmware on the chip has {taker.memory_bytes}",
            hint="a smaller model, or its --accelerator and --mvp-weights options",
        )
