"""What the simulator needs to know of an ELF image: its bytes, symbols and source lines."""

from __future__ import annotations

import bisect
import functools
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from host.errors import TokayError

_LOADED = "PT_LOAD"


@dataclass(frozen=True)
class Segment:
    """Bytes of the image: where they are stored and where they are used (they differ for .data)."""

    stored: int
    used: int
    data: bytes
    memory_size: int


@dataclass(frozen=True)
class Symbol:
    """A function or variable; ``size`` may be 0 for labels of assembly code."""

    name: str
    address: int
    size: int
    is_function: bool


@dataclass(frozen=True)
class Image:
    """An ELF file for the chip, read once."""

    path: Path
    segments: tuple[Segment, ...]
    symbols: dict[str, Symbol]

    @functools.cached_property
    def _functions(self) -> tuple[list[int], list[Symbol]]:
        functions = sorted((s for s in self.symbols.values() if s.is_function), key=lambda s: s.address)
        return [s.address for s in functions], functions

    def function_at(self, address: int) -> str:
        """Name of the function that covers an address, or its hexadecimal value."""
        addresses, functions = self._functions
        i = bisect.bisect_right(addresses, address) - 1
        if i >= 0:
            symbol = functions[i]
            end = symbol.address + symbol.size if symbol.size else [*addresses, address + 1][i + 1]
            if address < end:
                return symbol.name
        return f"0x{address:08x}"

    @functools.cached_property
    def _lines(self) -> tuple[list[int], list[tuple[str, int] | None]]:
        rows: list[tuple[int, tuple[str, int] | None]] = []
        try:
            with self.path.open("rb") as stream:
                elf = ELFFile(stream)
                if elf.has_dwarf_info():
                    dwarf = elf.get_dwarf_info()
                    for unit in dwarf.iter_CUs():
                        rows.extend(_line_rows(dwarf.line_program_for_CU(unit)))
        except Exception:
            # The file is gone, or its debug information is damaged or newer than the library, which has many
            # ways of saying so. It is the firmware's fault that is told: better without its line than not.
            pass
        rows.sort(key=lambda row: (row[0], row[1] is not None))
        return [row[0] for row in rows], [row[1] for row in rows]

    def line_at(self, address: int) -> str:
        """``file:line`` of an address, or an empty string where the image does not say."""
        if self.function_at(address) not in self.symbols:
            return ""  # no code: the line before it, or of a function that was not linked, is not its own
        addresses, lines = self._lines
        i = bisect.bisect_right(addresses, address) - 1
        found = lines[i] if i >= 0 else None
        return f"{found[0]}:{found[1]}" if found else ""


def _line_rows(program) -> list[tuple[int, tuple[str, int] | None]]:
    if program is None:
        return []
    version5 = program.header.version >= 5
    files = program["file_entry"]
    rows: list[tuple[int, tuple[str, int] | None]] = []
    for entry in program.get_entries():
        state = entry.state
        if state is None:
            continue
        if state.end_sequence:
            rows.append((state.address, None))
            continue
        index = state.file if version5 else state.file - 1
        name = files[index].name.decode(errors="replace") if 0 <= index < len(files) else "?"
        rows.append((state.address, (Path(name).name, state.line)))
    return rows


def read_image(path: Path | str) -> Image:
    """Reads an ELF file; raises TokayError if it is none for an Arm core."""
    path = Path(path)
    try:
        with path.open("rb") as stream:
            elf = ELFFile(stream)
            if elf["e_machine"] != "EM_ARM":
                raise TokayError(f"{path}: not an image for Arm", hint="give the .elf that host.build wrote")
            if elf["e_type"] != "ET_EXEC":
                raise TokayError(f"{path}: not a linked program", hint="give the .elf that host.build wrote")
            segments = tuple(
                Segment(s["p_paddr"], s["p_vaddr"], s.data(), s["p_memsz"])
                for s in elf.iter_segments()
                if s["p_type"] == _LOADED and s["p_memsz"] > 0
            )
            symbols: dict[str, Symbol] = {}
            table = elf.get_section_by_name(".symtab")
            for symbol in table.iter_symbols() if table else ():
                kind = symbol["st_info"]["type"]
                if not symbol.name or symbol.name.startswith("$") or kind in ("STT_FILE", "STT_SECTION"):
                    continue
                function = kind == "STT_FUNC"
                address = symbol["st_value"] & ~1 if function else symbol["st_value"]
                known = symbols.get(symbol.name)
                if known is None or symbol["st_info"]["bind"] == "STB_GLOBAL":
                    symbols[symbol.name] = Symbol(symbol.name, address, symbol["st_size"], function)
            return Image(path, segments, symbols)
    except OSError as error:
        raise TokayError(f"{path}: {error.strerror}") from error
    except ELFError as error:
        raise TokayError(f"{path}: not an ELF file ({error})", hint="give host.build's .elf") from error
