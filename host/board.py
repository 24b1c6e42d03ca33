"""Boards: reads boards/NAME/board.toml and writes the header that the firmware is built with."""

from __future__ import annotations

import argparse
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from host.errors import TokayError
from host.memory_map import RAM_BYTES
from host.places import SOURCES

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib  # type: ignore[no-redef]

BOARDS = SOURCES / "boards"
DEFAULT = "brd2601b"
_PIN = re.compile(r"P([A-D])(\d|[1-9]\d)")
_TEXT = re.compile(r"[ -!#-\[\]-~]{1,24}")  # in a C string, and in a message of the link
_PIN_NAME = None  # stands for a pin where other fields have their least and greatest value
_U32 = 2**32 - 1
_LEAST_BAUD = 9600  # slower, a frame takes longer than commands wait for its answer
_FIELDS: dict[str, dict[str, tuple[int, int] | None]] = {
    "clocks": {"hfxo_hz": (1, _U32), "hfxo_ctune": (0, 255), "core_hz": (1, _U32)},
    "memory": {"stack_bytes": (8, RAM_BYTES)},
    "vcom": {"tx": _PIN_NAME, "rx": _PIN_NAME, "baud": (_LEAST_BAUD, 2_000_000)},
    "microphone": {
        "clock": _PIN_NAME, "data": _PIN_NAME, "word_select": _PIN_NAME, "power": _PIN_NAME,
        "wake_up_frames": (0, _U32), "minimum_hz": (1, _U32), "maximum_hz": (1, _U32),
    },
    "leds": {"level_on": (0, 1), "detected": _PIN_NAME, "activity": _PIN_NAME, "fault": _PIN_NAME},
}  # fmt: skip
_OPTIONAL = ("microphone",)
_PINS = {"A": 10, "B": 6, "C": 10, "D": 6}  # of a port, on the packages of this family that have most
_CORE_HZ = (72_600_000, 78_000_000)  # the band that clocks.c tunes the oscillator to, up to what the chip may
_BITS_A_FRAME = 64
_HEAD = ("name", "description", "chip", "part", "accelerator")


