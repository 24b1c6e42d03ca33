"""The Makefile's targets and the bootstrap, with stand-ins for what they call."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import ROOT

PYTHON = """#!/bin/sh
case "$*" in
  "-m venv .venv") mkdir -p .venv/bin .venv/lib/python3.11/site-packages && cp "{}" .venv/bin/python ;;
  *"pip "*" install "*)
    echo "$CC" >.venv/compiler
    echo "$CMAKE_GENERATOR $PIP_USER" >.venv/settings
    echo "$*" >.venv/installed
    if [ -n "$HALF" ]; then touch .venv/lib/python3.11/site-packages/half; fi
    if [ -n "$KILLED" ]; then kill -9 $PPID; fi
    exit ${{STATUS:-0}} ;;
  *"version_info < (3, 14)"*) test -n "$TOO_NEW"; exit ;;
esac
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A fresh copy of what make looks at, in a path with a space, where cmake only says how it was called."""
    folder = tmp_path / "a copy"
    (folder / ".ci").mkdir(parents=True)
    for name in (".ci/bootstrap", "Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    python = tmp_path / "tools" / "python3"
    python.parent.mkdir()
    python.write_text(PYTHON.format(python))
    python.chmod(0o755)
    for name in ("cc", "arm-none-eabi-gcc"):
        compiler = tmp_path / "tools" / name
        compiler.write_text('#!/bin/sh\ncase "$*" in *-E*) cat >/dev/null ;; esac\n')  # it reads its input
        compiler.chmod(0o755)
    done = setup(folder)
    assert done.returncode == 0, done.stderr
    cmake = folder / ".venv" / "bin" / "cmake"
    cmake.write_text('#!/bin/sh\nprintf "<%s> " "$@"\n')
    cmake.chmod(0o755)
    return folder


def setup(folder: Path, what: str = "base", **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the bootstrap with the stand-in for Python, which makes a .venv and is its Python and pip."""
    path = f"{folder.parent / 'tools'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run([folder / ".ci" / "bootstrap", what], capture_output=True, text=True,
                          env={**os.environ, "PYTHON": "python3", "PATH": path, **environment})  # fmt: skip


def whole(folder: Path) -> bool:
    return subprocess.run([folder / ".ci" / "bootstrap", "check"]).returncode == 0


def make(folder: Path, *targets: str) -> str:
    done = subprocess.run(["make", *targets], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_native_builds_after_clean(folder: Path):
    make(folder, "clean")
    assert not (folder / "build").exists()
    make(folder, "native")
    assert f"<-DCMAKE_MAKE_PROGRAM={folder}/.venv/bin/ninja>" in (folder / "build" / "native.log").read_text()


def test_a_damaged_native_library_is_linked_again(folder: Path):
    library = folder / "build" / "native" / "libtokay_native.so"
    cmake = folder / ".venv" / "bin" / "cmake"
    cmake.write_text(f"""#!/bin/sh
case "$1" in
  -E) sha256sum "$3" ;;
  --build) [ -e "$2/{library.name}" ] || echo linked >"$2/{library.name}" ;;
esac""")
    make(folder, "native")
    time = library.stat().st_mtime_ns
    make(folder, "native")
    assert library.stat().st_mtime_ns == time
    library.write_text("lin")
    make(folder, "native")
    assert library.read_text() == "linked\n"


def test_a_folder_that_cannot_be_written(folder: Path):
    (folder / "build").rename(folder / "elsewhere")
    (folder / "build").write_text("")  # where permissions do not stop the root user
    done = subprocess.run(
        ["make", "--no-print-directory", "native"], cwd=folder, capture_output=True, text=True
    )
    first, *rest = done.stderr.splitlines()
    assert done.returncode == 2 and first.startswith("error: cannot write to ")
    assert not done.stdout and all(line.startswith("make") for line in rest)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes wherever it wants")
def test_a_clone_of_somebody_else(folder: Path):
    (folder / ".venv" / ".place").unlink()
    folder.chmod(0o555)
    done = setup(folder)
    folder.chmod(0o755)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"error: cannot write to {folder}")


