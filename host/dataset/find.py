"""Which dataset a command works on: the one given, or the one that was put in the cache folder."""

from __future__ import annotations

import sys
from pathlib import Path

from host.dataset import folder, store
from host.dataset.folder import Folder
from host.dataset.store import Store
from host.errors import TokayError
from host.training.specification import Specification


def find(given: str | None) -> Folder:
    """Scans ``--dataset`` or, without it, ``speech_commands`` in the cache folder."""
    if given is not None:
        return folder.scan(given)
    cached = store.cache_folder() / "speech_commands"
    if cached.is_dir():
        return folder.scan(cached)
    raise TokayError(
        "no dataset",
        hint=f"unpack {folder.SPEECH_COMMANDS_URL} into {cached}, or name a folder with --dataset",
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


def data_of(path: Path) -> str:
    """How a model card names a dataset: its folder's name and not where this machine keeps it."""
    return path.resolve().name
