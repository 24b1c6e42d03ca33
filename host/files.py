"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from host.errors import TokayError


def require_writable(path: Path) -> None:
    """Refuses a result's file that cannot be written, before there is work to be lost."""
    try:
        reason = _unwritable(path)
    except OSError as error:  # of a name that no file can have
        reason = error.errno
    if reason is not None:
        raise TokayError(f"cannot write {path}: {os.strerror(reason)}")


def _unwritable(path: Path) -> int | None:
    """The error's number that writing a file would end in."""
    if path.is_dir():
        return errno.EISDIR
    if path.exists() and not path.is_file():  # a pipe or a device
        return None
    folder = next(parent for parent in Path(os.path.realpath(path)).parents if parent.exists())
    if not folder.is_dir():
        return errno.ENOTDIR
    return None if os.access(folder, os.W_OK | os.X_OK) else errno.EACCES


def write_atomic(path: Path | str, data: bytes | str) -> None:
    """Writes a file whole or not at all: to a temporary file beside it, then renamed. A link is followed,
    and what is no file (/dev/stdout, a pipe) is written to and not replaced."""
    write_all({Path(path): data})


def write_all(files: Mapping[Path, bytes | str]) -> None:
    """Writes files that belong together: all of them are on the disk before the first gets its name. Folders
    are made as needed; those of files that could not be written are removed again."""
    umask = os.umask(0)
    os.umask(umask)
    temporaries: dict[Path, str] = {}
    made: set[Path] = set()
    path = Path()
    try:
        for path, data in files.items():
            content = _content(data)
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if path.exists() and not path.is_file():
                path.write_bytes(content)
                continue
            place = Path(os.path.realpath(path))
            made |= {folder for folder in place.parents if not folder.exists()}
            place.parent.mkdir(parents=True, exist_ok=True)
            fd, temporaries[path] = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
            with os.fdopen(fd, "wb") as stream:
                stream.write(content)
            os.chmod(temporaries[path], 0o666 & ~umask)
        for path, temporary in temporaries.items():
            os.replace(temporary, os.path.realpath(path))
    except BaseException as error:
        _remove(temporaries.values(), made)
        if isinstance(error, OSError):
            raise TokayError(f"cannot write {path}: {error.strerror}") from error
        raise


def _remove(temporaries: Iterable[str], folders: Iterable[Path]) -> None:
    """Removes files, and of the folders those that are empty then."""
    for temporary in temporaries:
        Path(temporary).unlink(missing_ok=True)
    for folder in sorted(folders, reverse=True):  # what is inside before what it is in
        with suppress(OSError):
            folder.rmdir()


def write_changed(files: Mapping[Path, str]) -> None:
    """As ``write_all``; a file that would not change keeps its time, so that nothing is compiled again."""
    contents = {path: _content(text) for path, text in files.items()}
    write_all({path: data for path, data in contents.items() if not _holds(path, data)})


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except OSError:  # it is not there, or is no file that can be read
        return False


def _content(data: bytes | str) -> bytes:
    """What is written of a text; a file's name that is not UTF-8, as the bytes that it is."""
    return data.encode(errors="surrogateescape") if isinstance(data, str) else data
