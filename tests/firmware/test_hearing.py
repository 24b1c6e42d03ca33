"""What the image hears in the simulator is what the PC hears: the same scores, the same detections."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from codegen.frontend import FrontendSettings
from codegen.parameters import write_parameters
from host import board, classify, cli, compare, demo, hearing, image, listening, target
from host.audio import read_audio
from host.device import messages as m
from host.media import wav
from host.pipeline import Event, Pipeline
from tests.places import ROOT, SHARED
from tests.tflite_builder import NetworkBuilder

CLIPS, VENDOR = SHARED / "data" / "speech_commands", SHARED / "models" / "keyword_spotting_on_off.tflite"
RATE = 8000

pytestmark = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed"
)


def heard_alike(elf: Path, model: str | Path, samples: np.ndarray) -> list[dict]:
    """Plays the samples to both; the detections, which must not differ in anything."""
    pipeline = Pipeline(model)
    on_chip = hearing.hear_simulated(elf, "brd2601b", samples, pipeline.frontend, lambda text: None)
    on_pc = hearing.collect(listening.on_pc(pipeline, samples), lambda text: None)
    assert on_chip["inferences"] == on_pc["inferences"]
    assert on_chip["detections"] == on_pc["detections"]
    counts = on_chip["statistics"]
    assert counts["overruns"] == counts["late_inferences"] == counts["frames_dropped"] == 0
    return on_pc["detections"]


def test_shipped_model_hears_the_dialogue(built):
    expected = json.loads(demo.DEMO.with_suffix(".json").read_text())
    samples = read_audio(demo.DEMO.with_suffix(".wav"), RATE)
    rows, wrong = demo.compare(
        expected["keywords"], heard_alike(built.elf, "keyword_spotting_on_off", samples)
    )
    assert wrong == 0, rows


def write_network(path: Path, settings: FrontendSettings) -> None:
    """A model of two classes that takes a window of these settings and mixes its values at random."""
    n, rng = NetworkBuilder(), np.random.default_rng(0)
    size = settings.frames * settings.channels
    x, flat = n.tensor((1, settings.frames, settings.channels, 1), scale=1.0), n.tensor((1, size), scale=1.0)
    n.operator("RESHAPE", [x], [flat], "ReshapeOptions", newShape=[1, size])
    kernel = n.tensor((2, size), scale=1e-4, data=rng.integers(-127, 128, (2, size)))
    out = n.tensor((1, 2), scale=1 / 256)
    n.operator("FULLY_CONNECTED", [flat, kernel], [out], "FullyConnectedOptions")
    values = {**settings.to_parameters(), "classes": ["one", "two"]}
    path.write_bytes(write_parameters(n.build([x], [out]), values))


@pytest.fixture
def compared(tmp_path) -> Callable[..., dict[str, dict]]:
    """Compares a network of a single window of so many channels with its image, on a second of noise: the
    stages, none of which differs."""

    def call(channels: int, **shape: int) -> dict[str, dict]:
        settings = FrontendSettings(
            sample_rate_hz=RATE, sample_length_ms=shape["window_size_ms"],
            filterbank_n_channels=channels, filterbank_upper_band_limit=3900.0, **shape,
        )  # fmt: skip
        path, result = tmp_path / "wide.tflite", tmp_path / "result.json"
        write_network(path, settings)
        rng = np.random.default_rng(0)
        (tmp_path / "noise.wav").write_bytes(wav(rng.integers(-9000, 9000, RATE).astype(np.int16), RATE))
        elf = image.build(str(path), board.load("brd2601b"), tmp_path / "image").elf
        audio = str(tmp_path / "noise.wav")
        options = ["--audio", audio, "--image", str(elf), "--json", str(result)]
        assert cli.run(compare.main, [str(path), *options]) == 0
        return {stage["name"]: stage for stage in json.loads(result.read_text())["stages"]}

    return call


@pytest.mark.parametrize("channels", [300, 500])
def test_columns_that_do_not_fit_into_a_message(channels, compared, tmp_path, capsys):
    stages = compared(channels, window_size_ms=64, window_step_ms=40)
    assert stages["spectrogram"]["compared"] == 0 and stages["scores"]["compared"] > 5
    assert (stages["features"]["compared"] > 0) == (channels == 300)
    assert "does not fit into a message" in capsys.readouterr().out

    arguments = [str(tmp_path / "wide.tflite"), "--audio", str(tmp_path / "noise.wav"), "--simulate"]
    assert cli.run(classify.main, [*arguments, "--dump-raw-spectrograms", str(tmp_path / "dumps")]) == 2
    assert "on the PC" in capsys.readouterr().err and not (tmp_path / "dumps").exists()


def test_firmware_leaves_out_what_does_not_fit_into_a_message(compared, tmp_path):
    compared(500, window_size_ms=64, window_step_ms=40)
    streams = m.Stream.SCORES | m.Stream.SPECTROGRAM | m.Stream.FEATURES
    with target.simulate(tmp_path / "image" / "tokay.elf", "brd2601b") as where:
        heard = list(listening.injected(where.device, read_audio(tmp_path / "noise.wav", RATE), streams))
    assert heard and all(isinstance(event, Event) for event in heard)


def test_columns_faster_than_the_line_are_all_reported(compared):
    stages = compared(128, window_size_ms=16, window_step_ms=2)
    assert stages["spectrogram"]["compared"] == stages["features"]["compared"] == 1 + (1000 - 16) // 2


def test_inferences_faster_than_the_line_are_all_reported(compared, tmp_path, monkeypatch):
    compared(8, window_size_ms=8, window_step_ms=2)
    monkeypatch.setattr(target, "build_image", lambda *_, **__: tmp_path / "image" / "tokay.elf")
    heard = []
    for where in ([], ["--simulate"]):
        options = ["-l", "0", "-w", "0", "-c", "1", "-s", "0", "-t", "0", "--json", tmp_path / "heard"]
        arguments = [tmp_path / "wide.tflite", "--audio", tmp_path / "noise.wav", *options, *where]
        assert cli.run(classify.main, [str(argument) for argument in arguments]) == 0
        heard.append(json.loads((tmp_path / "heard").read_text())["files"][0])
    pc, chip = heard
    assert chip["inferences"] == pc["inferences"] and len(pc["inferences"]) == 497
    assert chip["detections"] == pc["detections"] and pc["detections"]


@pytest.mark.parametrize("short", [3, 900])
def test_nothing_behind_the_end_of_a_file_is_heard(short, tmp_path):
    """At a rate with 12 samples in each millisecond and hardly one at its start; all that is reported."""
    folder, path, rate = tmp_path / "fast", tmp_path / "odd.tflite", 12187
    folder.mkdir()
    text = (ROOT / "boards" / "brd2601b" / "board.toml").read_text()
    (folder / "board.toml").write_text(text.replace("baud = 115200", "baud = 921600"))
    settings = FrontendSettings(
        sample_rate_hz=rate, sample_length_ms=300, window_size_ms=30, window_step_ms=20,
        filterbank_n_channels=16, filterbank_upper_band_limit=5000.0,
    )  # fmt: skip
    write_network(path, settings)
    pipeline = Pipeline(path, overrides={"latency_ms": 0})
    size = settings.window_samples + 60 * settings.step_samples - short
    samples = np.random.default_rng(1).integers(-9000, 9000, size).astype(np.int16)
    streams = listening.RESULTS | m.Stream.AUDIO | m.Stream.SPECTROGRAM | m.Stream.FEATURES
    elf = image.build(str(path), board.load(str(folder)), tmp_path / "image").elf
    with target.simulate(elf, str(folder)) as where, listening.applied(where.device, pipeline.settings):
        play = target.player(where, str(folder), samples)
        chip = list(listening.played(where.device, size, pipeline.frontend, streams, play))
    pc = list(listening.on_pc(pipeline, samples, streams))
    for kind in (Event, m.Spectrogram, m.Features):
        assert [e for e in chip if isinstance(e, kind)] == [e for e in pc if isinstance(e, kind)]
    heard = [value for e in chip if isinstance(e, m.Audio) for value in e.samples]
    assert heard == samples.tolist()


def test_comparison_notices_what_is_missed_and_what_is_invented():
    words = [
        {"word": "on", "start_ms": 1000, "end_ms": 1400},
        {"word": "off", "start_ms": 5000, "end_ms": 5400},
    ]
    heard = {"class": 0, "label": "on", "score": 200, "time_ms": 1500}
    assert demo.compare(words, [heard])[1] == 1
    assert demo.compare(words[:1], [heard])[1] == 0
    assert demo.compare(words[:1], [heard, heard | {"time_ms": 9000}])[1] == 1
    assert demo.compare(words[:1], [heard | {"label": "off"}])[1] == 2


@pytest.mark.skipif(
    not CLIPS.is_dir() or not VENDOR.is_file(), reason="no recorded speech here (TOKAY_SHARED)"
)
def test_vendor_model_hears_real_speech(tmp_path):
    """The vendor's network on speakers of the testing list: alike on chip and PC, and it does hear words."""
    listed = (CLIPS / "testing_list.txt").read_text().split()
    words = {
        word: [name for name in listed if name.startswith(f"{word}/")][:4] for word in ("on", "off", "yes")
    }
    rng = np.random.default_rng(1)
    parts = []
    for names in zip(*words.values(), strict=True):
        for name in names:
            parts += [rng.normal(0, 8, RATE * 3 // 4).round(), read_audio(CLIPS / name, RATE, resample=True)]
    samples = np.concatenate(parts).astype(np.int16)
    built = image.build(str(VENDOR), board.load("brd2601b"), tmp_path)
    labels = [d["label"] for d in heard_alike(built.elf, VENDOR, samples)]
    assert labels.count("on") >= 3 and labels.count("off") >= 3, labels
