"""Reading audio files: every way to store the same sound gives the same samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from host.audio import read_audio
from host.errors import TokayError

RATE = 8000
SOUND = np.array([0, 1, -1, 300, -12345, 32767, -32768] * 100, np.int16)


@pytest.mark.parametrize(
    ("name", "subtype"),
    [
        ("a.wav", "PCM_16"), ("a.wav", "PCM_24"), ("a.wav", "PCM_32"), ("a.flac", "PCM_16"),
        ("a.wav", "FLOAT"), ("a.wav", "DOUBLE"), ("a.aiff", "FLOAT"),
    ],
)  # fmt: skip
def test_the_same_sound(name: str, subtype: str, tmp_path: Path) -> None:
    path = tmp_path / name
    soundfile.write(path, SOUND / 32768, RATE, subtype=subtype)
    samples = read_audio(path, RATE)
    assert samples.dtype == np.int16
    np.testing.assert_array_equal(samples, SOUND)


def test_floating_point_samples_are_rounded_and_clipped(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.array([1.0, 4.0, -4.0, 1.6 / 32768, 0.4 / 32768]), RATE, subtype="FLOAT")
    assert read_audio(path, RATE).tolist() == [32767, 32767, -32768, 2, 0]


def test_channels_of_floating_point_samples_are_averaged(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.array([[0.25, 0.75]] * 10), RATE, subtype="FLOAT")
    assert read_audio(path, RATE, resample=True).tolist() == [16384] * 10


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers(value: float, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.array([0.0, value, 0.0]), RATE, subtype="FLOAT")
    with pytest.raises(TokayError, match="no numbers"):
        read_audio(path, RATE)
