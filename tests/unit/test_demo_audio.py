"""The shipped model hears the shipped dialogue: each keyword once and in time, nothing else."""

from __future__ import annotations

import json

import numpy as np
import pytest

from host.audio import read_audio
from host.dataset import synthetic
from host.dataset.synthesizers import Voice
from host.pipeline import Pipeline
from tests.places import ROOT

DEMO = ROOT / "host" / "models" / "demo"
SIDECAR = json.loads((DEMO / "on_off.json").read_text())


@pytest.fixture(scope="module")
def audio() -> np.ndarray:
    return read_audio(DEMO / SIDECAR["audio"], SIDECAR["sample_rate_hz"])


def test_the_sidecar_describes_the_clip(audio: np.ndarray) -> None:
    assert 1000 * len(audio) == SIDECAR["duration_ms"] * SIDECAR["sample_rate_hz"]
    assert {keyword["word"] for keyword in SIDECAR["keywords"]} == {"on", "off"}
    speech, rate = audio.astype(float), SIDECAR["sample_rate_hz"] // 1000
    quiet = np.std(speech[: 1000 * rate])
    for word in SIDECAR["words"]:
        assert np.std(speech[word["start_ms"] * rate : word["end_ms"] * rate]) > 8 * quiet


def test_its_voices_are_held_out_of_training() -> None:
    used = [Voice(**word["voice"]) for word in SIDECAR["words"]]
    assert all(synthetic.held_out(voice) for voice in used)
    assert not any(synthetic.held_out(voice) for voice in synthetic.training_voices(500, seed=1))


def test_every_keyword_is_heard_once_and_nothing_else(audio: np.ndarray) -> None:
    pipeline = Pipeline("keyword_spotting_on_off")
    heard = [event.detection for event in pipeline.process(audio) if event.detection]
    expected = SIDECAR["keywords"]
    assert [detection.label for detection in heard] == [keyword["word"] for keyword in expected]
    for detection, keyword in zip(heard, expected, strict=True):
        assert keyword["start_ms"] < detection.time_ms <= keyword["end_ms"] + 500
