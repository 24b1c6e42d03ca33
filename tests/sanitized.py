"""Runs tests again on a native library that was compiled with AddressSanitizer and UBSan."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pytest

from tests.places import ROOT

_FLAGS = (
    "-std=c11", "-O1", "-g", "-fPIC", "-shared", "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
)  # fmt: skip


def address_sanitizer() -> str:
    """The path of GCC's library; skips the test that asks where there is none."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc")
    asan = subprocess.run(
        ["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True
    ).stdout.strip()
    if not os.path.isabs(asan):
        pytest.skip("gcc has no AddressSanitizer library")
    return asan


def check(
    folder: Path,
    sources: Iterable[Path],
    include: Path,
    tests: Sequence[str],
    environment: Mapping[str, str] = {},
) -> None:
    """Compiles ``sources`` into ``folder`` and runs the test files ``tests`` on them, which must pass."""
    asan, library = address_sanitizer(), folder / "libtokay_native.so"
    subprocess.run(
        ["gcc", *_FLAGS, f"-I{include}", *map(str, sources), "-lm", "-o", str(library)], check=True
    )
    settings = {"TOKAY_NATIVE": str(library), "LD_PRELOAD": asan, "ASAN_OPTIONS": "detect_leaks=0"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", *tests]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **settings, **environment}, capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert " passed" in done.stdout or "[100%]" in done.stdout
