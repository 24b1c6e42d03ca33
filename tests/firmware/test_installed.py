"""What `pip install` brings, without the clone: the wheel's own files do a command's whole work."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from host import image, places
from host.errors import TokayError
from tests.places import ROOT

pytestmark = pytest.mark.xdist_group("wheel")  # one process builds it


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder with the contents of the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index",
               "-w", folder, ROOT]  # fmt: skip
    # In the environment, since options for the build are named otherwise, or unknown, to older pips.
    environment = {**os.environ, "SKBUILD_BUILD_DIR": str(folder / "native")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(folder / "site packages")
    return folder / "site packages"


def tokay(installed: Path, tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of the installed package; without `site`, which would find the clone."""
    paths = os.pathsep.join([str(installed), sysconfig.get_path("purelib")])
    environment = {**os.environ, "PYTHONPATH": paths, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment.pop("TOKAY_NATIVE", None)
    return subprocess.run(
        [sys.executable, "-S", "-m", "host", *arguments],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed")
def test_an_image_is_built_and_profiled_and_is_that_of_the_clone(installed, built, tmp_path):
    done = tokay(installed, tmp_path, "profile", "keyword_spotting_on_off", "--json", "-")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdict"] == "valid"
    binary = tmp_path / "cache" / "tokay" / "build" / "brd2601b" / "keyword_spotting_on_off" / "tokay.bin"
    assert binary.read_bytes() == built.elf.with_suffix(".bin").read_bytes()
    assert not (installed / "build").exists()


def test_a_board_that_there_is_not(installed, tmp_path):
    done = tokay(installed, tmp_path, "build", "--bringup", "--board", "x")
    assert done.returncode == 2 and "brd2601b, brd2703a" in done.stderr


def test_a_clone_that_is_not_writable_builds_in_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(places.os, "access", lambda *_: False)
    assert places.builds() == tmp_path / "tokay" / "build"
    monkeypatch.setattr(places.os, "access", lambda *_: True)
    assert places.builds() == image.SOURCES / "build" == ROOT / "build"


def test_a_user_without_a_home(monkeypatch):
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    with pytest.raises(TokayError, match="no home folder"):
        places.cache_folder()
