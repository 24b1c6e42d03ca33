"""Reading audio files: every way to store the same sound gives the same samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from host.audio import read_audio
from host.dataset.reading import read_clip
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


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_what_is_decoded_louder_than_full_scale_is_clipped(subtype: str, tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    sound = np.clip(1.4 * np.sin(np.arange(2 * RATE) * 0.2), -1, 1)
    soundfile.write(path, sound, RATE, format="OGG", subtype=subtype)
    decoded, _ = soundfile.read(path)
    assert np.abs(decoded).max() > 1
    expected = np.clip(np.rint(decoded * 32768), -32768, 32767)
    np.testing.assert_array_equal(read_audio(path, RATE), expected)


def test_channels_of_floating_point_samples_are_averaged(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.array([[0.25, 0.75]] * 10), RATE, subtype="FLOAT")
    assert read_audio(path, RATE, resample=True).tolist() == [16384] * 10


def test_channels_of_integers_are_averaged(tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    channels = np.array([[100, 300], [-32768, -32768], [32767, -32767], [0, 6]], np.int16)
    soundfile.write(path, channels, 16000)
    assert read_audio(path, 16000, resample=True).tolist() == [200, -32768, 0, 3]
    with pytest.raises(TokayError, match="--resample mixes them"):
        read_audio(path, 16000)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers(value: float, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.array([0.0, value, 0.0]), RATE, subtype="FLOAT")
    with pytest.raises(TokayError, match="no numbers"):
        read_audio(path, RATE)


@pytest.mark.parametrize("endian", ["LITTLE", "BIG"])
def test_a_file_that_was_cut_off_is_read_with_a_warning(
    endian: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, SOUND, RATE, endian=endian)
    assert np.array_equal(read_audio(path, RATE), SOUND) and not capsys.readouterr().err
    path.write_bytes(path.read_bytes()[: -2 * 300])
    assert np.array_equal(read_audio(path, RATE), SOUND[:-300])
    assert capsys.readouterr().err == f"warning: {path}: cut off, 600 bytes fewer than its header says\n"


@pytest.mark.parametrize("length", [0x7FFFF000, 0x7FFFF024, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_length_that_a_pipe_left_unknown(
    length: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, SOUND, RATE)
    data = bytearray(path.read_bytes())
    data[40:44] = length.to_bytes(4, "little")
    path.write_bytes(data)
    assert np.array_equal(read_audio(path, RATE), SOUND) and not capsys.readouterr().err


def test_floating_point_samples_in_the_scale_of_integers_are_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", SOUND.astype(np.float32), RATE, subtype="FLOAT")
    with pytest.raises(TokayError, match="where 1 is full scale"):
        read_audio(tmp_path / "a.wav", RATE)
    soundfile.write(tmp_path / "loud.wav", np.array([0.0, 2.0, -2.0]), RATE, subtype="FLOAT")
    assert read_audio(tmp_path / "loud.wav", RATE).tolist() == [0, 32767, -32768]


def test_a_flac_header_that_promises_days_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, SOUND, RATE)
    data = bytearray(path.read_bytes())
    data[21] |= 0x0F  # the 36 bits of the number of samples: 4 here and 32 behind
    data[22:26] = b"\xff" * 4
    path.write_bytes(data)
    with pytest.raises(TokayError, match=r"a\.flac: (more samples than fit into memory|not readable)"):
        read_audio(path, RATE)
    said = read_clip(path, RATE)
    assert isinstance(said, str) and str(tmp_path) not in said


def test_what_soundfile_cannot_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(SOUND.tobytes())
    soundfile.write(tmp_path / "b.wav", SOUND, RATE, subtype="GSM610")
    for name in ("a.raw", "b.wav"):
        with pytest.raises(TokayError, match="not readable as audio"):
            read_audio(tmp_path / name, RATE)
