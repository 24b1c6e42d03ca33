"""Stops a chip's core at the first instruction after a reset.

Chips of this family do not stop for the vector catch of a reset, which is how pyOCD does it: their core comes
out of reset under the secure engine's control, and runs what is in flash. They stop at a breakpoint that was
set on the reset vector before. A chip without one (blank, or flashed by half) locks up at once instead, and a
core that is locked up can be halted where it is.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from pyocd.core import exceptions

from host.memory_map import FLASH_BASE, FLASH_BYTES

_STOPS_S = 1.0
_POLL_S = 0.01


def stop_at_reset(chip: Any) -> None:
    """Resets a connected pyOCD target and leaves its core halted.

    Raises:
        pyocd.core.exceptions.DebugError: the core could not be stopped; it runs.
    """
    core = chip.selected_core_or_raise
    core.set_reset_catch()  # halts it; where a chip does obey the vector catch, so much the better
    try:
        with _breakpoint(core, core.read32(FLASH_BASE + 4)):
            core.reset()
            end = time.monotonic() + _STOPS_S
            while (state := core.get_state()) not in (core.State.HALTED, core.State.LOCKUP):
                if time.monotonic() >= end:
                    break
                time.sleep(_POLL_S)
            if state == core.State.LOCKUP:
                core.halt()
        if not core.is_halted():
            raise exceptions.DebugError("the core does not stop at reset")
    finally:
        core.clear_reset_catch()


@contextlib.contextmanager
def _breakpoint(core: Any, vector: int) -> Iterator[None]:
    """A hardware breakpoint on the code that a reset vector points to, if it points into flash."""
    unit = core.fpb
    found = None
    if unit is not None and vector & 1 and vector - FLASH_BASE in range(FLASH_BYTES):
        found = unit.set_breakpoint(vector & ~1)
    try:
        yield
    finally:
        if found is not None:
            unit.remove_breakpoint(found)
