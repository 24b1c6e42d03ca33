"""The Makefile's targets, with a stand-in for what they call."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.places import ROOT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A fresh copy of what make looks at, in a path with a space, where cmake only says how it was called."""
    folder = tmp_path / "a copy"
    (folder / ".ci").mkdir(parents=True)
    (folder / ".ci" / "bootstrap").touch()
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    cmake = folder / ".venv" / "bin" / "cmake"
    cmake.parent.mkdir(parents=True)
    cmake.write_text('#!/bin/sh\nprintf "<%s> " "$@"\n')
    cmake.chmod(0o755)
    (folder / ".venv" / ".ready").touch()
    return folder


def make(folder: Path, *targets: str) -> str:
    done = subprocess.run(["make", *targets], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_native_builds_after_clean(folder: Path):
    (folder / "build").mkdir()
    make(folder, "clean")
    assert not (folder / "build").exists()
    make(folder, "native")
    assert f"<-DCMAKE_MAKE_PROGRAM={folder}/.venv/bin/ninja>" in (folder / "build" / "native.log").read_text()
