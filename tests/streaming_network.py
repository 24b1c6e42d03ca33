"""A keyword spotter that keeps state, as converters make them of streaming ones: it takes two new columns an
inference, and keeps those before and what its first layer made of them in rings, and its logits' past in the
state of an operator. Its weights are random, so that scores depend on all that it has heard."""

from __future__ import annotations

from typing import Any

import numpy as np

from codegen.frontend import FrontendSettings
from codegen.parameters import write_parameters
from tests.tflite_builder import NetworkBuilder

RATE = 8000
CLASSES = ("on", "off", "_unknown_")
NEW, CHANNELS, FILTERS = 2, 16, 16
KEPT_COLUMNS, KEPT_ROWS = 4, 9
FRONTEND = FrontendSettings(
    sample_rate_hz=RATE, window_size_ms=30, window_step_ms=20, sample_length_ms=50,
    filterbank_n_channels=CHANNELS, filterbank_upper_band_limit=3900.0,
)  # fmt: skip
DETECTOR = {
    "average_window_duration_ms": 200, "detection_threshold": 100, "suppression_ms": 300, "minimum_count": 2,
}  # fmt: skip


class _Rings(NetworkBuilder):
    """A builder of networks with rings."""

    def ring(self, name: str, source: int, kept: int, new: int, like: dict) -> int:
        """What is kept of a tensor [1, new, 1, channels] and that itself, [1, kept + new, 1, channels]."""
        channels = self.tensors[source].shape[3]
        before, both, after = (
            self.tensor((1, rows, 1, channels), **like) for rows in (kept, kept + new, kept)
        )
        lists = ([0, new, 0, 0], [1, kept + new, 1, channels], [1, 1, 1, 1])
        constants = [self.tensor((4,), "int32", data=np.array(values)) for values in lists]
        handle = self.handle(name)
        self.operator("READ_VARIABLE", [handle], [before])
        self.operator("CONCATENATION", [before, source], [both], "ConcatenationOptions", axis=1)
        self.operator("STRIDED_SLICE", [both, *constants], [after], "StridedSliceOptions")
        self.operator("ASSIGN_VARIABLE", [handle, after], [])
        return both


def _filled(shape: tuple[int, ...], value: int) -> dict[str, Any]:
    return {"shape": shape, "data": np.full(shape, value)}


def _with_a_past(n: NetworkBuilder, rng: np.random.Generator, source: int, logits: int) -> None:
    """Two filters a logit, each with its own share in the last values."""
    filters, values = 6, 4
    features = n.tensor((filters, FILTERS), scale=0.02, data=rng.integers(-100, 101, (filters, FILTERS)))
    weights = rng.integers(-32767, 32768, (filters, values))
    times = n.tensor((filters, values), "int16", scale=3e-5, data=weights)
    state = n.tensor((1, filters * values), "int16", scale=1e-3, variable=True)
    n.operator("SVDF", [source, features, times, -1, state], [logits], "SVDFOptions", rank=2)


def network(parameters: dict | None = None) -> bytes:
    """The .tflite; ``parameters`` take the place of the model's, None of one leaves it out."""
    rng, n = np.random.default_rng(3), _Rings()
    features, hidden = {"scale": 0.05}, {"scale": 0.04, "zero_point": -128}
    n.initialized(
        columns={**features, **_filled((1, KEPT_COLUMNS, 1, CHANNELS), 0)},
        rows={**hidden, **_filled((1, KEPT_ROWS, 1, FILTERS), -128)},
    )
    x, image = n.tensor((1, NEW, CHANNELS), **features), n.tensor((1, NEW, 1, CHANNELS), **features)
    n.operator("RESHAPE", [x], [image], "ReshapeOptions")
    columns = n.ring("columns", image, KEPT_COLUMNS, NEW, features)
    made = n.tensor((1, 1, 1, FILTERS), **hidden)
    taps = (FILTERS, KEPT_COLUMNS + NEW, 1, CHANNELS)
    weights = n.tensor(taps, scale=np.full(FILTERS, 0.004), data=rng.integers(-60, 61, taps))
    bias = n.tensor((FILTERS,), "int32", data=rng.integers(0, 4000, FILTERS))
    n.operator("CONV_2D", [columns, weights, bias], [made], "Conv2DOptions",
               strideH=1, strideW=1, padding=1, fusedActivationFunction=1)  # fmt: skip
    rows = n.ring("rows", made, KEPT_ROWS, 1, hidden)
    taps = (1, KEPT_ROWS + 1, 1, FILTERS)
    weights = n.tensor(
        taps, scale=np.full(FILTERS, 0.01), dimension=3, data=rng.integers(-100, 101, taps)
    )
    mixed = n.tensor((1, 1, 1, FILTERS), scale=0.05)
    bias = n.tensor((FILTERS,), "int32", data=np.zeros(FILTERS))
    n.operator("DEPTHWISE_CONV_2D", [rows, weights, bias], [mixed], "DepthwiseConv2DOptions",
               strideH=1, strideW=1, padding=1, depthMultiplier=1)  # fmt: skip
    logits, scores = n.tensor((1, 3), scale=0.1), n.tensor((1, 3), scale=1 / 256, zero_point=-128)
    flat = n.tensor((1, FILTERS), scale=0.05)
    n.operator("RESHAPE", [mixed], [flat], "ReshapeOptions")
    _with_a_past(n, rng, flat, logits)
    n.operator("SOFTMAX", [logits], [scores], "SoftmaxOptions", beta=1.0)
    values = {**FRONTEND.to_parameters(), **DETECTOR, "classes": list(CLASSES), "name": "streaming"}
    values |= parameters or {}
    kept = {name: value for name, value in values.items() if value is not None}
    return write_parameters(n.build([x], [scores]), kept)


def audio(seconds: float, seed: int = 0) -> np.ndarray:
    """Tones that come and go in noise, int16 at RATE."""
    rng = np.random.default_rng(seed)
    count = round(seconds * RATE)
    time = np.arange(count) / RATE
    loud = np.repeat(rng.uniform(0, 8000, count // 2000 + 1), 2000)[:count]
    hertz = np.repeat(rng.uniform(200, 3500, count // 2000 + 1), 2000)[:count]
    heard = rng.normal(0, 300, count) + loud * np.sin(2 * np.pi * hertz * time)
    return heard.clip(-32768, 32767).astype(np.int16)
