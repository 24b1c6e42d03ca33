"""host.classify on this PC: its options, files and the PC's own microphone. That a target hears the same is
in tests/firmware/test_device_tools.py."""

from __future__ import annotations

import json
import sys
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codegen.parameters import read_parameters, write_parameters
from host import classify, cli, demo, model_files
from host.audio import read_audio
from host.device import messages as m
from host.media import wav
from tests import streaming_network

MODEL = "keyword_spotting_on_off"
RATE = 8000


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """The first two words of the dialogue."""
    return read_audio(demo.DEMO.with_suffix(".wav"), RATE)[: 6 * RATE]


@pytest.fixture
def audio(speech, tmp_path) -> Path:
    path = tmp_path / "speech.wav"
    path.write_bytes(wav(speech, RATE))
    return path


@pytest.fixture
def run(tmp_path) -> Callable[..., dict[str, Any]]:
    def call(*arguments: object, status: int = 0) -> dict[str, Any]:
        path = tmp_path / "result.json"
        assert cli.run(classify.main, [MODEL, *map(str, arguments), "--json", str(path)]) == status
        return json.loads(path.read_text())

    return call


@pytest.fixture
def refused(capsys) -> Callable[..., str]:
    """The one line that the command ends in, before it hears anything."""

    def call(*options: object, model: object = MODEL) -> str:
        capsys.readouterr()
        assert cli.run(classify.main, [str(model), *map(str, options)]) == 2
        heard = capsys.readouterr()
        assert not heard.out and heard.err.startswith("error: ") and heard.err.count("\n") == 1
        return heard.err

    return call


@pytest.mark.parametrize(
    "options",
    ["-t 256", "-t 1,2", "-t high", "-c 65", "-w -1", "-s 1000001", "-l 0.5", "--volume nan", "--volume 257",
     "--sensitivity -1", "--seconds 0", "--seconds inf", "--seconds 1", "--replay x --record x",
     "--replay /no/such/recording", "--record x"],
)  # fmt: skip
def test_wrong_options_are_refused(options, audio, refused):
    refused("--audio", audio, *options.split())


@pytest.mark.parametrize("where", ["--simulate", "--renode", "--device"])
def test_a_rate_that_the_microphone_does_not_run_at(where, tmp_path, refused):
    tflite, rate = model_files.read(MODEL).tflite, 15_000
    model, audio = tmp_path / "odd.tflite", tmp_path / "odd.wav"
    model.write_bytes(write_parameters(tflite, {**read_parameters(tflite), "fe.sample_rate_hz": rate}))
    audio.write_bytes(wav(np.zeros(rate, np.int16), rate))
    files = [] if where == "--device" else ["--audio", audio]
    said = refused(where, *files, model=model)
    assert "the model's 15000 Hz: the nearest are 14509 or 15234 Hz (train the model for such a rate" in said
    without = refused(where, *files, "--board", "brd2703a", model=model)
    assert "BRD2703A has no microphone (choose another --board)" in without


@pytest.mark.parametrize("options", ["-c 5 -w 100", "-w 0 -l 20 -c 2", "-l 400"])
def test_options_with_which_nothing_would_ever_be_detected(options, audio, refused):
    said = refused("--audio", audio, *options.split())
    assert "nothing would ever be detected" in said and "(-w), a smaller count (-c)" in said


def test_a_network_that_keeps_state_cannot_infer_more_often(tmp_path, refused):
    model, audio = tmp_path / "stream.tflite", tmp_path / "noise.wav"
    model.write_bytes(streaming_network.network())
    audio.write_bytes(wav(streaming_network.audio(1), streaming_network.RATE))
    said = refused("--audio", audio, "-w", 100, "-c", 60, model=model)
    assert "nothing would ever be detected" in said
    assert said.endswith("(a longer window (-w) or a smaller count (-c))\n")


