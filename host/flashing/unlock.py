"""Unlocks a part by having its secure engine erase it: all that is in its flash is lost.

A locked part keeps debuggers away from its core, but its secure engine still takes commands at access port
1, the debug challenge interface: a mailbox of three registers behind the port's address and data registers.
Silicon Labs documents it in AN1303 (the interface and its commands) and AN1190 (what a lock is). Not tried
on silicon yet.
"""

from __future__ import annotations

import time
from typing import Any

from pyocd.core import exceptions

from host.errors import TokayError

_PORT = 1 << 24  # access port 1, as pyOCD's debug port takes addresses
_CSW, _TAR, _DRW = 0x00, 0x04, 0x0C
_CSW_WORDS = 0x22000002  # accesses of 32 bits, the address stays
_WDATA, _RDATA, _STATUS = 0x1000, 0x1004, 0x1008
_WRITE_PENDING, _READ_VALID = 1 << 0, 1 << 8
_ERASE_DEVICE = 0x430F0000
_HEADER_BYTES = 4  # a message begins with its length; in an answer the status is in the upper half
_TAKEN_S, _ERASED_S, _POLL_S = 1.0, 10.0, 0.01
_RESET_S = 0.1
_DISABLED_HINT = (
    "device erase has been switched off in this part for good, or it wants another unlocking; nobody but "
    "whoever locked it can help"
)


def erase_device(debug_port: Any, reset: Any) -> None:
    """Erases a locked part through a connected debug port; ``reset(asserted)`` drives its reset pin."""
    try:
        debug_port.write_ap(_PORT | _CSW, _CSW_WORDS)
        _send(debug_port, (_HEADER_BYTES + 4, _ERASE_DEVICE))
        status = _answer(debug_port, _ERASED_S)
    except exceptions.Error as error:
        raise TokayError(
            f"the secure engine does not answer: {error}",
            hint="unplug the board, plug it in and try again",
        ) from error
    if status != 0:
        raise TokayError(f"the secure engine refuses to erase the part: status {status}", hint=_DISABLED_HINT)
    reset(True)
    time.sleep(_RESET_S)
    reset(False)
    time.sleep(_RESET_S)


def _register(debug_port: Any, address: int) -> int:
    debug_port.write_ap(_PORT | _TAR, address)
    return int(debug_port.read_ap(_PORT | _DRW))


def _wait(debug_port: Any, mask: int, value: int, timeout_s: float) -> None:
    end = time.monotonic() + timeout_s
    while _register(debug_port, _STATUS) & mask != value:
        if time.monotonic() >= end:
            raise exceptions.TimeoutError(f"nothing within {timeout_s:g} s")
        time.sleep(_POLL_S)


def _send(debug_port: Any, words: tuple[int, ...]) -> None:
    for word in words:
        _wait(debug_port, _WRITE_PENDING, 0, _TAKEN_S)
        debug_port.write_ap(_PORT | _TAR, _WDATA)
        debug_port.write_ap(_PORT | _DRW, word)


def _answer(debug_port: Any, timeout_s: float) -> int:
    """The status of an answer, all of which is read."""
    _wait(debug_port, _READ_VALID, _READ_VALID, timeout_s)
    header = _register(debug_port, _RDATA)
    for _ in range(((header & 0xFFFF) - _HEADER_BYTES) // 4):
        _wait(debug_port, _READ_VALID, _READ_VALID, _TAKEN_S)
        _register(debug_port, _RDATA)
    return header >> 16
