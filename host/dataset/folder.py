"""A dataset on disk: a folder of word folders with the official lists, as Speech Commands ships it.

``testing_list.txt`` and ``validation_list.txt`` name the clips of those splits; every other clip is
for training. Where the lists say nothing of a word (``_silence_`` is in none), its clips are split
by a hash of the speaker, so that a speaker is in one split only.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from host.errors import TokayError

SPLITS = ("training", "validation", "testing")
BACKGROUND = "_background_noise_"
SPEECH_COMMANDS_URL = "https://storage.googleapis.com/download.tensorflow.org/data/speech_commands_v0.02.tar.gz"
_SUFFIXES = {".wav", ".flac"}
_LISTS = {"validation": "validation_list.txt", "testing": "testing_list.txt"}


@dataclass(frozen=True)
class Clip:
    """One recording: where it is, the word it says, and the split it belongs to."""

    path: Path
    name: str  # relative to the dataset, with /
    word: str
    split: str


@dataclass(frozen=True)
class Folder:
    """What a scan found. ``warnings`` are lines for the user: lists that name clips not there."""

    root: Path
    clips: tuple[Clip, ...]
    background: tuple[Path, ...]
    warnings: tuple[str, ...]

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(sorted({clip.word for clip in self.clips}))


def scan(root: Path | str | None) -> Folder:
    """Lists the clips of a dataset; TokayError if there is no dataset at ``root``."""
    if root is None:
        raise TokayError(
            "no dataset was given",
            hint=f"--dataset DIR, a folder of word folders such as {SPEECH_COMMANDS_URL} unpacked",
        )
    root = Path(root)
    if not root.is_dir():
        raise TokayError(f"{root}: no such folder", hint=f"unpack {SPEECH_COMMANDS_URL} into it")
    listed, warnings = _read_lists(root)
    files = [
        path
        for folder in sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")
    ]
    background = tuple(path for path in files if path.parent.name == BACKGROUND)
    words = [path for path in files if path.parent.name != BACKGROUND]
    if not words:
        raise TokayError(f"{root}: no clips", hint="WAV or FLAC files in one folder a word")
    listed_words = {stem.split("/")[0] for stem in listed}
    clips = tuple(_clip(path, listed, listed_words) for path in words)
    missing = len(listed.keys() - {_stem(clip.name) for clip in clips})
    if missing:
        warnings.append(f"{root}: {missing} of {len(listed)} listed clips are not there")
    return Folder(root, clips, background, tuple(warnings))


def speaker_of(name: str) -> str:
    """The speaker of a clip's name: what is before ``_nohash_``; the whole name where that is absent."""
    return re.sub(r"_nohash_.*$", "", _stem(name).split("/")[-1])


def split_of_speaker(speaker: str) -> str:
    """80 % training, 10 % validation, 10 % testing, by a hash that is the same everywhere."""
    bucket = int.from_bytes(hashlib.sha256(speaker.encode()).digest()[:4], "big") % 10
    return "testing" if bucket == 0 else "validation" if bucket == 1 else "training"


def _clip(path: Path, listed: dict[str, str], listed_words: set[str]) -> Clip:
    word = path.parent.name
    name = f"{word}/{path.name}"
    by_hash = word not in listed_words
    split = split_of_speaker(speaker_of(name)) if by_hash else listed.get(_stem(name), "training")
    return Clip(path, name, word, split)


def _read_lists(root: Path) -> tuple[dict[str, str], list[str]]:
    """Split by clip name without its suffix, since a list may say .wav where the clip is .flac."""
    listed: dict[str, str] = {}
    warnings: list[str] = []
    for split, file_name in _LISTS.items():
        path = root / file_name
        if not path.is_file():
            warnings.append(f"{root}: no {file_name}; clips are split by speaker")
            continue
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
        except UnicodeDecodeError as error:
            raise TokayError(f"{path}: not a text file") from error
        for number, line in enumerate(lines, 1):
            stem = _stem(line.strip())
            if not stem:
                continue
            if listed.get(stem, split) != split:
                raise TokayError(
                    f"{path}:{number}: {line.strip()} is in the {listed[stem]} list too",
                    hint="a clip belongs to one split",
                )
            listed[stem] = split
    return listed, warnings


def _stem(name: str) -> str:
    return re.sub(r"\.(wav|flac)$", "", name, flags=re.IGNORECASE)
