"""Files that one process at a time holds, so that two do not work at one place."""

from __future__ import annotations

from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows: two at one place are the user's to avoid
    fcntl = None  # type: ignore[assignment]

HELD = fcntl is not None
"""Whether this platform keeps a second process out."""


def locked(path: Path, *, wait: bool = True) -> IO[str]:
    """The file at ``path``, made if need be, open and locked until it is closed or the process ends.

    A second process waits; without ``wait`` it gets BlockingIOError. OSError where the file cannot be
    written, or its file system has no locks.
    """
    file = open(path, "w")  # noqa: SIM115 (the caller's)
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            raise
    return file
