"""Writes an image through a pyOCD target, so that a cut of power at any moment leaves either a whole image
or one that does not start.

The order: the sector with the vector table is erased first; all else is erased and written, and read back;
then that sector is written but for its first eight bytes, the initial stack pointer and the reset vector;
those come last. Sectors that are as they should be already are left alone.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyocd.core import exceptions
from pyocd.flash.flash import Flash

from host.errors import TokayError
from host.flashing import algorithm
from host.flashing.images import FlashImage, Guard
from host.flashing.reset import stop_at_reset
from host.flashing.target import BROKEN
from host.memory_map import SECTOR

_VECTOR_BYTES = 8
_BLANK = b"\xff" * SECTOR


@dataclass(frozen=True)
class Outcome:
    """What was done."""

    bytes: int
    sectors: int
    sectors_written: int
    bytes_written: int
    guards: tuple[str, ...]
    seconds: float


def read_block(target: Any, address: int, size: int) -> bytes:
    """Memory through the debug port."""
    words = target.read_memory_block32(address, size // 4)
    return b"".join(word.to_bytes(4, "little") for word in words)


def program(target: Any, image: FlashImage, progress: Callable[[int, int], None]) -> Outcome:
    """Flashes, verifies and compares what was not to change. The core is left halted."""
    start = time.monotonic()
    stop_at_reset(target)
    guarded = {guard: read_block(target, guard.address, guard.size) for guard in image.guards}
    changed = [a for a, data in image.sectors.items() if read_block(target, a, SECTOR) != data]
    written = 0
    if changed:
        first = image.boots_from
        if first is not None and first not in changed:
            changed.insert(0, first)
        written = _write(target, image, changed, first, progress)
    _compare(target, guarded)
    return Outcome(
        bytes=image.used_bytes,
        sectors=len(image.sectors),
        sectors_written=len(changed),
        bytes_written=written,
        guards=tuple(f"{guard.name} 0x{guard.address:08x}" for guard in guarded),
        seconds=time.monotonic() - start,
    )


def _write(
    target: Any,
    image: FlashImage,
    changed: list[int],
    first: int | None,
    progress: Callable[[int, int], None],
) -> int:
    flash = _flash_of(target, changed)
    order = ([first] if first is not None else []) + [a for a in changed if a != first]
    steps, done = 2 * len(order), 0
    try:
        flash.init(Flash.Operation.ERASE)
        for address in order:
            flash.erase_sector(address)
            done += 1
            progress(done, steps)
        flash.init(Flash.Operation.PROGRAM)
        written = 0
        for address in order[0 if first is None else 1 :]:
            written += _program(flash, address, image.sectors[address])
            done += 1
            progress(done, steps)
        flash.uninit()
        for address, data in image.sectors.items():
            if address != first:
                _verify(target, address, data)
        if first is not None:
            written += _write_first(target, flash, first, image.sectors[first])
            progress(steps, steps)
        return written
    except exceptions.FlashFailure as error:
        hint = "flash again; the image does not start until it is whole"
        raise TokayError(_explain(error), hint=hint) from error
    finally:
        _close(flash)


def _close(flash: Flash) -> None:
    with contextlib.suppress(*BROKEN):  # the failure that brought us here says more
        flash.cleanup()


def _flash_of(target: Any, addresses: list[int]) -> Flash:
    """The flash with all of these sectors."""
    regions = {address: target.memory_map.get_region_for_address(address) for address in addresses}
    first = regions[addresses[0]]
    for address, region in regions.items():
        if region is None or not region.is_flash or region.flash is None:
            raise TokayError(f"the target has no flash at 0x{address:08x}", hint="give another --pack")
        if region is not first:
            text = f"the image is in two of the target's flash regions, the second with 0x{address:08x}"
            raise TokayError(text, hint="flash its parts one after the other")
        size = region.flash.get_sector_info(address).size
        if size != SECTOR:
            text = f"the target's sectors are of {size} bytes, not {SECTOR}"
            raise TokayError(text, hint="give another --pack")
    return first.flash


def _program(flash: Flash, address: int, data: bytes) -> int:
    """Writes a sector in the target's pages, the one with vectors last; blank pages are left out."""
    size = flash.get_page_info(address).size
    written = 0
    for offset in reversed(range(0, SECTOR, size)):
        page = data[offset : offset + size]
        if page != _BLANK[: len(page)]:
            flash.program_page(address + offset, page)
            written += len(page)
    return written


def _write_first(target: Any, flash: Flash, address: int, data: bytes) -> int:
    """The sector that makes the image start, its vectors last."""
    flash.init(Flash.Operation.PROGRAM)
    if flash.minimum_program_length > _VECTOR_BYTES:  # an algorithm that writes pages only
        written = _program(flash, address, data)
    else:
        page = min(flash.get_page_info(address).size, SECTOR)
        flash.program_phrase(address + _VECTOR_BYTES, data[_VECTOR_BYTES:page])
        written = page + sum(_program_page(flash, address, data, o, page) for o in range(page, SECTOR, page))
        _verify(target, address + _VECTOR_BYTES, data[_VECTOR_BYTES:])
        flash.program_phrase(address, data[:_VECTOR_BYTES])
    flash.uninit()
    _verify(target, address, data)
    return written


def _program_page(flash: Flash, address: int, data: bytes, offset: int, size: int) -> int:
    flash.program_page(address + offset, data[offset : offset + size])
    return size


def _verify(target: Any, address: int, data: bytes) -> None:
    found = read_block(target, address, len(data))
    if found != data:
        where = next(i for i in range(len(data)) if found[i] != data[i])
        raise TokayError(
            f"0x{address + where:08x} reads 0x{found[where]:02x}, 0x{data[where]:02x} was written",
            hint="flash again; if it stays so, the flash is worn out",
        )


def _compare(target: Any, guarded: dict[Guard, bytes]) -> None:
    for guard, before in guarded.items():
        if read_block(target, guard.address, guard.size) != before:
            raise TokayError(f"the {guard.name} at 0x{guard.address:08x} has changed, which must not happen")


def _explain(error: exceptions.FlashFailure) -> str:
    code = getattr(error, "result_code", None)
    address = getattr(error, "address", None)
    where = "" if address is None else f" at 0x{address:08x}"
    reason = algorithm.reason(code) if code is not None else None
    return f"flashing failed{where}: {reason or error}"