@dataclass(frozen=True)
class Board:
    """One board's description; `sections` holds its tables as they stand in board.toml."""

    key: str
    name: str
    chip: str
    part: str
    accelerator: str
    sections: dict[str, dict[str, Any]]

    @property
    def stack_bytes(self) -> int:
        return int(self.sections["memory"]["stack_bytes"])

    @property
    def has_microphone(self) -> bool:
        return "microphone" in self.sections

    @property
    def baud(self) -> int:
        """Bits a second on the serial port of its debugger."""
        return int(self.sections["vcom"]["baud"])

    def require(self, accelerator: str) -> None:
        """Refuses to run layers on an accelerator ("none" or "mvp") that the board does not have."""
        if accelerator not in ("none", self.accelerator):
            raise TokayError(f"{self.name} has no {accelerator}", hint="use --accelerator none")

    def require_microphone(self, sample_rate_hz: int) -> None:
        """Refuses to listen at a model's rate with a microphone that is not there or does not run at it."""
        if not self.has_microphone:
            raise TokayError(f"{self.name} has no microphone", hint="choose another --board")
        if misfit := self.microphone_misfit(sample_rate_hz):
            raise TokayError(
                misfit,
                hint="train the model for such a rate, or let it hear files: on the PC, or with --device",
            )

    def microphone_misfit(self, sample_rate_hz: int) -> str | None:
        """Why the microphone does not run at a model's rate; None if it does, or if there is none. It is
        clocked by a whole divider of the peripheral bus, 64 bits a sample, as hal_microphone_start has it."""
        if not self.has_microphone:
            return None
        section = self.sections["microphone"]
        lowest, highest = section["minimum_hz"], section["maximum_hz"]
        if not lowest <= sample_rate_hz <= highest:
            return f"the microphone of {self.name} runs at {lowest} to {highest} Hz, not {sample_rate_hz} Hz"
        per_frame = self.sections["clocks"]["core_hz"] // 2 // (2 * _BITS_A_FRAME)
        below = -(-per_frame // sample_rate_hz)  # the divider
        rates = [(per_frame + n // 2) // n for n in (below, below - 1) if n > 0]
        if any(abs(rate - sample_rate_hz) * 100 <= sample_rate_hz for rate in rates):
            return None
        near = " or ".join(map(str, rates))
        return (
            f"the microphone of {self.name} does not run within 1 % of the model's {sample_rate_hz} Hz: the "
            f"nearest are {near} Hz"
        )


def names() -> list[str]:
    """The boards there are."""
    return sorted(path.parent.name for path in BOARDS.glob("*/board.toml"))


def choices() -> str:
    """What ``--board`` takes, for people."""
    return f"{', '.join(names())}, or the path of a board's folder"


def add_option(p: argparse.ArgumentParser, what: str = "one of") -> None:
    """The option ``--board``, of whatever builds, flashes, simulates or talks to one."""
    p.add_argument("--board", default=DEFAULT, help=f"{what}: {choices()} (default: %(default)s)")


def folder(key: str) -> Path:
    """Where a board's files are: boards/KEY, or the folder itself where ``key`` is a path. A name that is in
    boards/ means that one."""
    here = Path(key)
    is_path = os.sep in key or (key not in names() and (here / "board.toml").is_file())
    return here if is_path else BOARDS / key


def load(key: str) -> Board:
    """Reads and checks a board's description; ``key`` is a name in boards/ or the path of such a folder."""
    path = folder(key) / "board.toml"
    if not path.is_file():
        raise TokayError(f"no board called {key!r}", hint=f"boards: {choices()}")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        _check(table)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise TokayError(f"{path}: {error}") from error
    except TokayError as error:
        raise TokayError(f"{path}: {error.message}", hint=error.hint) from error
    sections = {k: v for k, v in table.items() if isinstance(v, dict)}
    name = path.resolve().parent.name
    if not _TEXT.fullmatch(name):
        raise TokayError(f"{path}: the folder's name is not of 1 to 24 plain characters", hint="rename it")
    accelerator = table.get("accelerator", "none")
    return Board(name, table["name"], table["chip"], table["part"], accelerator, sections)


def _check(table: dict[str, Any]) -> None:
    """Refuses a description that the firmware could not be built with, or would not run with."""
    for name in table:
        if name not in _HEAD and name not in _FIELDS:
            raise TokayError(f"{name} is not known", hint=f"there is {', '.join([*_HEAD, *_FIELDS])}")
    for name in ("name", "chip", "part"):
        value = table.get(name)
        if not isinstance(value, str) or not _TEXT.fullmatch(value):
            raise TokayError(f"{name} must be a text of 1 to 24 plain characters")
    if not (SOURCES / "firmware" / "chips" / table["chip"] / "toolchain.cmake").is_file():
        raise TokayError(f"chip = {table['chip']!r}: there is no such folder in firmware/chips")
    if table.get("accelerator", "none") not in ("none", "mvp"):
        raise TokayError(f"accelerator = {table['accelerator']!r}: none or mvp")
    for name, wanted in _FIELDS.items():
        if name in table or name not in _OPTIONAL:
            _check_section(name, table.get(name), wanted)
    _check_clocks(table["clocks"])
    _check_pins(table)


def _check_section(name: str, section: Any, wanted: dict[str, tuple[int, int] | None]) -> None:
    if not isinstance(section, dict) or section.keys() != wanted.keys():
        raise TokayError(f"it needs a section [{name}] with {', '.join(wanted)} and nothing else")
    for key, limits in wanted.items():
        value = section[key]
        if limits is _PIN_NAME:
            pin(value)
        elif type(value) is not int or not limits[0] <= value <= limits[1]:
            raise TokayError(f"{name}.{key} = {value!r} is not a number from {limits[0]} to {limits[1]}")


def _check_clocks(clocks: dict[str, int]) -> None:
    """Refuses a core clock that is not the one that clocks.c makes, or that it cannot make."""
    made, (lowest, highest) = 2 * clocks["hfxo_hz"], _CORE_HZ
    if not lowest <= made <= highest:
        raise TokayError(
            f"clocks.hfxo_hz = {clocks['hfxo_hz']}: the core runs at twice that, which must be {lowest} to "
            f"{highest} Hz"
        )
    if clocks["core_hz"] != made:
        raise TokayError(f"clocks.core_hz = {clocks['core_hz']} is not twice hfxo_hz, {made}")


def _check_pins(table: dict[str, Any]) -> None:
    """Refuses a pin with two jobs; two LEDs may be one."""
    jobs: dict[tuple[int, int], str] = {}
    for name, wanted in _FIELDS.items():
        for key in (key for key in wanted if name in table and wanted[key] is _PIN_NAME):
            job, text = f"{name}.{key}", table[name][key]
            other = jobs.setdefault(pin(text), job)
            if other != job and not (name == "leds" and other.startswith("leds.")):
                raise TokayError(f"{text} is both {other} and {job}")


def pin(text: Any) -> tuple[int, int]:
    """'PA5' to its port and pin numbers, (0, 5)."""
    match = _PIN.fullmatch(text) if isinstance(text, str) else None
    if match is None or int(match[2]) >= _PINS[match[1]]:
        ranges = ", ".join(f"P{port}0 to P{port}{count - 1}" for port, count in _PINS.items())
        raise TokayError(f"{text!r} is not a pin", hint=f"pins are {ranges}")
    return ord(match[1]) - ord("A"), int(match[2])


def header(board: Board) -> str:
    """The text of board_config.h."""
    lines = [
        f"/* Generated from the board.toml of {board.key}. */",
        "#ifndef TOKAY_BOARD_CONFIG_H",
        "#define TOKAY_BOARD_CONFIG_H",
        f'#define BOARD_KEY "{board.key}"',
        f'#define BOARD_NAME "{board.name}"',
        f'#define BOARD_PART "{board.part}"',
        f"#define BOARD_HAS_MVP {int(board.accelerator == 'mvp')}",
        f"#define BOARD_HAS_MICROPHONE {int(board.has_microphone)}",
        f"#define BOARD_HFXO_HZ {board.sections['clocks']['hfxo_hz']}u",
        f"#define BOARD_HFXO_CTUNE {board.sections['clocks']['hfxo_ctune']}u",
    ]
    prefixes = {"vcom": "VCOM", "microphone": "MICROPHONE", "leds": "LED"}
    for section, prefix in prefixes.items():
        for key, value in board.sections.get(section, {}).items():
            name = f"BOARD_{prefix}_{key.upper()}"
            if isinstance(value, str):
                port, number = pin(value)
                lines += [f"#define {name}_PORT {port}u", f"#define {name}_PIN {number}u"]
            else:
                lines.append(f"#define {name} {int(value)}u")
    lines.append("#endif")
    return "\n".join(lines) + "\n"
