"""Says what of this machine each job needs, what is there, and how to get what is missing.

``python -m host.doctor [--json FILE]``
"""

from __future__ import annotations

import importlib
import importlib.util
import platform
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from host import cli, native, renode, toolchain
from host.dataset.download import SPEECH_COMMANDS
from host.device.serial_port import find_boards
from host.errors import TokayError
from host.files import require_writable
from host.places import cache_folder, package_version
from host.tables import text_table


@dataclass(frozen=True)
class Finding:
    """One thing that a job needs: where it is, or "" and what to do about it."""

    needed_by: str
    what: str
    found: str
    missing: str = ""  # what is wrong, and what to do
    required: bool = False  # by building and simulating, which every installation can do


def main(argv: Sequence[str]) -> int:
    """The command. Exit status 1 if something is missing without which no image can be built or simulated."""
    p = cli.parser("doctor", __doc__.splitlines()[0])
    args = p.parse_args(argv)
    findings = [_find(*check) for check in _CHECKS]
    about = f"tokay {package_version()}, Python {platform.python_version()}"
    if args.json != "-":
        rows = [(f.needed_by, f.what, f.found or f"MISSING: {f.missing}") for f in findings]
        print(f"{about} on {platform.platform()}\n\n{text_table(('job', 'needs', 'here'), rows)}")
    cli.emit_json(args.json, {"about": about, "findings": [asdict(f) for f in findings]})
    return 1 if any(f.required and not f.found for f in findings) else 0


def _find(needed_by: str, what: str, look: Callable[[], str], required: bool = False) -> Finding:
    try:
        return Finding(needed_by, what, look(), required=required)
    except TokayError as error:
        return Finding(needed_by, what, "", str(error), required)


def _library() -> str:
    native.library()
    return str(native.library_path())


def _compiler() -> str:
    toolchain.require_compiler()
    return str(shutil.which(toolchain.COMPILER))


def _tensorflow() -> str:
    """Not imported, which takes seconds and prints lines."""
    found = importlib.util.find_spec("tensorflow")
    if found is None or found.origin is None:
        raise TokayError("not installed", hint="pip install 'tokay[train]'")
    return found.origin


def _module(name: str, hint: str) -> Callable[[], str]:
    """Looks for a module by importing it: one that lacks a library of the system is as good as none."""

    def look() -> str:
        try:
            return str(importlib.import_module(name).__file__)
        except (ImportError, OSError) as error:
            raise TokayError(" ".join(str(error).split()), hint=hint) from error

    return look


def _cache() -> str:
    place = cache_folder()
    require_writable(place / "any")
    return str(place)


def _dataset() -> str:
    place = SPEECH_COMMANDS.folder()
    if not place.is_dir():
        raise TokayError(f"not in {place}", hint="--dataset DIR names another, or: host.dataset download")
    return str(place)


def _board() -> str:
    boards = find_boards()
    if not boards:
        raise TokayError("none is plugged in", hint="plug one in, check its driver")
    return ", ".join(f"{board.port} ({board.probe})" for board in boards)


_CHECKS: tuple[tuple[str, str, Callable[[], str], bool], ...] = (
    ("everything", "library of the firmware's C for this PC", _library, True),
    ("everything", "cache folder", _cache, True),
    ("build, simulate", "compiler and C library for the chip", _compiler, True),
    ("train, quantize", "TensorFlow", _tensorflow, False),
    ("train, evaluate", "dataset", _dataset, False),
    ("classify", "microphone", _module("sounddevice", "pip install 'tokay[mic]'; libportaudio2"), False),
    ("flash", "pyOCD", _module("pyocd", "pip install 'tokay[flash]'"), False),
    ("--device", "board on a serial port", _board, False),
    ("--renode", "Renode", lambda: str(renode.find()), False),
)


if __name__ == "__main__":
    sys.exit(cli.run(main))