@pytest.mark.parametrize(("ms", "inferences"), [(20, 0), (1000, 1), (1180, 2), (1190, 3)])
def test_a_file_too_short_to_detect_anything(ms, inferences, speech, tmp_path, run, capsys):
    """One word of a dataset lasts a second, in which there is one inference and a detection takes three."""
    path = tmp_path / "short.wav"
    path.write_bytes(wav(speech[: ms * RATE // 1000], RATE))
    (heard,) = run("--audio", path)["files"]
    assert len(heard["inferences"]) == inferences
    said = capsys.readouterr().err
    if inferences < 3:
        assert said.count("\n") == 1
        assert said.startswith(f"warning: {path}: too short") and f"inferences {inferences}, " in said
    else:
        assert not said


def test_a_model_that_detects_nothing_by_itself_is_heard_all_the_same(audio, tmp_path, refused):
    """Its scores are worth a look. With the options that decide it, it is refused."""
    tflite = model_files.read(MODEL).tflite
    (tmp_path / "m.tflite").write_bytes(
        write_parameters(tflite, {**read_parameters(tflite), "minimum_count": 60})
    )
    arguments = [str(tmp_path / "m.tflite"), "--audio", str(audio), "--json", str(tmp_path / "heard")]
    assert cli.run(classify.main, arguments) == 0
    (file,) = json.loads((tmp_path / "heard").read_text())["files"]
    assert file["inferences"] and not file["detections"]
    refused("--audio", audio, "-w", "200", model=tmp_path / "m.tflite")


def test_one_threshold_is_for_all_classes_and_a_list_for_each(audio, run):
    one, each = run("--audio", audio, "-t", "90"), run("--audio", audio, "-t", "90,255,90,90")
    assert one["settings"]["detection_threshold_list"] == [90, 90, 90, 90]
    assert each["settings"]["detection_threshold_list"] == [90, 255, 90, 90]
    assert {d["label"] for d in one["files"][0]["detections"]} == {"on", "off"}
    assert {d["label"] for d in each["files"][0]["detections"]} == {"on"}


def test_dumps_that_have_no_place_are_refused_before_anything_is_heard(audio, tmp_path, refused):
    assert "cannot write into" in refused("--audio", audio, "--dump-audio", audio)
    other = tmp_path / "other" / audio.name
    other.parent.mkdir()
    other.write_bytes(audio.read_bytes())
    two = ("--audio", audio, other)
    assert f"two files are called {audio.stem}" in refused(*two, "--dump-audio", tmp_path / "dumps")
    assert not (tmp_path / "dumps").exists()


def test_several_files_are_told_apart(audio, tmp_path, run, capsys):
    other = tmp_path / "other" / audio.name
    other.parent.mkdir()
    other.write_bytes(audio.read_bytes())
    value = run("--audio", audio, other)
    assert [file["audio"] for file in value["files"]] == [str(audio), str(other)]
    assert value["files"][0]["duration_ms"] == 6000
    first, second = ((file["inferences"], file["detections"]) for file in value["files"])
    assert first == second and all(first)  # each begins with silence, at time 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{audio}:" and lines.count(f"{other}:") == 1 and len(lines) > 4
    run("--audio", audio)
    said = capsys.readouterr().out
    assert "speech.wav" not in said
    run("--audio", audio, "--verbose")
    assert len(capsys.readouterr().out.splitlines()) > len(said.splitlines()) + 40  # each inference


def test_what_is_missing_in_a_dump_is_told(audio, monkeypatch, tmp_path, run, capsys):
    def on_pc(*_: object) -> Iterator[object]:
        yield m.Audio(index=0, samples=(1,) * 80)
        yield m.Audio(index=100, samples=(2,) * 80)
        for column in (0, 3):
            yield m.Spectrogram(column=column, values=(1,) * 32)

    monkeypatch.setattr(classify, "on_pc", on_pc)
    value = run("--audio", audio, "--dump-audio", tmp_path / "a", "--dump-raw-spectrograms", tmp_path / "a")
    missing = {what: values["missing"] for what, values in value["files"][0]["dumped"].items()}
    assert missing == {"audio": 20, "raw_spectrogram": 2}
    assert capsys.readouterr().err.splitlines() == [
        "warning: 20 samples of the audio were lost",
        "warning: 2 columns of the raw spectrogram were lost",
    ]


def test_features_that_are_scaled_by_the_window_are_not_dumped(audio, tmp_path, refused):
    tflite, path, dumps = model_files.read(MODEL).tflite, tmp_path / "m.tflite", tmp_path / "dumps"
    scaled = {**read_parameters(tflite), "fe.quantize_dynamic_scale_enable": True}
    path.write_bytes(write_parameters(tflite, scaled))
    said = refused("--audio", audio, "--dump-spectrograms", dumps, model=path)
    assert "no features of its own (--dump-raw-spectrograms)" in said and not dumps.exists()
    raw = [str(path), "--audio", str(audio), "--dump-raw-spectrograms", str(dumps)]
    assert cli.run(classify.main, raw) == 0
    assert {file.name for file in dumps.iterdir()} == {"speech.raw.npy", "speech.raw.png"}


class Sound:
    """The sounddevice library, with a microphone that hears the speech until Ctrl-C."""

    PortAudioError = OSError

    def __init__(self, samples: np.ndarray) -> None:
        self.samples, self.at, self.opened, self.closed = samples, 0, {}, False
        self.lost = self.unplugged = -1  # the samples after which that happens

    def InputStream(self, **options: Any) -> Sound:
        if options["device"] == "absent":
            raise ValueError("No input device matching 'absent'")
        self.opened = options
        return self

    def __enter__(self) -> Sound:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def read(self, count: int) -> tuple[np.ndarray, bool]:
        if self.at >= self.samples.size:
            raise KeyboardInterrupt
        if self.at == self.unplugged:
            raise OSError("Device unavailable")
        self.at += count
        return self.samples[self.at - count : self.at, None], self.at == self.lost


@pytest.fixture
def sound(speech, monkeypatch) -> Sound:
    made = Sound(speech)
    monkeypatch.setitem(sys.modules, "sounddevice", made)
    return made


def test_a_microphone_of_the_pc(sound, run, audio, tmp_path, refused, capsys):
    value = run("--microphone", "headset", "--dump-audio", tmp_path)  # Ctrl-C is its end
    assert "lost" not in capsys.readouterr().err
    (live,), (file,) = value["files"], run("--audio", audio)["files"]
    assert live["interrupted"] and live["detections"] == file["detections"] and sound.closed
    assert (tmp_path / "microphone.wav").read_bytes() == audio.read_bytes()
    assert (sound.opened["samplerate"], sound.opened["channels"], sound.opened["dtype"]) == (RATE, 1, "int16")
    assert sound.opened["device"] == "headset"
    run("--seconds", "60", status=130)  # cut short
    assert sound.opened["device"] is None
    assert "No input device matching" in refused("--microphone", "absent")


def test_a_microphone_by_its_number_for_some_seconds(sound, run, tmp_path):
    value = run("--microphone", "2", "--seconds", "2.5", "--dump-audio", tmp_path)
    assert sound.opened["device"] == 2 and sound.at == 2.5 * RATE and sound.closed
    assert "interrupted" not in value["files"][0]
    with wave.open(str(tmp_path / "microphone.wav")) as file:
        assert file.getnframes() == 2.5 * RATE


def test_what_a_microphone_loses_is_told(sound, run, capsys):
    sound.lost = RATE
    run("--seconds", "2")
    assert capsys.readouterr().err == "warning: the microphone lost samples\n"


def test_a_microphone_that_is_unplugged_is_an_error_and_what_it_heard_is_kept(sound, tmp_path, capsys):
    sound.unplugged = RATE
    assert cli.run(classify.main, [MODEL, "--dump-audio", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said == "error: microphone: Device unavailable (was it unplugged?)\n" and sound.closed
    with wave.open(str(tmp_path / "microphone.wav")) as file:
        assert file.getnframes() == RATE


def test_without_the_library_for_microphones(monkeypatch, refused):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert "no way to listen to a microphone (pip install 'tokay[mic]'" in refused()


@pytest.mark.parametrize("where", ["--simulate", "--renode", "--device", "--replay x", "--audio x"])
def test_a_microphone_of_the_pc_is_not_the_targets(where, refused):
    audio = [] if where.startswith("--audio") or "x" in where or where == "--device" else ["--audio", "x"]
    assert "--microphone is of this PC" in refused("--microphone", "a", *where.split(), *audio)


def test_ctrl_c_in_one_of_several_files_is_the_end_of_all(speech, audio, monkeypatch, tmp_path, run):
    other = tmp_path / "other.wav"
    other.write_bytes(audio.read_bytes())

    def on_pc(*_: object) -> Iterator[object]:
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(classify, "on_pc", on_pc)
    value = run("--audio", audio, other, status=130)
    assert [(file["audio"], file["interrupted"]) for file in value["files"]] == [(str(audio), True)]


