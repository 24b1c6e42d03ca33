"""The augmentation and the PC's front end under AddressSanitizer and UBSan, on the tests of both."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import ROOT

FLAGS = ["-std=c11", "-O1", "-g", "-fPIC", "-shared", "-fsanitize=address,undefined"]


def test_augmentation_with_sanitizers(tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("no gcc")
    asan = subprocess.run(
        ["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True
    ).stdout.strip()
    if not os.path.isabs(asan):
        pytest.skip("gcc has no AddressSanitizer library")
    library, frontend = tmp_path / "libtokay_native.so", ROOT / "firmware" / "frontend"
    sources = [*frontend.glob("*.c"), *(ROOT / "host" / "augmentation").glob("*.c")]
    subprocess.run(
        ["gcc", *FLAGS, "-fno-sanitize-recover=all", f"-I{frontend}", *map(str, sources), "-lm",
         "-o", str(library)],
        check=True,
    )  # fmt: skip
    environment = os.environ | {
        "TOKAY_NATIVE": str(library),
        "LD_PRELOAD": asan,
        "ASAN_OPTIONS": "detect_leaks=0",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist",
               "tests/unit/test_augmentation.py"]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert " passed" in done.stdout or "[100%]" in done.stdout
