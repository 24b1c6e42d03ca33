"""What one does with a device, in terms of arrays and values instead of messages."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from host.device import messages as m
from host.device.codec import Message
from host.device.device import AnswerLost, Device, DeviceTimeout
from host.errors import TokayError

A = TypeVar("A", bound=Message)
Value = bool | int | float | str | tuple[int, ...]
_AT_WORK_S = 2.0  # for a device that answers after the inference that it is at
_BEGIN_S = 2.0  # after which a profile that has not begun is asked for again
# After which audio without an answer is sent again; the longer one where a line takes that long to carry it.
_AGAIN_S, _AGAIN_AT_MOST_S = 0.5, 1.2


@dataclass(frozen=True)
class Profile:
    """A complete profile, one record a layer."""

    begin: m.ProfileBegin
    layers: tuple[m.ProfileLayer, ...]
    end: m.ProfileEnd


def parameter_value(parameter: m.Parameter | m.ParameterSet) -> Value:
    """A parameter's value as a Python value."""
    kind = parameter.kind
    if kind == m.ParameterKind.TEXT:
        return parameter.text
    if kind == m.ParameterKind.REAL:
        return parameter.real
    if kind == m.ParameterKind.INTEGERS:
        return parameter.integers
    if not parameter.integers:
        raise TokayError("the device sent a parameter without a value")
    return bool(parameter.integers[0]) if kind == m.ParameterKind.BOOLEAN else parameter.integers[0]


def parameter_message(name: str, value: Value) -> m.ParameterSet:
    """The request that sets a parameter to a Python value."""
    if isinstance(value, bool):
        return m.ParameterSet(name=name, kind=m.ParameterKind.BOOLEAN, integers=(int(value),))
    if isinstance(value, int):
        return m.ParameterSet(name=name, kind=m.ParameterKind.INTEGER, integers=(value,))
    if isinstance(value, float):
        return m.ParameterSet(name=name, kind=m.ParameterKind.REAL, real=value)
    if isinstance(value, str):
        return m.ParameterSet(name=name, kind=m.ParameterKind.TEXT, text=value)
    return m.ParameterSet(name=name, kind=m.ParameterKind.INTEGERS, integers=tuple(value))


def parameters(device: Device) -> dict[str, Value]:
    """All parameters and their present values."""
    values: dict[str, Value] = {}
    index, count = 0, 1
    while index < count:
        answer = _expect(device.request(m.ParameterGet(index=index)), m.Parameter)
        values[answer.name] = parameter_value(answer)
        index, count = index + 1, answer.count
    return values


def set_parameter(device: Device, name: str, value: Value) -> Value:
    """Changes a parameter until the next reset; returns the value that the device took."""
    try:
        message = parameter_message(name, value)
        message.encode()
    except (ValueError, TypeError) as error:
        raise TokayError(f"{name}={value!r} does not fit a message: {error}") from error
    return parameter_value(_expect(device.request(message), m.Parameter))


def statistics(device: Device) -> m.Statistics:
    """How the audio loop and the link are doing."""
    return _expect(device.request(m.StatisticsGet(), timeout_s=_AT_WORK_S), m.Statistics)


def set_source(device: Device, source: m.Source) -> None:
    """Where the audio loop's input comes from; it begins anew, from silence at time 0."""
    device.request(m.SourceSet(source=source), timeout_s=_AT_WORK_S)


def set_streams(device: Device, streams: m.Stream) -> None:
    """Which events the device sends from now on."""
    device.request(m.StreamSet(events=streams), timeout_s=_AT_WORK_S)


def take_over(device: Device) -> None:
    """The device reports nothing and hears nothing: its memory is the host's (source ``none``)."""
    set_streams(device, m.Stream(0))
    set_source(device, m.Source.NONE)


def read_tensor(device: Device, tensor: int) -> bytes:
    """All bytes of a tensor (source must be ``none`` for an activation)."""
    data = b""
    while True:
        wanted = m.TensorRead(tensor=tensor, offset=len(data), count=m.TensorData.room("data"))
        piece = _expect(device.request(wanted), m.TensorData)
        stuck = not piece.data and len(data) < piece.total
        if stuck or (piece.tensor, piece.offset) != (tensor, len(data)):
            raise TokayError(f"{device.transport.name} sent another piece of tensor {tensor} than asked for")
        data += piece.data
        if len(data) >= piece.total:
            return data


def write_tensor(device: Device, tensor: int, data: bytes) -> None:
    """Overwrites an activation from its start (source must be ``none``)."""
    room = m.TensorWrite.room("data")
    for at in range(0, len(data), room):
        device.request(m.TensorWrite(tensor=tensor, offset=at, data=data[at : at + room]))


