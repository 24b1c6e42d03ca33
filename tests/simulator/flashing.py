"""What tests of flashing share: images that say that they run, and putting them onto a chip."""

from __future__ import annotations

import random

from host.flashing import connection, images, programmer, target
from host.flashing.simulated_probe import SimulatedProbe
from host.memory_map import FLASH_BASE, FLASH_BYTES, SECTOR, USER_DATA, USER_DATA_BYTES
from host.simulator.machine import Machine, SimulatorFault

PART = target.PARTS[0]
MARKER = 0x20001000  # where the test images say that they run


def silent(done: int, steps: int) -> None:
    """Progress that nobody watches."""


def bootable(marker: int, size: int = SECTOR + 5000) -> bytes:
    """An image that stores ``marker`` at MARKER and waits; the rest is noise."""
    code = bytes.fromhex("0148 0249 0160 fee7".replace(" ", ""))  # ldr r0, =MARKER; ldr r1, =marker; str; b .
    head = [0x20040000, FLASH_BASE + 9]
    words = b"".join(word.to_bytes(4, "little") for word in (MARKER, marker))
    start = b"".join(word.to_bytes(4, "little") for word in head) + code + words
    return start + random.Random(marker).randbytes(size - len(start))


def image_of(data: bytes) -> images.FlashImage:
    return images.from_bytes("test", FLASH_BASE, data)


def flash(
    machine: Machine, data: bytes, **probe_options: object
) -> tuple[programmer.Outcome, SimulatedProbe]:
    probe = SimulatedProbe(machine, **probe_options)
    with connection.connect(probe, PART) as chip:
        outcome = programmer.program(chip, image_of(data), silent)
    return outcome, probe


def runs(machine: Machine) -> int | None:
    """The marker of the image that starts after power-on, None if none does."""
    machine.reset()
    machine.write(MARKER, bytes(4))
    try:
        machine.run(0.0002)
    except SimulatorFault:
        return None
    return int.from_bytes(machine.read(MARKER, 4), "little") or None


def everything(machine: Machine) -> bytes:
    """Flash and the user data page."""
    flash = machine.read(FLASH_BASE, FLASH_BYTES)
    return flash + machine.read(USER_DATA, USER_DATA_BYTES)
