"""The detector against a plain Python model of the recogniser, and its edges one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from codegen.application import MAX_CLASSES, MAX_MS, MAX_REAL, MAX_SAMPLES, ApplicationSettings
from codegen.frontend import FrontendSettings
from host import detector as wrapper
from host.detector import (
    Detector,
    DetectorSettings,
    apply_gain,
    inference_columns,
    most_samples,
    never_detects,
    replay,
)
from host.errors import TokayError
from tests.places import ROOT
from tests.used_memory import used

SETTINGS = DetectorSettings(("on", "off", "_unknown_"), (160, 170, 10), 300, 900, 3)
ON, OFF, UNKNOWN = np.eye(3, dtype=np.int16) * 255 - 128


class Reference:
    """The recogniser with unbounded lists and unbounded time."""

    def __init__(self, s: DetectorSettings) -> None:
        self.s = s
        self.samples: list[tuple[int, list[int]]] = []
        self.last: tuple[int, int] | None = None

    def process(self, output, time):
        self.samples.append((time, [int(v) + 128 for v in output]))
        self.samples = [x for x in self.samples if time - x[0] <= self.s.average_window_ms][-MAX_SAMPLES:]
        if len(self.samples) < self.s.minimum_count:
            return -1, 0, False
        columns = zip(*(scores for _, scores in self.samples), strict=True)
        means = [sum(column) // len(self.samples) for column in columns]
        best = means.index(max(means))
        suppressed = self.last and self.last[0] == best and time - self.last[1] <= self.s.suppression_ms
        detected = (
            means[best] > self.s.thresholds[best] and self.s.labels[best][0] != "_" and not suppressed
        )
        if detected:
            self.last = best, time
        return best, means[best], detected


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), classes=st.integers(1, 32), window=st.integers(0, 3000),
    suppression=st.integers(0, 3000), minimum=st.one_of(st.integers(0, 4), st.integers(0, 70)),
    longest_step=st.sampled_from([20, 200, 1200]), spread=st.sampled_from([2, 10, 255]), wraps=st.booleans(),
)  # fmt: skip
def test_same_as_the_reference(seed, classes, window, suppression, minimum, longest_step, spread, wraps):
    """Few different scores make means that are equal once they are rounded, or at a threshold."""
    rng = np.random.default_rng(seed)
    least = int(rng.integers(0, 256 - spread))
    labels = tuple(rng.choice(["word", "_word"], classes, p=[0.8, 0.2]))
    thresholds = (least + rng.integers(-1, spread + 1, classes)).clip(0, 255).tolist()
    s = DetectorSettings(labels, thresholds, window, suppression, minimum)
    ours, reference = Detector(s), Reference(s)
    time = 2**32 - int(rng.integers(1, 60 * longest_step)) if wraps else 0
    favourite = 0
    for step in rng.integers(0, longest_step, 120).tolist():
        time += step
        if rng.random() < 0.2:
            favourite = int(rng.integers(classes))
        scores = least - 128 + rng.integers(0, spread + 1, classes)
        scores[favourite] = max(scores[favourite], least - 128 + spread // 2)
        got = ours.process(scores.astype(np.int8), time)
        assert (got.class_index, got.score, got.detected) == reference.process(scores, time)
        assert got.time_ms == time & 0xFFFFFFFF


def feed(detector, scores, times):
    return [detector.process(scores, t).detected for t in times]


def test_needs_minimum_count():
    assert feed(Detector(SETTINGS), ON, [0, 100, 200]) == [False, False, True]
    detector = Detector(SETTINGS)
    assert detector.process(ON, 0).class_index == -1
    # Samples too far apart never are enough.
    assert not any(feed(detector, ON, range(1000, 10000, 301)))


def test_suppression_holds_for_the_same_class_only():
    detector = Detector(SETTINGS)
    fired = feed(detector, ON, range(0, 2400, 100))
    # The first at the third sample; then more than 900 ms later.
    assert [100 * i for i, f in enumerate(fired) if f] == [200, 1200, 2200]
    assert any(feed(detector, OFF, range(2400, 2900, 100)))


def test_underscore_labels_never_fire_and_do_not_end_a_suppression():
    detector = Detector(SETTINGS)
    assert any(feed(detector, ON, [0, 10, 20]))
    assert not any(feed(detector, UNKNOWN, range(330, 400, 10)))
    assert not any(feed(detector, ON, range(720, 800, 10)))


def test_threshold_must_be_exceeded():
    at = np.array([160 - 128, -128, -128])
    assert not any(feed(Detector(SETTINGS), at, [0, 1, 2]))
    assert any(feed(Detector(SETTINGS), at + np.array([1, 0, 0]), [0, 1, 2]))


def test_a_suppression_does_not_come_back_when_the_clock_wraps():
    detector = Detector(SETTINGS)
    assert any(feed(detector, ON, [0, 100, 200]))
    # Quiet for 49.7 days, a sample now and then, until the clock shows the same time again.
    quiet = np.array([-128, -128, 0])
    feed(detector, quiet, range(1000, 2**32, 2**28))
    assert any(feed(detector, ON, [2**32 + 200, 2**32 + 300, 2**32 + 400]))


def test_a_lone_sample_grows_old_too():
    detector = Detector(replace(SETTINGS, minimum_count=1))
    for age, mean in ((300, 127), (301, 255)):
        detector.reset()
        detector.process(OFF, 0)
        result = detector.process(ON, age)
        assert (result.class_index, result.score) == (0, mean)


def test_more_samples_than_it_holds():
    detector = Detector(replace(SETTINGS, average_window_ms=1000))
    feed(detector, ON, range(0, MAX_SAMPLES + 10))
    assert detector.dropped == 10
    # The mean is over the newest MAX_SAMPLES.
    low = np.full(3, -128)
    results = [detector.process(low, MAX_SAMPLES + 10 + i).score for i in range(MAX_SAMPLES)]
    assert results[0] == 255 * (MAX_SAMPLES - 1) // MAX_SAMPLES and results[-1] == 0


@settings(max_examples=200, deadline=None)
@given(
    window=st.integers(0, 3000), latency=st.integers(0, 400), step=st.integers(1, 40),
    rate=st.sampled_from([8000, 11025, 16000]), length=st.integers(40, 400), once=st.booleans(),
)  # fmt: skip
@example(window=2470, latency=0, step=5, rate=11025, length=80, once=True)  # 45 ms are no whole samples
def test_how_many_samples_a_window_holds_at_its_fullest(window, latency, step, rate, length, once):
    frontend = FrontendSettings(
        sample_rate_hz=rate, sample_length_ms=length, window_size_ms=40, window_step_ms=step,
        filterbank_upper_band_limit=3900.0,
    )  # fmt: skip
    if once:
        latency = frontend.frames * step
    of = ApplicationSettings(("on",), (0,), window, latency_ms=latency, each_column_once=once)
    columns = inference_columns(of, frontend, frontend.frames + 60000 // step)
    ends = frontend.window_samples + (columns - 1) * frontend.step_samples
    times = ends * 1000 // rate
    held = np.arange(len(times)) - np.searchsorted(times, times - window) + 1
    most = most_samples(of, frontend)
    assert most == min(held.max(), MAX_SAMPLES)
    assert never_detects(replace(of, minimum_count=most), frontend) is None
    assert never_detects(replace(of, minimum_count=most + 1), frontend) is not None


@pytest.mark.parametrize("count", [0, 33])
def test_refuses_impossible_class_counts(count):
    with pytest.raises(TokayError, match="1 to 32"):
        Detector(DetectorSettings(["x"] * count, [0] * count, 1, 1, 1))


@pytest.mark.parametrize("threshold", [-1, 256, 300])
def test_refuses_thresholds_that_no_score_has(threshold):
    settings = DetectorSettings(["on", "off"], [100, threshold], 1, 1, 1)
    with pytest.raises(TokayError, match=r"0\.\.255"):
        Detector(settings)
    with pytest.raises(TokayError, match=r"0\.\.255"):
        replay(settings, np.zeros((1, 2), np.uint8), np.zeros(1))


@pytest.mark.parametrize("scores", [[200, 0, 0], [0, -129, 0], [0.5, 0, 0]])
def test_refuses_scores_that_are_not_int8(scores):
    with pytest.raises(TokayError, match="int8"):
        Detector(SETTINGS).process(np.array(scores), 0)


@pytest.mark.parametrize("count", [2, 4])
def test_refuses_scores_of_other_classes(count):
    with pytest.raises(TokayError, match=f"{count} scores for 3 classes"):
        Detector(SETTINGS).process(np.zeros(count, np.int8), 0)


def test_python_and_the_firmware_have_the_same_limits():
    header = (ROOT / "firmware/detector/detector.h").read_text()
    assert f"#define DETECTOR_MAX_CLASSES {MAX_CLASSES}\n" in header
    assert f"#define DETECTOR_MAX_SAMPLES {MAX_SAMPLES}\n" in header
    parameters = (ROOT / "firmware/app/parameters.c").read_text()
    assert f"#define LONGEST_MS {MAX_MS} " in parameters
    assert parameters.count('_ms", PARAMETER_KIND_INTEGER, LONGEST_MS}') == 3
    assert f"#define LARGEST_REAL {MAX_REAL} " in parameters
    assert parameters.count("PARAMETER_KIND_REAL, LARGEST_REAL}") == 2


def test_what_its_memory_held_before_does_not_matter(monkeypatch):
    """A detector or a result on the stack, or a result that the last sample left."""
    expected = feed(Detector(SETTINGS), ON, range(0, 100, 20))
    for name in ("CDetector", "CResult"):
        monkeypatch.setattr(wrapper, name, used(getattr(wrapper, name)))
    detector = Detector(SETTINGS)
    assert feed(detector, ON, range(0, 100, 20)) == expected == [False, False, True, False, False]
    assert detector.dropped == 0
    detector.reset()
    result = detector.process(ON, 0)
    assert (result.class_index, result.score, result.detected) == (-1, 0, False)


def test_refuses_time_going_back():
    detector = Detector(SETTINGS)
    detector.process(ON, 100)
    detector.process(ON, 100)
    with pytest.raises(TokayError, match="before"):
        detector.process(ON, 99)


@given(st.lists(st.integers(-32768, 32767), max_size=20), st.integers(0, 2**32 - 1))
@example([-32768, -1000, 1000, 32767], 255)
@example([-32768, -1000, 1000, 32767], 256)
@example([-32768, -1000, 1000, 32767], 257)
def test_gain_saturates(samples, gain):
    expected = [max(-32768, min(32767, (x * gain) >> 8)) for x in samples]
    assert apply_gain(np.array(samples, np.int16), gain).tolist() == expected
