"""A look into the machine that runs an image of conftest.py: its variables, and whether main has returned."""

from __future__ import annotations

import struct

from host.simulator.machine import Machine


def words(machine: Machine, name: str, count: int) -> list[int]:
    """The first words of a variable."""
    return list(struct.unpack(f"<{count}I", machine.read(machine.symbol(name), 4 * count)))


def finish(machine: Machine, seconds: float = 0.2) -> None:
    """Runs the image to the end of its main."""
    assert machine.run_until(lambda: words(machine, "done", 1) == [1], seconds), hex(machine.register(15))
