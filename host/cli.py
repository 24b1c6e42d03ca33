"""What every command shares: parsing, the one-line error, JSON output."""

from __future__ import annotations

import argparse
import codecs
import errno
import io
import json
import math
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from host import vendor_options
from host.errors import TokayError
from host.files import require_writable, write_atomic

_HIGHEST_SEED = 4_000_000_000  # and some above it, of teachers
_LONGEST_S = 4_000_000  # a device's milliseconds have 32 bits


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise TokayError(message, hint=f"see {self.prog} --help")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        return self._without_rest(*self.parse_known_args(args, namespace))

    def parse_intermixed_args(self, args: Any = None, namespace: Any = None) -> Any:
        return self._without_rest(*self.parse_known_intermixed_args(args, namespace))

    def _without_rest(self, found: Any, rest: Sequence[str]) -> Any:
        if rest:
            instead = vendor_options.instead_of(self.prog.rpartition(".")[2], rest)
            hint = instead or f"see {self.prog} --help"
            raise TokayError(f"unrecognized arguments: {' '.join(rest)}", hint=hint)
        return found


def parser(prog: str, description: str, *, json_output: bool = True) -> argparse.ArgumentParser:
    """A parser with the options that all commands take (``--json``, ``--verbose``)."""
    # Abbreviations would make of another tool's --model an option that only begins so.
    p = _Parser(prog=f"python -m host.{prog}", description=description, allow_abbrev=False)
    if json_output:
        add_json(p)
    p.add_argument("-v", "--verbose", action="store_true", help="say more about what is done")
    return p


def add_json(p: argparse.ArgumentParser, default: str | None = None) -> None:
    """The option ``--json``, for what ``emit_json`` writes; ``default`` as argparse takes it."""
    p.add_argument(
        "--json", metavar="FILE", type=_writable, default=default,
        help="write the result as JSON to FILE, or - for stdout",
    )  # fmt: skip


def _writable(target: str) -> str:
    if target != "-":
        require_writable(Path(target))
    return target


def add_accelerator(p: argparse.ArgumentParser, what: str = "what runs the layers") -> None:
    """The option ``--accelerator``, in any case: the vendor's tools call it MVP."""
    from codegen.pipeline import ACCELERATORS  # here: commands without it start sooner

    p.add_argument(
        "-a", "--accelerator", type=str.lower, choices=ACCELERATORS, default=ACCELERATORS[0],
        help=f"{what} (default: %(default)s)",
    )  # fmt: skip


def add_mvp_weights(p: argparse.ArgumentParser) -> None:
    """The option ``--mvp-weights``, of whatever compiles a model for ``--accelerator mvp``."""
    from codegen.accelerate import WEIGHTS  # here: commands without it start sooner

    p.add_argument(
        "--mvp-weights", choices=WEIGHTS, default=WEIGHTS[0],
        help="weights that the accelerator uses often: copied to RAM layer by layer, or read from flash, "
        "which saves the RAM and takes longer (default: %(default)s)",
    )  # fmt: skip


def add_seed(p: argparse.ArgumentParser, what: str) -> None:
    """The option ``--seed`` of a command that draws with Keras, whose seeds have 32 bits."""
    p.add_argument("--seed", type=_seed, default=1, metavar="S", help=f"{what} (default 1)")


def _seed(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = -1
    if not 0 <= value <= _HIGHEST_SEED:
        raise TokayError(f"--seed {text} is no whole number from 0 to {_HIGHEST_SEED}")
    return value


def check_seconds(p: argparse.ArgumentParser, seconds: float | None) -> None:
    """Refuses a ``--seconds`` that was given and is no time for a device to listen."""
    if seconds is not None and not 0 < seconds <= _LONGEST_S:
        p.error(f"--seconds takes a time above 0, at most {_LONGEST_S}")


def run(main: Callable[[Sequence[str]], int | None], argv: Sequence[str] | None = None) -> int:
    """Runs a command's ``main(argv)``; turns TokayError into one line and status 2. SIGTERM and SIGHUP end it
    as Ctrl-C does, with all that it cleans up."""
    _open_closed_output()
    _print_all_characters()
    try:
        with _ended_by_signals():
            _require_texts()
            status = main(sys.argv[1:] if argv is None else argv) or 0
        sys.stdout.flush()  # here, where a failure can still be told in one line
        return status
    except TokayError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        _drop_output()
        return 0
    except OSError as error:
        if error.errno == errno.ENOENT and _lacks_temporary_folder():
            print(f"error: {error.strerror} (free space, or set TMPDIR to a folder)", file=sys.stderr)
            return 2
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _drop_output()
        print(f"error: cannot write {error.filename or 'the output'}: {error.strerror}", file=sys.stderr)
        return 2


def _lacks_temporary_folder() -> bool:
    """Whether Python has found no folder that takes a temporary file: each is full or may not be written."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        return True
    return False


def _require_texts() -> None:
    """Refuses ``python -OO``: descriptions of commands and reasons of refusals are docstrings."""
    if sys.flags.optimize > 1:
        raise TokayError("Python runs without docstrings, which commands show", hint="-O instead of -OO")


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP raise KeyboardInterrupt, where nobody has asked for something else (nohup has)."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    endings = [s for s in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(s) == signal.SIG_DFL]

    def end(number: int, _: object) -> None:
        # A terminal that closes says so more than once: the second must not cut the clean-up short.
        signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    try:
        for ending in endings:
            signal.signal(ending, end)
        yield
    finally:
        for ending in endings:
            signal.signal(ending, signal.SIG_DFL)


def _open_closed_output() -> None:
    """Where the caller closed stdout or stderr (``>&-``), what is printed there goes nowhere. Else Python has
    None in its place, what is meant for stderr is printed to stdout, and the next file that is opened gets
    the number on which programs that are started write."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (open until the end)


def _print_all_characters() -> None:
    """Prints what the output's encoding does not have (in labels, names of files) as \\u…, as stderr does.
    Python's handler in the locale C, surrogateescape, leaves nothing out in UTF-8 alone."""
    if not isinstance(sys.stdout, io.TextIOWrapper):
        return
    handler, is_utf8 = sys.stdout.errors, codecs.lookup(sys.stdout.encoding).name == "utf-8"
    if handler == "strict" or (handler == "surrogateescape" and not is_utf8):
        sys.stdout.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """What was printed and cannot be written must not fail once more when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def emit_json(target: str | None, value: Any) -> None:
    """Writes ``value`` as JSON where ``--json`` says; does nothing if it was not given.

    JSON has no NaN and no infinity (a model's parameters may): they become null.
    """
    if target is None:
        return
    text = json.dumps(_without_infinities(value), indent=2, allow_nan=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
    else:
        write_atomic(target, text)


def _without_infinities(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_infinities(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_infinities(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
