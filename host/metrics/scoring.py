"""Scores of a network along streams of audio, at the moments at which the device infers.

A stream's features are computed once, by the front end in one go as the device hears it; any network
can then be run over them, the firmware's kernels or a Keras model in training, and what it said can be
given to the detector again and again.

    features = feature_stream(stream, frontend, settings)
    scored = streaming_scores(int8_network(tflite), [features])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from codegen.application import ApplicationSettings, check_types
from codegen.frontend import FrontendSettings
from codegen.parameters import read_parameters
from host import native
from host.detector import apply_gain, inference_columns
from host.features import Frontend
from host.metrics.streaming import Spoken
from host.metrics.streams import Stream
from host.runtime import Model


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Network:
    """What makes scores, uint8[n, classes], 0..255, of int8 features [n, frames, channels].

    One without state takes windows in any order. One that keeps state takes those of a stream in their order,
    without gaps, and goes on where the call before ended; ``reset`` brings it back to silence.
    """

    invoke: Callable[[np.ndarray], np.ndarray]
    reset: Callable[[], None] = _nothing
    frames: int | None = None  # columns of a window, where it keeps state

    def __call__(self, features: np.ndarray) -> np.ndarray:
        return self.invoke(features)

    @property
    def keeps_state(self) -> bool:
        return self.frames is not None


def clip_scores(
    network: Network, features: np.ndarray, progress: Callable[[int, int], None] | None = None
) -> np.ndarray:
    """uint8[n, classes] of clips, int8[n, columns, channels], each by itself; ``progress(done, of)`` counts
    them. A network that keeps state hears a clip from silence on, and what counts is what it says at the end;
    columns that fill no window any more are left out."""
    if progress is None and network.frames is None:
        return network(features)  # all at once, on as many cores
    scores = []
    for clip in features:
        network.reset()
        scores.append(network(_windows(clip, network.frames or len(clip)))[-1])
        if progress:
            progress(len(scores), len(features))
    return np.array(scores)


def _windows(clip: np.ndarray, frames: int) -> np.ndarray:
    """A clip, int8[columns, channels], cut into as many windows of ``frames`` columns as fit."""
    count = len(clip) // frames
    return clip[: count * frames].reshape(count, frames, -1)


_AT_ONCE = 512  # windows that a network is given
_PIECE_S = 60


@dataclass(frozen=True)
class FeatureStream:
    """A stream as the network sees it."""

    name: str
    columns: np.ndarray  # int8[n, channels]; uint16 where a window is scaled as a whole
    ends: np.ndarray  # int64[inferences]: the column after the last of each window
    times_ms: np.ndarray  # int64[inferences]: the audio heard by then
    frames: int  # of a window
    spoken: tuple[Spoken, ...]
    duration_ms: int
    quantize: Callable[[np.ndarray], np.ndarray] | None = None  # of a window, where columns are uint16

    def windows(self, first: int, last: int) -> np.ndarray:
        """int8[last - first, frames, channels]: the network's inputs at inferences first..last - 1."""
        rows = self.ends[first:last, None] - self.frames + np.arange(self.frames)
        windows = self.columns[rows]
        return windows if self.quantize is None else np.stack([self.quantize(w) for w in windows])


@dataclass(frozen=True)
class Scored:
    """What a network said along a stream, and what was said in it."""

    name: str
    scores: np.ndarray  # uint8[inferences, classes]
    times_ms: np.ndarray  # int64[inferences]
    spoken: tuple[Spoken, ...]
    duration_ms: int


def feature_stream(
    stream: Stream, frontend: Frontend | FrontendSettings, settings: ApplicationSettings
) -> FeatureStream:
    """The features of a stream heard from silence on, with the model's own gain."""
    if isinstance(frontend, FrontendSettings):
        frontend = Frontend(frontend)
    s, running = frontend.settings, frontend.stream()
    piece = _PIECE_S * s.sample_rate_hz
    parts = [
        running.process(_gained(stream.audio[at : at + piece], settings.volume_gain_q8))
        for at in range(0, len(stream.audio), piece)
    ]
    spectrogram = np.concatenate(parts) if parts else np.zeros((0, s.channels), np.uint16)
    dynamic = bool(s.quantize_dynamic_scale_enable)
    ends = inference_columns(settings, s, len(spectrogram))
    samples = s.window_samples + (ends - 1) * s.step_samples
    return FeatureStream(
        stream.name,
        spectrogram if dynamic else frontend.quantize(spectrogram),
        ends,
        samples * 1000 // s.sample_rate_hz,
        s.frames,
        stream.spoken,
        1000 * len(stream.audio) // s.sample_rate_hz,
        frontend.quantize if dynamic else None,
    )


