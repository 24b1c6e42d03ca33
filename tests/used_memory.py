"""Structures as memory that something else has used leaves them. Not a test itself."""

from __future__ import annotations

import ctypes
from collections.abc import Callable


def used(kind: type[ctypes.Structure]) -> Callable[[], ctypes.Structure]:
    """What makes such structures of a kind, without a byte that is zero."""

    def make() -> ctypes.Structure:
        made = kind()
        ctypes.memset(ctypes.byref(made), 0xA5, ctypes.sizeof(made))
        return made

    return make
