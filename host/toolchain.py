"""The board's compiler and what drives it: found, identified and run."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from host.errors import TokayError
from host.files import write_atomic
from host.places import SOURCES

COMPILER = "arm-none-eabi-gcc"
_LIBRARY = "nano.specs"
_MADE_BY = "compiler.txt"  # what _identity said when the folder was begun
# What says in a failed build's output why it failed, the clearest first.
_REASONS = ("No space left on device", r"\berror\b:|: undefined reference|: not found$|CMake Error")
_SPACE = 1 << 20  # a build that failed with less than this left failed for want of it
# By these Conda, say, or a distribution's packager tells the PC's compiler what suits the PC; CMake and GCC
# would take them for the board's compiler too.
_OF_THE_PC = (
    "CFLAGS", "CPPFLAGS", "ASMFLAGS", "LDFLAGS", "CPATH", "C_INCLUDE_PATH", "LIBRARY_PATH", "COMPILER_PATH",
    "GCC_EXEC_PREFIX", "DEPENDENCIES_OUTPUT", "SUNPRO_DEPENDENCIES",
)  # fmt: skip


def require_compiler() -> None:
    """Raises TokayError where there is no compiler for the board, or none with the C library that the
    toolchain file names."""
    found, problem = shutil.which(COMPILER), None
    if found is None:
        problem = f"{COMPILER} is not installed"
    elif _output(found, f"-print-file-name={_LIBRARY}").strip() == _LIBRARY:  # a path where there is one
        problem = f"{found} has no {_LIBRARY}, of the C library newlib"
    if problem:
        raise TokayError(
            problem, hint="Debian and Ubuntu: apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi"
        )


def build(folder: Path, chip: str, definitions: Sequence[str], verbose: bool) -> None:
    """Runs CMake and Ninja in `folder`, on the sources with the toolchain file of `chip` and CMake's
    `definitions` (``-DNAME=VALUE``).

    Raises:
        TokayError: with the clearest line of what failed; `verbose` shows the whole output on stderr.
    """
    _forget_other_build(folder)
    configure = [
        "cmake", "-S", str(SOURCES), "-B", str(folder), "-G", "Ninja",
        f"-DCMAKE_TOOLCHAIN_FILE={SOURCES}/firmware/chips/{chip}/toolchain.cmake",
        f"-DCMAKE_MAKE_PROGRAM={_tool('ninja')}",  # not that of an environment that is gone
        "-DCMAKE_BUILD_TYPE=Release",
        *definitions,
    ]  # fmt: skip
    _run(configure, folder, verbose)
    # Objects of sources that are gone would count for the stack.
    _run(["ninja", "-C", str(folder), "-t", "cleandead"], folder, verbose)
    _run(["cmake", "--build", str(folder)], folder, verbose)


def made(folder: Path) -> bool:
    """Whether this compiler made what `folder` holds, or there is none now that could make it anew.

    Raises:
        OSError: nothing was built there.
    """
    return _identity() in (None, (folder / _MADE_BY).read_text(errors="replace"))


def _identity() -> str | None:
    """Which compiler there is and of what version; None where there is none."""
    found = shutil.which(COMPILER)
    if found is None:
        return None
    return f"{os.path.realpath(found)}\n{_output(found, '--version')}"


def _output(compiler: str, option: str) -> str:
    """What the compiler says to an option."""
    try:
        return subprocess.run([compiler, option], capture_output=True, text=True, env=_environment()).stdout
    except OSError as error:
        raise TokayError(f"cannot run {compiler}: {error.strerror}") from error


def _environment() -> dict[str, str]:
    """The environment that the board's compiler runs in."""
    return {name: value for name, value in os.environ.items() if name not in _OF_THE_PC}


def _forget_other_build(folder: Path) -> None:
    """Removes what CMake knows and made where the folder or the sources were moved, which it refuses, or
    where the compiler is another one, which neither it nor Ninja notices."""
    compiler, known = _identity() or "", folder / _MADE_BY
    places = {f"CMAKE_CACHEFILE_DIR:INTERNAL={folder}", f"CMAKE_HOME_DIRECTORY:INTERNAL={SOURCES}"}
    cache = folder / "CMakeCache.txt"
    try:
        same = places <= set(cache.read_text(errors="replace").splitlines())
        same = same and known.read_text(errors="replace") == compiler
    except OSError:
        same = False
    if not same:
        cache.unlink(missing_ok=True)
        shutil.rmtree(folder / "CMakeFiles", ignore_errors=True)
        write_atomic(known, compiler)


def _tool(name: str) -> str:
    """A build tool: from the Python environment, else from PATH."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise TokayError(f"{name} is not installed", hint=f"pip install {name}")
    return found


def _run(command: list[str], folder: Path, verbose: bool) -> None:
    """Runs a build tool for what is built in `folder`."""
    command = [_tool(command[0]), *command[1:]]
    path = os.environ.get("PATH", os.defpath)  # where shutil.which looks as well
    environment = _environment()
    environment["PATH"] = f"{Path(_tool('ninja')).parent}{os.pathsep}{path}"
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    text = done.stdout + done.stderr
    if verbose:
        print(text, end="", file=sys.stderr)  # stdout may be for --json -
    if done.returncode != 0:
        raise _failure(f"{command[0]} ended with status {done.returncode}", text, folder)


def _failure(status: str, output: str, folder: Path) -> TokayError:
    """Why a build tool failed, of all that it said; `status` where it said nothing (it was killed, say)."""
    if overflow := re.search(r"region `(\w+)' overflowed by (\d+) bytes", output):
        return TokayError(
            f"the image needs {int(overflow[2]):,} bytes more of {overflow[1]} than the chip has",
            hint="host.summarize MODEL says what the network needs",
        )
    # CMake does not notice that its files are cut off.
    if folder.is_dir() and shutil.disk_usage(folder).free < _SPACE:
        return TokayError(f"cannot build in {folder}: {os.strerror(errno.ENOSPC)}")
    lines = output.strip().splitlines() or [status]
    errors = [line.strip() for reason in _REASONS for line in lines if re.search(reason, line)]
    return TokayError(
        f"the image did not build: {errors[0] if errors else lines[-1]}",
        hint="--verbose shows the whole output",
    )
