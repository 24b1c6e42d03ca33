"""The flash algorithm as bytes: compiles it from firmware/chips/efr32mg24/flash_algorithm, keeps the result
in efr32mg24_algorithm.json, and reads that again, so that flashing a board needs no compiler.

``python -m host.flashing.algorithm`` compiles it anew.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.elffile import ELFFile

from host import cli
from host.errors import TokayError
from host.files import write_atomic
from host.places import SOURCES
from host.toolchain import COMPILER, require_compiler

STORED = Path(__file__).resolve().parent / "efr32mg24_algorithm.json"
_CHIP = SOURCES / "firmware" / "chips" / "efr32mg24"
_SOURCES = (
    _CHIP / "flash_algorithm" / "flash_algorithm.c",
    _CHIP / "flash_algorithm" / "flash_algorithm.ld",
    _CHIP / "flash_wait.h",
)
_FLAGS = (
    "-mcpu=cortex-m33", "-mthumb", "-mfloat-abi=soft", "-mgeneral-regs-only", "-std=c11", "-Os", "-fPIC",
    "-ffreestanding", "-nostdlib", "-Wall", "-Wextra", "-Werror",
    "-Wl,--build-id=none", "-Wl,--no-warn-rwx-segments",
)  # fmt: skip
_ENTRIES = ("Init", "UnInit", "EraseSector", "ProgramPage", "Verify")

# What the entry points return, as in flash_algorithm.c: bits of the flash controller, or what reading told.
_REFUSALS = {
    1 << 2: "the address is not in flash",
    1 << 1: "the flash is locked there",
    1 << 6: "the flash controller does not finish",
}
_READ = {0x100: "what was written does not read back", 0x101: "the page is not blank after erasing"}


def reason(code: int) -> str | None:
    """Why an entry point returned ``code``; of several refusals the one that explains the others."""
    refused = (text for bit, text in _REFUSALS.items() if code & bit)
    return next(refused, None) if 0 <= code < min(_READ) else _READ.get(code)


@dataclass(frozen=True)
class Algorithm:
    """Position-independent code and the offsets of its entry points."""

    compiler: str
    sources_sha256: str
    entries: dict[str, int]
    code: bytes

    @property
    def words(self) -> list[int]:
        return [int.from_bytes(self.code[i : i + 4], "little") for i in range(0, len(self.code), 4)]

    def as_json(self) -> str:
        lines = [self.code[i : i + 32].hex() for i in range(0, len(self.code), 32)]
        value = {
            "compiler": self.compiler,
            "sources_sha256": self.sources_sha256,
            "entries": self.entries,
            "code": lines,
        }
        return json.dumps(value, indent=2) + "\n"


def sources_sha256() -> str:
    """Identifies what the algorithm is compiled from; raises TokayError where the sources are not at hand."""
    digest = hashlib.sha256(" ".join(_FLAGS).encode())
    for path in _SOURCES:
        if not path.is_file():
            raise TokayError(f"{path} is not there", hint="run this in a source tree")
        digest.update(path.read_bytes())
    return digest.hexdigest()


def compiler_version() -> str:
    """First line of what the compiler says about itself."""
    done = subprocess.run([COMPILER, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]


def build() -> Algorithm:
    """Compiles the algorithm."""
    require_compiler()
    source, script, _ = _SOURCES
    with tempfile.TemporaryDirectory() as folder:
        elf_path = Path(folder) / "algorithm.elf"
        done = subprocess.run(
            [COMPILER, *_FLAGS, f"-I{_CHIP}", f"-Wl,-T,{script}", str(source), "-o", str(elf_path)],
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise TokayError(f"the flash algorithm does not compile: {done.stderr.strip()}")
        with elf_path.open("rb") as stream:
            elf = ELFFile(stream)
            symbols = {s.name: s["st_value"] & ~1 for s in elf.get_section_by_name(".symtab").iter_symbols()}
            code = elf.get_section_by_name(".code").data()
    return Algorithm(compiler_version(), sources_sha256(), {name: symbols[name] for name in _ENTRIES}, code)


def stored() -> Algorithm:
    """The algorithm that ships."""
    value = json.loads(STORED.read_text())
    return Algorithm(
        value["compiler"], value["sources_sha256"], value["entries"], bytes.fromhex("".join(value["code"]))
    )


def main(argv: Sequence[str]) -> int:
    """Compiles the algorithm and stores it."""
    cli.parser("flashing.algorithm", __doc__.splitlines()[0], json_output=False).parse_args(argv)
    algorithm = build()
    write_atomic(STORED, algorithm.as_json())
    print(f"{STORED}: {len(algorithm.code)} bytes of code")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main))
