"""Tokay's tools on the PC: one module a command, run as ``python -m host.NAME`` or ``tokay NAME``."""

import os.path
import sys
from types import TracebackType


def _interrupted(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


_program = os.path.basename(sys.argv[0]) if sys.argv else ""
if _program in ("-m", "tokay", "tokay.exe"):
    # python -m host.NAME, tokay NAME: for a Ctrl-C while modules load, before host.cli runs the command.
    sys.excepthook = _interrupted
