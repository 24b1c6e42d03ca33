"""Hearing through a device: its detector's settings, where its audio comes from, and what it reports.

A device and the PC give the same kinds of events (``Heard``), so that whoever shows, keeps or compares
them does not know which it was:

    with target.connect(options, sha256, elf) as where:
        with listening.applied(where.device, settings):
            for event in listening.injected(where.device, samples, streams):
                ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

import numpy as np

from codegen.application import ApplicationSettings
from host.detector import apply_gain
from host.device import commands
from host.device import messages as m
from host.device.device import Device, Gap, Restarted
from host.device.device import Event as DeviceEvent
from host.device.framing import TextLine
from host.device.recording import Replay
from host.device.transport import TransportClosed
from host.errors import TokayError
from host.features import Frontend
from host.pipeline import Detection, Event, Pipeline

Heard = Event | m.Level | m.Audio | m.Spectrogram | m.Features | m.Log | Gap

RESULTS = m.Stream.DETECTIONS | m.Stream.SCORES | m.Stream.LEVEL
_CHUNK_MS = 20
_LEVEL_MS = 100
_SILENT_S = 5.0
_CUT_BYTES = 28  # a label of more may have been cut to the message's 32, by a character of 4 at most


# ---- Settings ----


def device_values(settings: ApplicationSettings) -> dict[str, commands.Value]:
    """The parameters that decide what a device detects, as it names and stores them."""
    return {
        "average_window_duration_ms": settings.average_window_ms,
        "detection_threshold_list": settings.thresholds,
        "suppression_ms": settings.suppression_ms,
        "minimum_count": settings.minimum_count,
        "latency_ms": settings.latency_ms,
        "volume_gain": settings.volume_gain_q8 / 256,
        "sensitivity": settings.sensitivity_q8 / 256,
    }


def apply(device: Device, settings: ApplicationSettings) -> dict[str, commands.Value]:
    """Makes a running device detect by these settings until its next reset; returns what had to change."""
    present = commands.parameters(device)
    changed = {}
    for name, value in device_values(settings).items():
        if name not in present:
            raise TokayError(
                f"the firmware of {device.transport.name} has no parameter {name}",
                hint="build and flash the firmware that belongs to this tool",
            )
        if present[name] != value:
            changed[name] = commands.set_parameter(device, name, value)
    return changed


# ---- A device ----


def _start(
    device: Device, streams: m.Stream, source: m.Source, idle: Callable[[], None] | None = None
) -> None:
    """Starts from silence at time 0, after ``idle`` was called on the way; what was on its way before is not
    given out."""
    commands.set_source(device, m.Source.NONE)
    for _ in device.events(timeout_s=0.0):
        pass
    commands.set_streams(device, streams)
    if idle is not None:
        idle()
    commands.set_source(device, source)


def reported(streams: m.Stream, channels: int) -> m.Stream:
    """Those of the streams that a device reports of so many channels: a message holds a column."""
    for stream, message in ((m.Stream.SPECTROGRAM, m.Spectrogram), (m.Stream.FEATURES, m.Features)):
        if channels > message.room("values"):
            streams &= ~stream
    return streams


def stop(device: Device) -> None:
    """Back to what a board does by itself: it listens with its microphone and reports in plain lines."""
    with suppress(TokayError):
        device.request(m.StreamSet(events=m.Stream(0)))
        commands.set_source(device, m.Source.MICROPHONE)


@contextmanager
def applied(device: Device, settings: ApplicationSettings) -> Iterator[dict[str, commands.Value]]:
    """A device that detects by these settings (what had to change is given), and that listens by itself again
    afterwards, also after an error or Ctrl-C."""
    try:
        yield apply(device, settings)
    finally:
        stop(device)


def microphone(
    device: Device,
    streams: m.Stream,
    end_ms: int | None = None,
    idle: Callable[[], None] | None = None,
    *,
    labels: Sequence[str] = (),
) -> Iterator[Heard]:
    """What a device hears with its microphone, up to ``end_ms`` of its audio (None: until it falls silent,
    which is an error for a board and the end of a recording). ``idle`` is called while the microphone is
    off. ``labels`` are the model's classes: a message has no room for a long one."""
    device_streams = streams | m.Stream.LEVEL  # which tells when it is over
    _start(device, device_streams, m.Source.MICROPHONE, idle)
    yield from _joined(device, _until(device, end_ms), labels)


