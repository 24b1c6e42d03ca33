"""Augmentation that is cheaper on features than on audio, drawn anew each epoch by the native library."""

from __future__ import annotations

import dataclasses

import numpy as np

from host import augmentation
from host.augmentation import layout
from host.training.recipe import Perturbation


def perturb(features: np.ndarray, settings: Perturbation, rng: np.random.Generator) -> np.ndarray:
    """float32[n, frames, channels] from int8 features of the same shape."""
    native = layout.Perturbation(**dataclasses.asdict(settings))
    return augmentation.perturb(features, native, int(rng.integers(1 << 63)))
