"""What is in a dataset, before it is trained on: counts, speakers, leaks, and every clip left out."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from host.dataset import folder
from host.dataset.folder import Clip, Folder
from host.dataset.reading import read_clip
from host.dataset.store import digest_of, left_out


@dataclass(frozen=True)
class Report:
    """``bad`` and ``leaks`` are lines that begin with the clip's or the speaker's name."""

    root: str
    words: dict[str, dict[str, int]]  # clips by word and split, those left out not counted
    speakers: dict[str, int]  # by split, as far as the names say who speaks
    background_s: float
    warnings: tuple[str, ...]
    leaks: tuple[str, ...]
    bad: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def examine(found: Folder, rate: int | None, progress: Callable[[int, int], None]) -> Report:
    """Reads every clip, at ``rate`` or its own."""
    bad: list[str] = []
    good: list[Clip] = []
    digests: list[bytes] = []
    with ThreadPoolExecutor() as pool:
        read = pool.map(lambda clip: _digest(clip, rate), found.clips)
        for i, (clip, result) in enumerate(zip(found.clips, read, strict=True), 1):
            progress(i, len(found.clips))
            if isinstance(result, str):
                bad.append(f"{clip.name}: {result}")
            else:
                good.append(clip)
                digests.append(result)
    doubles = left_out(good, digests)
    bad += [f"{good[i].name}: {reason}" for i, reason in doubles.items()]
    kept = [clip for i, clip in enumerate(good) if i not in doubles]
    seconds = 0.0
    for path in found.background:
        audio = read_clip(path, rate or 16000, speech=False)
        if isinstance(audio, np.ndarray):
            seconds += len(audio) / (rate or 16000)
        else:
            bad.append(f"{path.parent.name}/{path.name}: {audio}")
    counts = Counter((clip.word, clip.split) for clip in kept)
    known = {(folder.speaker_of(c.name), c.split) for c in kept if folder.is_speaker_known(c.name)}
    speakers = {split: sum(of == split for _, of in known) for split in folder.SPLITS}
    words = {word: {split: counts[word, split] for split in folder.SPLITS} for word in found.words}
    leaks = _leaks(found.clips)
    return Report(str(found.root), words, speakers, seconds, found.warnings, leaks, tuple(bad))


def _digest(clip: Clip, rate: int | None) -> bytes | str:
    audio = read_clip(clip.path, rate, speech=clip.spoken)
    return audio if isinstance(audio, str) else digest_of(audio)


def _leaks(clips: Sequence[Clip]) -> tuple[str, ...]:
    """A line for each speaker that is in more than one split."""
    of: dict[str, dict[str, str]] = defaultdict(dict)
    for clip in clips:
        if folder.is_speaker_known(clip.name):
            of[folder.speaker_of(clip.name)].setdefault(clip.split, clip.name)
    return tuple(
        f"{speaker}: " + ", ".join(f"{name} in {split}" for split, name in splits.items())
        for speaker, splits in of.items()
        if len(splits) > 1
    )
