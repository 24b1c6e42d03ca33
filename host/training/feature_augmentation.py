"""Augmentation that is cheaper on features than on audio, drawn anew each epoch by the native library."""

from __future__ import annotations

import numpy as np

from host import augmentation
from host.augmentation.layout import Perturbation

SETTINGS = Perturbation(
    warp=0.06,  # share of the channel axis, as if of another vocal tract
    level=10.0,  # units of the features, either way
    shift_frames=2,  # either way
    mask_channels=3,  # at most
    mask_frames=5,  # at most
)


def perturb(features: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """float32[n, frames, channels] from int8 features of the same shape."""
    return augmentation.perturb(features, SETTINGS, int(rng.integers(1 << 63)))
