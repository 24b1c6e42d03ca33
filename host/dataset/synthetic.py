"""Words said by speech synthesizers, as an addition to recorded clips: more voices, not better ones.

The clips are made at the model's rate and kept in the cache folder, each on its own, so that what was
said once is never said again. Which voices train and which are held out for demonstrations is written
with each engine, so that the two never meet.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import sys
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from host.dataset.store import fit_length
from host.dataset.synthesizers import ENGINES, Voice, espeak
from host.errors import TokayError
from host.files import write_atomic
from host.places import cache_folder

ESPEAK = "espeak-ng"
UNKNOWN_WORDS = (
    "up", "five", "one", "four", "of", "all", "own", "want", "gone", "down", "stop", "go", "yes", "no",
    "left", "right", "dog", "cat", "open", "and", "an", "in", "are", "oh", "hello", "please", "light",
    "lamp", "the",
)  # fmt: skip
_FORMAT = 3  # part of the key: raise it when what is stored changes
_CHECKSUM_BYTES = 4
_MANY = 100  # clips that take long enough to be told about
_MARKS = ("", "", ".", "?", "!")  # the melodies that training voices draw from; most words end plainly


def available(engine: str = ESPEAK) -> bool:
    """Whether a synthesizer can be used here."""
    return ENGINES[engine].problem() is None


def missing(voices: int | Mapping[str, int] | Sequence[str]) -> list[str]:
    """A line for each engine that is wanted and cannot be used here, with what to do."""
    engines = ([ESPEAK] if voices else []) if isinstance(voices, int) else list(voices)
    unknown = [name for name in engines if name not in ENGINES]
    if unknown:
        raise TokayError(f"no synthesizer {unknown[0]!r}", hint=f"there are {', '.join(ENGINES)}")
    reasons = {name: ENGINES[name].problem() for name in engines}
    return [f"{name}: {why}; {ENGINES[name].install}" for name, why in reasons.items() if why]


def used(voices: int | Mapping[str, int]) -> dict[str, int]:
    """The voices that each engine gives here: of those wanted, what is installed. For a model's card."""
    wanted = {ESPEAK: voices} if isinstance(voices, int) else voices
    away = {line.split(":")[0] for line in missing(wanted)}
    return {name: count for name, count in wanted.items() if count and name not in away}


def training_voices(voices: int | Mapping[str, int], seed: int) -> list[Voice]:
    """So many voices of each engine (a number: of espeak-ng), different for each seed, none held out.

    An engine that is not installed gives none. Where more are wanted than an engine has speakers, voices
    between two of them follow; an engine that has none such lets its speakers speak again, faster or
    slower, higher or lower.
    """
    return [voice for name, count in used(voices).items() for voice in _drawn(name, count, seed)]


def described(voices: Sequence[Voice]) -> list[str]:
    """A line for each voice, with all that its sound depends on."""
    return [f"{_FORMAT} {voice!r} {ENGINES[voice.engine].identity(voice.speaker)}" for voice in voices]


def _drawn(engine: str, count: int, seed: int) -> list[Voice]:
    if engine == ESPEAK:
        return _drawn_espeak(count, seed)
    rng = np.random.default_rng([seed, zlib.crc32(engine.encode())])
    speakers = [name for name in ENGINES[engine].speakers() if not ENGINES[engine].held_out(name)]
    order = rng.permutation(len(speakers))
    return [
        Voice(
            engine,
            _speaker(engine, speakers, order, i),
            round(float(rng.uniform(0.8, 1.25)), 2),
            round(float(rng.uniform(0.92, 1.09)), 2),
            _MARKS[int(rng.integers(len(_MARKS)))],
        )
        for i in range(count)
    ]


def _speaker(engine: str, speakers: Sequence[str], order: np.ndarray, place: int) -> str:
    """The speaker of the voice at ``place``; each later round over them pairs them in another way."""
    turn, i = divmod(place, len(speakers))
    first, second = (speakers[int(order[k % len(speakers)])] for k in (i, i + turn))
    return first if first == second else ENGINES[engine].blend(first, second) or first


