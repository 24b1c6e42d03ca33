"""Where things are kept: what images are made of, what is built of it, and what can be made again.

In a clone the C sources and the boards stand beside ``host``; an installed package has them inside it, and
its own folder is not for writing.
"""

from __future__ import annotations

import importlib.metadata
import os
import sys
from pathlib import Path

from host.errors import TokayError

PACKAGES = Path(__file__).resolve().parent.parent
"""The folder that holds ``host`` and ``codegen``."""
_INSTALLED = PACKAGES / "host" / "_sources"
SOURCES = _INSTALLED if _INSTALLED.is_dir() else PACKAGES
"""The folder that holds ``CMakeLists.txt``, ``firmware`` and ``boards``."""
MODELS = PACKAGES / "host" / "models"
"""The folder of the shipped specifications and of what was made of them."""


def package_version() -> str:
    """The version of the package, "development" where ``host`` was not installed as one."""
    try:
        return importlib.metadata.version("tokay")
    except importlib.metadata.PackageNotFoundError:
        return "development"


def cache_folder() -> Path:
    """Where this platform keeps what can be made again; TokayError for a user without a home folder."""
    try:
        if sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        elif sys.platform == "win32":
            base = Path(os.environ.get("LOCALAPPDATA", str(Path.home())))
        else:
            base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError as error:
        raise TokayError("no home folder to keep files in", hint="set XDG_CACHE_HOME to a folder") from error
    return base / "tokay"


def builds() -> Path:
    """Where images are built: build/ of a clone, or the cache folder where there is none to write to."""
    place = PACKAGES / "build"
    if SOURCES == PACKAGES and os.access(place if place.exists() else PACKAGES, os.W_OK | os.X_OK):
        return place
    return cache_folder() / "build"
