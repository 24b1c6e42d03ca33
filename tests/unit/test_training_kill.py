"""The whole command, killed and on full disks: it goes on where it was and ends with the same bytes."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests import tone_words
from tests.places import ROOT

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="TensorFlow is not installed"),
    pytest.mark.xdist_group("tensorflow"),
    pytest.mark.slow,  # a dozen processes, each of which imports TensorFlow
]

MODEL = """
from codegen.frontend import FrontendSettings
from host.specification import (
    Augmentation, Auxiliary, Distillation, Mixup, QuantizationAware, Schedule, Specification, Transfer
)

SPECIFICATION = Specification(
    name="tones", description="", classes=("on", "off", "_unknown_", "_silence_"),
    frontend=FrontendSettings(
        sample_rate_hz=8000, window_size_ms=40, window_step_ms=40, filterbank_n_channels=16,
        filterbank_upper_band_limit=3999.0,
    ),
    augmentation=Augmentation(
        keyword_copies=8, unknown_copies=8, silence_copies=8, background_crops=20, synthetic_voices=0
    ),
    schedule=Schedule(epochs=30, batch_size=32, validation_minutes=0.5), auxiliary=Auxiliary(0.3),
    mixup=Mixup(0.3), distillation=Distillation(teachers=1, epochs=3), transfer=Transfer(2),
    quantization_aware=QuantizationAware(2), class_bias="validation", input_scale=1 / 64,
)


def build_model(spec, filters=4):
    import keras
    from keras import layers

    inputs = keras.Input((*spec.feature_shape, 1))
    x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Dropout(0.1)(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(len(spec.classes), activation="softmax")(x))


def build_teacher(spec):
    return build_model(spec, 8)


if __name__ == "__main__":
    import sys

    from host.cli import run
    from host.train import main

    sys.exit(run(main, [__file__, *sys.argv[1:]]))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A specification far from the repository, and a dataset of tones."""
    root = tmp_path_factory.mktemp("train")
    (root / "tones.py").write_text(MODEL)
    tone_words.write_dataset(root / "data", speakers=12, each=2)
    return root


def start(place: Path, output: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(place / "tones.py"), "--dataset", str(place / "data"), "-o", str(output)]
    temporary = place / "temporary"  # TensorFlow leaves files there when it is killed
    temporary.mkdir(exist_ok=True)
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(place / "cache"),
        "TMPDIR": str(temporary),
    }  # fmt: skip
    return subprocess.Popen(
        [*command, *more], cwd=place, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        text=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def straight(place: Path) -> tuple[bytes, bytes, float]:
    """The model and the card of a training that nothing interrupts, and how long it took."""
    began = time.monotonic()
    process = start(place, place / "straight.tflite")
    _, told = process.communicate(timeout=3600)
    assert process.returncode == 0, told
    files = (place / "straight.tflite").read_bytes(), (place / "straight.json").read_bytes()
    assert not list((place / "cache" / "tokay" / "training").iterdir())  # no state is left
    return *files, time.monotonic() - began


def epochs_in(told: str) -> list[tuple[str, int]]:
    return [(stage, int(number)) for stage, number in re.findall(r"^(.+?): epoch (\d+)/", told, re.MULTILINE)]


def test_killed_at_ten_moments(place: Path, straight: tuple[bytes, bytes, float]) -> None:
    model, card, seconds = straight
    output, rng = place / "killed.tflite", np.random.default_rng(11)
    through: list[tuple[str, int]] = []
    # Ten kills, each a moment after some more epochs: before the first of them, between any two, within.
    for epochs in rng.permutation([0, 0, 0, 1, 1, 1, 1, 1, 2, 3]):
        process = start(place, output)
        told = "".join(next_epoch(process) for _ in range(epochs))
        time.sleep(float(rng.uniform(0, 0.02 if epochs else 0.3)) * seconds)
        process.send_signal(signal.SIGKILL)
        told += process.communicate(timeout=3600)[1]
        assert process.returncode == -signal.SIGKILL, told
        # What had been told to be through is not done again: at most the epoch under way is lost.
        assert not set(through) & set(epochs_in(told))
        through += epochs_in(told)
        assert not output.exists()
    process = start(place, output)
    _, told = process.communicate(timeout=3600)
    assert process.returncode == 0 and not set(through) & set(epochs_in(told))
    assert output.read_bytes() == model and output.with_suffix(".json").read_bytes() == card
    assert not list(place.glob(".killed*"))


def next_epoch(process: subprocess.Popen[str]) -> str:
    """What is told up to the end of the next epoch."""
    assert process.stderr is not None
    told = ""
    while not epochs_in(told):
        line = process.stderr.readline()
        assert line, told  # it ended instead
        told += line
    return told


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("what", ["--work", "-o"])
def test_a_full_disk(place: Path, straight: tuple[bytes, bytes, float], small_disk: Path, what: str) -> None:
    (small_disk / "ballast").write_bytes(bytes((1 << 20) - 16 * 1024))
    elsewhere = place / f"full{what}.tflite"
    output = small_disk / "m.tflite" if what == "-o" else elsewhere
    more = ["--work", str(small_disk if what == "--work" else place / "work")]
    process = start(place, output, *more)
    _, told = process.communicate(timeout=3600)
    errors = [
        line for line in told.splitlines() if not re.match(r"\w[^:]*: epoch|trained|validation|testing", line)
    ]
    assert process.returncode == 2
    assert len(errors) == 1 and errors[0].startswith("error: ") and "No space left" in errors[0]
    assert not output.exists() and not list(small_disk.rglob("*.tflite*"))
    (small_disk / "ballast").unlink()
    process = start(place, output, *more)
    _, told = process.communicate(timeout=3600)
    assert process.returncode == 0, told
    assert output.read_bytes() == straight[0]
