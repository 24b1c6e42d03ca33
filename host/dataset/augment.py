"""What a clip goes through on its way to a microphone: other speed, place, loudness, room noise.

Every function draws from the generator it is given and from nothing else, so an example is a
function of its seed, whatever the order or the number of threads it is made with.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from host.dataset.store import fit_length
from host.training.specification import Augmentation

_FLOOR_RMS = 2.0  # of the quietest noise floor, in units of int16; a microphone is never digitally silent
_BANK_SLOPES, _BANK_SAMPLES = 12, 1 << 18


def utterance(
    clip: np.ndarray, rng: np.random.Generator, settings: Augmentation, rate: int,
    noises: Sequence[np.ndarray], before: np.ndarray | None = None, shift_ms: int | None = None,
) -> np.ndarray:  # fmt: skip
    """One augmented example of a spoken clip: int16, as long as the clip or with a lead-in before it.

    ``before`` is another clip that may be heard in the lead-in. The example ends where its clip ends.
    ``shift_ms`` takes the place of the settings' for keywords.
    """
    samples = len(clip)
    most = settings.shift_ms if shift_ms is None else shift_ms
    speech = shifted(respeed(clip, rng.uniform(*settings.speed)), rng, most * rate // 1000)
    lead_in = draw_lead_in(rng, settings, rate)
    signal = np.zeros(lead_in + samples, np.float32)
    signal[lead_in:] = speech
    level = loudness(speech)
    if lead_in and before is not None and rng.random() < 0.5:
        tail = before[-lead_in:].astype(np.float32)
        relative = rng.uniform(0.3, 1.2) * level / max(loudness(tail), 1.0)
        signal[lead_in - len(tail) : lead_in] = tail * relative
    if rng.random() < settings.noise_probability:
        snr = rng.uniform(*settings.noise_snr_db)
        signal += noise(len(signal), rng, noises) * (level * 10 ** (-snr / 20))
    signal *= rng.uniform(*settings.gain)
    signal += noise(len(signal), rng, ()) * (_FLOOR_RMS * rng.random())
    return to_int16(signal)


def quiet(
    clip: np.ndarray | None, rng: np.random.Generator, settings: Augmentation, rate: int, samples: int,
    noises: Sequence[np.ndarray],
) -> np.ndarray:  # fmt: skip
    """One example of no speech: a recorded silence, or noise of any loudness where ``clip`` is None."""
    length = draw_lead_in(rng, settings, rate) + samples
    if clip is None:
        signal = noise(length, rng, noises) * np.float32(10 ** rng.uniform(0.0, 3.6))
    else:
        start = rng.integers(len(clip))
        repeats = np.tile(np.concatenate((clip, clip[::-1])), 2 + length // (2 * len(clip)))
        signal = repeats[start : start + length].astype(np.float32)
        signal *= np.float32(10 ** rng.uniform(-0.7, 0.5))
    signal += noise(length, rng, ()) * (_FLOOR_RMS * rng.random())
    return to_int16(signal)


def draw_lead_in(rng: np.random.Generator, settings: Augmentation, rate: int) -> int:
    """Samples the front end hears before the clip: 0, or a whole number of 20 ms within the settings."""
    if rng.random() >= settings.lead_in_probability:
        return 0
    return int(rng.integers(settings.lead_in_ms[0], settings.lead_in_ms[1] + 1)) // 20 * 20 * rate // 1000


def respeed(clip: np.ndarray, factor: float) -> np.ndarray:
    """The clip played ``factor`` times as fast, at its own length."""
    import soxr

    faster = soxr.resample(clip.astype(np.float32), 1000 * factor, 1000, quality="MQ")
    return fit_length(faster, len(clip))


def shifted(clip: np.ndarray, rng: np.random.Generator, most: int) -> np.ndarray:
    """The clip moved by at most ``most`` samples either way; what it leaves is zero."""
    by = int(rng.integers(-most, most + 1))
    result = np.zeros_like(clip)
    if by >= 0:
        result[by:] = clip[: len(clip) - by]
    else:
        result[:by] = clip[-by:]
    return result


def noise(samples: int, rng: np.random.Generator, recordings: Sequence[np.ndarray]) -> np.ndarray:
    """Noise of loudness 1: a piece of a recording, or made with a slope of 0 to -6 dB an octave."""
    choice = int(rng.integers(len(recordings) + 2)) if recordings else 0
    if choice >= 2 and len(recordings[choice - 2]) > samples:
        recording = recordings[choice - 2]
        start = int(rng.integers(len(recording) - samples))
        result = recording[start : start + samples].astype(np.float32)
    elif samples < _BANK_SAMPLES:
        start = int(rng.integers(_BANK_SAMPLES - samples))
        result = _bank()[int(rng.integers(_BANK_SLOPES)), start : start + samples]
    else:
        result = _coloured(rng.standard_normal(samples), rng.uniform(0.0, 1.0))
    return (result / max(loudness(result), 1e-9)).astype(np.float32)


@functools.cache
def _bank() -> np.ndarray:
    """Noises to cut from, float32[slopes, samples]: making noise would take most of an example's time."""
    rng = np.random.default_rng(0xC01)
    white, slopes = rng.standard_normal((_BANK_SLOPES, _BANK_SAMPLES)), np.linspace(0, 1, _BANK_SLOPES)
    return np.stack([_coloured(row, slope) for row, slope in zip(white, slopes, strict=True)])


def _coloured(white: np.ndarray, slope: float) -> np.ndarray:
    """White noise made to fall by ``slope`` times 6 dB an octave, all but the lowest frequencies."""
    spectrum = np.fft.rfft(white)
    lowest = 10.0 * len(white) / 8000  # 10 Hz at the rate most models listen at
    spectrum *= np.maximum(np.arange(len(spectrum)), lowest) ** -slope
    return np.fft.irfft(spectrum, len(white)).astype(np.float32)


def loudness(signal: np.ndarray) -> float:
    """Root mean square of the louder half, in 20 blocks, so that a short word is not diluted."""
    usable = len(signal) // 20 * 20
    power = np.sort((signal[:usable].astype(np.float64).reshape(20, -1) ** 2).mean(axis=1))
    return float(np.sqrt(power[10:].mean()))


def to_int16(signal: np.ndarray) -> np.ndarray:
    """Rounded and saturated, as a microphone's converter does."""
    return np.clip(np.rint(signal), -32768, 32767).astype(np.int16)
