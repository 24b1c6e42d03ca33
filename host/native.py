"""Finds and loads the shared library that holds the firmware's C compiled for this PC.

Looked for in this order: ``TOKAY_NATIVE`` (a path to the library, for sanitizer builds), the
installed package, ``build/native`` of the source tree.
"""

from __future__ import annotations

import ctypes
import functools
import os
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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
    """The loaded library. Each module that wraps a part of it has that part's functions ``declared``.

    TokayError where it cannot be loaded: cut off, or made for another machine.
    """
    path = library_path()
    hint = "remove it and run: make setup"
    if not _is_whole(path):
        raise TokayError(f"{path} is cut off or damaged", hint=hint)
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise TokayError(f"{path} cannot be loaded: {error}", hint=hint) from error


def declared(
    prototypes: Mapping[str, tuple[Any, Sequence[Any]]], lib: ctypes.CDLL | None = None
) -> ctypes.CDLL:
    """The loaded library, or another build of its sources, with functions declared: by name, what each
    returns and what it takes."""
    lib = library() if lib is None else lib
    for name, (result, arguments) in prototypes.items():
        function = getattr(lib, name, None)
        if function is None:
            raise outdated()
        function.restype, function.argtypes = result, arguments
    return lib


def outdated() -> TokayError:
    """Of a library that lacks a function, or has structures of other sizes than Python."""
    return TokayError("the native library was built from other sources than these", hint="run: make setup")


def cores() -> int:
    """The processor cores that this process may use, of which ``taskset`` takes some away."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _is_whole(path: Path) -> bool:
    """Whether the file reaches to where its header says that its last table ends, as linkers lay them out.
    The loader does not look: it maps what there is, and the first access past the end ends Python."""
    with path.open("rb") as stream:
        header = stream.read(64)
        size = stream.seek(0, os.SEEK_END)
    if header[:6] != b"\x7fELF\2\1" or len(header) < 64:  # not of 64 bits: the loader says what it is
        return True
    sections, entry_bytes, entries = struct.unpack_from("<40xQ10xHH", header)
    return sections + entry_bytes * entries <= size
