"""The clips of a dataset as one memory-mapped int16 array at the model's rate, decoded once.

Decoding and resampling thousands of files takes longer than training on them, so the result is
kept in the platform's cache folder under a key of the files' contents and splits. What is there is
verified each time; what is damaged is made again.

The same recording in two splits would be learnt and then asked for, so it counts in one of them: a
training clip that is in another split too, or that is in another word's folder too, is left out, and a
validation clip that is in the testing split. The testing split always stays as its list has it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from host.dataset.folder import Clip, Folder
from host.dataset.reading import read_clip
from host.errors import TokayError
from host.lock import HELD, locked
from host.places import cache_folder

_FORMAT = 3  # part of the key: raise it when what is stored changes
_BLOCK = 1 << 24
_STRONGER = {"training": ("validation", "testing"), "validation": ("testing",)}
_DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError)  # what reading a damaged cache raises


@dataclass(frozen=True)
class Store:
    """``audio[i]`` is the PCM of ``clips[i]``, all of one length; ``background`` of any length."""

    clips: tuple[Clip, ...]
    audio: np.ndarray  # int16[clips, samples]
    background: tuple[np.ndarray, ...]  # int16[n] each
    skipped: tuple[str, ...]  # "NAME: reason" of every clip that was left out
    key: str  # of the contents

    def select(self, split: str) -> np.ndarray:
        """Indices of the clips of a split; of all clips for ``all``."""
        return np.flatnonzero([split in ("all", clip.split) for clip in self.clips])


def load(folder: Folder, sample_rate_hz: int, clip_samples: int, cache: Path | None = None) -> Store:
    """Decodes a scanned folder, or opens what an earlier call decoded."""
    key = _key(folder, sample_rate_hz, clip_samples)
    place = (cache or cache_folder()) / "audio" / key
    with contextlib.suppress(*_DAMAGE):
        return _open(place, folder, key)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with locked(place.parent / f".{place.name}.lock"):  # a second process waits and finds it made
            if (store := _open_or_none(place, folder, key)) is not None:
                return store
            _build(place, folder, sample_rate_hz, clip_samples)
    except OSError as error:
        raise TokayError(
            f"cannot write the cache {place}: {error.strerror}", hint="XDG_CACHE_HOME names another place"
        ) from error
    try:
        return _open(place, folder, key)
    except _DAMAGE as error:
        raise TokayError(f"the cache {place} is damaged as soon as it is written: {error}") from error


def fit_length(audio: np.ndarray, samples: int) -> np.ndarray:
    """The clip at the given length: short ones amid silence, long ones cut where they are loudest."""
    if len(audio) > samples:
        energy = np.concatenate(([0], np.cumsum(audio.astype(np.int64) ** 2)))
        start = int(np.argmax(energy[samples:] - energy[:-samples]))
        return audio[start : start + samples]
    if len(audio) < samples:
        before = (samples - len(audio)) // 2
        return np.pad(audio, (before, samples - len(audio) - before))
    return audio


def left_out(clips: Sequence[Clip], digests: Sequence[bytes]) -> dict[int, str]:
    """Index and reason of every clip whose recording (by digest) another clip has, as said at the top."""
    same: dict[bytes, list[int]] = defaultdict(list)
    for i, digest in enumerate(digests):
        same[digest].append(i)
    reasons: dict[int, str] = {}
    for group in same.values():
        for i in group:
            stronger = _STRONGER.get(clips[i].split, ())
            for other in (clips[k] for k in group if k != i):
                if other.split in stronger:
                    reasons[i] = f"the same recording as {other.name} of the {other.split} split"
                elif other.word != clips[i].word and clips[i].split == "training":
                    reasons.setdefault(i, f"the same recording as {other.name}, another word")
    return reasons


def digest_of(audio: np.ndarray) -> bytes:
    """What tells recordings apart: a hash of their samples."""
    return hashlib.blake2b(audio.tobytes(), digest_size=16).digest()


def _key(folder: Folder, rate: int, samples: int) -> str:
    digest = hashlib.blake2b(f"{_FORMAT} {rate} {samples}".encode(), digest_size=16)
    names = [f"{clip.name}\0{clip.split}" for clip in folder.clips] + [p.name for p in folder.background]
    files = [clip.path for clip in folder.clips] + list(folder.background)
    with ThreadPoolExecutor() as pool:
        for name, content in zip(names, pool.map(_file_digest, files), strict=True):
            digest.update(name.encode(errors="surrogateescape") + b"\0" + content)
    return digest.hexdigest()


def _file_digest(path: Path) -> bytes:
    try:
        return hashlib.blake2b(path.read_bytes(), digest_size=16).digest()
    except OSError as error:
        raise TokayError(f"cannot read {path}: {error.strerror}") from error


def _open_or_none(place: Path, folder: Folder, key: str) -> Store | None:
    """What an earlier call left; None where there is nothing, or nothing that is whole."""
    if not place.exists():
        return None
    try:
        return _open(place, folder, key)
    except _DAMAGE as error:
        print(f"warning: the cache {place} is damaged ({error}); decoding the clips again", file=sys.stderr)
        return None


def _build(place: Path, folder: Folder, rate: int, samples: int) -> None:
    """Fills ``place`` whole or not at all: in a folder beside it that is renamed at the end."""
    prefix = f".building-{place.name}-"
    if HELD:  # what a killed process left; nobody else is at work here
        for leftover in place.parent.glob(f"{prefix}*"):
            shutil.rmtree(leftover, ignore_errors=True)
    work = Path(tempfile.mkdtemp(dir=place.parent, prefix=prefix))
    try:
        _decode_into(work, folder, rate, samples)
        if place.is_dir():
            shutil.rmtree(place)
        place.unlink(missing_ok=True)
        os.replace(work, place)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _decode_into(work: Path, folder: Folder, rate: int, samples: int) -> None:
    kept: list[Clip] = []
    digests: list[bytes] = []
    skipped: list[str] = []
    with ThreadPoolExecutor() as pool, open(work / "clips.i16", "wb") as stream:
        decoded: Iterable[np.ndarray | str] = pool.map(
            lambda clip: read_clip(clip.path, rate, speech=clip.spoken), folder.clips
        )
        for clip, audio in zip(folder.clips, decoded, strict=True):
            if isinstance(audio, str):
                skipped.append(f"{clip.name}: {audio}")
                continue
            stream.write(fit_length(audio, samples).tobytes())
            kept.append(clip)
            digests.append(digest_of(audio))
    doubles = left_out(kept, digests)
    skipped += [f"{kept[i].name}: {reason}" for i, reason in doubles.items()]
    if doubles:
        _remove_rows(work / "clips.i16", doubles.keys(), len(kept), samples)
    lengths: list[int] = []
    with open(work / "background.i16", "wb") as stream:
        for path in folder.background:
            audio = read_clip(path, rate, speech=False)
            if not isinstance(audio, str) and len(audio) < samples:
                audio = f"shorter than a clip of {1000 * samples // rate} ms"
            if isinstance(audio, str):
                skipped.append(f"{path.parent.name}/{path.name}: {audio}")
                continue
            stream.write(audio.tobytes())
            lengths.append(len(audio))
    index: dict[str, Any] = {
        "names": [clip.name for i, clip in enumerate(kept) if i not in doubles],
        "skipped": skipped,
        "background": lengths,
        "samples": samples,
        "crc32": {name: _crc32(work / name) for name in ("clips.i16", "background.i16")},
    }
    index["crc32"]["index.json"] = _checksum(index)
    (work / "index.json").write_text(json.dumps(index), encoding="utf-8")


def _checksum(index: dict[str, Any]) -> int:
    """CRC-32 of an index, its own aside."""
    sums = {name: value for name, value in index["crc32"].items() if name != "index.json"}
    return zlib.crc32(json.dumps({**index, "crc32": sums}).encode())


def _remove_rows(path: Path, rows: Iterable[int], count: int, samples: int) -> None:
    """Closes the gaps that ``rows`` leave in an array of ``count`` rows."""
    array = np.memmap(path, np.int16, "r+", shape=(count, samples))
    gone = set(rows)
    left = [i for i in range(count) if i not in gone]
    for to, source in enumerate(left):
        if to != source:
            array[to] = array[source]
    array.flush()
    del array
    os.truncate(path, 2 * samples * len(left))


def _open(place: Path, folder: Folder, key: str) -> Store:
    index = json.loads((place / "index.json").read_text(encoding="utf-8"))
    if _checksum(index) != index["crc32"]["index.json"]:
        raise ValueError("index.json is not what was written")
    by_name = {clip.name: clip for clip in folder.clips}
    clips = tuple(by_name[name] for name in index["names"])
    lengths = index["background"]
    audio = _map(place / "clips.i16", len(clips) * index["samples"], index)
    noise = _map(place / "background.i16", sum(lengths), index)
    background = tuple(np.split(noise, np.cumsum(lengths)[:-1])) if len(noise) else ()
    rows = audio.reshape(len(clips), index["samples"])
    return Store(clips, rows, background, tuple(map(str, index["skipped"])), key)


def _map(path: Path, count: int, index: dict[str, Any]) -> np.ndarray:
    if path.stat().st_size != 2 * count:
        raise ValueError(f"{path.name} has {path.stat().st_size} bytes, not {2 * count}")
    if _crc32(path) != index["crc32"][path.name]:
        raise ValueError(f"{path.name} is not what was written")
    return np.memmap(path, np.int16, "r") if count else np.zeros(0, np.int16)


def _crc32(path: Path) -> int:
    value = 0
    with open(path, "rb") as stream:
        while block := stream.read(_BLOCK):
            value = zlib.crc32(block, value)
    return value
