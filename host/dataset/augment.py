"""What mixing audio needs beside the native library's augmentation."""

from __future__ import annotations

import numpy as np

from host.augmentation import loudness

__all__ = ["loudness", "to_int16"]


def to_int16(signal: np.ndarray) -> np.ndarray:
    """Rounded and saturated, as a microphone's converter does."""
    return np.clip(np.rint(signal), -32768, 32767).astype(np.int16)
