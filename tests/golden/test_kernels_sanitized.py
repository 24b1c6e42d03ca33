"""The kernels under AddressSanitizer and UBSan, on the random models of test_single_operators."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NN = ROOT / "firmware" / "nn"
FLAGS = [
    "-std=c11",
    "-O1",
    "-g",
    "-fPIC",
    "-shared",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
]


def test_random_models_with_sanitizers(tmp_path: Path):
    if shutil.which("gcc") is None:
        pytest.skip("no gcc")
    asan = subprocess.run(
        ["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True
    ).stdout.strip()
    if not os.path.isabs(asan):
        pytest.skip("gcc has no AddressSanitizer library")
    pytest.importorskip("tflite_micro")
    library = tmp_path / "libtokay_native.so"
    kernels = [*(NN / "kernels" / "portable").glob("*.c"), *(NN / "kernels" / "mvp").glob("*.c")]
    sources = [NN / "nn.c", NN / "native" / "nn_native.c", *sorted(kernels)]
    subprocess.run(["gcc", *FLAGS, f"-I{NN}", *map(str, sources), "-o", str(library)], check=True)
    environment = os.environ | {
        "TOKAY_NATIVE": str(library),
        "TOKAY_EXAMPLES": "12",
        "LD_PRELOAD": asan,
        "ASAN_OPTIONS": "detect_leaks=0",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist",
               "tests/golden/test_single_operators.py"]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert " passed" in done.stdout or "[100%]" in done.stdout
