"""Scores along streams equal to the pipeline's, the sweep to the detector's, and what is suggested."""

from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.application import ApplicationSettings
from host.detector import Detector, DetectorSettings, detector_settings, replay
from host.errors import TokayError
from host.evaluation import operating_point, subject
from host.features import Frontend
from host.metrics import sweep
from host.metrics.scoring import (
    Network,
    Scored,
    feature_stream,
    int8_network,
    keras_network,
    streaming_scores,
)
from host.metrics.streaming import Spoken
from host.metrics.streams import Stream
from host.metrics.sweep import Limits
from host.pipeline import Pipeline
from tests import tone_words

LABELS = ("on", "off", "_unknown_")


def spoken_audio(seconds: int, seed: int = 0) -> Stream:
    rng = np.random.default_rng(seed)
    words = [list(tone_words.HERTZ)[int(rng.integers(3))] for _ in range(seconds)]
    audio = np.concatenate([tone_words.say(word, rng) for word in words])
    return Stream("words", audio, tuple(Spoken(w, 1000 * i, 1000 * (i + 1)) for i, w in enumerate(words)))


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"volume_gain": 0.25, "latency_ms": 33},
        {"latency_ms": 0, "average_window_duration_ms": 500},
        {"latency_ms": 250},
        {"fe.quantize_dynamic_scale_enable": True, "volume_gain": 2.0},
    ],
)
@pytest.mark.parametrize("accelerator", ["none", "mvp"])
def test_scores_and_detections_are_the_pipelines(overrides: dict, accelerator: str) -> None:
    tflite = tone_words.model(**overrides)
    pipeline, stream = Pipeline(tflite, accelerator), spoken_audio(8 if accelerator == "none" else 3)
    events = pipeline.process(stream.audio)
    made = feature_stream(stream, pipeline.frontend.settings, pipeline.settings)
    scored = streaming_scores(int8_network(tflite, accelerator), [made])[0]
    assert scored.times_ms.tolist() == [event.time_ms for event in events]
    assert scored.scores.tolist() == [list(event.scores) for event in events]
    found = replay(detector_settings(pipeline.settings), scored.scores, scored.times_ms)
    detections = [
        (i, e.detection.class_index, e.detection.score) for i, e in enumerate(events) if e.detection
    ]
    assert found.tolist() == detections
    if accelerator == "none" and not overrides:
        assert len({d[1] for d in detections}) == 2 and len(np.unique(scored.scores, axis=0)) > 20


@pytest.mark.parametrize("audio", [np.zeros(100), np.zeros((100, 1), np.int16), np.zeros(100, np.int32)])
def test_a_pipeline_takes_one_channel_of_int16(audio: np.ndarray) -> None:
    with pytest.raises(TokayError, match="audio must be one channel of int16, not"):
        Pipeline(tone_words.model()).process(audio)


def test_a_long_stream_is_made_in_pieces_without_a_seam() -> None:
    stream = spoken_audio(150)
    app = ApplicationSettings(tone_words.CLASSES, (150,) * 4)
    frontend = Frontend(tone_words.FRONTEND)
    made = feature_stream(stream, frontend, app)
    assert np.array_equal(made.columns, frontend.features(stream.audio))
    last = made.windows(len(made.ends) - 1, len(made.ends))[0]
    seen: list[tuple[int, int]] = []
    streaming_scores(
        Network(lambda x: np.zeros((len(x), 4), np.uint8)),
        [made, made],
        lambda done, of: seen.append((done, of)),
    )
    assert seen[-1] == (2 * len(made.ends),) * 2 and len(seen) > 4 and seen == sorted(set(seen))
    assert {of for _, of in seen} == {2 * len(made.ends)}
    assert np.array_equal(last, made.columns[made.ends[-1] - made.frames : made.ends[-1]])


