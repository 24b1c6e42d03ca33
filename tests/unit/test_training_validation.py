"""What epochs are chosen by: clips, and streams through the detector."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from host.dataset.folder import Clip
from host.dataset.store import Store
from host.metrics.scoring import int8_network
from host.specification import Detector, Schedule, Specification
from host.training.examples import recorded
from host.training.validation import Validation, Validator, on_clips
from tests import tone_words


def test_rank() -> None:
    better = Validation(0.95, 0.2, 1.0, 0.1)
    assert better.rank > dataclasses.replace(better, false_accepts_per_hour=2.0).rank
    many = dataclasses.replace(better, false_accepts_per_hour=20.0)  # worse yet, however many there are
    assert many.rank > dataclasses.replace(many, false_accepts_per_hour=40.0).rank
    assert better.rank > dataclasses.replace(better, miss_rate=0.2).rank
    assert better.rank > dataclasses.replace(better, loss=0.3).rank
    assert Validation(0.9, 0.1).rank == (0.9, -0.1)  # without streams
    # A point of accuracy is worth ten of misses, or, where there are many, four times the false accepts.
    lucky = dataclasses.replace(better, balanced_accuracy=0.96)
    assert lucky.rank[0] == pytest.approx(
        dataclasses.replace(lucky, balanced_accuracy=0.97, miss_rate=0.2).rank[0]
    )
    assert many.rank[0] == pytest.approx(
        dataclasses.replace(many, balanced_accuracy=0.96, false_accepts_per_hour=80.0).rank[0], abs=5e-4
    )


def test_validation_by_hand() -> None:
    logits = np.log(np.array([[0.8, 0.2], [0.4, 0.6], [0.3, 0.7], [0.9, 0.1]]))
    found = on_clips(logits, np.array([0, 0, 0, 1]))
    assert found.balanced_accuracy == pytest.approx((1 / 3 + 0) / 2)
    assert found.loss == pytest.approx((-np.log([0.8, 0.4, 0.3]).mean() - np.log(0.1)) / 2)


def test_streams_judge_a_network_in_floats_as_they_judge_it_on_the_device() -> None:
    rng = np.random.default_rng(4)
    said = [word for word in tone_words.HERTZ for _ in range(8)]
    clips = tuple(Clip(Path(f"{i}.wav"), f"{w}/{i}.wav", w, "validation") for i, w in enumerate(said))
    store = Store(clips, np.stack([tone_words.say(word, rng) for word in said]), (), (), "key")
    wanted = Specification(
        name="tones", description="", classes=tone_words.CLASSES, frontend=tone_words.FRONTEND,
        schedule=Schedule(validation_minutes=6), detector=Detector(200, 150, (), 900, 2, latency_ms=100),
    )  # fmt: skip
    tflite = tone_words.model()
    network = int8_network(tflite)
    judge = Validator(wanted, store, recorded(wanted, store, "validation"))

    def logits(features: np.ndarray) -> np.ndarray:
        return np.log((network(features) + 0.01) / 256)

    found, on_device = judge.in_float(logits), judge.on_device(tflite)
    assert found.false_accepts_per_hour == on_device.false_accepts_per_hour
    assert found.miss_rate == on_device.miss_rate and found.miss_rate is not None and found.miss_rate < 0.5
    assert found.balanced_accuracy == on_device.balanced_accuracy > 0.9
    clips_alone = judge.in_float(logits, streams=False)
    assert (clips_alone.false_accepts_per_hour, clips_alone.miss_rate) == (None, None)
    deaf = judge.in_float(lambda x: np.tile(np.array([0.0, 0, 9, 9]), (len(x), 1)))
    assert (deaf.false_accepts_per_hour, deaf.miss_rate) == (0, 1)
    # What hears "on" whenever it may is wrong all the time: every 900 ms, in all the minutes.
    always = judge.in_float(lambda x: np.tile(np.array([9.0, 0, 0, 0]), (len(x), 1)))
    assert always.miss_rate == 0.5 and always.false_accepts_per_hour is not None
    assert 3000 < always.false_accepts_per_hour < 4000
    for other in (
        dataclasses.replace(wanted, schedule=Schedule(validation_minutes=0)),
        dataclasses.replace(wanted, test_run=True),
    ):
        assert Validator(other, store, judge.clips).in_float(logits) == clips_alone
