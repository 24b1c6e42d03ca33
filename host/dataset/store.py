"""The clips of a dataset as one memory-mapped int16 array at the model's rate, decoded once.

Decoding and resampling thousands of files takes longer than training on them, so the result is
kept in the platform's cache folder under a key of the files' contents.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from host.audio import read_audio
from host.dataset.folder import Clip, Folder
from host.errors import TokayError

_FORMAT = 2  # part of the key: raise it when what is stored changes
_SHORTEST_MS = 100


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


def cache_folder() -> Path:
    """Where this platform keeps what can be made again."""
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", str(Path.home())))
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "tokay"


def load(folder: Folder, sample_rate_hz: int, clip_samples: int, cache: Path | None = None) -> Store:
    """Decodes a scanned folder, or opens what an earlier call decoded."""
    files = [clip.path for clip in folder.clips] + list(folder.background)
    key = _key(folder, files, sample_rate_hz, clip_samples)
    place = (cache or cache_folder()) / "audio" / key
    if not (place / "index.json").is_file():
        _build(place, folder, sample_rate_hz, clip_samples)
    return _open(place, folder, key)


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


def _key(folder: Folder, files: Sequence[Path], rate: int, samples: int) -> str:
    digest = hashlib.blake2b(f"{_FORMAT} {rate} {samples}".encode(), digest_size=16)
    with ThreadPoolExecutor() as pool:
        for path, content in zip(files, pool.map(_file_digest, files), strict=True):
            digest.update(str(path.relative_to(folder.root)).encode() + b"\0" + content)
    return digest.hexdigest()


def _file_digest(path: Path) -> bytes:
    try:
        return hashlib.blake2b(path.read_bytes(), digest_size=16).digest()
    except OSError as error:
        raise TokayError(f"cannot read {path}: {error.strerror}") from error


def _decode(path: Path, rate: int, shortest: int) -> np.ndarray | str:
    """The clip's PCM, or why it cannot be used."""
    try:
        audio = read_audio(path, rate, resample=True)
    except TokayError as error:
        return error.message
    if len(audio) < shortest:
        return f"{path}: only {1000 * len(audio) // rate} ms long"
    if not np.any(audio):
        return f"{path}: digital silence"
    return audio


def _build(place: Path, folder: Folder, rate: int, samples: int) -> None:
    """Fills ``place`` whole or not at all: in a folder beside it that is renamed at the end."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=place.parent, prefix=".building-"))
    except OSError as error:
        raise TokayError(f"cannot write the cache {place.parent}: {error.strerror}") from error
    try:
        _decode_into(work, folder, rate, samples)
        if place.exists():
            shutil.rmtree(place)
        os.replace(work, place)
    except OSError as error:
        if not (place / "index.json").is_file():  # else another process was faster
            raise TokayError(f"cannot write the cache {place}: {error.strerror}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _decode_into(work: Path, folder: Folder, rate: int, samples: int) -> None:
    shortest = rate * _SHORTEST_MS // 1000
    names: list[str] = []
    skipped: list[str] = []
    with ThreadPoolExecutor() as pool, open(work / "clips.i16", "wb") as stream:
        decoded: Iterable[np.ndarray | str] = pool.map(
            lambda clip: _decode(clip.path, rate, shortest), folder.clips
        )
        for clip, audio in zip(folder.clips, decoded, strict=True):
            if isinstance(audio, str):
                skipped.append(audio)
                continue
            stream.write(fit_length(audio, samples).tobytes())
            names.append(clip.name)
    lengths: list[int] = []
    with open(work / "background.i16", "wb") as stream:
        for path in folder.background:
            audio = _decode(path, rate, samples)
            if isinstance(audio, str):
                skipped.append(audio)
                continue
            stream.write(audio.tobytes())
            lengths.append(len(audio))
    index = {"names": names, "skipped": skipped, "background": lengths, "samples": samples}
    (work / "index.json").write_text(json.dumps(index))


def _open(place: Path, folder: Folder, key: str) -> Store:
    try:
        index = json.loads((place / "index.json").read_text())
        by_name = {clip.name: clip for clip in folder.clips}
        clips = tuple(by_name[name] for name in index["names"])
        audio = _map(place / "clips.i16", len(clips) * index["samples"]).reshape(len(clips), index["samples"])
        noise = _map(place / "background.i16", sum(index["background"]))
        background = tuple(np.split(noise, np.cumsum(index["background"])[:-1])) if len(noise) else ()
        return Store(clips, audio, background, tuple(index["skipped"]), key)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TokayError(f"the cache {place} is damaged: {error}", hint="delete that folder") from error


def _map(path: Path, count: int) -> np.ndarray:
    if path.stat().st_size != 2 * count:
        raise ValueError(f"{path.name} has {path.stat().st_size} bytes, not {2 * count}")
    return np.memmap(path, np.int16, "r") if count else np.zeros(0, np.int16)