def test_times_are_whole_milliseconds_at_any_rate() -> None:
    frontend = dataclasses.replace(tone_words.FRONTEND, sample_rate_hz=11_025)
    app = ApplicationSettings(tone_words.CLASSES, (150,) * 4, latency_ms=70)
    made = feature_stream(Stream("", np.zeros(33_000, np.int16), ()), frontend, app)
    samples = frontend.window_samples + (made.ends - 1) * frontend.step_samples
    assert made.times_ms.dtype == np.int64 and made.duration_ms == 2993
    assert made.times_ms.tolist() == [int(n) * 1000 // 11_025 for n in samples]
    assert (np.diff(made.times_ms) >= 69).all()


@pytest.mark.parametrize("dynamic", [False, True])
def test_a_stream_too_short_for_a_window(dynamic: bool) -> None:
    app = ApplicationSettings(tone_words.CLASSES, (150,) * 4)
    frontend = dataclasses.replace(tone_words.FRONTEND, quantize_dynamic_scale_enable=dynamic)
    network = int8_network(tone_words.model())
    for samples in (0, 100, 7000):
        made = feature_stream(Stream("", np.zeros(samples, np.int16), ()), frontend, app)
        assert len(made.ends) == 0
        scored = streaming_scores(network, [made])[0]
        assert len(scored.times_ms) == 0 and scored.scores.shape == (0, 4)
        assert sweep.hear(scored, detector_settings(app)) == []


def test_a_keras_models_scores_are_those_of_its_int8_model() -> None:
    """Whose outputs are 256ths, from 0 to 255."""
    features = np.arange(-6, 6, dtype=np.int8).reshape(2, 3, 2)

    class Softmax:
        def predict_on_batch(self, x: np.ndarray) -> list[list[float]]:
            assert x.dtype == np.float32 and np.array_equal(x[..., 0], features * np.float32(0.25))
            return [[0.0019, 0.0020, 0.5, 1.0]] * len(x)

    scores = keras_network(Softmax(), 0.25)(features)
    assert scores.dtype == np.uint8 and scores.tolist() == [[0, 1, 128, 255]] * 2


def test_a_network_that_does_not_give_scores_is_refused() -> None:
    made = feature_stream(spoken_audio(2), tone_words.FRONTEND, ApplicationSettings(("a",), (1,)))
    with pytest.raises(TypeError, match="uint8"):
        streaming_scores(Network(lambda x: np.zeros((len(x), 4), np.float32)), [made])


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32), st.integers(0, 120), st.integers(0, 255), st.integers(0, 900), st.integers(0, 12),
    st.integers(0, 2000),
)  # fmt: skip
def test_replay_is_the_detector(
    seed: int, count: int, threshold: int, window_ms: int, minimum: int, suppression_ms: int
) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 256, (count, 3)).astype(np.uint8)
    scores[rng.random(count) < 0.5] //= 2
    times = np.cumsum(rng.integers(0, 200, count)) + (1 << 32) - 3000  # the clock wraps on the way
    chosen = DetectorSettings(LABELS, (threshold, threshold // 2, 0), window_ms, suppression_ms, minimum)
    detector, expected = Detector(chosen), []
    for i in range(count):
        found = detector.process((scores[i].astype(int) - 128).astype(np.int8), int(times[i]))
        if found.detected:
            expected.append((i, found.class_index, found.score))
    assert replay(chosen, scores, times).tolist() == expected


def test_replay_refuses_what_the_detector_refuses() -> None:
    chosen = DetectorSettings(LABELS, (100,), 0, 0, 1)
    with pytest.raises(TokayError, match="goes back"):
        replay(chosen, np.zeros((2, 3), np.uint8), np.array([100, 50]))
    with pytest.raises(TokayError, match="2 times and 3 classes"):
        replay(chosen, np.zeros((2, 4), np.uint8), np.array([0, 50]))
    with pytest.raises(TokayError, match="2 detection thresholds for 3 classes"):
        replay(DetectorSettings(LABELS, (100, 100), 0, 0, 1), np.zeros((2, 3), np.uint8), np.array([0, 50]))
    with pytest.raises(TokayError):
        replay(DetectorSettings((), (), 0, 0, 1), np.zeros((0, 0), np.uint8), np.zeros(0))
    for threshold, detected in ((0, [True, True, True]), (254, [False, False, True]), (255, [False] * 3)):
        at = DetectorSettings(("on",), (threshold,), 0, 0, 1)  # detected where the score is above
        found = replay(at, np.array([[1], [254], [255]], np.uint8), np.array([0, 1, 2]))
        assert [i in found["inference"] for i in range(3)] == detected
    for threshold in (-1, 256):
        with pytest.raises(TokayError, match=f"detection threshold {threshold} is outside 0..255"):
            replay(DetectorSettings(("on",), (threshold,), 0, 0, 1), np.zeros((1, 1), np.uint8), np.zeros(1))
    detector = Detector(chosen)
    detector.process(np.zeros(3, np.int8), 100)
    with pytest.raises(TokayError, match="time 99 ms is before the last sample's"):
        detector.process(np.zeros(3, np.int8), 99)


def scored(seconds: int, events: list[tuple[str, float, int, int]], name: str = "s") -> Scored:
    """Scores every 100 ms: 5 for all but in events (label, second, how many inferences, score). A label in
    capitals is heard but not said."""
    times = np.arange(0, 1000 * seconds, 100)
    scores = np.full((len(times), len(LABELS)), 5, np.uint8)
    scores[:, 2] = 60
    spoken = []
    for label, at, count, score in events:
        first = int(10 * at)
        scores[first : first + count, LABELS.index(label.lower())] = score
        if label == label.lower():
            spoken.append(Spoken(label, int(1000 * at) - 500, int(1000 * at) + 500))
    return Scored(name, scores, times, tuple(spoken), 1000 * seconds)


DETECTOR = DetectorSettings(LABELS, (180,) * 3, 300, 1000, 3)


def test_figures_of_several_streams_add_up() -> None:
    parts = [
        scored(20, [("on", 3, 6, 200), ("off", 8, 6, 120), ("ON", 13, 6, 250)]),
        scored(40, [("off", 8, 6, 240), ("OFF", 30, 6, 240)]), scored(60, []),
    ]  # fmt: skip
    whole = sweep.measure(parts, DETECTOR)
    assert (whole.spoken, whole.hits, whole.false_rejects, whole.false_accepts) == (3, 2, 1, 2)
    assert whole.hours == pytest.approx(120 / 3600) and len(whole.delays_ms) == 2
    assert whole.by_label == {"on": (1, 1, 1), "off": (2, 1, 1)}


def test_averaging_is_chosen_where_only_it_tells_words_from_spikes() -> None:
    # Words score 200 for half a second; other words 250, but for one inference only.
    words = [("on", 3, 6, 200), ("off", 8, 6, 200), ("ON", 13, 1, 250), ("OFF", 17, 1, 250)]
    noise = [("ON", at, 1, 250) for at in range(5, 55, 5)]
    found = sweep.suggest([scored(20, words)], [scored(60, noise)], DETECTOR)
    assert found.feasible and found.best.settings.average_window_ms > 0
    assert found.best.keywords.false_rejects == 0 and found.best.keywords.false_accepts == 0
    assert found.best.background.false_accepts == 0
    alone = sweep.suggest([scored(20, words)], [scored(60, noise)], DETECTOR, windows_ms=[0])
    assert alone.feasible and alone.best.keywords.false_rejects == 2  # only silence keeps to the limit


def test_each_keyword_gets_the_threshold_it_needs() -> None:
    # "on" is never mistaken at all but scores 120; noise takes others for "off" at 220, and "off" scores 240.
    words = [("on", 3, 6, 120), ("off", 8, 6, 240), ("on", 13, 6, 120)]
    noise = [("OFF", at, 6, 220) for at in range(5, 55, 5)]
    found = sweep.suggest([scored(20, words)], [scored(60, noise)], DETECTOR)
    on, off, _ = found.best.settings.thresholds
    assert found.feasible and found.best.keywords.false_rejects == 0
    assert on < 120 and off >= 220
    # With one threshold for both, "on" must be missed.
    assert min(p.keywords.false_rejects for p in found.points if sweep.within(p, Limits())) == 2


def test_what_one_keyword_gains_lets_another_move_again() -> None:
    """The false accept of "off" stands in the way of "on" until the threshold of "off" has moved."""
    words = [("on", 3, 6, 200), ("on", 8, 6, 120), ("on", 13, 6, 120), ("off", 17, 6, 240)]
    noise = [("OFF", 10, 6, 220), ("ON", 40, 6, 130)]
    one_an_hour = 3600 / 60  # in a minute
    found = sweep.suggest([scored(20, words)], [scored(60, noise)], DETECTOR, Limits(one_an_hour, 6.0))
    on, off, _ = found.best.settings.thresholds
    assert found.feasible and on < 120 and 220 <= off < 240
    assert (found.best.keywords.false_rejects, found.best.background.false_accepts) == (0, 1)


def test_of_settings_that_are_alike_the_highest_thresholds_are_taken() -> None:
    """Nothing but words is heard: any threshold below their scores would do, and a few windows."""
    words = [("on", 3, 6, 200), ("off", 8, 6, 200)]
    found = sweep.suggest([scored(20, words)], [scored(60, [])], DETECTOR)
    assert found.best.settings.average_window_ms == 0 and found.best.settings.thresholds[:2] == (195, 195)
    # One that moves from the other stops at the first that helps as much, whatever their order.
    words = [("on", 3, 6, 150), ("off", 8, 6, 240)]
    noise = [("OFF", 10, 6, 200)]
    for thresholds in (sweep.THRESHOLDS, sweep.THRESHOLDS[::-1]):
        found = sweep.suggest([scored(20, words)], [scored(60, noise)], DETECTOR, thresholds=thresholds)
        assert found.feasible and found.best.settings.thresholds[:2] == (145, 235)


def test_windows_are_multiples_of_the_time_between_inferences_however_few_there_are() -> None:
    short = dataclasses.replace(scored(1, [("on", 0.5, 2, 200)]), times_ms=np.array([70, 170]))
    short = dataclasses.replace(short, scores=short.scores[:2])
    found = sweep.suggest([short], [], DETECTOR)
    assert {p.settings.average_window_ms for p in found.points} == {0, 100, 200, 300, 400, 500, 700, 1000}
    shorter = dataclasses.replace(short, times_ms=short.times_ms[:1], scores=short.scores[:1])
    with pytest.raises(TokayError, match="too short to hear anything"):
        sweep.suggest([shorter], [], DETECTOR)


def test_what_hears_nothing_is_not_written(tmp_path: Path) -> None:
    words, noise = [("on", 3, 6, 150)], [("ON", at, 30, 200) for at in range(5, 55, 5)]
    found = sweep.suggest([scored(20, words)], [scored(60, noise)], DETECTOR)
    assert found.feasible and found.best.keywords.false_rejects == 1
    path = tmp_path / "m.tflite"
    path.write_bytes(tone_words.model())
    with pytest.raises(TokayError, match=r"hears no keyword at all: .*m\.tflite was not changed"):
        operating_point.write(subject.quantized(str(path)), found, Limits())
    assert path.read_bytes() == tone_words.model()


def test_a_model_in_an_archive_is_not_written(tmp_path: Path) -> None:
    found = sweep.suggest([scored(20, [("on", 3, 6, 200)])], [scored(60, [])], DETECTOR)
    assert found.feasible and not found.best.deaf
    path = tmp_path / "m.mltk.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m.tflite", tone_words.model())
    before = path.read_bytes()
    with pytest.raises(TokayError, match=r"m\.mltk\.zip is not a \.tflite: nothing was written"):
        operating_point.write(subject.quantized(str(path)), found, Limits())
    assert path.read_bytes() == before


@pytest.mark.parametrize("word_for_keyword", [False, True])
def test_more_false_accepts_are_proposed_only_where_they_help(tmp_path: Path, word_for_keyword: bool) -> None:
    """What is taken for a keyword without any is heard more often than the keyword; also among keywords."""
    words = [("on", 3, 6, 200), *([("ON", 10, 6, 230)] if word_for_keyword else [])]
    found = sweep.suggest([scored(20, words)], [scored(60, [("ON", 30, 6, 230)])], DETECTOR, Limits())
    assert found.feasible and found.best.deaf
    path = tmp_path / "m.tflite"
    path.write_bytes(tone_words.model())
    with pytest.raises(TokayError, match="hears no keyword at all") as refused:
        operating_point.write(subject.quantized(str(path)), found, Limits())
    assert ("--false-accepts" in str(refused.value)) is not word_for_keyword


def test_where_nothing_keeps_to_the_limits_that_is_said() -> None:
    words, noise = [("on", 3, 6, 200)], [("ON", at, 30, 255) for at in range(5, 55, 5)]
    found = sweep.suggest([scored(20, words)], [scored(60, noise)], DETECTOR, Limits(0.5, 6.0))
    assert not found.feasible
    fewest = min(p.background.false_accepts + p.keywords.false_accepts for p in found.points)
    assert found.best.background.false_accepts + found.best.keywords.false_accepts <= fewest
    with pytest.raises(TokayError, match="nothing can be suggested"):
        sweep.suggest([scored(20, [])], [scored(60, noise)], DETECTOR)


def test_a_limit_may_be_reached() -> None:
    """None allowed is a limit too; what has as many false accepts as are allowed keeps to it."""
    quiet = sweep.suggest([scored(20, [("on", 3, 6, 200)])], [scored(60, [])], DETECTOR, Limits(0.0, 0.0))
    assert quiet.feasible and quiet.best.keywords.false_rejects == 0
    words = [("on", 3, 6, 200), ("OFF", 10, 6, 255)]  # once in 20 s, whatever the threshold
    noise = [("OFF", 10, 6, 255)]  # once in a minute
    for limits, keeps in (
        (Limits(60.0, 180.0), True), (Limits(59.9, 180.0), False), (Limits(60.0, 179.9), False),
    ):  # fmt: skip
        found = sweep.suggest(
            [scored(20, words)],
            [scored(60, noise)],
            DETECTOR,
            limits,
            windows_ms=[300],
            thresholds=[190, 252],
        )
        one = next(p for p in found.points if p.settings.thresholds[0] == 190)
        assert (one.keywords.false_accepts, one.background.false_accepts) == (1, 1)
        assert sweep.within(one, limits) is keeps


def test_repeats_count_as_misses_do() -> None:
    first = sweep.Point(DETECTOR, sweep.StreamResult(2, 2, 0, 0, 2, 1.0), sweep.StreamResult(hours=1.0))
    second = sweep.Point(DETECTOR, sweep.StreamResult(2, 1, 1, 0, 0, 1.0), sweep.StreamResult(hours=1.0))
    assert sweep.rank(second, Limits()) < sweep.rank(first, Limits())


def test_the_sweep_is_the_detector_at_each_setting() -> None:
    rng = np.random.default_rng(5)
    stream = scored(60, [("on", 5, 5, 190), ("off", 20, 4, 210), ("on", 40, 9, 150)])
    stream = dataclasses.replace(
        stream,
        scores=np.clip(stream.scores + rng.integers(0, 60, stream.scores.shape), 0, 255).astype(np.uint8),
    )
    for point in sweep.sweep([stream], [], DETECTOR, (0, 300), (100, 150, 200)):
        detector, heard = Detector(point.settings), []
        for row, time_ms in zip(stream.scores, stream.times_ms, strict=True):
            result = detector.process((row.astype(int) - 128).astype(np.int8), int(time_ms))
            heard += [(LABELS[result.class_index], int(time_ms))] if result.detected else []
        assert point.keywords == sweep.count(
            sweep.judge(heard, stream.spoken, ("on", "off")), stream.spoken, ("on", "off"), stream.duration_ms
        )
    times = [np.arange(0, 200_000, 100), np.zeros(0, np.int64)]
    assert [sweep.counts(ms, times) for ms in (0, 100, 300, 100_000)] == [1, 1, 3, 64]


@pytest.mark.parametrize("phase", [(0, 120), (0, 80)])
def test_uneven_inferences_leave_no_window_deaf(phase: tuple[int, int]) -> None:
    """One inference in 100 ms with a step of 40 ms: 80 and 120 ms between them, turn and turn about."""
    words = [("on", 3, 14, 200), ("off", 8, 14, 210), ("on", 13, 14, 220)]
    even = scored(21, words)
    times = np.sort(np.concatenate([np.arange(first, 21_000, 200) for first in phase]))
    stream = dataclasses.replace(even, times_ms=times, scores=even.scores[: len(times)])
    found = sweep.suggest([stream], [], DETECTOR)
    windows = sorted({point.settings.average_window_ms for point in found.points})
    assert windows == [0, 100, 200, 300, 400, 500, 700, 1000]
    for window in windows:  # a word of 1.4 s fills each of them
        heard = [p for p in found.points if p.settings.average_window_ms == window]
        assert min(p.keywords.false_rejects for p in heard) == 0, window
        least = heard[0].settings.minimum_count
        most = max(int(((times > t - window - 1) & (times <= t)).sum()) for t in times)
        assert most - 2 <= least <= most  # one is lost at most, and some windows hold one fewer