def streaming_scores(
    network: Network, streams: Sequence[FeatureStream], progress: Callable[[int, int], None] | None = None
) -> list[Scored]:
    """Runs a network over streams, each from silence on; ``progress(done, of)`` counts inferences. A stream
    that is shorter than the network's window gives scores [0, classes]."""
    total, done = sum(len(stream.ends) for stream in streams), 0
    results = []
    for stream in streams:
        parts = []
        network.reset()
        for first in range(0, len(stream.ends), _AT_ONCE):
            scores = np.asarray(network(stream.windows(first, first + _AT_ONCE)))
            if scores.dtype != np.uint8:
                raise TypeError(f"a network's scores are uint8, not {scores.dtype}")
            parts.append(scores)
            done += len(scores)
            if progress:
                progress(done, total)
        scores = np.concatenate(parts) if parts else _nothing_said(network, stream)
        results.append(Scored(stream.name, scores, stream.times_ms, stream.spoken, stream.duration_ms))
    return results


def _nothing_said(network: Network, stream: FeatureStream) -> np.ndarray:
    """uint8[0, classes]. How many classes there are is the network's to know; Keras takes no empty batch."""
    silence = np.full((1, stream.frames, stream.columns.shape[1]), -128, np.int8)
    return np.asarray(network(silence))[:0]


def int8_network(tflite: bytes, accelerator: str = "none") -> Network:
    """The firmware's kernels on this PC, on all cores; their outputs as the detector takes them. One
    that keeps state runs on one core."""
    first = Model(tflite, accelerator=accelerator)
    check_types(first.plan.graph, first.plan.name)
    if first.keeps_state:
        frames = FrontendSettings.from_parameters(read_parameters(tflite)).frames
        return Network(_on([first]), first.reset, frames)
    return Network(_on([first, *(first.twin() for _ in range(native.cores() - 1))]))


def _on(models: Sequence[Model]) -> Callable[[np.ndarray], np.ndarray]:
    """What a `Network` invokes: these, each in a thread of its own."""

    def some(model: Model, features: np.ndarray) -> np.ndarray:
        shape = model.input.shape
        outputs = [np.asarray(model.invoke(x.reshape(shape))).reshape(-1) for x in features]
        return np.array(outputs, np.int8).reshape(len(features), int(np.prod(model.output.shape)))

    def invoke(features: np.ndarray) -> np.ndarray:
        with ThreadPoolExecutor(len(models)) as pool:
            parts = list(pool.map(some, models, np.array_split(features, len(models))))
        return np.concatenate(parts).view(np.uint8) ^ np.uint8(128)

    return invoke


def keras_network(model: Any, input_scale: float) -> Network:
    """A Keras model with softmax outputs, which become scores as a quantized model's do."""

    return Network(lambda x: as_scores(np.asarray(model.predict_on_batch(keras_input(x, input_scale)))))


def keras_input(features: np.ndarray, input_scale: float) -> np.ndarray:
    """int8 features [n, frames, channels] as a Keras model takes them, float32 [n, frames, channels, 1]."""
    return features[..., None].astype(np.float32) * np.float32(input_scale)


def as_scores(shares: np.ndarray) -> np.ndarray:
    """What a softmax in floats gives as the uint8 scores that a quantized one gives, a unit 1/256."""
    return np.clip(np.rint(shares * 256), 0, 255).astype(np.uint8)


def _gained(samples: np.ndarray, gain_q8: int) -> np.ndarray:
    return apply_gain(samples, gain_q8) if gain_q8 != 256 else np.ascontiguousarray(samples)
