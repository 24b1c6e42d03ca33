"""Words that a network without training can tell apart: tones of 400 Hz ("on"), 900 Hz ("off") and 2,500 Hz
("tree", no keyword), and the network that does, by the mean of each channel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from codegen.frontend import FrontendSettings
from codegen.parameters import write_parameters
from host.features import Frontend
from tests.tflite_builder import NetworkBuilder

RATE = 8000
CLASSES = ("on", "off", "_unknown_", "_silence_")
HERTZ = {"on": 400, "off": 900, "tree": 2500, "_silence_": 0}
FRONTEND = FrontendSettings(
    sample_rate_hz=RATE, sample_length_ms=1000, filterbank_n_channels=16, filterbank_upper_band_limit=3900.0
)
DETECTOR = {
    "average_window_duration_ms": 200,
    "detection_threshold": 150,
    "suppression_ms": 900,
    "minimum_count": 2,
    "latency_ms": 100,
}


def say(word: str, rng: np.random.Generator) -> np.ndarray:
    """A clip of a second."""
    audio = rng.normal(0, 20, RATE)
    hertz = HERTZ[word] * rng.uniform(0.97, 1.03)
    if hertz:
        start = int(rng.integers(1500, 2500))
        audio[start : start + 4000] += 5000 * np.sin(2 * np.pi * hertz * np.arange(4000) / RATE)
    return audio.astype(np.int16)


def write_dataset(root: Path, speakers: int = 9, each: int = 3) -> Path:
    """Word folders with the official lists; of the speakers the first ``each`` test, as many validate."""
    rng = np.random.default_rng(0)
    names: dict[str, list[str]] = {"testing": [], "validation": []}
    for word in HERTZ:
        (root / word).mkdir(parents=True)
        for speaker in range(speakers):
            name = f"{word}/s{speaker}_nohash_0.wav"
            soundfile.write(root / name, say(word, rng), RATE)
            split = {0: "testing", 1: "validation"}.get(speaker // each)
            if split:
                names[split].append(name)
    for split, lines in names.items():
        (root / f"{split}_list.txt").write_text("\n".join(lines) + "\n")
    return root


def weights() -> tuple[np.ndarray, np.ndarray]:
    """float[classes, channels] and float[classes]: ridge regression of the class on the channels' means."""
    rng = np.random.default_rng(1)
    frontend, x, y = Frontend(FRONTEND), [], []
    for word in HERTZ:
        label = CLASSES.index(word) if word in CLASSES else CLASSES.index("_unknown_")
        for _ in range(20):
            x.append(frontend.features(say(word, rng)).astype(np.float64).mean(axis=0))
            y.append(np.eye(len(CLASSES))[label])
    mean = np.mean(x, axis=0)
    centred = np.array(x) - mean
    solved = np.linalg.solve(centred.T @ centred + 50 * np.eye(centred.shape[1]), centred.T @ np.array(y))
    w = 5 * solved.T
    return w, 5 * np.mean(y, axis=0) - w @ mean


def model(**parameters: object) -> bytes:
    """The network as int8: dense over all features, and softmax; with its parameters inside."""
    w, bias = weights()
    frames, channels = FRONTEND.frames, FRONTEND.channels
    w = np.tile(w / frames, (1, frames))
    w_scale = float(np.abs(w).max() / 127)
    n = NetworkBuilder()
    x = n.tensor((1, frames, channels, 1), scale=1.0)
    flat = n.tensor((1, frames * channels), scale=1.0)
    shape = n.tensor((2,), "int32", data=np.array([1, frames * channels]))
    kernel = n.tensor(w.shape, scale=w_scale, data=np.rint(w / w_scale))
    offset = n.tensor((len(CLASSES),), "int32", scale=w_scale, data=np.rint(bias / w_scale))
    sums = n.tensor((1, len(CLASSES)), scale=0.15)
    out = n.tensor((1, len(CLASSES)), scale=1 / 256, zero_point=-128)
    n.operator("RESHAPE", [x, shape], [flat], "ReshapeOptions", newShape=[1, frames * channels])
    n.operator("FULLY_CONNECTED", [flat, kernel, offset], [sums], "FullyConnectedOptions")
    n.operator("SOFTMAX", [sums], [out], "SoftmaxOptions", beta=1.0)
    values = {"name": "tones", "classes": list(CLASSES), **DETECTOR, **FRONTEND.to_parameters(), **parameters}
    return write_parameters(n.build([x], [out]), values)
