"""Reading one clip of a dataset: its samples, or in a few words why it cannot be trained on."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from host.audio import missing_bytes, read_audio
from host.errors import TokayError

SHORTEST_MS = 100
_SILENT_PEAK = 32  # of 32768, -60 dB: nothing that could be heard
_CLIPPED_SHARE = 0.25  # of the samples at full scale; loud clips of Speech Commands reach 0.13


def read_clip(path: Path, rate: int | None, *, speech: bool = True) -> np.ndarray | str:
    """int16 mono at ``rate`` (its own where None), or the reason against it.

    ``speech``: whether a word is expected in it. Recorded silence may be as faint as it is.
    """
    import soundfile

    try:
        own_rate = soundfile.info(os.fsencode(path)).samplerate
        if rate is not None and 2 * own_rate < rate:
            return f"recorded at {own_rate} Hz, too low for a model that listens at {rate} Hz"
        if (missing := missing_bytes(path)) > 0:
            return f"truncated: {missing} bytes fewer than its header says"
        audio = read_audio(path, rate or own_rate, resample=True)
    except TokayError as error:
        return error.message.removeprefix(f"{path}: ")
    except (soundfile.LibsndfileError, RuntimeError, OSError):
        return "not readable as audio"
    return _fault(audio, rate or own_rate, speech) or audio


def _fault(audio: np.ndarray, rate: int, speech: bool) -> str | None:
    if len(audio) < rate * SHORTEST_MS // 1000:
        return f"only {1000 * len(audio) // rate} ms long"
    if not np.any(audio):
        return "digital silence"
    low, high = int(audio.min()), int(audio.max())
    if low == high:
        return f"a constant {low}, no sound"
    if speech and high - low <= 2 * _SILENT_PEAK:
        return f"nearly silent: its swing is {high - low} of 65536"
    clipped = np.count_nonzero((audio == 32767) | (audio == -32768)) / len(audio)
    if clipped > _CLIPPED_SHARE:
        return f"clipped: {100 * clipped:.0f} % of its samples are at full scale"
    return None
