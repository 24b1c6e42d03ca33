"""What a terminal shows while something listens."""

from __future__ import annotations

import io
import tracemalloc
import wave

import numpy as np
import pytest

from host import dumps
from host.device import messages as m
from host.device.device import Gap
from host.display import Display, decibels, meter
from host.errors import TokayError
from host.pipeline import Detection, Event
from host.progress import progress

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
    for peak in (32767, 32768):
        assert "!" in meter(m.Level(rms=20000, peak=peak))
    assert "!" not in meter(m.Level(rms=20000, peak=32766))


@pytest.mark.parametrize("verbose", [False, True])
def test_what_a_device_says_of_trouble_is_shown_and_the_rest_if_wanted(verbose):
    said: list[str] = []
    display = Display(LABELS, said.append, verbose=verbose)
    for level in m.LogLevel:
        display.show(m.Log(level=level, text=level.name))
    assert said == [level.name for level in m.LogLevel if verbose or level.name in ("WARNING", "ERROR")]


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
    assert out.startswith("\r\x1b[KDetected")
    assert "\r\x1b[KDetected class=0 label=on score=190 @1500ms\n" in out
    painted = out.split("\r")[-2]
    assert painted == display.status()[:49] + "\x1b[K" and out.endswith("\r\x1b[K")


def test_what_a_line_lost_is_counted_and_left_empty():
    samples, missing = dumps.joined({1000: (1, 2, 3), 1005: (4,)})
    assert samples.tolist() == [1, 2, 3, 0, 0, 4] and missing == 2
    values, missing = dumps.table({0: (1, 2), 2: (3, 4)}, "int8")
    assert values.tolist() == [[1, 2], [-128, -128], [3, 4]] and missing == 1


def test_only_what_is_wanted_is_asked_for_and_kept(tmp_path):
    events = (
        m.Audio(index=0, samples=(1, -2)),
        m.Features(column=0, values=(-128, 127)),
        m.Spectrogram(column=0, values=(0, 700)),
    )
    kept = {
        "audio": (m.Stream.AUDIO, "audio", {"n.wav"}),
        "spectrograms": (m.Stream.FEATURES, "spectrogram", {"n.npy", "n.png"}),
        "raw_spectrograms": (m.Stream.SPECTROGRAM, "raw_spectrogram", {"n.raw.npy", "n.raw.png"}),
    }
    assert dumps.Folders().streams == m.Stream(0)
    for wanted, (stream, key, files) in kept.items():
        folder = tmp_path / wanted / "new"
        folders = dumps.Folders(**{wanted: folder})
        assert folders.streams == stream
        folders.make()
        recording = dumps.Recording(folders, "n", 8000)
        for event in events:
            recording.take(event)
        written = recording.write()
        assert set(written) == {key} and written[key]["missing"] == 0
        assert {path.name for path in folder.iterdir()} == files


def test_silence_before_anything_is_heard_leaves_empty_files(tmp_path):
    folders = dumps.Folders(tmp_path, tmp_path, tmp_path)
    written = dumps.Recording(folders, "n", 8000).write()
    assert [value["missing"] for value in written.values()] == [0, 0, 0]
    assert {path.name for path in tmp_path.iterdir()} == {"n.wav", "n.npy", "n.raw.npy"}
    assert np.load(tmp_path / "n.npy").shape == np.load(tmp_path / "n.raw.npy").shape == (0, 0)
    with wave.open(str(tmp_path / "n.wav")) as file:
        assert file.getnframes() == written["audio"]["samples"] == 0


def test_pictures_go_from_least_to_most_with_the_lowest_channel_below():
    values = np.array([[-100, -20], [100, 50], [-20, -90]], np.int8)
    assert dumps.picture(values).tolist() == [[102, 191, 13], [0, 255, 102]]
    assert not dumps.picture(np.full((2, 3), 7, np.uint16)).any()
    assert dumps.picture(np.array([[0, 1]], np.uint16)).tolist() == [[255], [0]]


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TokayError, match=r"cannot write into .*/file/below: Not a directory"):
        dumps.Folders(raw_spectrograms=tmp_path / "file" / "below").make()


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


def test_a_bar_is_for_terminals(monkeypatch, capsys):
    with progress("steps") as bar:
        bar(1, 2)
    assert capsys.readouterr() == ("", "")
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress("MB fetched") as bar:
        bar(3, 8)
    assert "MB fetched" in terminal.getvalue() and "3/8" in terminal.getvalue()
    assert capsys.readouterr().out == ""
