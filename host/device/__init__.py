"""Talking to a device: one protocol and one interface, whatever carries the bytes."""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """The command ``device``."""
    from host.device.__main__ import main as command  # a library must not load a command's needs

    return command(argv)
