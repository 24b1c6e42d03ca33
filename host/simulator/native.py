"""The C simulator's functions and structures, declared for ctypes."""

from __future__ import annotations

import ctypes
import functools
from ctypes import POINTER, byref, c_bool, c_char, c_char_p, c_int, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path

from host import native
from host.errors import TokayError

FOREVER = 2**64 - 1


class Fault(ctypes.Structure):
    """``struct simulator_fault``."""

    _fields_ = (
        ("pc", c_uint32),
        ("address", c_uint32),
        ("cfsr", c_uint32),
        ("exception", c_uint32),
        ("cycles", c_uint64),
        ("text", c_char * 192),
    )


class Status(ctypes.Structure):
    """``struct simulator_status``."""

    _fields_ = (
        ("cycles", c_uint64),
        ("instructions", c_uint64),
        ("sleep_cycles", c_uint64),
        ("time_ps", c_uint64),
        ("core_hz", c_uint64),
        ("pc", c_uint32),
        ("exception", c_uint32),
        ("resets", c_uint32),
        ("i2s_overflows", c_uint32),
        ("audio_position", c_uint64),
        ("frames", c_uint64),
        ("i2s_millihertz", c_uint64),
    )


class Microphone(ctypes.Structure):
    """``struct simulator_microphone``: port and pin of clock, data, word select and power."""

    _fields_ = (("pins", c_uint32 * 8),)


_M = c_void_p
_PROTOTYPES = {
    "simulator_create": (_M, (c_char_p, c_char_p, c_size_t)),
    "simulator_destroy": (None, (_M,)),
    "simulator_reset": (None, (_M,)),
    "simulator_read": (c_bool, (_M, c_uint32, c_char_p, c_size_t)),
    "simulator_write": (c_bool, (_M, c_uint32, c_char_p, c_size_t)),
    "simulator_run": (c_int, (_M, c_uint64, c_uint64)),
    "simulator_call": (
        c_int,
        (_M, c_uint32, POINTER(c_uint32), c_size_t, c_uint32, c_uint64, POINTER(c_uint32)),
    ),
    "simulator_debug_attach": (c_bool, (_M,)),
    "simulator_debug_read": (c_bool, (_M, c_uint32, c_uint32, POINTER(c_uint32))),
    "simulator_debug_write": (c_bool, (_M, c_uint32, c_uint32, c_uint32)),
    "simulator_reset_core": (None, (_M,)),
    "simulator_step": (c_int, (_M,)),
    "simulator_status": (None, (_M, POINTER(Status))),
    "simulator_fault": (c_bool, (_M, POINTER(Fault))),
    "simulator_register": (c_uint32, (_M, c_uint32)),
    "simulator_set_register": (None, (_M, c_uint32, c_uint32)),
    "simulator_uart_give": (c_size_t, (_M, c_uint32, c_char_p, c_size_t)),
    "simulator_uart_take": (c_size_t, (_M, c_uint32, c_char_p, POINTER(c_uint64), c_size_t)),
    "simulator_set_audio": (None, (_M, c_void_p, c_size_t, c_uint32, c_bool, c_uint64)),
    "simulator_set_microphone": (None, (_M, POINTER(Microphone))),
    "simulator_pin_mode": (c_uint32, (_M, c_uint32, c_uint32)),
    "simulator_pin_output": (c_uint32, (_M, c_uint32, c_uint32)),
    "simulator_pin_drive": (None, (_M, c_uint32, c_uint32, c_uint32)),
    "simulator_profile": (None, (_M, c_uint32, c_uint32, POINTER(c_uint64))),
    "simulator_profile_clear": (None, (_M,)),
    "simulator_block_cost": (c_uint32, (c_char_p, c_uint32, POINTER(c_uint32))),
    "simulator_peek": (c_bool, (_M, c_uint32, POINTER(c_uint32))),
    "simulator_set_mvp_timing": (None, (_M, c_int)),
    "simulator_set_mvp_idle_lag": (None, (_M, c_uint32)),
    "simulator_remove_mvp": (None, (_M,)),
    "simulator_set_crystal": (None, (_M, c_uint32)),
}


@functools.cache
def functions() -> ctypes.CDLL:
    """The native library with the simulator's prototypes set."""
    return native.declared(_PROTOTYPES)


def unicorn_path() -> str:
    """Where the Unicorn package keeps its library."""
    try:
        import unicorn
    except ImportError as error:
        raise TokayError("the unicorn package is not installed", hint="run: make setup") from error
    folder = Path(unicorn.__file__).resolve().parent / "lib"
    for pattern in ("libunicorn.so*", "libunicorn*.dylib"):
        for path in sorted(folder.glob(pattern)):
            return str(path)
    raise TokayError(f"no libunicorn in {folder}", hint="reinstall the unicorn package")


def create() -> int:
    """A new machine, as a handle."""
    text = ctypes.create_string_buffer(256)
    handle = functions().simulator_create(unicorn_path().encode(), text, len(text))
    if not handle:
        raise TokayError(f"the simulator does not start: {text.value.decode(errors='replace')}")
    return handle


def block_cost(code: bytes) -> tuple[int, int]:
    """Estimated cycles and instructions of straight code."""
    count = c_uint32()
    cycles = functions().simulator_block_cost(code, len(code), byref(count))
    return cycles, count.value


__all__ = ["FOREVER", "Fault", "Microphone", "Status", "block_cost", "create", "functions", "unicorn_path"]
