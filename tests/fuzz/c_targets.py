"""Compiles fuzz targets in C and runs them: with libFuzzer where clang is, and with blind random changes."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.places import ROOT

FUZZ = ROOT / "tests" / "fuzz"
_FLAGS = ["-std=c11", "-O1", "-g", "-fno-sanitize-recover=all", "-Wall", "-Wextra", "-Werror"]


@dataclass(frozen=True)
class Target:
    """A program with LLVMFuzzerTestOneInput."""

    sources: list[Path]
    includes: list[Path]
    flags: list[str] = field(default_factory=list)

    def fuzzer(self, program: Path) -> Path:
        """With libFuzzer, which searches for inputs that reach new code; skips without clang."""
        if shutil.which("clang") is None:
            pytest.skip("clang is not installed, which has libFuzzer")
        return self._build("clang", "fuzzer,address,undefined", program)

    def shaker(self, program: Path) -> Path:
        """With blind random changes, which any compiler with sanitizers builds."""
        return self._build("cc", "address,undefined", program, FUZZ / "standalone.c")

    def _build(self, compiler: str, sanitize: str, program: Path, *more: Path) -> Path:
        """Skips where the compiler's runtime for the sanitizers, or its headers, are not installed."""
        includes = [f"-I{folder}" for folder in self.includes]
        command = [compiler, *_FLAGS, f"-fsanitize={sanitize}", *includes, *self.flags, *self.sources, *more]
        done = subprocess.run([*command, "-o", program], capture_output=True, text=True)
        if done.returncode and re.search(r"cannot find|sanitizer/\w+\.h[':]", done.stderr):
            pytest.skip(f"{compiler} has no runtime for -fsanitize={sanitize} here")
        assert done.returncode == 0, done.stderr
        return program


def fuzz(program: Path, corpus: Path, *options: str) -> int:
    """Runs a fuzzer from the files in ``corpus``, to which it adds; returns how many inputs it took."""
    done = subprocess.run(
        [program, corpus, "-seed=4", "-max_len=1500", "-timeout=5", *options],
        capture_output=True,
        text=True,
        cwd=corpus.parent,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    runs = re.search(r"Done (\d+) runs", done.stderr)
    assert runs, done.stderr[-1000:]
    return int(runs[1])


def shake(program: Path, corpus: Path, inputs: int) -> None:
    """Runs a shaker on so many changes of the files in ``corpus``."""
    files = sorted(corpus.iterdir())
    done = subprocess.run([program, str(inputs), "4", *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout == f"{inputs} inputs\n"
