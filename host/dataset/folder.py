"""A dataset on disk: a folder of word folders with the official lists, as Speech Commands ships it.

``testing_list.txt`` and ``validation_list.txt`` name the clips of those splits; every other clip of a
listed word is for training. Words that no list names are split by a hash of the speaker, and so is all
where there are no lists; a speaker that a list does name stays in the split that the list says. Folders
whose name starts with ``_background`` hold noise, not words. Names are taken in Unicode's composed form
(NFC), whichever form the file system that they come from writes: macOS writes letters and accents apart. They
are UTF-8 whatever the locale says, as the lists are.

A speaker in two splits makes every score too good, so it is refused; ``TOKAY_ALLOW_LEAKS=1`` makes it a
warning, for those who know. (The same recording in two splits is found when it is read: store.py.)
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from host.errors import TokayError

SPLITS = ("training", "validation", "testing")
LISTS = {"validation": "validation_list.txt", "testing": "testing_list.txt"}
_SUFFIXES = {".wav", ".flac"}
_OTHER_AUDIO = {".mp3", ".ogg", ".opus", ".m4a", ".aac", ".wma", ".aif", ".aiff"}
_SPEAKER = re.compile(r"^(.+)_nohash_.*$")
_LEAK_HINT = "mend the lists; with TOKAY_ALLOW_LEAKS=1 it is a warning"
_HINT = "python -m host.dataset download fetches Speech Commands"


@dataclass(frozen=True)
class Clip:
    """One recording: where it is, the word it says, and the split it belongs to."""

    path: Path
    name: str  # relative to the dataset, with /
    word: str
    split: str

    @property
    def spoken(self) -> bool:
        """Whether somebody speaks in it; ``_silence_`` is a class of noise."""
        return not self.word.startswith("_")


@dataclass(frozen=True)
class Folder:
    """What a scan found. ``warnings`` are lines for the user: what the lists lack, and what was left out."""

    root: Path
    clips: tuple[Clip, ...]
    background: tuple[Path, ...]
    warnings: tuple[str, ...]

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(sorted({clip.word for clip in self.clips}))


def scan(root: Path | str, *, leaks: bool = False) -> Folder:
    """Lists the clips of a dataset; TokayError if there is no dataset at ``root``.

    With ``leaks`` speakers in two splits are let pass without a word: the caller looks for them.
    """
    root = Path(root)
    if not root.is_dir():
        raise TokayError(f"{root}: no such folder", hint=_HINT)
    listed, warnings = _read_lists(root)
    files = [path for folder in _folders(root) for path in _files(folder)]
    noise = [path for path in files if _is_background(path.parent)]
    words = [path for path in files if not _is_background(path.parent)]
    ignored = _ignored(root)
    if not words:
        seen = "; ".join(line.removeprefix(f"{root}: ") for line in ignored)
        hint = seen or "a dataset has a folder for each word, with its recordings"
        raise TokayError(f"{root}: no WAV or FLAC file in the folder of a word", hint=hint)
    clips = _split(root, words, listed)
    warnings += _missing(root, listed, clips) + ignored
    if not leaks and (pair := _leak(clips)):
        line = _leak_line(*pair)
        if os.environ.get("TOKAY_ALLOW_LEAKS") != "1":
            raise TokayError(f"{root}: {line}", hint=_LEAK_HINT)
        warnings.append(f"{root}: {line}")
    return Folder(root, clips, tuple(noise), tuple(warnings))


def speaker_of(name: str) -> str:
    """The speaker of a clip's name: what is before ``_nohash_``; the whole name where that is absent."""
    stem = _stem(name).split("/")[-1]
    known = _SPEAKER.match(stem)
    return known[1] if known else stem


def is_speaker_known(name: str) -> bool:
    """Whether the name says who speaks. Clips named 1.wav, 2.wav … do not."""
    return _SPEAKER.match(_stem(name).split("/")[-1]) is not None


def split_of_speaker(speaker: str) -> str:
    """80 % training, 10 % validation, 10 % testing, by a hash that is the same everywhere."""
    bucket = int.from_bytes(hashlib.sha256(speaker.encode(errors="surrogateescape")).digest()[:4], "big") % 10
    return "testing" if bucket == 0 else "validation" if bucket == 1 else "training"


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _files(folder: Path) -> list[Path]:
    return [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".") and path.is_file()
    ]


def _is_background(folder: Path) -> bool:
    return folder.name.startswith("_background")


