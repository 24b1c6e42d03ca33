"""The native library: what is said where it cannot be loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from host import native
from tests.places import ROOT


@pytest.mark.parametrize("kept", [0, 10, 9_000, -1])
def test_a_library_that_is_cut_off_is_one_line(tmp_path: Path, kept: int):
    """In a process of its own, since the loader takes some of these and their first use ends the process."""
    cut = tmp_path / "libtokay_native.so"
    cut.write_bytes(native.library_path().read_bytes()[:kept])
    done = subprocess.run(
        [sys.executable, "-m", "host.classify", "keyword_spotting_on_off",
         "--audio", "host/models/demo/on_off.wav"],
        cwd=ROOT, env={**os.environ, "TOKAY_NATIVE": str(cut)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1 and str(cut) in done.stderr and "make setup" in done.stderr