def _drawn_espeak(count: int, seed: int) -> list[Voice]:
    rng = np.random.default_rng([seed, 0xE5])
    voices: list[Voice] = []
    for i in range(count):
        accent = espeak.ACCENTS[int(rng.integers(len(espeak.ACCENTS)))]
        variant = espeak.TRAINING_VARIANTS[i % len(espeak.TRAINING_VARIANTS)]
        factors = espeak.scaled(int(rng.integers(110, 190)), int(rng.integers(25, 75)))
        voices.append(Voice(ESPEAK, f"{accent}+{variant}", *factors))
    return voices


def held_out(voice: Voice) -> bool:
    """Whether a voice's speaker never trains."""
    return ENGINES[voice.engine].held_out(voice.speaker)


def say(text: str, voice: Voice, sample_rate_hz: int) -> np.ndarray:
    """``text`` in ``voice``: int16 mono, silence at both ends cut off."""
    import soxr

    if lines := missing([voice.engine]):
        raise TokayError(lines[0])
    audio, rate = ENGINES[voice.engine].say(text, voice)
    audio = soxr.resample(audio, rate, sample_rate_hz, quality="HQ")
    peak = float(np.max(np.abs(audio), initial=0.0))
    loud = np.flatnonzero(np.abs(audio) > 0.01 * peak)
    if not peak or not np.isfinite(peak) or len(loud) == 0:
        raise TokayError(f"{voice} said nothing for {text!r}")
    kept = audio[loud[0] : loud[-1] + 1] * (32767 / max(peak, 1.0))
    return np.rint(kept).astype(np.int16)


def spoken(
    jobs: Sequence[tuple[str, Voice]], sample_rate_hz: int, samples: int, cache: Path | None = None
) -> np.ndarray:
    """int16[jobs, samples]: words, each by a voice, from the cache where it has them."""
    folder = (cache or cache_folder()) / "synthetic"
    result = np.empty((len(jobs), samples), np.int16)
    if lines := missing(list(dict.fromkeys(voice.engine for _, voice in jobs))):
        raise TokayError(lines[0])
    new = sum(not _file(folder, *job, sample_rate_hz).is_file() for job in jobs)
    if new > _MANY:
        print(f"saying {new} words in synthetic voices, kept for the next time", file=sys.stderr)
    # The first word of each engine before the rest: it loads the engine's model, which threads would do
    # at the same time.
    first = list({voice.engine: i for i, (_, voice) in reversed(list(enumerate(jobs)))}.values())
    for i in first:
        result[i] = fit_length(_cached(folder, *jobs[i], sample_rate_hz), samples)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        said = pool.map(lambda job: _cached(folder, *job, sample_rate_hz), jobs)
        for i, audio in enumerate(said):
            result[i] = fit_length(audio, samples)
    return result


def _file(folder: Path, word: str, voice: Voice, rate: int) -> Path:
    identity = ENGINES[voice.engine].identity(voice.speaker)
    key = hashlib.blake2b(repr((_FORMAT, identity, voice, word, rate)).encode(), digest_size=16).hexdigest()
    return folder / voice.engine / f"{key}.npy"


def _cached(folder: Path, word: str, voice: Voice, rate: int) -> np.ndarray:
    """The word from its file, an .npy with its CRC-32 behind it; said again where that is not whole."""
    path = _file(folder, word, voice, rate)
    with contextlib.suppress(OSError):
        stored = path.read_bytes()
        if stored == _with_checksum(stored[:-_CHECKSUM_BYTES]):
            return np.load(io.BytesIO(stored))
    audio = say(word, voice, rate)
    stream = io.BytesIO()
    np.save(stream, audio)
    write_atomic(path, _with_checksum(stream.getvalue()))
    return audio


def _with_checksum(data: bytes) -> bytes:
    return data + zlib.crc32(data).to_bytes(_CHECKSUM_BYTES, "little")
