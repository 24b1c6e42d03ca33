"""Sounds that tests listen to, made rather than recorded: int16 at 8 kHz."""

from __future__ import annotations

import numpy as np

RATE = 8000


def bursts(samples: int, seed: int) -> np.ndarray:
    """Noise whose loudness changes ten times a second, loud enough to move scores."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 3000, samples)
    envelope = np.repeat(rng.random(samples // (RATE // 10) + 1), RATE // 10)[:samples]
    return np.clip(noise * envelope, -32768, 32767).astype(np.int16)


def word(seed: int = 0) -> np.ndarray:
    """A second with a tone in its middle, of a pitch for each seed, that flutters."""
    rng = np.random.default_rng(seed)
    audio = np.zeros(RATE)
    audio[2500:5500] = 6000 * np.sin(np.arange(3000) * (0.1 + 0.05 * seed)) * rng.uniform(0.5, 1, 3000)
    return audio.astype(np.int16)
