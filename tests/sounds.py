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


ROOTS = {
    "window_size_ms": 32, "window_step_ms": 32, "sample_length_ms": 32, "log_scale_shift": 20,
    "filterbank_n_channels": 64, "filterbank_lower_band_limit": 0.0, "filterbank_upper_band_limit": 7900.0,
}  # fmt: skip
"""Front-end settings under which a channel's last bit can be seen."""


def roots_of_65536() -> np.ndarray:
    """Two windows, int16 [1024], each of which gives a channel of ROOTS an energy whose root rounds to 65536:
    one below 2^32, one above. Found in noise, in one window of thousands."""
    windows = []
    for seed, count in ((0, 683), (10, 2881)):
        noise = np.random.default_rng(seed).normal(0, 6000, count * 512)[-512:]
        windows.append(np.clip(noise, -32768, 32767).astype(np.int16))
    return np.concatenate(windows)
