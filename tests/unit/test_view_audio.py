"""host.view_audio: a page that needs nothing else, a picture that any reader opens, and what was drawn."""

from __future__ import annotations

import base64
import io
import json
import re
import struct
import wave
import zlib
from pathlib import Path

import numpy as np
import pytest

from host import cli, view_audio
from host.augmentation import picture
from tests.places import ROOT

CLIP = str(ROOT / "host" / "models" / "demo" / "on_off.wav")


def decoded(png: bytes) -> np.ndarray:
    """Pixels of an unfiltered RGB picture, every checksum verified."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, data, size = 8, b"", (0, 0)
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        kind, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", png, at + 8 + length)[0] == zlib.crc32(kind + body)
        if kind == b"IHDR":
            size = struct.unpack_from(">II", body)
        data += body if kind == b"IDAT" else b""
        at += 12 + length
    rows = np.frombuffer(zlib.decompress(data), np.uint8).reshape(size[1], 1 + 3 * size[0])
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(size[1], size[0], 3)


def test_page_holds_pictures_sound_and_draws(tmp_path: Path) -> None:
    page, report = tmp_path / "page.html", tmp_path / "draws.json"
    assert view_audio.main([CLIP, "--count", "3", "--seed", "4", "-o", str(page), "--json", str(report)]) == 0
    html = page.read_text()
    assert not re.search(r'(src|href)="(?!data:)', html)
    sounds = re.findall(r"data:audio/wav;base64,([^\"]+)", html)
    pictures = re.findall(r"data:image/png;base64,([^\"]+)", html)
    assert len(sounds) == len(pictures) == 4  # the clip and three draws
    draws = json.loads(report.read_text())["draws"]
    for sound, draw in zip(sounds[1:], draws, strict=True):
        with wave.open(io.BytesIO(base64.b64decode(sound))) as file:
            assert file.getframerate() == 8000
            assert file.getnframes() == 8000 + draw["lead_in_samples"]
    for shown in pictures:
        assert np.std(decoded(base64.b64decode(shown)).astype(float)) > 10
    assert f"<td>gain<td>{draws[0]['gain']:.2f}" in html


def test_picture(tmp_path: Path) -> None:
    output = tmp_path / "out.png"
    assert view_audio.main([CLIP, "--count", "2", "--word", "_silence_", "-o", str(output)]) == 0
    pixels = decoded(output.read_bytes())
    assert pixels.shape[0] > 600 and pixels.shape[1] >= 400


def test_a_letter_whose_capital_is_two_letters() -> None:
    assert np.array_equal(picture.text("größe"), picture.text("grÖSSE"))


def test_a_tone_is_at_its_height() -> None:
    tone = (8000 * np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000)).astype(np.int16)
    pixels = picture.spectrogram(tone, 8000).sum(axis=2)
    row = int(np.argmax(pixels[:, 200]))
    assert abs((len(pixels) - 1 - row) / len(pixels) - 0.25) < 0.02  # a quarter of half the rate


@pytest.mark.parametrize("rate", [8000, 11025, 16000])
def test_a_tone_is_nowhere_else(rate: int) -> None:
    tone = (20000 * np.sin(2 * np.pi * rate / 8 * np.arange(rate) / rate)).astype(np.int16)
    column = picture.spectrogram(tone, rate).astype(int).sum(axis=2)[::-1, 200]
    darkest = picture.spectrogram(np.zeros(rate, np.int16), rate).astype(int).sum()
    assert np.argmax(column) == len(column) // 4 - 1
    assert (np.delete(column, range(8, 56)) == darkest / (len(column) * 400)).all()


@pytest.mark.parametrize("rate", [8000, 11025, 16000])
def test_a_click_is_at_its_time(rate: int) -> None:
    click = np.zeros(rate, np.int16)
    click[rate * 9 // 10] = 32767
    loud = picture.spectrogram(click, rate).astype(int).sum(axis=(0, 2))
    found = np.flatnonzero(loud > loud.min())
    wave = picture.waveform(click, rate)
    assert abs(found.mean() - np.argmax((wave != wave[:, :1]).any(axis=(0, 2)))) <= 1


@pytest.mark.parametrize("step_ms", [1, 2, 6, 16, 20])
def test_features_have_the_scale_of_the_waveform(step_ms: int) -> None:
    values = np.full((1000 // step_ms, 3), -128, np.int8)
    values[len(values) // 2 :] = 127
    pixels = picture.features(values, step_ms).astype(int).sum(axis=(0, 2))
    assert abs(len(pixels) - len(values) * step_ms * 0.4) <= 1
    assert abs(np.argmax(pixels) - len(values) // 2 * step_ms * 0.4) <= 1


@pytest.mark.parametrize(
    "arguments",
    [
        [CLIP, "-o", "out.gif"],
        [CLIP, "--count", "0"],
        ["keyword_spotting_on_off", "--model", "keyword_spotting_on_off"],
        ["no_such_model", "-o", "x.html"],
        ["missing.wav", "-o", "x.html"],
        ["keyword_spotting_on_off", "--dataset", "no/such/folder", "-o", "x.html"],
    ],
)
def test_wrong_requests_are_one_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(view_audio.main, arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(tmp_path.iterdir())
