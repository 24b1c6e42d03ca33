"""Finds and loads the shared library that holds the firmware's C compiled for this PC.

Looked for in this order: ``TOKAY_NATIVE`` (a path to the library, for sanitizer builds), the
installed package, ``build/native`` of the source tree.
"""

from __future__ import annotations

import ctypes
import functools
import os
from pathlib import Path

from host.errors import TokayError

_NAME = "libtokay_native.so"


def library_path() -> Path:
    """Path of the shared library; raises TokayError with what to run if it has not been built."""
    override = os.environ.get("TOKAY_NATIVE")
    if override:
        if not Path(override).is_file():
            raise TokayError(f"TOKAY_NATIVE={override}: no such file", hint="unset it or build the library")
        return Path(override)
    here = Path(__file__).resolve().parent
    for candidate in (here / "_native" / _NAME, here.parent / "build" / "native" / _NAME):
        if candidate.is_file():
            return candidate
    raise TokayError("the native library has not been built", hint="run: make setup")


@functools.cache
def library() -> ctypes.CDLL:
    """The loaded library. Each module that wraps a part of it declares its own prototypes."""
    return ctypes.CDLL(str(library_path()))
