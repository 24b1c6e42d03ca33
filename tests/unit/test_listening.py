"""What is taken of what a device reports, and what the PC reports like one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from codegen.application import ApplicationSettings
from host import listening
from host.device import messages as m
from host.device.device import Device
from host.device.recording import Recorder, Replay
from host.device.simulator import SimulatorTransport
from host.device.transport import TransportClosed
from host.errors import TokayError
from host.pipeline import Detection, Event, Pipeline
from tests.unit.fake_device import FakeMachine

MODEL = "keyword_spotting_on_off"
EVERYTHING = listening.RESULTS | m.Stream.AUDIO | m.Stream.SPECTROGRAM | m.Stream.FEATURES
LABELS = ("on", "off", "a label that is longer than its message has room for")


class Board(FakeMachine):
    """A device that says ``script`` when its microphone starts; takes audio up to ``room`` samples."""

    def __init__(self, script: tuple[object, ...] = (), room: int = 1 << 30) -> None:
        self.script, self.room, self.source = script, room, m.Source.NONE
        self.ended = False
        super().__init__()

    def do_source_set(self, request: m.SourceSet, number: int) -> int:
        self.source = request.source
        if self.source == m.Source.NONE:
            self.say("Warning: of what was heard before\r\n", m.Level(time_ms=77))
        if self.source == m.Source.MICROPHONE and self.stream:
            self.say(*self.script)
        return m.Result.OK

    def say(self, *events: object) -> None:
        for event in events:
            if isinstance(event, str):
                self.out += event.encode()
            else:
                self.send(event)  # type: ignore[arg-type]

    def do_inject_audio(self, request: m.InjectAudio, number: int) -> int:
        assert not self.ended and request.index == len(self.audio)
        self.audio += request.samples
        self.ended = request.last
        return m.Result.OK

    def do_statistics_get(self, request: m.StatisticsGet, number: int) -> None:
        self.time_s += 0.05
        self.send(m.Statistics(request=number, audio_samples=min(len(self.audio), self.room)))


def opened(board: Board) -> Device:
    device = Device(SimulatorTransport(board))
    device.connect()
    return device


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline(MODEL)


# ---- A device ----


def test_what_follows_a_files_end_is_not_heard(pipeline):
    frontend, rate = pipeline.frontend, pipeline.sample_rate_hz
    s = frontend.settings
    last = s.window_samples + 2 * s.step_samples  # of the third column
    size = last + s.step_samples - 1
    last_ms, end_ms = 1000 * last // rate, 1000 * size // rate
    column = m.Spectrogram(column=2, values=(1, 2))
    heard = [
        m.Audio(index=0, samples=(1,) * 8), column, m.Features(column=2, values=(3,)),
        m.Scores(time_ms=last_ms, values=b"\x01\x02"), m.Audio(index=size - 3, samples=(4, 5, 6)),
        m.Level(time_ms=end_ms),
    ]  # fmt: skip
    later = [
        replace(column, column=3), m.Features(column=3, values=(3,)), m.Audio(index=size, samples=(9,)),
        m.Scores(time_ms=last_ms + 1, values=b"\x03\x04"), m.Audio(index=size + 5, samples=(9,)),
    ]  # fmt: skip
    across = m.Audio(index=size - 1, samples=(7, 8))
    end = m.Level(time_ms=end_ms + 1)
    board = Board((*heard, across, *later, end, m.Audio(index=0, samples=(1,))))
    played: list[bool] = []
    events = listening.played(opened(board), size, frontend, EVERYTHING, lambda: played.append(True))
    assert list(events) == [
        *heard[:3], Event(last_ms, (1, 2), None), *heard[4:], replace(across, samples=(7,)),
    ]  # fmt: skip
    assert played == [True] and board.source == m.Source.MICROPHONE


def test_a_microphone_that_falls_silent_is_an_error():
    device = opened(Board((m.Level(time_ms=100),)))
    events, start = listening.microphone(device, listening.RESULTS), device.transport.now()
    assert next(events) == m.Level(time_ms=100)
    with pytest.raises(TokayError, match="simulator stopped reporting"):
        next(events)
    assert device.transport.now() - start == pytest.approx(5, abs=0.5)


def test_a_recording_that_is_over_is_no_error_where_it_was_not_to_last_longer(tmp_path):
    path, label = tmp_path / "session.jsonl", LABELS[2][:32]
    board = Board((
        m.Level(time_ms=100), m.Scores(time_ms=120, values=b"\1"),
        m.Detection(class_index=2, label=label, time_ms=120), m.Level(time_ms=200),
    ))  # fmt: skip
    with Device(Recorder(SimulatorTransport(board), path)) as device:
        device.connect()
        heard = list(islice(listening.microphone(device, listening.RESULTS), 3))
    assert heard[1] == Event(120, (1,), Detection(2, label, 0, 120))  # whole only where the labels are known
    for end_ms in (None, 1000):
        again = Device(Replay(path))
        again.connect()
        events = listening.microphone(again, listening.RESULTS, end_ms)
        assert list(islice(events, 3)) == heard
        if end_ms is None:
            assert list(events) == []
        else:
            with pytest.raises(TransportClosed, match="the recording is over"):
                list(events)


def test_a_device_that_takes_audio_and_hears_no_more_of_it_is_given_up():
    device = opened(Board(room=300))
    start = device.transport.now()
    with pytest.raises(TokayError, match="simulator stopped after 300 of 1000 samples"):
        list(listening.injected(device, np.ones(1000, np.int16), listening.RESULTS))
    assert device.transport.now() - start == pytest.approx(5, abs=0.5)


def test_a_port_that_goes_away_is_told_as_such(monkeypatch):
    device = opened(Board((m.Level(time_ms=100),)))
    events = listening.microphone(device, listening.RESULTS, 500)
    next(events)

    def read(timeout_s: float) -> bytes:
        raise TransportClosed("the port is gone")

    monkeypatch.setattr(device.transport, "read", read)
    with pytest.raises(TransportClosed, match="the port is gone"):
        next(events)


@pytest.mark.parametrize("size", [0, 1, 224, 225, 1000])  # 224 fit into a message
def test_injected_audio_arrives_whole(size):
    board, samples = Board(), np.arange(size, dtype=np.int16)
    assert list(listening.injected(opened(board), samples, listening.RESULTS)) == []
    assert board.audio == samples.tolist() and board.source == m.Source.AUDIO
    assert board.ended


def test_what_a_device_reports_after_it_took_the_audio_is_heard():
    class Slow(Board):
        def do_statistics_get(self, request: m.StatisticsGet, number: int) -> None:
            self.room += 400  # so much of it was worked on meanwhile
            self.send(m.Level(time_ms=self.room))
            super().do_statistics_get(request, number)

    events = listening.injected(opened(Slow(room=0)), np.ones(1000, np.int16), listening.RESULTS)
    assert [event.time_ms for event in events] == [400, 800, 1200]


def test_detections_are_joined_with_their_scores_and_whole_labels():
    cut = LABELS[2][:32]
    script = (
        m.Scores(time_ms=10, values=b"\x01"), m.Scores(time_ms=20, values=b"\x02"),
        m.Detection(class_index=2, label=cut, score=9, time_ms=20),
        m.Detection(class_index=1, label="off", score=8, time_ms=30),  # its scores were lost
        m.Scores(time_ms=40, values=b"\x04"), m.Detection(class_index=2, label="another" * 4, time_ms=50),
        "Warning: 3 samples were lost\r\n", "Error: no microphone\n", "Detected class=0\n",
        m.Scores(time_ms=60, values=b"\x06"), m.Level(time_ms=999),
    )  # fmt: skip
    device = opened(Board(script))
    assert list(listening.microphone(device, listening.RESULTS, 900, labels=LABELS)) == [
        Event(10, (1,), None),
        Event(20, (2,), Detection(2, LABELS[2], 9, 20)),
        Event(30, (), Detection(1, "off", 8, 30)),
        Event(40, (4,), None),
        Event(50, (), Detection(2, "another" * 4, 0, 50)),
        m.Log(level=m.LogLevel.WARNING, text="Warning: 3 samples were lost"),
        m.Log(level=m.LogLevel.ERROR, text="Error: no microphone"),
        Event(60, (6,), None),
    ]


def test_a_device_is_left_listening_by_itself_also_after_an_error(pipeline):
    board = Board()
    values = listening.device_values(pipeline.settings)
    board.parameters |= values | {"suppression_ms": values["suppression_ms"] + 1}
    device = opened(board)
    device.request(m.StreamSet(events=listening.RESULTS))
    with pytest.raises(KeyError), listening.applied(device, pipeline.settings) as changed:
        assert changed == {"suppression_ms": values["suppression_ms"]}
        assert board.parameters["suppression_ms"] == values["suppression_ms"]
        raise KeyError
    assert board.stream == m.Stream(0) and board.source == m.Source.MICROPHONE
    del board.parameters["latency_ms"]
    with pytest.raises(TokayError, match="firmware of simulator has no parameter latency_ms"):
        listening.apply(device, pipeline.settings)


def test_gains_are_told_as_the_device_names_them():
    settings = ApplicationSettings.from_parameters({"classes": ["a", "b"], "volume_gain": 1.5}, 2)
    assert listening.device_values(settings)["volume_gain"] == 1.5


# ---- The PC ----


def only(events: Iterator[listening.Heard], kind: type) -> list:
    return [event for event in events if isinstance(event, kind)]


@pytest.fixture(scope="module")
def heard(pipeline) -> Callable[[type], list]:
    samples = np.random.default_rng(1).integers(-3000, 3000, 8000).astype(np.int16)
    samples[900] = -32768
    pipeline.reset()
    events = list(listening.on_pc(pipeline, samples, EVERYTHING))
    return lambda kind: samples if kind is np.ndarray else only(iter(events), kind)


def test_the_pc_reports_all_of_its_audio(heard):
    at = 0
    for piece in heard(m.Audio):
        assert piece.index == at
        at += len(piece.samples)
    assert [value for piece in heard(m.Audio) for value in piece.samples] == heard(np.ndarray).tolist()


def test_the_pc_reports_levels_ten_times_a_second(heard, pipeline):
    samples = heard(np.ndarray).astype(float).reshape(10, 800)
    levels = heard(m.Level)
    assert [level.time_ms for level in levels] == list(range(100, 1100, 100))
    assert [level.peak for level in levels] == np.abs(samples).max(axis=1).astype(int).tolist()
    assert [level.rms for level in levels] == np.sqrt((samples**2).mean(axis=1)).astype(int).tolist()
    assert levels[1].peak == 32768


def test_the_pc_reports_its_columns(heard, pipeline):
    raw = pipeline.frontend.spectrogram(heard(np.ndarray))
    for kind, expected in ((m.Spectrogram, raw), (m.Features, pipeline.frontend.quantize(raw))):
        assert [column.column for column in heard(kind)] == list(range(len(expected)))
        assert [list(column.values) for column in heard(kind)] == expected.tolist()


@pytest.mark.parametrize("stream", [m.Stream.AUDIO, m.Stream.LEVEL, m.Stream.SPECTROGRAM, m.Stream.FEATURES])
def test_the_pc_reports_only_what_is_wanted(stream, pipeline):
    pipeline.reset()
    events = list(listening.on_pc(pipeline, np.ones(8000, np.int16), stream))
    kinds = {m.Stream.AUDIO: m.Audio, m.Stream.LEVEL: m.Level, m.Stream.SPECTROGRAM: m.Spectrogram}
    assert {type(event) for event in events} == {Event, kinds.get(stream, m.Features)}


def test_columns_that_a_device_has_no_room_for_are_not_asked_of_it():
    room, features = m.Spectrogram.room("values"), m.Features.room("values")
    both = m.Stream.SPECTROGRAM | m.Stream.FEATURES
    assert listening.reported(EVERYTHING, min(room, features)) == EVERYTHING
    assert listening.reported(both, max(room, features) + 1) == m.Stream(0)
    assert listening.reported(both, room + 1) == (m.Stream.FEATURES if features > room else m.Stream(0))
