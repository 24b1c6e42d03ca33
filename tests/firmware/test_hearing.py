"""What the image hears in the simulator is what the PC hears: the same scores, the same detections."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from host import board, classify, demo, image
from host.audio import read_audio
from host.pipeline import Pipeline
from tests.places import SHARED

CLIPS, VENDOR = SHARED / "data" / "speech_commands", SHARED / "models" / "keyword_spotting_on_off.tflite"
RATE = 8000

pytestmark = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed"
)


def heard_alike(elf: Path, model: str | Path, samples: np.ndarray) -> list[dict]:
    """Plays the samples to both; the detections, which must not differ in anything."""
    on_chip = classify.hear_simulated(elf, "brd2601b", samples, RATE, lambda text: None)
    on_pc = classify.collect(classify.on_pc(Pipeline(model), samples), lambda text: None)
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
