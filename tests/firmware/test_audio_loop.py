"""The audio loop against the same steps done one by one: gain, front end, windows, network, detector."""

from __future__ import annotations

import ctypes
import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host import model_image
from host import pipeline as wrapper
from host.detector import Detector, apply_gain, detector_settings
from host.errors import TokayError
from host.features import Frontend
from host.pipeline import AudioLoop, Pipeline
from host.runtime import Model
from tests.sounds import RATE, bursts
from tests.used_memory import used

MODEL = "keyword_spotting_on_off"


def step_by_step(pipeline: Pipeline, audio: np.ndarray) -> list[tuple]:
    """Time, scores and detection of each inference, without the loop."""
    s, fe = pipeline.settings, pipeline.frontend.settings
    spectrogram = pipeline.frontend.spectrogram(apply_gain(audio, s.volume_gain_q8))
    detector = Detector(detector_settings(s))
    period = max(s.latency_ms * fe.sample_rate_hz // 1000, fe.step_samples)
    due, expected = None, []
    for last in range(fe.frames, len(spectrogram) + 1):
        heard = fe.window_samples + (last - 1) * fe.step_samples
        due = heard if due is None else due
        if heard < due:
            continue
        due += period * (1 + (heard - due) // period)
        features = pipeline.frontend.quantize(spectrogram[last - fe.frames : last])
        output = pipeline.model.invoke(features.reshape(pipeline.model.input.shape)).reshape(-1)
        time_ms = heard * 1000 // fe.sample_rate_hz
        found = detector.process(output, time_ms)
        scores = tuple(int(v) + 128 for v in output)
        expected.append((time_ms, scores, (found.class_index, found.score) if found.detected else None))
    return expected


def as_tuples(events) -> list[tuple]:
    return [
        (e.time_ms, e.scores, e.detection and (e.detection.class_index, e.detection.score)) for e in events
    ]


OVERRIDES = [
    {},
    {"volume_gain": 40},
    {"latency_ms": 0},
    {"latency_ms": 33, "detection_threshold": 20, "suppression_ms": 300},
    {"fe.quantize_dynamic_scale_enable": True, "volume_gain": 3},
]


@pytest.mark.parametrize("overrides", OVERRIDES)
def test_same_as_step_by_step(overrides):
    pipeline = Pipeline(MODEL, overrides=overrides)
    audio = bursts(4 * RATE, seed=1)
    expected = step_by_step(pipeline, audio)
    assert len(expected) > 20
    assert len({scores for _, scores, _ in expected}) > 5
    assert as_tuples(pipeline.process(audio)) == expected


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 3000), min_size=1, max_size=30))
def test_chunks_of_any_size(sizes):
    pipeline = Pipeline(MODEL)
    audio = bursts(5 * RATE // 2, seed=len(sizes))
    whole = as_tuples(pipeline.process(audio))
    pipeline.reset()
    events, at = [], 0
    while at < audio.size:
        for size in sizes:
            events += pipeline.process(audio[at : at + size])
            at += size
    assert as_tuples(events) == whole


def test_an_inference_waits_while_audio_does():
    pipeline = Pipeline(MODEL)
    audio = bursts(4 * RATE, seed=1)
    half = audio.size // 2
    period = pipeline.settings.latency_ms * pipeline.sample_rate_hz // 1000
    assert pipeline.loop.process(audio[:half], backlog=period + 1) == []
    events = pipeline.loop.process(audio[half:], backlog=period)
    # On the newest window as soon as it may, then on time.
    reference = Pipeline(MODEL)
    expected = as_tuples(reference.process(audio))
    assert as_tuples(events)[0][:1] > expected[0][:1]
    assert pipeline.loop.statistics["skipped"] == len(expected) - len(events) > 5


def test_lost_samples_pass_time():
    pipeline = Pipeline(MODEL)
    rate = pipeline.sample_rate_hz
    audio = bursts(3 * RATE, seed=1)
    times = [e.time_ms for e in pipeline.process(audio)]
    pipeline.reset()
    before = pipeline.process(audio[: 2 * rate])
    pipeline.loop.lost(5 * rate)
    after = pipeline.process(audio[2 * rate :])
    assert [e.time_ms for e in before] == [t for t in times if t <= 2000]
    assert all(7000 < e.time_ms <= 8000 for e in after) and after
    assert pipeline.loop.statistics["lost_samples"] == 5 * rate


def test_reset_forgets_everything():
    pipeline = Pipeline(MODEL)
    audio = bursts(2 * RATE, seed=1)
    first = pipeline.process(audio)
    pipeline.reset()
    assert pipeline.process(audio) == first


def test_the_loop_keeps_what_it_runs():
    pipeline = Pipeline(MODEL)
    audio = bursts(2 * RATE, seed=1)
    expected = pipeline.process(audio)
    model, loop = weakref.ref(pipeline.model), pipeline.loop
    del pipeline
    gc.collect()
    assert model() is not None
    loop.reset()
    assert loop.process(audio) == expected


def test_refuses_what_does_not_fit():
    model = Model(MODEL)
    pipeline = Pipeline(MODEL)
    narrow = Frontend(replace(pipeline.frontend.settings, filterbank_n_channels=20))
    with pytest.raises(TokayError, match="input does not fit"):
        AudioLoop(narrow, model, pipeline.settings)
    fewer = replace(pipeline.settings, labels=("a", "b"), thresholds=(1, 2))
    with pytest.raises(TokayError, match="output does not fit"):
        AudioLoop(pipeline.frontend, model, fewer)
    with pytest.raises(TokayError, match="one channel of int16"):
        pipeline.process(np.zeros((2, 2), np.int16))


def test_takes_no_memory_that_is_too_small_or_not_aligned():
    pipeline = Pipeline(MODEL)
    loop = pipeline.loop
    needed = loop._lib.audio_loop_bytes(pipeline.frontend.config_address)
    memory = np.zeros(needed // 8 + 1, np.uint64)

    def init(address: int | None, size: int) -> int:
        config = ctypes.byref(loop._config)
        return loop._lib.audio_loop_init(ctypes.byref(loop._loop), config, address, size)

    start = memory.ctypes.data
    assert [init(None, needed), init(start, needed - 1), init(start + 4, needed)] == [1, 1, 1]
    assert init(start, needed) == 0


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"filterbank_n_channels": 13}, {"noise_reduction_enable": False}, {"window_step_ms": 13},
        {"filterbank_n_channels": 13, "window_step_ms": 13, "quantize_dynamic_scale_enable": True},
    ],
)  # fmt: skip
def test_the_host_counts_the_memory_that_it_needs(changes):
    """Before it puts a model beside a firmware, which would refuse one that it has no room for."""
    pipeline = Pipeline(MODEL)
    frontend = Frontend(replace(pipeline.frontend.settings, **changes))
    needed = pipeline.loop._lib.audio_loop_bytes(frontend.config_address)
    assert model_image._loop_bytes(frontend.settings) == needed


def test_what_its_memory_held_before_does_not_matter(monkeypatch):
    audio = bursts(2 * RATE, seed=1)
    expected = Pipeline(MODEL).process(audio)

    for name in ("_Loop", "_Result"):
        monkeypatch.setattr(wrapper, name, used(getattr(wrapper, name)))
    pipeline = Pipeline(MODEL)
    assert pipeline.process(audio) == expected
    assert pipeline.loop.statistics["inferences"] == len(expected)
    assert pipeline.loop.statistics["lost_samples"] == 0


def test_nothing_pauses_when_the_number_of_columns_wraps():
    """After 2.7 years of steps of 20 ms, 50 days of steps of 1 ms."""
    audio = bursts(6 * RATE, seed=1)
    expected = as_tuples(Pipeline(MODEL).process(audio))
    pipeline = Pipeline(MODEL)
    heard = pipeline.process(audio[: audio.size // 2])
    pipeline.loop._loop.statistics.columns = 2**32 - 5
    heard += pipeline.process(audio[audio.size // 2 :])
    assert as_tuples(heard) == expected
