"""A serial line that carries less than the firmware has to say: a host gets its answers all the same."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from codegen.parameters import read_parameters, write_parameters
from host import board, image, listening, model_files
from host.device import commands
from host.device import messages as m
from host.device.codec import Message
from host.device.device import Device
from host.device.simulator import SimulatorTransport
from host.simulator.machine import Machine
from tests.places import ROOT

pytestmark = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed"
)


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A board with the slowest line there may be."""
    folder = tmp_path_factory.mktemp("board") / "slow"
    folder.mkdir()
    text = (ROOT / "boards" / "brd2601b" / "board.toml").read_text()
    (folder / "board.toml").write_text(text.replace("baud = 115200", "baud = 9600"))
    return folder


@pytest.fixture(scope="module")
def talkative(slow: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image that says each inference's scores in a line, 50 a second."""
    file = model_files.read("keyword_spotting_on_off")
    folder = tmp_path_factory.mktemp("talkative")
    parameters = {**read_parameters(file.tflite), "verbose_model_output_logs": True, "latency_ms": 20}
    model = folder / "talkative.tflite"
    model.write_bytes(write_parameters(file.tflite, parameters))
    return image.build(str(model), board.load(str(slow)), folder / "image").elf


@pytest.fixture
def device(talkative: Path, slow: Path) -> Iterator[Device]:
    machine = Machine(talkative, board=str(slow))
    machine.set_audio(np.random.default_rng(1).integers(-9000, 9000, 80000).astype(np.int16))
    machine.run(10.0)
    with Device(SimulatorTransport(machine), session_id=1) as opened:
        yield opened
    machine.close()


def test_a_host_connects_in_the_middle_of_too_many_lines(device: Device):
    assert device.connect().board == "slow"


def inject(device: Device, samples: np.ndarray) -> None:
    device.request(m.SourceSet(source=m.Source.AUDIO), timeout_s=2.0)
    assert commands.inject_audio(device, samples) == samples.size


def hear(device: Device, samples: np.ndarray) -> None:
    for _ in listening.injected(device, samples, m.Stream.DETECTIONS):
        pass


@pytest.mark.parametrize("feed", [inject, hear])
def test_audio_is_sent_once_though_the_line_takes_half_a_second_to_carry_it(
    feed: Callable[[Device, np.ndarray], None], device: Device, monkeypatch: pytest.MonkeyPatch
):
    device.connect()
    device._wait(5.0)
    sent, post = [], device.post
    monkeypatch.setattr(device, "post", lambda message: sent.append(message) or post(message))
    feed(device, np.zeros(4800, np.int16))
    pieces = -(-4800 // m.InjectAudio.room("samples"))
    assert pieces <= sum(isinstance(message, m.InjectAudio) for message in sent) <= pieces + 2


def test_a_host_ends_more_events_than_the_line_carries(device: Device):
    device.connect()
    device.request(m.StreamSet(events=m.Stream.AUDIO | m.Stream.SCORES | m.Stream.LEVEL), timeout_s=2.0)
    device._wait(5.0)
    assert device.counters.lost > 100
    listening.stop(device)
    device._wait(5.0)
    for _ in device.events(timeout_s=0.0):
        pass
    device._wait(2.0)
    later = [event for event in device.events(timeout_s=0.0) if isinstance(event, Message)]
    assert not later, "it reports in plain lines again"
    assert device.request(m.StatisticsGet(), timeout_s=2.0).frames_corrupt == 0