def inject_features(device: Device, features: NDArray[np.int8]) -> None:
    """Puts the network's whole input in place (source must be ``none``). TokayError if it is not int8."""
    values = np.ascontiguousarray(features).ravel()
    if values.dtype != np.int8:
        raise TokayError(f"features must be int8, not {values.dtype}")
    room = m.InjectFeatures.room("values")
    for at in range(0, values.size, room):
        device.request(m.InjectFeatures(offset=at, values=tuple(values[at : at + room].tolist())))


def run_network(device: Device, timeout_s: float = 5.0) -> NDArray[np.int8]:
    """One inference on the injected input; the network's int8 output."""
    scores = _expect(device.request(m.RunNetwork(), timeout_s=timeout_s), m.Scores)
    return (np.frombuffer(scores.values, np.uint8).astype(np.int16) - 128).astype(np.int8)


def inject_audio(
    device: Device, samples: NDArray[np.int16], *, start: int = 0, last: bool = True, timeout_s: float = 10.0
) -> int:
    """Feeds the audio loop (source ``audio``); returns the index after the last sample.

    Detections and scores arrive as events meanwhile. The device takes samples as fast as it can
    work on them, not in real time. Raises DeviceTimeout if it takes none for ``timeout_s``, TokayError if
    the samples are not int16[n].
    """
    for _ in audio_pieces(device, samples, start=start, last=last, timeout_s=timeout_s):
        pass
    return start + samples.size


def audio_pieces(
    device: Device, samples: NDArray[np.int16], *, start: int = 0, last: bool = True, timeout_s: float = 10.0
) -> Iterator[None]:
    """As ``inject_audio``, for whoever looks at the events after each message of samples."""
    samples = np.asarray(samples)
    if samples.dtype != np.int16 or samples.ndim != 1:
        raise TokayError(f"audio must be one channel of int16, not {samples.dtype} {list(samples.shape)}")
    room = m.InjectAudio.room("samples")
    again_s = _AGAIN_S
    for at in range(0, max(1, samples.size), room):
        piece = samples[at : at + room]
        message = m.InjectAudio(
            index=(start + at) & 0xFFFFFFFF,
            last=last and at + room >= samples.size,
            samples=tuple(piece.tolist()),
        )
        # Samples that come twice are taken once, so a piece that was lost need not cost the whole time.
        begun = device.transport.now()
        device.request(message, timeout_s=again_s, retries=math.ceil(timeout_s / again_s) - 1)
        again_s = min(max(_AGAIN_S, 2 * (device.transport.now() - begun)), _AGAIN_AT_MOST_S)
        yield


def profile(
    device: Device,
    *,
    repetitions: int = 10,
    first: int = 0,
    count: int = 0,
    run_s: float = 1.0,
    timeout_s: float = 10.0,
) -> Profile:
    """Measures layers. A profile of which records were lost is run again, twice at most. The device is silent
    while it repeats a layer, or the whole network, which takes ``run_s`` at most; ``timeout_s`` more, and it
    is asked whether it is there still."""
    request = m.ProfileRun(first=first, count=count, repetitions=repetitions)
    pause_s = timeout_s + run_s * repetitions
    for _ in range(3):
        begin: m.ProfileBegin | None = None
        layers: dict[int, m.ProfileLayer] = {}
        end: m.ProfileEnd | None = None
        try:
            answers = device.converse(request, m.ProfileEnd, timeout_s=_BEGIN_S, pause_s=pause_s)
            for answer in answers:
                if isinstance(answer, m.ProfileBegin):
                    begin = answer
                elif isinstance(answer, m.ProfileLayer):
                    layers[answer.index] = answer
                elif isinstance(answer, m.ProfileEnd):
                    end = answer
        except AnswerLost:
            pass
        except DeviceTimeout:
            if begin is None and not layers:
                raise
            _require_life(device)
        if end is not None and end.code != m.Result.OK:
            raise TokayError(f"{device.transport.name}: profile failed: {end.text or end.code}")
        wanted = range(begin.first, begin.first + begin.count) if begin else range(0)
        if begin and end and set(layers) == set(wanted):
            return Profile(begin, tuple(layers[k] for k in wanted), end)
    raise DeviceTimeout(
        f"{device.transport.name}: parts of the profile were lost three times", hint="check the connection"
    )


def _require_life(device: Device) -> None:
    """Refuses to repeat a profile on a device that is gone: that would take minutes."""
    try:
        device.connect()
    except DeviceTimeout as error:
        raise DeviceTimeout(
            f"{device.transport.name} fell silent in the middle of the profile",
            hint="reset the board and try again; fewer repetitions if it was at work still",
        ) from error


def _expect(answer: Message, kind: type[A]) -> A:
    if not isinstance(answer, kind):
        raise TokayError(f"the device answered {type(answer).__name__} instead of {kind.__name__}")
    return answer
