"""The native library: what is said where it cannot be loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from host import native
from host.errors import TokayError
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


def test_a_library_that_lacks_a_function_is_told():
    """As one that was built before the function was written."""
    with pytest.raises(TokayError, match=r"built from other sources than these \(run: make setup"):
        native.declared({"no_function_of_ours": (None, [])})


def test_a_library_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TOKAY_NATIVE", str(tmp_path))
    with pytest.raises(TokayError, match=rf"TOKAY_NATIVE={tmp_path}: no such file"):
        native.library_path()
    monkeypatch.delenv("TOKAY_NATIVE")
    monkeypatch.setattr(native, "__file__", str(tmp_path / "host" / "native.py"))
    with pytest.raises(TokayError, match=r"has not been built \(run: make setup"):
        native.library_path()
    for place in ("build/native", "host/_native"):  # an installed one goes before
        library = tmp_path / place / "libtokay_native.so"
        library.parent.mkdir(parents=True)
        library.touch()
        assert native.library_path() == library
