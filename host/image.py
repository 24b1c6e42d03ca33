"""Board images: from a compiled model and a board to .elf, .bin and .hex, with their sizes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

from host import board as boards
from host import cli
from host.errors import TokayError

ROOT = Path(__file__).resolve().parent.parent
_COMPILER = "arm-none-eabi-gcc"


@dataclass(frozen=True)
class Image:
    """What a build made. Sizes are in bytes."""

    elf: Path
    board: str
    model: str | None
    flash_bytes: int
    ram_bytes: int
    ram_parts: dict[str, int]
    stack_reserved: int

    def as_json(self) -> dict[str, Any]:
        """The result as `--json` gives it."""
        return {
            "elf": str(self.elf),
            "board": self.board,
            "model": self.model,
            "flash_bytes": self.flash_bytes,
            "ram_bytes": self.ram_bytes,
            "ram_parts": self.ram_parts,
            "stack_reserved": self.stack_reserved,
        }


def build(
    model: str | None,
    board: boards.Board,
    output: Path | None = None,
    *,
    accelerator: str = "none",
    verbose: bool = False,
) -> Image:
    """Builds the image of `model` (None: the bring-up image) for `board` in `output`."""
    if shutil.which(_COMPILER) is None:
        raise TokayError(
            f"{_COMPILER} is not installed",
            hint="Debian and Ubuntu: apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi",
        )
    name = Path(model).stem if model else "bringup"
    folder = (output or ROOT / "build" / board.key / name).resolve()
    _write_if_changed(folder / "board" / "board_config.h", boards.header(board))
    _cmake(folder, board, None, verbose)
    return _measure(folder / "tokay.elf", board, name if model else None)


def _write_if_changed(path: Path, text: str) -> None:
    """Leaves the file's time alone where nothing changed, so that nothing is compiled again."""
    if not path.is_file() or path.read_text() != text:
        cli.write_atomic(path, text)


def _cmake(folder: Path, board: boards.Board, model_dir: Path | None, verbose: bool) -> None:
    configure = [
        "cmake", "-S", str(ROOT), "-B", str(folder), "-G", "Ninja",
        f"-DCMAKE_TOOLCHAIN_FILE={ROOT}/firmware/chips/{board.chip}/toolchain.cmake",
        "-DCMAKE_BUILD_TYPE=Release",
        f"-DTOKAY_BOARD_DIR={folder / 'board'}",
        f"-DTOKAY_CHIP={board.chip}",
        f"-DTOKAY_STACK_BYTES={board.stack_bytes}",
        f"-DTOKAY_MODEL_DIR={model_dir or ''}",
    ]  # fmt: skip
    _run(configure, verbose)
    _run(["cmake", "--build", str(folder)], verbose)


def _tool(name: str) -> str:
    """A build tool: from the Python environment, else from PATH."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise TokayError(f"{name} is not installed", hint=f"pip install {name}")
    return found


def _run(command: list[str], verbose: bool) -> None:
    command = [_tool(command[0]), *command[1:]]
    environment = {**os.environ, "PATH": f"{Path(_tool('ninja')).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if verbose:
        print(done.stdout, end="")
    if done.returncode != 0:
        output = (done.stdout + done.stderr).strip().splitlines()
        errors = [line for line in output if re.search(r"\berror\b:|: undefined reference|CMake Error", line)]
        detail = (errors or output)[0 if errors else -1]
        raise TokayError(f"the image did not build: {detail}", hint="--verbose shows the whole output")


def _measure(elf_path: Path, board: boards.Board, model: str | None) -> Image:
    with elf_path.open("rb") as stream:
        elf = ELFFile(stream)
        sizes = {s.name: (s["sh_addr"], s["sh_size"]) for s in elf.iter_sections() if s["sh_flags"] & 2}
        flash = sum(
            size for name, (address, size) in sizes.items() if address < 0x2000_0000 or name == ".data"
        )
    ram = {name.lstrip("."): size for name, (address, size) in sizes.items() if address >= 0x2000_0000}
    return Image(elf_path, board.key, model, flash, sum(ram.values()), ram, board.stack_bytes)


def describe(image: Image) -> str:
    """The lines that end a build."""
    parts = ", ".join(f"{name} {size}" for name, size in image.ram_parts.items() if size)
    return f"{image.elf}\nflash {image.flash_bytes:7d} bytes\nRAM   {image.ram_bytes:7d} bytes ({parts})"
