"""A keyword spotter that keeps state, on the PC: it hears each column once."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from host import cli, evaluate, update_params
from host.audio import read_audio
from host.dataset import find
from host.errors import TokayError
from host.evaluation import clips, subject
from host.features import Frontend
from host.metrics.scoring import clip_scores, feature_stream, int8_network, streaming_scores
from host.metrics.streams import Stream
from host.pipeline import Pipeline
from host.runtime import Model
from tests import streaming_network, tone_words
from tests.streaming_network import FRONTEND, NEW, RATE, audio

STEP_MS, PERIOD_MS = FRONTEND.window_step_ms, NEW * FRONTEND.window_step_ms
WINDOW = FRONTEND.window_samples


@pytest.fixture(scope="module")
def tflite() -> bytes:
    return streaming_network.network()


def columns(samples: np.ndarray) -> np.ndarray:
    frontend = Frontend(FRONTEND)
    return frontend.quantize(frontend.stream().process(samples))


def scores_of(model: Model, features: np.ndarray) -> list[tuple[int, ...]]:
    """Of each ``NEW`` columns in turn."""
    count = len(features) // NEW
    windows = features[: count * NEW].reshape(count, *model.input.shape)
    return [tuple((model.invoke(x).reshape(-1).astype(int) + 128).tolist()) for x in windows]


def test_every_column_is_heard_once(tflite):
    samples = audio(3)
    pipeline = Pipeline(tflite)
    events = pipeline.process(samples)
    assert pipeline.settings.latency_ms == PERIOD_MS
    assert [event.time_ms for event in events[:3]] == [50, 90, 130]
    expected = scores_of(Model(tflite), columns(samples))
    assert [event.scores for event in events] == expected
    assert len(set(expected)) > 20  # they say something
    pipeline.process(audio(1, seed=1))  # a past, which a reset forgets
    pipeline.reset()
    assert pipeline.process(samples) == events


def test_it_depends_on_what_it_has_heard(tflite):
    model = Model(tflite)
    features = columns(audio(1))
    first = scores_of(model, features)
    assert scores_of(model, features) != first
    model.reset()
    assert scores_of(model, features) == first


def test_no_column_is_left_out_where_audio_waits_and_none_heard_twice_after_a_loss(tflite):
    samples = audio(2)
    expected = scores_of(Model(tflite), columns(samples))
    pipeline = Pipeline(tflite)
    loop, heard = pipeline.loop, []
    for k, piece in enumerate(np.array_split(samples, 50)):
        heard += loop.process(piece, backlog=RATE if k % 3 else 0)
        if k == 20:
            loop.lost(777)  # time goes on, but no column has come
    assert [event.scores for event in heard] == expected
    assert loop.statistics["skipped"] == 0 and loop.statistics["lost_samples"] == 777


def test_windows_that_are_scaled_as_a_whole_are_new_too():
    scaled = {"fe.quantize_dynamic_scale_enable": True}
    pipeline = Pipeline(streaming_network.network(scaled))
    events = pipeline.process(audio(2))
    times = [event.time_ms for event in events]
    assert times[0] == 50 and set(np.diff(times)) == {PERIOD_MS}


def test_another_pace_is_refused(tflite, tmp_path, capsys):
    says = f"the network keeps state and takes {NEW} new columns of {STEP_MS} ms an inference, so that is 40"
    with pytest.raises(TokayError, match=f"latency_ms=100: {says}"):
        Pipeline(streaming_network.network({"latency_ms": 100}))
    with pytest.raises(TokayError, match=f"latency_ms=20: {says}"):
        Pipeline(tflite, overrides={"latency_ms": 20})
    assert Pipeline(streaming_network.network({"latency_ms": PERIOD_MS})).settings.latency_ms == PERIOD_MS
    path = tmp_path / "streaming.tflite"
    path.write_bytes(tflite)
    assert cli.run(update_params.main, [str(path), "latency_ms=100"]) == 2
    assert says in capsys.readouterr().err and path.read_bytes() == tflite


def test_streams_and_clips_are_judged_from_silence_on(tflite):
    network = int8_network(tflite)
    assert network.keeps_state and network.frames == NEW
    pipeline = Pipeline(tflite)
    made = [
        feature_stream(Stream(f"s{k}", audio(2, seed=k), ()), FRONTEND, pipeline.settings) for k in range(2)
    ]
    for k, scored in enumerate(streaming_scores(network, made)):
        pipeline.reset()
        events = pipeline.process(audio(2, seed=k))
        assert [tuple(row) for row in scored.scores.tolist()] == [event.scores for event in events]
        assert scored.times_ms.tolist() == [event.time_ms for event in events]
    heard = np.stack([columns(audio(1, seed=k)) for k in range(3)])
    assert heard.shape[1] % NEW  # one column is left over
    last = [scores_of(Model(tflite), clip)[-1] for clip in heard]
    counted: list[tuple[int, int]] = []
    scores = clip_scores(network, heard, lambda done, of: counted.append((done, of)))
    assert [tuple(row) for row in scores.tolist()] == last and counted == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("rate", [11025, 15999])
def test_streams_at_rates_with_no_whole_samples_in_a_step(rate):
    """Two columns of 20 ms are less than 40 ms there, but none is left out."""
    tflite = streaming_network.network({"fe.sample_rate_hz": rate})
    pipeline, samples = Pipeline(tflite), audio(5)
    frontend = pipeline.frontend.settings
    assert NEW * frontend.step_samples * 1000 < PERIOD_MS * rate
    made = feature_stream(Stream("stream", samples, ()), frontend, pipeline.settings)
    (scored,) = streaming_scores(int8_network(tflite), [made])
    events = pipeline.process(samples)
    assert [tuple(row) for row in scored.scores.tolist()] == [event.scores for event in events]
    assert scored.times_ms.tolist() == [event.time_ms for event in events]


@pytest.mark.parametrize("scaled_as_a_whole", [False, True])
def test_clips_are_heard_as_the_audio_loop_hears_them(tmp_path, scaled_as_a_whole):
    path = tmp_path / "streaming.tflite"
    path.write_bytes(streaming_network.network({"fe.quantize_dynamic_scale_enable": scaled_as_a_whole}))
    model = subject.quantized(str(path))
    store = find.load(tone_words.write_dataset(tmp_path / "data"), model.clips)
    chosen = clips.load(model.clips, store, "testing", 4, NEW)
    pipeline, last = Pipeline(str(path)), []
    for name in chosen.names:
        pipeline.reset()
        last.append(pipeline.process(read_audio(tmp_path / "data" / name, RATE))[-1].scores)
    assert [tuple(row) for row in clip_scores(model.network, chosen.features).tolist()] == last
    assert len(set(last)) > 1


def test_clips_are_a_second_or_as_long_as_an_input(tflite, tmp_path):
    path = tmp_path / "streaming.tflite"
    path.write_bytes(tflite)
    model = subject.quantized(str(path))
    assert model.clips.frontend.sample_length_ms == subject.CLIP_MS
    wide = replace(model.spec, frontend=replace(FRONTEND, sample_length_ms=1230))
    assert replace(model, spec=wide).clips.frontend.sample_length_ms == 1230


def test_the_evaluation_of_clips_is_that_of_their_whole_length(tflite, tmp_path, capsys):
    path, data, found = tmp_path / "streaming.tflite", tmp_path / "data", tmp_path / "found.json"
    path.write_bytes(tflite)
    tone_words.write_dataset(data)
    arguments = [str(path), "--dataset", str(data), "--limit", "5", "--json", str(found)]
    path.with_suffix(".keras").write_bytes(b"which nobody could run column by column")
    assert cli.run(evaluate.main, [*arguments, "--float"]) == 2
    assert "a network that keeps state cannot be judged in floats (give " in capsys.readouterr().err
    assert cli.run(evaluate.main, [*arguments, "--gap"]) == 0
    assert "(float is left out: " in capsys.readouterr().out
    value = json.loads(found.read_text())
    assert value["samples"] == 5 and [row["arithmetic"] for row in value["gap"]] == ["int8", "mvp"]
