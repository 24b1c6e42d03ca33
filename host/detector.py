"""The firmware's detector (firmware/detector) on the PC."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from codegen.application import MAX_CLASSES, MAX_SAMPLES, ApplicationSettings
from codegen.frontend import FrontendSettings
from host import native
from host.errors import TokayError


def keywords_of(labels: Sequence[str]) -> tuple[str, ...]:
    """The labels that the detector can detect: those that do not start with _."""
    return tuple(label for label in labels if not label.startswith("_"))


def period_samples(settings: ApplicationSettings, frontend: FrontendSettings) -> int:
    """Samples of audio between the moments at which the audio loop wants an inference. Where it hears each
    column once, time does not count: milliseconds are no whole samples at all rates."""
    if settings.each_column_once:
        return frontend.frames * frontend.step_samples
    return max(settings.latency_ms * frontend.sample_rate_hz // 1000, frontend.step_samples)


def inference_columns(settings: ApplicationSettings, frontend: FrontendSettings, columns: int) -> np.ndarray:
    """The columns (their count, from 1) on which the audio loop infers, among the first ``columns``."""
    if settings.each_column_once:
        return np.arange(frontend.frames, columns + 1, frontend.frames, dtype=np.int64)
    window, step = frontend.window_samples, frontend.step_samples
    period = period_samples(settings, frontend)
    found, column = [], frontend.frames
    due = window + (column - 1) * step
    while column <= columns:
        samples = window + (column - 1) * step
        found.append(column)
        due += ((samples - due) // period + 1) * period
        column = 1 + -(-(due - window) // step)
    return np.array(found, np.int64)


def most_samples(settings: ApplicationSettings, frontend: FrontendSettings) -> int:
    """Scores that the averaging window can hold at its fullest.

    An inference runs on the first column at or after the moment it is wanted, so that n periods are
    sometimes as short as the columns that fit whole into them.
    """
    period, step = period_samples(settings, frontend), frontend.step_samples
    spans = (n * period // step * step for n in range(MAX_SAMPLES))
    return sum(span * 1000 // frontend.sample_rate_hz <= settings.average_window_ms for span in spans)


def never_detects(settings: ApplicationSettings, frontend: FrontendSettings) -> str | None:
    """Why a detector never detects anything: its window holds fewer scores than it waits for; else None."""
    most = most_samples(settings, frontend)
    if settings.minimum_count <= most:
        return None
    return (
        f"nothing would ever be detected: minimum_count asks for {settings.minimum_count} inferences, the "
        f"averaging window of {settings.average_window_ms} ms holds {most} at one in "
        f"{max(settings.latency_ms, frontend.window_step_ms)} ms"
    )


@dataclass(frozen=True)
class DetectorSettings:
    """As in a model's parameters. Thresholds are 0..255, one for all classes or one for each."""

    labels: Sequence[str]
    thresholds: Sequence[int]
    average_window_ms: int
    suppression_ms: int
    minimum_count: int


def detector_settings(settings: ApplicationSettings) -> DetectorSettings:
    """A model's detector, from its parameters."""
    return DetectorSettings(
        settings.labels,
        settings.thresholds,
        settings.average_window_ms,
        settings.suppression_ms,
        settings.minimum_count,
    )


@dataclass(frozen=True)
class Result:
    """What one inference led to."""

    class_index: int  # the class with the highest mean, -1 while there are too few samples
    score: int  # its mean, 0..255
    detected: bool
    time_ms: int


class CSettings(ctypes.Structure):
    """detector_settings_t"""

    _fields_ = (
        ("class_count", ctypes.c_uint32),
        ("labels", ctypes.POINTER(ctypes.c_char_p)),
        ("thresholds", ctypes.POINTER(ctypes.c_uint8)),
        ("average_window_ms", ctypes.c_uint32),
        ("suppression_ms", ctypes.c_uint32),
        ("minimum_count", ctypes.c_uint32),
    )


class CResult(ctypes.Structure):
    """detector_result_t"""

    _fields_ = (
        ("class_index", ctypes.c_int32),
        ("score", ctypes.c_uint8),
        ("detected", ctypes.c_bool),
        ("time_ms", ctypes.c_uint32),
    )

    def as_result(self) -> Result:
        return Result(self.class_index, self.score, self.detected, self.time_ms)


class CDetector(ctypes.Structure):
    """detector_t"""

    _fields_ = (
        ("settings", ctypes.POINTER(CSettings)),
        ("scores", ctypes.c_uint8 * MAX_CLASSES * MAX_SAMPLES),
        ("times_ms", ctypes.c_uint32 * MAX_SAMPLES),
        ("head", ctypes.c_uint32),
        ("count", ctypes.c_uint32),
        ("dropped", ctypes.c_uint32),
        ("last_class", ctypes.c_int32),
        ("last_time_ms", ctypes.c_uint32),
    )


