"""Tokay's tools on the PC: one module a command, run as ``python -m host.NAME`` or ``tokay NAME``."""

import sys
from types import TracebackType


def _interrupted(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


if sys.argv[:1] == ["-m"]:
    # python -m host.NAME: for a Ctrl-C while the command's modules load, before host.cli runs it.
    sys.excepthook = _interrupted