def played(
    device: Device,
    size: int,
    frontend: Frontend,
    streams: m.Stream,
    play: Callable[[], None],
    *,
    labels: Sequence[str] = (),
) -> Iterator[Heard]:
    """What a device hears with its microphone of ``size`` samples that ``play`` has it given from its start
    on, and nothing of what follows them. A time is in whole milliseconds, perhaps the same for the last of
    them and some later sample, so columns are counted."""
    s, columns = frontend.settings, frontend.frames(size)
    last = s.window_samples + (columns - 1) * s.step_samples  # what the last column ends before
    last_ms = 1000 * last // s.sample_rate_hz if columns else -1
    for event in microphone(device, streams, 1000 * size // s.sample_rate_hz, play, labels=labels):
        if isinstance(event, Event) and event.time_ms > last_ms:
            continue
        if isinstance(event, m.Spectrogram | m.Features) and event.column >= columns:
            continue
        if isinstance(event, m.Audio):
            event = replace(event, samples=event.samples[: max(0, size - event.index)])
            if not event.samples:
                continue
        yield event


def injected(
    device: Device, samples: np.ndarray, streams: m.Stream, *, labels: Sequence[str] = ()
) -> Iterator[Heard]:
    """What a device makes of int16 samples that it is given over the link, as fast as it takes them;
    ``labels`` as for :func:`microphone`."""
    _start(device, streams, m.Source.AUDIO)
    yield from _joined(device, _fed(device, samples), labels)


def _fed(device: Device, samples: np.ndarray) -> Iterator[DeviceEvent]:
    for _ in commands.audio_pieces(device, samples):
        yield from device.events(timeout_s=0.0)
    heard, end = -1, device.transport.now() + _SILENT_S
    while heard < samples.size:
        taken = commands.statistics(device).audio_samples
        if taken > heard:
            heard, end = taken, device.transport.now() + _SILENT_S
        elif device.transport.now() > end:
            raise TokayError(f"{device.transport.name} stopped after {heard} of {samples.size} samples")
        yield from device.events(timeout_s=0.0)


def _until(device: Device, end_ms: int | None) -> Iterator[DeviceEvent]:
    replayed = isinstance(device.transport, Replay)
    try:
        for event in device.events(timeout_s=_SILENT_S):
            if end_ms is not None and isinstance(event, m.Level | m.Scores) and event.time_ms > end_ms:
                return
            yield event
    except TransportClosed:
        if not replayed or end_ms is not None:
            raise
    if replayed and end_ms is None:
        return
    raise TokayError(f"{device.transport.name} stopped reporting", hint="reset the board")


def _detection(event: m.Detection, labels: Sequence[str]) -> Detection:
    """A detection with the label that was cut off in its message, whole."""
    label = event.label
    if len(label.encode()) > _CUT_BYTES and event.class_index < len(labels):
        whole = labels[event.class_index]
        label = whole if whole.startswith(label) else label
    return Detection(event.class_index, label, event.score, event.time_ms)


def _warning(line: str) -> Iterator[m.Log]:
    """A line that a device says in plain text, where it is of audio that was lost or of the like."""
    for word, level in (("Warning: ", m.LogLevel.WARNING), ("Error: ", m.LogLevel.ERROR)):
        if line.startswith(word):
            yield m.Log(level=level, text=line)


def _joined(device: Device, events: Iterator[DeviceEvent], labels: Sequence[str]) -> Iterator[Heard]:
    """Joins a detection with the scores before it, which are of the same inference."""
    waiting: m.Scores | None = None
    for event in events:
        if waiting is not None:
            heard = isinstance(event, m.Detection) and event.time_ms == waiting.time_ms
            found = _detection(event, labels) if heard else None
            yield Event(waiting.time_ms, tuple(waiting.values), found)
            waiting = None
            if heard:
                continue
        if isinstance(event, m.Scores):
            waiting = event
        elif isinstance(event, m.Detection):
            # Its scores were lost: the detection is not.
            yield Event(event.time_ms, (), _detection(event, labels))
        elif isinstance(event, Restarted):
            raise TokayError(
                f"{device.transport.name} started again while listening", hint="host.device info shows it"
            )
        elif isinstance(event, TextLine):
            yield from _warning(event.text)
        elif isinstance(event, m.Level | m.Audio | m.Spectrogram | m.Features | m.Log | Gap):
            yield event
    if waiting is not None:
        yield Event(waiting.time_ms, tuple(waiting.values), None)


# ---- The PC ----


class Observer:
    """What the PC's pipeline reports besides its inferences: levels, audio and columns as a device does."""

    def __init__(self, pipeline: Pipeline, streams: m.Stream) -> None:
        self._pipeline = pipeline
        self._streams = streams
        self._columns = Frontend(pipeline.frontend.settings)
        self._stream = self._columns.stream()
        self._samples = 0
        self._column = 0
        self._level: list[np.ndarray] = []

    def process(self, samples: np.ndarray) -> Iterator[Heard]:
        """Takes the next int16 samples."""
        streams, rate = self._streams, self._pipeline.sample_rate_hz
        louder = apply_gain(samples, self._pipeline.settings.volume_gain_q8)
        if streams & m.Stream.AUDIO:
            yield m.Audio(index=self._samples & 0xFFFFFFFF, samples=tuple(louder.tolist()))
        self._samples += samples.size
        if streams & m.Stream.LEVEL:
            self._level.append(samples)
            if sum(piece.size for piece in self._level) >= rate * _LEVEL_MS // 1000:
                yield level(np.concatenate(self._level), 1000 * self._samples // rate)
                self._level.clear()
        if streams & (m.Stream.SPECTROGRAM | m.Stream.FEATURES):
            yield from self._new_columns(louder)
        yield from self._pipeline.process(samples)

    def _new_columns(self, louder: np.ndarray) -> Iterator[Heard]:
        for column in self._stream.process(louder):
            if self._streams & m.Stream.SPECTROGRAM:
                yield m.Spectrogram(column=self._column, values=tuple(column.tolist()))
            if self._streams & m.Stream.FEATURES:
                values = tuple(self._columns.quantize(column).tolist())
                yield m.Features(column=self._column, values=values)
            self._column += 1


def level(samples: np.ndarray, time_ms: int) -> m.Level:
    """Loudness of int16 samples."""
    values = samples.astype(np.float64)
    return m.Level(
        time_ms=time_ms, peak=int(np.abs(values).max()), rms=int(np.sqrt(np.mean(values * values)))
    )


def on_pc(pipeline: Pipeline, samples: np.ndarray, streams: m.Stream = RESULTS) -> Iterator[Heard]:
    """What the PC's pipeline hears in int16 samples."""
    observer = Observer(pipeline, streams)
    step = pipeline.sample_rate_hz * _CHUNK_MS // 1000
    for start in range(0, samples.size, step):
        yield from observer.process(samples[start : start + step])
