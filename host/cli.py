"""What every command shares: parsing, the one-line error, JSON output, atomic files."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from host.errors import TokayError


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise TokayError(message, hint=f"see {self.prog} --help")


def parser(prog: str, description: str, *, json_output: bool = True) -> argparse.ArgumentParser:
    """A parser with the options that all commands take (``--json``, ``--verbose``)."""
    p = _Parser(prog=f"python -m host.{prog}", description=description)
    if json_output:
        p.add_argument("--json", metavar="FILE", help="write the result as JSON to FILE, or - for stdout")
    p.add_argument("-v", "--verbose", action="store_true", help="say more about what is done")
    return p


def run(main: Callable[[Sequence[str]], int | None], argv: Sequence[str] | None = None) -> int:
    """Runs a command's ``main(argv)``; turns TokayError into one line and status 2."""
    try:
        return main(sys.argv[1:] if argv is None else argv) or 0
    except TokayError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def write_atomic(path: Path | str, data: bytes | str) -> None:
    """Writes a file whole or not at all: to a temporary file beside it, then renamed."""
    write_all({Path(path): data})


def write_all(files: Mapping[Path, bytes | str]) -> None:
    """Writes files that belong together: all of them are on the disk before the first gets its name."""
    umask = os.umask(0)
    os.umask(umask)
    temporaries: dict[Path, str] = {}
    path = Path()
    try:
        try:
            for path, data in files.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                fd, temporaries[path] = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
                with os.fdopen(fd, "wb") as stream:
                    stream.write(data.encode() if isinstance(data, str) else data)
                os.chmod(temporaries[path], 0o666 & ~umask)
            for path in files:
                os.replace(temporaries[path], path)
        except BaseException:
            for temporary in temporaries.values():
                Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise TokayError(f"cannot write {path}: {error.strerror}") from error


def emit_json(target: str | None, value: Any) -> None:
    """Writes ``value`` as JSON where ``--json`` says; does nothing if it was not given."""
    if target is None:
        return
    text = json.dumps(value, indent=2) + "\n"
    if target == "-":
        sys.stdout.write(text)
    else:
        write_atomic(target, text)