def _split(root: Path, paths: Sequence[Path], listed: dict[str, str]) -> tuple[Clip, ...]:
    names = [_composed(_in_utf8(f"{path.parent.name}/{path.name}")) for path in paths]
    if twice := next((name for name, n in Counter(names).items() if n > 1), None):
        raise TokayError(f"{root}: two clips are called {twice}, in two Unicode forms", hint="rename one")
    listed_words = {stem.split("/")[0] for stem in listed}
    drawn = [split for split, name in LISTS.items() if not (root / name).is_file()]
    splits: dict[str, str] = {}
    of_speaker = {speaker_of(stem): split for stem, split in listed.items() if is_speaker_known(stem)}
    for name in names:
        if name.split("/")[0] in listed_words:
            hashed = split_of_speaker(speaker_of(name))
            # What no list names is for training; where a list is absent, its split is drawn.
            splits[name] = listed.get(_stem(name)) or (hashed if hashed in drawn else "training")
            if is_speaker_known(name):
                of_speaker.setdefault(speaker_of(name), splits[name])
    for name in names:
        if name not in splits:
            speaker = speaker_of(name)
            splits[name] = of_speaker.get(speaker) or split_of_speaker(speaker)
    return tuple(
        Clip(path, name, name.split("/")[0], splits[name]) for path, name in zip(paths, names, strict=True)
    )


def _leak(clips: Sequence[Clip]) -> tuple[Clip, Clip] | None:
    """Two clips of one speaker in two splits, if there are such."""
    first: dict[str, Clip] = {}
    for clip in clips:
        if is_speaker_known(clip.name):
            other = first.setdefault(speaker_of(clip.name), clip)
            if other.split != clip.split:
                return other, clip
    return None


def _leak_line(one: Clip, other: Clip) -> str:
    return (
        f"speaker {speaker_of(one.name)} is in two splits: {one.name} in {one.split}, "
        f"{other.name} in {other.split}"
    )


def _missing(root: Path, listed: dict[str, str], clips: Sequence[Clip]) -> list[str]:
    """A line for list entries without a clip, and one for those whose word has no folder at all."""
    missing = sorted(listed.keys() - {_stem(clip.name) for clip in clips})
    if not missing:
        return []
    words = {clip.word for clip in clips}
    strange = sorted({stem.split("/")[0] for stem in missing} - words)
    lines = [f"{root}: {len(missing)} of {len(listed)} listed clips are not there, such as {missing[0]}"]
    if strange:
        lines.append(f"{root}: the lists name words that have no folder: {', '.join(strange[:10])}")
    return lines


def _ignored(root: Path) -> list[str]:
    """A line for audio of other formats, and one for folders within a word's, which are not looked into."""
    inside = [path for folder in _folders(root) for path in folder.iterdir()]
    files = [path for path in inside if path.suffix.lower() in _OTHER_AUDIO]
    folders = [path for folder in _folders(root) for path in _folders(folder)]
    lines = []
    if files:
        name = min(files).name
        lines.append(f"{root}: {len(files)} files are neither WAV nor FLAC and left out, such as {name}")
    if folders:
        name = min(folders).relative_to(root)
        lines.append(f"{root}: {len(folders)} folders within words' folders are left out, such as {name}")
    return lines


def _read_lists(root: Path) -> tuple[dict[str, str], list[str]]:
    """Split by clip name without its suffix, since a list may say .wav where the clip is .flac."""
    listed: dict[str, str] = {}
    warnings: list[str] = []
    for split, file_name in LISTS.items():
        path = root / file_name
        if not path.is_file():
            warnings.append(f"{root}: no {file_name}; its split is drawn by speaker")
            continue
        try:
            lines = path.read_text(encoding="utf-8-sig").split("\n")
        except UnicodeDecodeError as error:
            raise TokayError(f"{path}: not a text file") from error
        for number, line in enumerate(lines, 1):
            name = _composed(line.strip().replace("\\", "/").removeprefix("./"))
            if not name:
                continue
            if name.count("/") != 1 or ".." in name.split("/"):
                warnings.append(f"{path}:{number}: {line.strip()[:60]!r} is not WORD/FILE and left out")
                continue
            stem = _stem(name)
            if listed.get(stem, split) != split:
                raise TokayError(
                    f"{path}:{number}: {name} is in the {listed[stem]} list too",
                    hint="a clip belongs to one split",
                )
            listed[stem] = split
    return listed, warnings


def _in_utf8(name: str) -> str:
    """A name from the file system by its bytes: Python has decoded it as the locale says."""
    return os.fsencode(name).decode("utf-8", "surrogateescape")


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _stem(name: str) -> str:
    return re.sub(r"\.(wav|flac)$", "", name, flags=re.IGNORECASE)
