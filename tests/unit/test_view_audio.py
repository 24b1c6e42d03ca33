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

from host import augmentation, cli, specification, view_audio
from host.augmentation import Draw, picture
from host.augmentation.layout import MADE_NOISE, NO_NOISE
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


def test_a_file_is_not_called_by_the_word_that_it_is_taken_for(tmp_path: Path, capsys) -> None:
    page, clip = tmp_path / "page.html", tmp_path / "my <noise>.wav"
    clip.write_bytes(Path(CLIP).read_bytes())
    assert view_audio.main([str(clip), "--count", "1", "-o", str(page)]) == 0
    assert "<h1>keyword_spotting_on_off: my &lt;noise&gt;.wav as on, seed 1" in page.read_text()
    assert capsys.readouterr().out == f"{page}: 1 draws of my <noise>.wav as on\n"


def test_picture(tmp_path: Path) -> None:
    output = tmp_path / "out.png"
    assert view_audio.main([CLIP, "--count", "2", "--word", "_silence_", "-o", str(output)]) == 0
    pixels = decoded(output.read_bytes())
    assert pixels.shape[0] > 600 and pixels.shape[1] >= 400


def test_one_draw_of_the_first_seed_as_json_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [CLIP, "--count", "1", "--seed", "0", "-o", str(tmp_path / "page.html"), "--json", "-"]
    assert cli.run(view_audio.main, arguments) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["word"], said["seed"], len(said["draws"])) == ("on", 0, 1)


def test_a_word_is_augmented_as_what_it_is_to_the_model() -> None:
    spec = specification.load("keyword_spotting_on_off").spec
    kinds = [view_audio._kind(spec, word) for word in ("off", "seven", "_silence_")]
    assert kinds == [augmentation.KEYWORD, augmentation.UNKNOWN, augmentation.SILENCE]


def told(kind: int = augmentation.KEYWORD, **values: float) -> dict[str, str]:
    """What is told of a draw that does nothing but this."""
    nothing = {"speed": 1, "gain": 1, "lead_in_clip": -1, "noise": NO_NOISE, "floor_rms": 2.5}
    return view_audio.told(Draw(**{**nothing, **values}), kind, 8000)


@pytest.mark.parametrize(
    ("values", "effects"),
    [
        ({}, {}),
        ({"speed": 1.25, "pitch_semitones": -1.5}, {"speed": "1.250", "pitch": "-1.50 semitones"}),
        ({"shift_samples": -400}, {"shift": "-50 ms"}),
        ({"lead_in_samples": 1600, "settled_ms": 700},
         {"lead-in": "200 ms", "settled": "noise reduction as after 0.7 s of it"}),
        ({"lead_in_clip": 0, "lead_in_level": 0.5}, {"word before": "clip 0, at 0.50 of its loudness"}),
        ({"room_rt60_s": 0.3, "room_direct_db": 2}, {"room": "60 dB in 0.30 s, direct +2.0 dB"}),
        ({"noise": MADE_NOISE, "noise_row": 11, "noise_snr_db": 12},
         {"noise": "SNR 12.0 dB, -6.0 dB/octave"}),
        ({"noise": 0, "noise_snr_db": -3}, {"noise": "SNR -3.0 dB, recording 0"}),
        ({"clipping_db": 3, "clipping_soft": 1}, {"clipping": "3.0 dB, bent"}),
        ({"clipping_db": 0.5}, {"clipping": "0.5 dB, cut off"}),
        ({"highpass_hz": 90, "shelf_db": -2, "shelf_hz": 3000, "peak_db": 4, "peak_hz": 1500},
         {"microphone": "high-pass 90 Hz, -2.0 dB from 3000 Hz, peak +4.0 dB at 1500 Hz"}),
        ({"gain": 0.5}, {"gain": "0.50"}),
    ],
)  # fmt: skip
def test_effects_are_told_where_they_are_on(values: dict[str, float], effects: dict[str, str]) -> None:
    assert told(**values) == {**effects, "floor": "RMS 2.5"}


def test_silence_has_a_loudness_and_no_ratio() -> None:
    silence = augmentation.SILENCE
    assert told(silence, noise_loudness=0.25)["level"] == "0.25"
    heard = told(silence, noise=3, noise_loudness=120)
    assert heard["noise"] == "RMS 120, recording 3" and "level" not in heard


def test_a_line_of_effects_has_room_in_the_picture() -> None:
    effects = {f"effect {k}": "x" * 30 for k in range(5)}
    lines = view_audio._lines(view_audio.Shown("draw 1", np.zeros(0), 0, effects, np.zeros(0)))
    assert lines[0] == "draw 1" and [line.count("effect") for line in lines[1:]] == [2, 2, 1]
    assert all(len(line) < 103 for line in lines)


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
        [CLIP, "--count", "101"],
        [CLIP, "--seed", "-1"],
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
