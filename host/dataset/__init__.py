"""Folders of spoken words: fetching, scanning, splits, cached PCM, synthetic voices."""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """``tokay dataset``."""
    from host.dataset import command

    return command.main(argv)
