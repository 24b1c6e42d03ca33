"""Flashes through Silicon Labs' Simplicity Commander instead of pyOCD, for who has it and its J-Link anyway.

It is a program of its own: we write the image as Intel HEX, build its command line and read what it says.
It erases the pages that the image touches, writes, reads back and resets the chip by itself.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from host.errors import TokayError
from host.flashing import images

# Of Simplicity Commander itself, of its command line edition, and of the Python packages around it.
NAMES = ("commander", "commander-cli", "pycommander-cli", "pycommander")
_TIMEOUT_S = 300.0
_LOCKED = re.compile(r"^Debug lock\s*:\s*Enabled", re.MULTILINE)
_OF_A_LOCK = re.compile(r"\block", re.IGNORECASE)  # neither of a block nor of a clock
_HINT = (
    "pip install 'tokay[commander]', or install Simplicity Commander and put it on the PATH; or leave out "
    "--commander"
)


def find() -> str:
    """The program, on the PATH or beside this Python."""
    folder = str(Path(sys.executable).parent)
    found = (shutil.which(name) or shutil.which(name, path=folder) for name in NAMES)
    program = next(filter(None, found), None)
    if program is None:
        raise TokayError(f"Simplicity Commander is not installed ({', '.join(NAMES)})", hint=_HINT)
    return program


def flash(
    image: images.FlashImage,
    part: str,
    *,
    serial: str | None = None,
    frequency: int | None = None,
    unlocking: bool = False,
    program: str | None = None,
) -> dict[str, Any]:
    """Flashes an image; with ``unlocking`` a locked part is erased first."""
    program = program or find()
    options = ["--device", part, *(["--serialno", serial] if serial else [])]
    options += ["--speed", str(max(1, frequency // 1000))] if frequency else []
    start = time.monotonic()
    if unlocking and _LOCKED.search(_run(program, ["security", "status", *options])):
        _run(program, ["security", "erasedevice", *options])
    with tempfile.TemporaryDirectory(prefix="tokay-") as folder:
        path = Path(folder) / "image.hex"
        path.write_text(images.to_hex(image), "ascii")
        _run(program, ["flash", str(path), *options])
    return {
        "target": "device",
        "commander": program,
        "verified": True,
        "bytes": image.used_bytes,
        "sectors": len(image.sectors),
        "seconds": time.monotonic() - start,
    }


def _run(program: str, arguments: Sequence[str]) -> str:
    """What the program says; its first complaint if it fails."""
    command = " ".join(arguments[:2]) if arguments[0] == "security" else arguments[0]
    try:
        done = subprocess.run(
            [program, *arguments], capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S
        )
    except OSError as error:
        raise TokayError(f"cannot run {program}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise TokayError(
            f"commander {command} did not end within {_TIMEOUT_S:g} s", hint="unplug the board, plug it in"
        ) from error
    said = done.stdout + done.stderr
    if done.returncode == 0:
        return said
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    reason = (errors or lines or ["no reason given"])[0]
    raise TokayError(
        f"commander {command} failed ({done.returncode}): {reason.removeprefix('ERROR:').strip()}",
        hint="--unlock erases a locked part" if _OF_A_LOCK.search(reason) else None,
    )
