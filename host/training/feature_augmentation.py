"""Augmentation that is cheaper on features than on audio, drawn anew each epoch.

Vocal tract length becomes a warp of the channel axis, loudness a level offset, and a few masked
bands and frames keep the network from leaning on any one of them.
"""

from __future__ import annotations

import numpy as np

_WARP = 0.06  # share of the channel axis
_LEVEL = 10.0  # int8 units, either way
_SHIFT_FRAMES = 2
_MASK_CHANNELS, _MASK_FRAMES = 3, 5


def perturb(features: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """float32[n, frames, channels] from int8 features of the same shape."""
    n, frames, channels = features.shape
    low = np.float32(-128)
    x = _warp_channels(features.astype(np.float32), rng)
    x += (x > low) * rng.uniform(-_LEVEL, _LEVEL, (n, 1, 1)).astype(np.float32)  # the floor stays the floor
    np.clip(x, low, 127, out=x)
    source = np.arange(frames)[None] + rng.integers(-_SHIFT_FRAMES, _SHIFT_FRAMES + 1, (n, 1))
    x = np.take_along_axis(x, np.clip(source, 0, frames - 1)[..., None], axis=1)
    first, width = rng.integers(0, channels, (n, 1)), rng.integers(0, _MASK_CHANNELS + 1, (n, 1))
    band = (np.arange(channels) >= first) & (np.arange(channels) < first + width)
    first, width = rng.integers(0, frames, (n, 1)), rng.integers(0, _MASK_FRAMES + 1, (n, 1))
    span = (np.arange(frames) >= first) & (np.arange(frames) < first + width)
    return np.where(band[:, None, :] | span[:, :, None], low, x)


def _warp_channels(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    n, _, channels = x.shape
    stretch = 1 + rng.uniform(-_WARP, _WARP, (n, 1))
    position = np.clip(np.arange(channels) * stretch, 0, channels - 1)
    left = np.minimum(position.astype(np.int64), channels - 2)
    fraction = (position - left).astype(np.float32)[:, None, :]
    below = np.take_along_axis(x, left[:, None, :], axis=2)
    above = np.take_along_axis(x, left[:, None, :] + 1, axis=2)
    return below + fraction * (above - below)
