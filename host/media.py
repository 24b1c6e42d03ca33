"""Sound and pictures as files, without a library for either."""

from __future__ import annotations

import io
import struct
import wave
import zlib

import numpy as np


def wav(samples: np.ndarray, sample_rate_hz: int) -> bytes:
    """A WAV file of int16 mono samples."""
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate_hz)
        file.writeframes(samples.astype("<i2").tobytes())
    return stream.getvalue()


def png(pixels: np.ndarray) -> bytes:
    """A PNG of uint8 [height, width] (grey) or [height, width, 3] (red, green, blue)."""
    height, width = pixels.shape[:2]
    colour = 2 if pixels.ndim == 3 else 0
    rows = np.concatenate((np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)), axis=1)  # filter 0
    parts = (
        (b"IHDR", struct.pack(">2I5B", width, height, 8, colour, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    )
    chunks = (struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