def c_settings(settings: DetectorSettings) -> CSettings:
    """The C structure; it keeps what it points to alive."""
    count = len(settings.labels)
    thresholds = list(settings.thresholds) * (count if len(settings.thresholds) == 1 else 1)
    if len(thresholds) != count:
        raise TokayError(f"{len(thresholds)} detection thresholds for {count} classes")
    for threshold in thresholds:
        if not 0 <= threshold <= 255:
            raise TokayError(f"detection threshold {threshold} is outside 0..255")
    return CSettings(
        count,
        (ctypes.c_char_p * max(count, 1))(*[label.encode() for label in settings.labels]),
        (ctypes.c_uint8 * max(count, 1))(*thresholds),
        settings.average_window_ms,
        settings.suppression_ms,
        settings.minimum_count,
    )


@functools.cache
def _library() -> ctypes.CDLL:
    """The native library with the detector's prototypes."""
    status, size, pointer, u32 = ctypes.c_int, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_uint32
    detector, settings = ctypes.POINTER(CDetector), ctypes.POINTER(CSettings)
    return native.declared(
        {
            "detector_init": (status, [detector, settings]),
            "detector_reset": (None, [detector]),
            "detector_process": (status, [detector, pointer, u32, ctypes.POINTER(CResult)]),
            "detector_apply_gain": (None, [pointer, u32, u32]),
            "detector_replay": (size, [settings, pointer, pointer, size, pointer]),
        }
    )


class Detector:
    """One detector. Times are milliseconds modulo 2**32 and may not go back."""

    def __init__(self, settings: DetectorSettings) -> None:
        self._lib = _library()
        self._settings = c_settings(settings)
        self._class_count = len(settings.labels)
        self._detector = CDetector()
        if self._lib.detector_init(self._detector, self._settings) != 0:
            raise TokayError(f"a detector takes 1 to {MAX_CLASSES} classes, not {self._class_count}")

    @property
    def dropped(self) -> int:
        """Samples that left the window early because the detector holds only MAX_SAMPLES."""
        return self._detector.dropped

    def reset(self) -> None:
        self._lib.detector_reset(self._detector)

    def process(self, output: np.ndarray, time_ms: int) -> Result:
        """Takes the int8 output of one inference, [classes]; TokayError for anything else."""
        values = np.asarray(output)
        scores = np.ascontiguousarray(values, dtype=np.int8).reshape(-1)
        if not np.array_equal(scores, values.reshape(-1)):
            raise TokayError("a detector takes int8 scores, -128 to 127")
        if scores.size != self._class_count:
            raise TokayError(f"{scores.size} scores for {self._class_count} classes")
        result = CResult()
        if self._lib.detector_process(self._detector, scores.ctypes.data, time_ms & 0xFFFFFFFF, result) != 0:
            raise TokayError(f"time {time_ms} ms is before the last sample's")
        return result.as_result()


_FOUND = np.dtype([("inference", np.uint32), ("class_index", np.uint32), ("score", np.uint32)])


def replay(settings: DetectorSettings, scores: np.ndarray, times_ms: np.ndarray) -> np.ndarray:
    """All detections of a detector that starts afresh and is given stored inferences.

    ``scores`` is uint8[n, classes] (0..255), ``times_ms`` their times. Returns a record array: the
    ``inference`` (its index), the ``class_index`` and the mean ``score`` of each detection.
    """
    outputs = np.ascontiguousarray(scores, np.uint8) ^ np.uint8(128)  # as int8: minus 128
    times = (np.asarray(times_ms, np.int64) & 0xFFFFFFFF).astype(np.uint32)
    if outputs.shape != (len(times), len(settings.labels)):
        raise TokayError(
            f"scores {list(outputs.shape)} for {len(times)} times and {len(settings.labels)} classes"
        )
    found = np.empty(len(times), _FOUND)
    count = _library().detector_replay(
        c_settings(settings), outputs.ctypes.data, times.ctypes.data, len(times), found.ctypes.data
    )
    if count > len(times):
        raise TokayError("the detector refused its settings or a time that goes back")
    return found[:count]


def apply_gain(samples: np.ndarray, gain_q8: int) -> np.ndarray:
    """int16 samples times gain/256, saturated."""
    scaled = np.array(samples, dtype=np.int16)
    _library().detector_apply_gain(scaled.ctypes.data, scaled.size, gain_q8)
    return scaled
