"""The device's audio loop on the PC: samples in, scores and detections out, by the firmware's own C.

    pipeline = Pipeline("model.tflite")
    for event in pipeline.process(samples):   # int16 at pipeline.sample_rate_hz
        print(event.time_ms, event.scores, event.detection)

Times are milliseconds of audio, as the device counts them, so both give the same events.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codegen.application import ApplicationSettings, check_types, frontend_parameters, settings_of
from codegen.parameters import read_parameters
from host import detector, native
from host.errors import TokayError
from host.features import Frontend
from host.runtime import Model

_ERRORS = {
    1: "the audio loop's memory does not fit",
    2: "the network's input does not fit the front end's features",
    3: "the network's output does not fit the list of classes",
    4: "the detector's settings are out of range",
    5: "a layer of the network failed",
}


@dataclass(frozen=True)
class Detection:
    """A keyword heard."""

    class_index: int
    label: str
    score: int  # mean over the averaging window, 0..255
    time_ms: int

    def __str__(self) -> str:
        return f"Detected class={self.class_index} label={self.label} score={self.score} @{self.time_ms}ms"


@dataclass(frozen=True)
class Event:
    """One inference."""

    time_ms: int  # end of the classified audio
    scores: tuple[int, ...]  # 0..255, one a class
    detection: Detection | None


class _Cycles(ctypes.Structure):
    _fields_ = (("count", ctypes.c_uint32), ("maximum", ctypes.c_uint32), ("total", ctypes.c_uint64))


class _Statistics(ctypes.Structure):
    """audio_loop_statistics_t"""

    _fields_ = (
        ("samples", ctypes.c_uint64),
        ("lost_samples", ctypes.c_uint32),
        ("columns", ctypes.c_uint32),
        ("inferences", ctypes.c_uint32),
        ("skipped", ctypes.c_uint32),
        ("frontend", _Cycles),
        ("network", _Cycles),
        ("accelerator", _Cycles),
        ("detector", _Cycles),
    )


class _Config(ctypes.Structure):
    """audio_loop_config_t"""

    _fields_ = (
        ("frontend", ctypes.c_void_p),
        ("nn", ctypes.c_void_p),
        ("detector", ctypes.POINTER(detector.CSettings)),
        ("latency_ms", ctypes.c_uint32),
        ("volume_gain_q8", ctypes.c_uint32),
        ("cycles", ctypes.c_void_p),
    )


class _Result(ctypes.Structure):
    """audio_loop_result_t"""

    _fields_ = (
        ("status", ctypes.c_int),
        ("column", ctypes.c_void_p),
        ("scores", ctypes.c_void_p),
        ("time_ms", ctypes.c_uint32),
        ("detection", detector.CResult),
    )


class _Loop(ctypes.Structure):
    """audio_loop_t"""

    _fields_ = (
        ("config", ctypes.POINTER(_Config)),
        ("frontend", ctypes.c_void_p),
        ("detector", detector.CDetector),
        ("features", ctypes.c_void_p),
        ("feature_column", ctypes.c_uint32),
        ("frontend_cycles", ctypes.c_uint32),
        ("due", ctypes.c_uint64),
        ("statistics", _Statistics),
    )


@functools.cache
def _library() -> ctypes.CDLL:
    size, pointer = ctypes.c_size_t, ctypes.c_void_p
    return native.declared(
        {
            "audio_loop_bytes": (size, [pointer]),
            "audio_loop_init": (ctypes.c_int, [pointer, pointer, pointer, size]),
            "audio_loop_process": (size, [pointer, pointer, size, size, pointer]),
            "audio_loop_reset": (None, [pointer]),
            "audio_loop_lost": (None, [pointer, ctypes.c_uint32]),
        }
    )


class AudioLoop:
    """`audio_loop_t` over a front end, a network in memory and the application's settings.

    The network's input holds the front end's features, its output is one int8 a class.
    """

    def __init__(self, frontend: Frontend, model: Model, settings: ApplicationSettings) -> None:
        self._lib = _library()
        self._keep = (frontend, model)  # C has their addresses
        self.settings = settings
        self._classes = detector.c_settings(detector.detector_settings(settings))
        self._config = _Config(
            frontend.config_address,
            ctypes.addressof(model.nn),
            ctypes.pointer(self._classes),
            settings.latency_ms,
            settings.volume_gain_q8,
            None,
        )
        size = self._lib.audio_loop_bytes(frontend.config_address)
        self._memory = np.zeros((size + 7) // 8, np.uint64)
        self._loop = _Loop()
        self._check(
            self._lib.audio_loop_init(
                ctypes.byref(self._loop), ctypes.byref(self._config), self._memory.ctypes.data, size
            )
        )

    @staticmethod
    def _check(status: int) -> None:
        if status != 0:
            raise TokayError(_ERRORS.get(status, f"audio loop error {status}"))

    def process(self, samples: np.ndarray, backlog: int = 0) -> list[Event]:
        """Takes int16 samples; returns the inferences that ran on the way. `backlog` is how many more
        samples wait behind these."""
        array = np.ascontiguousarray(samples)
        if array.dtype != np.int16 or array.ndim != 1:
            raise TokayError(f"audio must be one channel of int16, not {array.dtype} {list(array.shape)}")
        events, used, result = [], 0, _Result()
        while used < array.size:
            used += self._lib.audio_loop_process(
                ctypes.byref(self._loop),
                array.ctypes.data + 2 * used,
                array.size - used,
                backlog,
                ctypes.byref(result),
            )
            self._check(result.status)
            if result.scores:
                events.append(self._event(result))
        return events

    def _event(self, result: _Result) -> Event:
        scores = ctypes.cast(result.scores, ctypes.POINTER(ctypes.c_int8))
        found = result.detection
        detection = None
        if found.detected:
            label = self.settings.labels[found.class_index]
            detection = Detection(found.class_index, label, found.score, found.time_ms)
        return Event(
            result.time_ms, tuple(scores[i] + 128 for i in range(len(self.settings.labels))), detection
        )

    def lost(self, count: int) -> None:
        """Says that `count` samples were lost here."""
        self._lib.audio_loop_lost(ctypes.byref(self._loop), count)

    def reset(self) -> None:
        """Back to silence and time 0."""
        self._lib.audio_loop_reset(ctypes.byref(self._loop))

    @property
    def statistics(self) -> dict[str, int]:
        """Counters since the start."""
        names = ("samples", "lost_samples", "columns", "inferences", "skipped")
        return {name: getattr(self._loop.statistics, name) for name in names}


class Pipeline:
    """A model with everything around it, by its own parameters; `overrides` replaces some by name.
    `accelerator` and `mvp_weights` are the :class:`Model`'s."""

    def __init__(
        self, model: Path | str | bytes, accelerator: str = "none", overrides: dict[str, Any] | None = None,
        *, mvp_weights: str = "ram",
    ) -> None:  # fmt: skip
        self.model = Model(model, accelerator, mvp_weights=mvp_weights)
        check_types(self.model.plan.graph, self.model.plan.name)
        parameters = {**read_parameters(self.model.tflite), **(overrides or {})}
        frontend_parameters(parameters, "the model")
        features, self.settings = settings_of(self.model.plan.graph, parameters)
        self.frontend = Frontend(features)
        self.loop = AudioLoop(self.frontend, self.model, self.settings)

    @property
    def sample_rate_hz(self) -> int:
        return self.frontend.settings.sample_rate_hz

    @property
    def labels(self) -> Sequence[str]:
        return self.settings.labels

    def process(self, samples: np.ndarray) -> list[Event]:
        """Takes the next int16 samples of the stream; returns the inferences they led to."""
        return self.loop.process(samples)

    def reset(self) -> None:
        self.loop.reset()
