"""A long time of listening: no sample, message or millisecond goes missing, and a host that stops reading
loses only what is counted.

Three simulated minutes in the ordinary run, a day in the slow one (set TOKAY_SOAK_HOURS for another time).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import numpy as np
import pytest

from host import demo, target
from host.audio import read_audio
from host.device import commands
from host.device import messages as m
from host.device.device import Device, Gap
from host.device.framing import Damaged
from host.device.simulator import SimulatorTransport
from host.simulator.machine import Machine

RATE = 8000
JITTER = 512  # samples: statistics come between two pieces of audio
TERMINAL_BYTES = 4096  # what a system keeps for a program that does not read


@pytest.fixture(scope="module")
def minute() -> np.ndarray:
    """The dialogue, and as much noise of changing loudness as fills a minute."""
    words = read_audio(demo.DEMO.with_suffix(".wav"), RATE)
    rng = np.random.default_rng(0)
    size = 60 * RATE - words.size
    loudness = np.repeat(rng.choice([0, 30, 1000, 20000], size // 4000 + 1), 4000)[:size]
    noise = np.clip(rng.normal(0, 1, size) * loudness, -32768, 32767)
    return np.concatenate([words, noise]).astype(np.int16)


@dataclass
class Heard:
    """What a host saw of it all."""

    scores: int = 0
    detections: int = 0
    levels: int = 0
    lost: int = 0
    damaged: int = 0
    last_ms: int = -1
    statistics: list[tuple[float, m.Statistics]] = field(default_factory=list)  # with the machine's time
    asked: list[float] = field(default_factory=list)  # the machine's time when they were asked for

    def take(self, event: object) -> None:
        if isinstance(event, m.Scores):
            self.scores += 1
            assert event.time_ms > self.last_ms, "audio time goes on"
            self.last_ms = event.time_ms
        self.detections += isinstance(event, m.Detection)
        self.levels += isinstance(event, m.Level)
        self.lost += event.frames if isinstance(event, Gap) else 0
        self.damaged += isinstance(event, Damaged)


def statistics(where: target.Target, heard: Heard) -> m.Statistics:
    assert where.machine is not None
    heard.asked.append(where.machine.time_s)
    answer = where.device.request(m.StatisticsGet(), timeout_s=2.0)
    assert isinstance(answer, m.Statistics)
    heard.statistics.append((where.machine.time_s, answer))
    return answer


def listen(where: target.Target, minute: np.ndarray, minutes: int) -> Heard:
    machine, device, heard = where.machine, where.device, Heard()
    assert machine is not None
    device.request(m.StreamSet(events=m.Stream.DETECTIONS | m.Stream.SCORES | m.Stream.LEVEL))
    device.request(m.SourceSet(source=m.Source.MICROPHONE), timeout_s=2.0)
    for _ in range(minutes):
        machine.set_audio(minute)
        end = machine.time_s + 60
        while (left := end - machine.time_s) > 0:
            for event in device._receive(left):
                heard.take(event)
        statistics(where, heard)
        for event in device.events(timeout_s=0.0):
            heard.take(event)
    return heard


def check(where: target.Target, heard: Heard, minutes: int) -> None:
    last = heard.statistics[-1][1]
    counters = where.device.counters
    # Nothing lost, nowhere.
    assert (last.overruns, last.late_inferences, last.frames_dropped, last.frames_lost) == (0, 0, 0, 0)
    assert (heard.lost, heard.damaged, counters.lost, counters.corrupt, counters.restarts) == (0,) * 5
    assert last.frames_corrupt == 0
    # No sequence number without its frame, from the device's first on.
    assert counters.received + counters.duplicates == last.frames_sent + 1  # this answer is not in its count
    # Every inference and every level that the audio's time asks for.
    assert abs(heard.scores - last.inferences) <= 1
    assert heard.scores == pytest.approx(minutes * 600 * 1.0022, rel=0.01)
    assert heard.detections >= 4 * minutes
    # Samples, milliseconds and the machine's own clock go alike at the end as at the start.
    time_0, first = heard.statistics[0]
    time_1, last = heard.statistics[-1]
    # The device read its clock between the question and the answer, of which the host sees 5 ms steps.
    uptime_s = (last.uptime_ms - first.uptime_ms) / 1000
    assert heard.asked[-1] - time_0 - 0.001 <= uptime_s <= time_1 - heard.asked[0] + 0.001
    assert all(
        answered - asked < 0.04 for asked, (answered, _) in zip(heard.asked, heard.statistics, strict=True)
    )
    rates = [
        (b.audio_samples - a.audio_samples) / (tb - ta)
        for (ta, a), (tb, b) in zip(heard.statistics, heard.statistics[1:], strict=False)
    ]
    if rates:
        assert max(rates) - min(rates) < JITTER / 60
        expected = first.audio_samples + np.mean(rates) * (time_1 - time_0)
        assert abs(expected - last.audio_samples) < JITTER
        assert abs(np.mean(rates) - 8018) < 1
    assert last.stack_bytes < last.stack_size // 2


def test_three_minutes(where, minute):
    heard = listen(where, minute, 3)
    check(where, heard, 3)


@pytest.mark.slow
def test_a_day(where, minute):
    minutes = round(60 * float(os.environ.get("TOKAY_SOAK_HOURS", "24")))
    heard = listen(where, minute, minutes)
    check(where, heard, minutes)


class Blockable(SimulatorTransport):
    """A serial port whose program can stop reading: the system keeps some bytes, the rest is gone."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.kept = b""

    def block(self, seconds: float) -> int:
        """Returns how many bytes were lost."""
        kept, lost = b"", 0
        end = self.now() + seconds
        while self.now() < end:
            data = super().read(min(0.5, end - self.now()))
            room = TERMINAL_BYTES - len(kept)
            kept, lost = kept + data[:room], lost + len(data[room:])
        self.kept += kept
        return lost

    def read(self, timeout_s: float) -> bytes:
        if self.kept:
            kept, self.kept = self.kept, b""
            return kept
        return super().read(timeout_s)


def test_a_blocked_host_loses_only_counted_messages(built, minute):
    machine = Machine(built.elf)
    transport = Blockable(machine)
    with Device(transport, session_id=1) as device:
        device.connect()
        commands.set_parameter(device, "latency_ms", 100)
        device.request(m.StreamSet(events=m.Stream.SCORES | m.Stream.LEVEL | m.Stream.DETECTIONS))
        machine.set_audio(minute)
        heard = Heard()

        def read(seconds: float) -> None:
            end = transport.now() + seconds
            while transport.now() < end:
                for event in device._receive(end - transport.now()):
                    heard.take(event)

        read(3)
        before = heard.scores
        assert heard.lost == 0 and before > 10
        assert transport.block(60) > 20_000
        read(3)
        answer = device.request(m.StatisticsGet(), timeout_s=2.0)
        assert (answer.overruns, answer.late_inferences, answer.frames_dropped) == (0, 0, 0)
        counters = device.counters
        assert counters.lost > 1000
        assert counters.received + counters.lost == answer.frames_sent + 1
        assert counters.corrupt <= 2  # the frames that were cut in two
        for event in device.events(timeout_s=0.0):
            heard.take(event)
        assert answer.inferences > heard.scores > before + 20
        lost_scores = answer.inferences - heard.scores
        assert lost_scores <= heard.lost
    machine.close()