def test_the_compiler_is_the_one_that_was_looked_for(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CC", raising=False)
    compiler = folder / ".venv" / "compiler"
    assert setup(folder).returncode == 0 and compiler.read_text() == "cc\n"
    other = folder.parent / "tools" / "other"
    other.symlink_to("cc")
    for command in ("other", "other -m64", str(other)):
        assert setup(folder, CC=command).returncode == 0 and compiler.read_text() == f"{command}\n"
    done = setup(folder, CC="nowhere -m64")
    assert done.returncode == 2 and done.stderr == "error: CC=nowhere -m64: no such command\n"
    assert whole(folder)


def test_what_a_user_sets_for_other_projects_does_not_matter(folder: Path):
    assert setup(folder, CMAKE_GENERATOR="Unix Makefiles", PIP_USER="1").returncode == 0
    assert (folder / ".venv" / "settings").read_text() == "Ninja 0\n"


def test_a_copied_clone_gets_a_venv_of_its_own(folder: Path):
    assert whole(folder)
    copy = folder.parent / "copy"
    shutil.copytree(folder, copy, symlinks=True)
    (copy / "build" / "native").mkdir(parents=True)
    assert not whole(copy)
    done = setup(copy)
    assert done.returncode == 0 and "making .venv again" in done.stdout
    assert whole(copy) and whole(folder) and not (copy / "build" / "native").exists()


@pytest.mark.parametrize("end", [{"KILLED": "1"}, {"STATUS": "1"}], ids=["killed", "failed"])
def test_a_venv_that_was_left_half_made_is_made_again(folder: Path, end: dict[str, str]):
    (folder / ".venv" / "mark").touch()
    assert setup(folder, HALF="1", **end).returncode
    assert not whole(folder)
    assert setup(folder).returncode == 0
    assert whole(folder) and not (folder / ".venv" / "mark").exists()


def test_a_failure_that_touched_nothing_leaves_the_venv_as_it_was(folder: Path):
    done = setup(folder, STATUS="1")
    assert done.returncode == 2 and "error: pip could not install" in done.stderr
    assert whole(folder)


def test_a_python_that_is_gone_or_without_pip(folder: Path):
    python = folder / ".venv" / "bin" / "python"
    python.write_text("#!/bin/sh\nexit 1\n")
    assert not whole(folder)
    python.unlink()
    python.symlink_to("/nonexistent/python3")
    assert not whole(folder)
    assert setup(folder).returncode == 0 and whole(folder)


@pytest.mark.parametrize("sign", [";", '"', "[", "]", ":", "\\", "%", ",", "|", "\t", "$(", " $x", "` "])
def test_a_folder_that_the_tools_cannot_name(folder: Path, sign: str):
    other = folder.rename(folder.parent / f"a{sign}b")
    done = setup(other)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "rename it" in done.stderr


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="this Python reads the path as UTF-8 in any locale")
def test_a_folder_that_the_locale_cannot_name(folder: Path):
    other = folder.rename(folder.parent / "köpie")
    done = setup(other, PYTHON=str(Path(sys.executable).resolve()), LC_ALL="C")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "LC_ALL=C.UTF-8" in done.stderr


def test_a_python_that_is_too_old_or_missing(folder: Path):
    old = folder.parent / "tools" / "old"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = setup(folder, PYTHON="old")
    assert done.returncode == 2 and done.stderr.startswith("error: Python 3.10 or newer")
    done = setup(folder, PYTHON="nowhere")
    assert done.returncode == 2 and done.stderr == "error: PYTHON=nowhere: no such command\n"


def test_a_python_that_tensorflow_has_no_wheel_for(folder: Path):
    installed = folder / ".venv" / "installed"
    done = setup(folder, "test")
    assert done.returncode == 0 and "TensorFlow" not in done.stdout
    assert installed.read_text().endswith(" .[test,train]\n")
    done = setup(folder, "test", TOO_NEW="yes")
    assert done.returncode == 0 and "without TensorFlow" in done.stdout
    assert installed.read_text().endswith(" .[test]\n")


def test_a_machine_without_make_and_a_user_who_cannot_install_it(folder: Path):
    shutil.copy(ROOT / ".ci" / "run", folder / ".ci" / "run")
    tools = folder.parent / "few tools"
    tools.mkdir()
    for name in ("bash", "dirname"):
        (tools / name).symlink_to(shutil.which(name))
    (tools / "id").write_text("#!/bin/sh\necho 1000\n")
    (tools / "id").chmod(0o755)
    done = subprocess.run([tools / "bash", folder / ".ci" / "run"], capture_output=True, text=True,
                          env={"PATH": str(tools)})  # fmt: skip
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: make is missing; run: apt-get install make")
