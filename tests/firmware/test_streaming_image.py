"""The image of a keyword spotter that keeps state."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from host import board, cli, compare, evaluate, image, listening, profile, target
from host.device import commands
from host.device import messages as m
from host.media import wav
from host.pipeline import Pipeline
from host.runtime import Model
from tests import streaming_network, tone_words
from tests.streaming_network import RATE, audio

pytestmark = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed"
)


@pytest.fixture(scope="module", params=["none", "mvp"])
def accelerator(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("streaming") / "streaming.tflite"
    path.write_bytes(streaming_network.network())
    return str(path)


@pytest.fixture(scope="module")
def built(model, accelerator, tmp_path_factory) -> image.Image:
    folder = tmp_path_factory.mktemp("image")
    return image.build(model, board.load("brd2601b"), folder, accelerator=accelerator)


@pytest.fixture
def where(built) -> Iterator[target.Target]:
    with target.simulate(built.elf, "brd2601b") as opened:
        yield opened


@pytest.fixture
def command(model, accelerator, built, tmp_path, monkeypatch):
    """Calls a command with the model and gives its JSON; no command builds another image."""
    monkeypatch.setattr(target, "build_image", lambda *_, **__: built.elf)

    def call(module: Any, *arguments: object) -> dict[str, Any]:
        path = tmp_path / "result.json"
        given = [model, "-a", accelerator, *map(str, arguments), "--json", str(path)]
        assert cli.run(module.main, given) == 0
        return json.loads(path.read_text())

    return call


def heard(where: target.Target, samples: np.ndarray, labels: Any) -> list[Any]:
    streams = m.Stream.SCORES | m.Stream.DETECTIONS
    return list(listening.injected(where.device, samples, streams, labels=labels))


def test_it_hears_what_the_pc_hears_and_each_source_begins_in_silence(model, accelerator, where):
    pipeline, samples = Pipeline(model, accelerator), audio(3)
    expected = pipeline.process(samples)
    assert any(event.detection for event in expected)
    assert heard(where, samples, pipeline.labels) == expected
    assert heard(where, audio(1, seed=5), pipeline.labels) != expected[:24]
    assert heard(where, samples, pipeline.labels) == expected


def test_a_profile_leaves_no_trace(model, accelerator, where):
    pipeline, samples = Pipeline(model, accelerator), audio(1)
    expected = pipeline.process(samples)
    where.device.request(m.SourceSet(source=m.Source.NONE), timeout_s=2.0)
    commands.profile(where.device, repetitions=2)
    assert heard(where, samples, pipeline.labels) == expected


def test_an_inference_over_the_link_goes_on_where_the_one_before_ended(model, accelerator, where):
    ours, rng = Model(model, accelerator), np.random.default_rng(0)
    inputs = rng.integers(-128, 128, (4, *ours.input.shape), np.int8)
    for _ in range(2):
        where.device.request(m.SourceSet(source=m.Source.NONE), timeout_s=2.0)
        ours.reset()
        for x in inputs:
            commands.inject_features(where.device, x)
            np.testing.assert_array_equal(commands.run_network(where.device), ours.invoke(x).reshape(-1))


def test_compare_and_profile(command, built, tmp_path):
    recording = tmp_path / "tones.wav"
    recording.write_bytes(wav(audio(2), RATE))
    assert command(compare)["same"]
    assert command(compare, "--audio", recording)["same"]
    result = command(profile)
    assert [layer["opcode"] for layer in result["layers"]].count("read_variable") == 2
    assert built.ram_parts["arena"] == built.summary["arena_bytes"] >= 4 * 16 + 9 * 16


def test_clips_are_heard_in_the_image_as_on_the_pc(command, tmp_path):
    tone_words.write_dataset(tmp_path / "data")
    value = command(evaluate, "--dataset", tmp_path / "data", "--simulate", "--limit", 3)
    assert value["simulated"]["equal_to_pc"] == value["simulated"]["clips"] == 3
