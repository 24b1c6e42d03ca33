"""Model images in the flash of a chip: what is there, and which slot the next one goes to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from host import model_layout
from host.errors import TokayError
from host.flashing import images, programmer
from host.flashing.reset import stop_at_reset
from host.memory_map import FLASH_BASE, SLOT_NAMES, SLOTS
from host.model_image import ModelImage

_START_BYTES = 4096


@dataclass(frozen=True)
class Placed:
    """Where a model has gone."""

    slot: int
    sequence: int
    outcome: programmer.Outcome

    @property
    def name(self) -> str:
        return SLOT_NAMES[self.slot]


def place(target: Any, model: ModelImage, progress: Callable[[int, int], None]) -> Placed:
    """Writes a model to the slot that is not needed, after a look whether the firmware will take it."""
    stop_at_reset(target)
    taker = model_layout.find_taker(programmer.read_block(target, FLASH_BASE, _START_BYTES))
    model_layout.check(taker, model.kernels, model.memory_bytes)
    headers = {slot: _header(target, slot) for slot in SLOTS}
    slot = choose(headers)
    sequence = 1 + max((header.sequence for header in headers.values() if header), default=0)
    if sequence > 0xFFFFFFFF:
        raise TokayError("the models' sequence numbers are used up", hint="flash the firmware again")
    image = images.from_bytes(model.name, slot, model.sealed(slot, sequence))
    outcome = programmer.program(target, replace(image, begins_at=slot), progress)
    return Placed(slot, sequence, outcome)


def _header(target: Any, slot: int) -> model_layout.Header | None:
    """The header of a slot whose contents are whole and of the firmware's layout."""
    header = model_layout.read_header(programmer.read_block(target, slot, 64))
    if header is None or header.bytes > SLOTS[slot] or header.layout != model_layout.layout():
        return None
    data = programmer.read_block(target, slot, (header.bytes + 3) & ~3)
    return header if model_layout.is_whole(header, data) else None


def choose(headers: dict[int, model_layout.Header | None]) -> int:
    """The slot to write: any but that of the newest proven model, to which the firmware returns."""
    proven = {slot: header.sequence for slot, header in headers.items() if header and header.is_proven}
    kept = max(proven, key=lambda slot: proven[slot], default=None)
    return next(slot for slot in headers if slot != kept)
