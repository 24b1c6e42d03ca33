"""What a terminal shows while something listens."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from host import dumps
from host.device import messages as m
from host.device.device import Gap
from host.display import Display, decibels, meter
from host.pipeline import Detection, Event

LABELS = ("on", "off")
HEARD = Event(1500, (201, 3), Detection(0, "on", 190, 1500))


def test_decibels():
    assert decibels(0) == decibels(1) == -60
    assert decibels(32768) == 0
    assert decibels(3277) == pytest.approx(-20, abs=0.01)


def test_meter():
    assert meter(m.Level()) == "[" + " " * 20 + "]  -60 dB"
    half = meter(m.Level(rms=1036, peak=10362))  # -30 and -10 dB
    assert half == "[" + "#" * 10 + " " * 7 + "|" + "  ]  -30 dB"
    assert "!" in meter(m.Level(rms=20000, peak=32768))


def test_plain_lines_are_the_vendors(capsys):
    said: list[str] = []
    display = Display(LABELS, said.append, verbose=True)
    for event in (m.Level(time_ms=100, peak=5, rms=1), HEARD, Event(1600, (1, 2), None)):
        display.show(event)
    display.show(Gap(3))
    display.end()
    assert said == ["[  1500] 201   3", "Detected class=0 label=on score=190 @1500ms", "[  1600]   1   2"]
    out, error = capsys.readouterr()
    assert out == "" and error == "warning: 3 frames of the device were lost\n"
    quiet: list[str] = []
    Display(LABELS, quiet.append).show(HEARD)
    assert quiet == said[1:2]


def test_a_line_that_loses_all_the_time_is_not_repeated_all_the_time(capsys):
    display = Display(LABELS, print)
    for time_ms in range(0, 25_000, 100):
        display.show(m.Level(time_ms=time_ms))
        display.show(Gap(1))
    display.end()
    assert capsys.readouterr().err.splitlines() == [
        "warning: 1 frame of the device was lost",
        "warning: 101 frames of the device were lost so far",
        "warning: 201 frames of the device were lost so far",
        "warning: 250 frames of the device were lost so far",
    ]


def test_a_terminal_has_a_line_that_moves(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    display = Display(LABELS, print, live=True)
    display.show(HEARD)
    display.show(m.Level(time_ms=1600, rms=1036, peak=10362))
    assert display.status().endswith("on 201  off   3")
    display.end()
    out = capsys.readouterr().out
    assert "\r\x1b[KDetected class=0 label=on score=190 @1500ms\n" in out
    painted = out.split("\r")[-2]
    assert painted == display.status()[:49] + "\x1b[K" and out.endswith("\r\x1b[K")


def test_what_a_line_lost_is_counted_and_left_empty():
    samples, missing = dumps.joined({1000: (1, 2, 3), 1005: (4,)})
    assert samples.tolist() == [1, 2, 3, 0, 0, 4] and missing == 2
    values, missing = dumps.table({0: (1, 2), 2: (3, 4)}, "int8")
    assert values.tolist() == [[1, 2], [-128, -128], [3, 4]] and missing == 1


def test_hours_of_audio_are_kept_in_little_more_than_their_size(tmp_path):
    recording = dumps.Recording(dumps.Folders(audio=tmp_path, raw_spectrograms=tmp_path), "night", 8000)
    rng = np.random.default_rng(1)
    tracemalloc.start()
    for i in range(1000):
        recording.take(m.Audio(index=160 * i, samples=tuple(rng.integers(-32768, 32768, 160).tolist())))
        recording.take(m.Spectrogram(column=i, values=tuple(rng.integers(0, 65536, 160).tolist())))
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 2 * 2 * 2 * 160 * 1000  # twice two bytes a value
    assert recording.write()["audio"]["samples"] == 160_000
