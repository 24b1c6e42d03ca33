"""Which dataset a command works on: the one given, or the one that was put in the cache folder."""

from __future__ import annotations

import sys
from pathlib import Path

from host.dataset import folder, store
from host.dataset.download import SPEECH_COMMANDS, Archive, download
from host.dataset.folder import Folder
from host.dataset.store import Store
from host.errors import TokayError
from host.progress import progress
from host.specification import Specification


def find(given: str | None) -> Folder:
    """Scans ``--dataset`` or, without it, Speech Commands in the cache folder, where it can be fetched to."""
    if given is not None:
        return folder.scan(given)
    cached = SPEECH_COMMANDS.folder()
    return folder.scan(cached if cached.is_dir() else _fetched_if_wanted(cached))


def fetch(archive: Archive, url: str | None = None) -> Path:
    """The archive's folder, fetched with a bar that shows how far it is."""
    with progress("MB fetched, then unpacked") as bar:

        def megabytes(done: int, of: int) -> None:
            bar(done // 1_000_000, of // 1_000_000)

        return download(archive, url, received=megabytes, unpacked=megabytes)


def _fetched_if_wanted(place: Path) -> Path:
    """Fetches it if somebody sits there and says yes."""
    size = f"{SPEECH_COMMANDS.bytes / 1e9:.1f} GB"
    if sys.stdin.isatty() and sys.stderr.isatty():
        print(f"No --dataset. Fetch Speech Commands ({size}) into {place}? [y/N] ", end="", file=sys.stderr)
        if input().strip().lower() in ("y", "yes"):
            return fetch(SPEECH_COMMANDS)
    raise TokayError(
        f"no dataset in {place}",
        hint=f"name a folder with --dataset, or fetch it ({size}): python -m host.dataset download",
    )


def load(given: str | None, spec: Specification) -> Store:
    """The clips at the specification's rate and length; prints what was left out, and why."""
    found = find(given)
    for warning in found.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    loaded = store.load(found, spec.sample_rate_hz, spec.clip_samples)
    for line in loaded.skipped[:10]:
        print(f"skipped {line}", file=sys.stderr)
    if len(loaded.skipped) > 10:
        print(f"skipped {len(loaded.skipped) - 10} more clips", file=sys.stderr)
    return loaded
