"""Words said by espeak-ng, as an addition to recorded clips: more voices, not better ones.

The clips are made at the model's rate and kept in the cache folder. Which voices train and which
are held out for demonstrations is written here, so that the two never meet.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from host.cli import write_atomic
from host.dataset.store import cache_folder, fit_length
from host.errors import TokayError

# espeak-ng ignores a variant after "en-gb", without a word; after "en", the same accent, it does not.
ACCENTS = ("en-us", "en", "en-gb-x-rp", "en-gb-scotland", "en-029", "en-us-nyc")
# Variants of the synthesizer's glottal source and formants that stay intelligible.
TRAINING_VARIANTS = (
    "m1", "m3", "m5", "m7", "f1", "f3", "f5", "Andrea", "Annie", "Denis", "Diogo", "Gene", "Jacky", "Lee",
    "Mario", "Michael", "steph", "steph2", "adam", "aunty", "david", "ed", "edward", "linda", "max",
    "norbert", "rob", "shelby", "steph3", "travis",
)  # fmt: skip
HELD_OUT_VARIANTS = ("m2", "m4", "f2", "f4", "Andy", "Alex", "belinda", "quincy")
UNKNOWN_WORDS = (
    "up", "five", "one", "four", "of", "all", "own", "want", "gone", "down", "stop", "go", "yes", "no",
    "left", "right", "dog", "cat", "open", "and", "an", "in", "are", "oh", "hello", "please", "light",
    "lamp", "the",
)  # fmt: skip


@dataclass(frozen=True)
class Voice:
    """One way of saying a word: accent+variant, words a minute, pitch 0..99."""

    accent: str
    variant: str
    speed: int
    pitch: int


def available() -> bool:
    """Whether espeak-ng is installed."""
    return shutil.which("espeak-ng") is not None


def training_voices(count: int, seed: int) -> list[Voice]:
    """``count`` voices, different for each seed, none with a held-out variant."""
    rng = np.random.default_rng([seed, 0xE5])
    return [
        Voice(
            ACCENTS[int(rng.integers(len(ACCENTS)))],
            TRAINING_VARIANTS[i % len(TRAINING_VARIANTS)],
            int(rng.integers(110, 190)),
            int(rng.integers(25, 75)),
        )
        for i in range(count)
    ]


def say(text: str, voice: Voice, sample_rate_hz: int) -> np.ndarray:
    """``text`` in ``voice``: int16 mono, silence at both ends cut off."""
    import soundfile
    import soxr

    name = f"{voice.accent}+{voice.variant}"
    command = ["espeak-ng", "-v", name, "-s", str(voice.speed)]
    command += ["-p", str(voice.pitch), "--stdout", text]
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=60)
        audio, rate = soundfile.read(io.BytesIO(done.stdout), dtype="float32")
    except (OSError, subprocess.SubprocessError, soundfile.LibsndfileError) as error:
        raise TokayError(f"espeak-ng failed in voice {name}: {error}", hint="is it installed?") from error
    audio = soxr.resample(audio, rate, sample_rate_hz, quality="HQ")
    loud = np.flatnonzero(np.abs(audio) > 0.01 * np.max(np.abs(audio), initial=1e-9))
    if len(loud) == 0:
        raise TokayError(f"espeak-ng said nothing for {text!r} in {name}")
    return np.clip(np.rint(audio[loud[0] : loud[-1] + 1] * 32767), -32768, 32767).astype(np.int16)


def clips(
    words: Sequence[str], voices: Sequence[Voice], sample_rate_hz: int, samples: int,
    cache: Path | None = None,
) -> np.ndarray:  # fmt: skip
    """int16[words, voices, samples]: every word by every voice, from the cache where it has them."""
    key = hashlib.blake2b(repr((1, tuple(words), voices, sample_rate_hz, samples)).encode(), digest_size=16)
    path = (cache or cache_folder()) / "synthetic" / f"{key.hexdigest()}.npy"
    if path.is_file():
        return np.load(path)
    jobs = [(word, voice) for word in words for voice in voices]
    with ThreadPoolExecutor() as pool:
        said = list(pool.map(lambda job: fit_length(say(*job, sample_rate_hz), samples), jobs))
    result = np.stack(said).reshape(len(words), len(voices), samples)
    stream = io.BytesIO()
    np.save(stream, result)
    write_atomic(path, stream.getvalue())
    return result
