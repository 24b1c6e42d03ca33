"""Boards: reads boards/NAME/board.toml and writes the header that the firmware is built with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from host.errors import TokayError

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib  # type: ignore[no-redef]

ROOT = Path(__file__).resolve().parent.parent
BOARDS = ROOT / "boards"
_PIN = re.compile(r"P([A-D])(\d{1,2})")


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


def names() -> list[str]:
    """The boards there are."""
    return sorted(path.parent.name for path in BOARDS.glob("*/board.toml"))


def load(key: str) -> Board:
    """Reads a board's description."""
    path = BOARDS / key / "board.toml"
    if not path.is_file():
        raise TokayError(f"no board called {key!r}", hint=f"boards: {', '.join(names())}")
    try:
        table = tomllib.loads(path.read_text())
        sections = {k: v for k, v in table.items() if isinstance(v, dict)}
        return Board(
            key, table["name"], table["chip"], table["part"], table.get("accelerator", "none"), sections
        )
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise TokayError(f"{path}: {error}") from error


def pin(text: str) -> tuple[int, int]:
    """'PA5' to its port and pin numbers, (0, 5)."""
    match = _PIN.fullmatch(text)
    if match is None or int(match[2]) > 15:
        raise TokayError(f"board.toml: {text!r} is not a pin", hint="pins are written PA0 to PD15")
    return ord(match[1]) - ord("A"), int(match[2])


def header(board: Board) -> str:
    """The text of board_config.h."""
    lines = [
        f"/* Generated from boards/{board.key}/board.toml. */",
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
