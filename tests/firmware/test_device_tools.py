"""The tools that talk to a target, on the image in the simulator: the same options hear the same."""

from __future__ import annotations

import wave
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from host import board, classify, cli, compare, listening, profile, target
from host.device import commands
from host.device import messages as m
from host.device.device import Device, Gap
from host.device.framing import Decoder, Frame
from host.device.recording import load
from host.device.simulator import RepeatedAudio, SimulatorTransport
from host.display import Display
from host.errors import TokayError
from host.media import wav
from host.pipeline import Event, Pipeline
from host.runtime import Model
from host.simulator.machine import Machine
from host.verdict import judge

MODEL = "keyword_spotting_on_off"
RATE = 8000
SOFTMAX = 25  # BuiltinOperator
TICK_CYCLES = 50  # SysTick's handler with entry and exit: 44
pytestmark = pytest.mark.usefixtures("one_image")


@pytest.fixture
def audio(speech, tmp_path) -> Path:
    path = tmp_path / "speech.wav"
    path.write_bytes(wav(speech, RATE))
    return path


# ---- classify ----


@pytest.mark.parametrize(
    "options",
    ["", "-t 90 -s 200 -c 1", "-w 500 -c 2 -l 60 --volume 1.7 -t 150,255,100,100 --sensitivity 0.1"],
)
def test_same_options_same_detections(options, run, audio):
    on_pc = run(classify, "--audio", audio, *options.split())
    simulated = run(classify, "--audio", audio, "--simulate", *options.split())
    assert on_pc["settings"] == simulated["settings"]
    (pc,), (chip,) = on_pc["files"], simulated["files"]
    assert chip["inferences"] == pc["inferences"] and len(pc["inferences"]) > 40
    assert chip["detections"] == pc["detections"] and pc["detections"]
    assert chip["statistics"]["overruns"] == chip["statistics"]["frames_dropped"] == chip["frames_lost"] == 0
    if options:
        assert pc["detections"] != run(classify, "--audio", audio)["files"][0]["detections"]


def test_a_target_is_used_for_several_files(run, audio, speech, tmp_path):
    second = tmp_path / "second.wav"
    second.write_bytes(wav(speech[RATE:], RATE))
    pc = run(classify, "--audio", audio, second)
    chip = run(classify, "--simulate", "--audio", audio, second)
    for key in ("detections", "inferences"):
        assert [f[key] for f in chip["files"]] == [f[key] for f in pc["files"]]


def test_dumps_are_what_the_front_end_gets_and_gives(run, audio, speech, tmp_path):
    def dump(name: str, *target_options: str) -> dict[str, bytes]:
        folder = tmp_path / name
        dumps = [f"--dump-{what}" for what in ("audio", "spectrograms", "raw-spectrograms")]
        short = tmp_path / "short.wav"
        short.write_bytes(wav(speech[: 2 * RATE], RATE))
        options = [part for option in dumps for part in (option, str(folder))]
        value = run(classify, "--audio", short, "--volume", "1.5", *options, *target_options)
        assert [d["missing"] for d in value["files"][0]["dumped"].values()] == [0, 0, 0]
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    pc = dump("pc")
    assert dump("chip", "--simulate") == pc
    assert set(pc) == {f"short{suffix}" for suffix in (".wav", ".npy", ".png", ".raw.npy", ".raw.png")}
    louder = np.clip((speech[: 2 * RATE].astype(int) * 384) >> 8, -32768, 32767)
    with wave.open(str(tmp_path / "pc" / "short.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        assert np.frombuffer(file.readframes(10**6), "<i2").tolist() == louder.tolist()
    frontend = Pipeline(MODEL).frontend
    raw = np.load(tmp_path / "pc" / "short.raw.npy")
    assert (raw == frontend.spectrogram(louder.astype(np.int16))).all()
    assert (np.load(tmp_path / "pc" / "short.npy") == frontend.quantize(raw)).all()


# ---- profile ----


@pytest.mark.parametrize("weights", ["ram", "flash"])
def test_memory_of_a_board_is_that_of_its_weights(weights):
    plan = Model(MODEL, "mvp", mvp_weights=weights).plan
    assert profile._static(MODEL, "mvp", weights)["arena_bytes"] == plan.memory.arena_bytes


# ---- a target that misbehaves ----


class Noisy(SimulatorTransport):
    """A line that damages a byte in every so many."""

    every = 0
    passed = 0

    def read(self, timeout_s: float) -> bytes:
        data = bytearray(super().read(timeout_s))
        for i in range(len(data)):
            self.passed += 1
            if self.every and self.passed % self.every == 0:
                data[i] ^= 0x10
        return bytes(data)


def test_what_a_bad_line_loses_is_counted_and_nothing_else_changes(built, speech):
    pipeline = Pipeline(MODEL)
    expected = list(listening.on_pc(pipeline, speech, m.Stream.SCORES))
    times = {event.time_ms: event for event in expected}
    with target.Target("simulator", Device(Noisy(Machine(built.elf)), session_id=1)) as where:
        where.device.connect()
        where.device.transport.every = 211  # so many that scores are among what is hit
        machine = where.device.transport._machine
        idle = target.player(target.Target("simulator", where.device, machine), "brd2601b", speech)
        events = list(listening.microphone(where.device, listening.RESULTS, 6000, idle))
        machine.close()
    lost = sum(event.frames for event in events if isinstance(event, Gap))
    assert 0 < lost <= where.device.counters.lost and where.device.counters.corrupt > 0
    heard = [event for event in events if isinstance(event, Event)]
    assert len(expected) - lost <= len(heard) < len(expected)
    for event in heard:
        if event.scores:
            assert event.scores == times[event.time_ms].scores
        if event.detection is not None and times[event.time_ms].detection is not None:
            assert event.detection == times[event.time_ms].detection
    found = [event.detection for event in heard if event.detection]
    known = [event.detection for event in expected if event.detection]
    assert all(detection in known for detection in found)


@pytest.mark.parametrize("every", [300, 2000])
def test_compare_gives_a_bad_line_up_soon(every, built, speech):
    with Device(Noisy(Machine(built.elf)), session_id=1) as device:
        device.connect()
        device.transport.every = every
        start = device.transport.now()
        with pytest.raises(TokayError, match=r"frames were lost.*, 3 times over"):
            compare.compare(device, Pipeline(MODEL), speech)
        assert device.transport.now() - start < 10  # hearing it all takes longer, once


def test_layers_are_compared_on_a_bad_line(built):
    with Device(Noisy(Machine(built.elf)), session_id=1) as device:
        device.connect()
        device.transport.every, start = 701, device.transport.now()
        model = Pipeline(MODEL).model
        assert compare.compare_layers(device, model, model.plan).different == 0
        assert device.counters.corrupt > 10 and device.transport.now() - start < 45


def test_a_class_with_a_longer_name_than_a_message_has_room_for():
    long = "ä" * 15 + "日本語"  # of which the message keeps 15 and no half letter
    cut = ["ä" * 15, "b" * 32, "on"]

    class Board:
        transport = Namespace(name="board", now=lambda: 0.0)

        def request(self, *_: object, **__: object) -> None: ...

        def events(self, timeout_s: float) -> Iterator[object]:
            if timeout_s:  # after what was on its way before
                for number, text in enumerate(cut):
                    yield m.Detection(time_ms=40, class_index=number, label=text)
                yield m.Level(time_ms=100)

    def labels(known: tuple[str, ...]) -> list[str]:
        events = listening.microphone(Board(), m.Stream.DETECTIONS, 60, labels=known)  # type: ignore[arg-type]
        return [e.detection.label for e in events if isinstance(e, Event) and e.detection]

    assert labels((long, "b" * 40, "one")) == [long, "b" * 40, "on"]
    assert labels((long[::-1],)) == labels(()) == cut


def test_a_restart_while_listening_ends_in_one_line(where, speech):
    events = listening.microphone(where.device, listening.RESULTS, 6000)
    with pytest.raises(TokayError, match="simulator started again while listening"):
        for number, _ in enumerate(events):
            if number == 5:
                where.machine.uart_write(b"reset\n")


# ---- profile and the rest ----


def test_layers_on_another_accelerator_are_refused(audio, built, tmp_path, capsys):
    """A profile of other kernels than asked for is none; so it is with a comparison."""
    recorded = tmp_path / "conversation.jsonl"
    assert cli.run(profile.main, [MODEL, "--simulate", "-n", "1", "--record", str(recorded)]) == 0
    assert load(recorded)[-1].direction == "closed"
    capsys.readouterr()
    for command, options in [
        (profile, ["--replay", str(recorded)]),
        (compare, ["--audio", str(audio), "--image", str(built.elf)]),
    ]:
        assert cli.run(command.main, [MODEL, "-a", "mvp", *options]) == 2
        output = capsys.readouterr()
        assert output.out == "" and output.err.count("\n") == 1
        assert "runs the layers on accelerator none, not mvp (--accelerator none, or flash" in output.err


@pytest.mark.parametrize("command", [classify, compare, profile])
@pytest.mark.parametrize("where", [["--simulate"], ["--renode"], ["--replay", "x"], []])
@pytest.mark.parametrize("option", [["--port", "/dev/ttyACM0"], ["--baud", "9600"]])
def test_a_serial_port_is_a_boards(command, where, option, audio, capsys):
    heard = [] if command is profile else ["--audio", str(audio)]
    assert cli.run(command.main, [MODEL, *heard, *where, *option]) == 2
    output = capsys.readouterr()
    assert output.out == "" and output.err.startswith(f"error: {option[0]} is for --device (see ")
    assert output.err.count("\n") == 1


def test_profile_is_judged(run):
    value = run(profile, "--simulate", "-n", "3")
    assert (value["verdict"], value["reasons"], value["repetitions"]) == ("valid", [], 3)
    for layer in value["layers"]:
        cycles = layer["cpu_cycles"]
        assert layer["cycles_least"] <= cycles <= layer["cycles_most"]


class Chatter:
    """A transport on which somebody else sends bytes that mean nothing while a profile is measured."""

    def __init__(self, transport: Any, count: int) -> None:
        self._transport, self._count = transport, count

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        profile_run = any(
            isinstance(item, Frame) and item.type == m.ProfileRun.TYPE for item in Decoder().feed(data)
        )
        self._transport.write(data + bytes(self._count if profile_run else 0))


@pytest.mark.parametrize(
    ("count", "verdict", "said"),
    [(0, "valid", None), (150, "degraded", "interrupts fell into"), (3000, "invalid", "undisturbed, not 4")],
)
def test_interrupts_in_a_profile_are_noticed(count, verdict, said, where):
    """Runs that an interrupt falls into are repeated; where that does not help, the profile is invalid."""
    asked = (board.load("brd2601b"), "none", 4)
    quiet, _ = profile.measure(where, *asked)
    where.device.transport = Chatter(where.device.transport, count)
    measured, conditions = profile.measure(where, *asked)
    judged = judge(measured, conditions)
    assert judged.verdict == verdict, judged
    assert said is None or any(said in reason for reason in judged.reasons), judged
    disturbed = [layer for layer in measured.layers if layer.disturbances]
    assert bool(disturbed) == (verdict != "valid")
    for layer, expected in zip(measured.layers, quiet.layers, strict=True):
        # What was measured is the layer alone, and at most the clock's tick; a softmax takes longer or
        # shorter by what is in it.
        if layer.repetitions and layer.opcode != SOFTMAX:
            assert layer.cpu_cycles_min == expected.cpu_cycles_min
            assert layer.cpu_cycles_max <= layer.cpu_cycles_min + TICK_CYCLES
    if verdict == "degraded":
        assert all(layer.repetitions == 4 for layer in measured.layers)


def test_sensitivity_is_of_the_activity_led_alone(where, speech):
    """A score that jumps by 255 in 100 ms is a change of 2.55 in a millisecond."""

    def flashes(sensitivity: float) -> int:
        commands.set_parameter(where.device, "sensitivity", sensitivity)
        commands.set_parameter(where.device, "detection_threshold_list", (255,) * 4)
        play = target.player(where, "brd2601b", speech)
        lit = 0
        for event in listening.microphone(where.device, listening.RESULTS, 6000, play):
            lit += isinstance(event, m.Level) and where.machine.leds["activity"]
        return lit

    seldom, often = flashes(3.0), flashes(0.05)
    assert seldom == 0 and often > 10


def test_a_recording_is_heard_over_and_over(where, speech):
    """Whenever somebody comes to listen: here after its end."""
    audio = np.r_[speech, np.zeros(RATE, np.int16)]
    where.machine.run(audio.size / RATE)
    with Device(RepeatedAudio(where.machine, audio, RATE)) as device:
        device.connect()
        where.machine.run(1.5 * audio.size / RATE)
        heard = listening.microphone(
            device, listening.RESULTS, 3000 * audio.size // RATE, labels=Pipeline(MODEL).labels
        )
        words = [e.detection.label for e in heard if isinstance(e, Event) and e.detection]
    assert len(words) >= 4 and {*words} == {"on", "off"}


def test_levels_start_from_silence(where):
    """What was played before, less than a level takes, is not part of the first one."""
    loud, silent = np.full(600, 20000, np.int16), np.zeros(2000, np.int16)
    assert not [e for e in listening.injected(where.device, loud, m.Stream.LEVEL) if isinstance(e, m.Level)]
    events = list(listening.injected(where.device, silent, m.Stream.LEVEL))
    assert [e.peak for e in events if isinstance(e, m.Level)] == [0, 0]


@pytest.mark.parametrize("value", [1, 1000, -32768, 32767])
def test_levels_of_a_constant_and_of_the_silence_behind_it(where, value):
    audio = np.r_[np.full(1000, value, np.int16), np.zeros(1800, np.int16)]
    events = listening.injected(where.device, audio, m.Stream.LEVEL)
    first, *_, last = [e for e in events if isinstance(e, m.Level)]
    assert first.peak == first.rms == abs(value)
    assert last.peak == last.rms == 0


def test_audio_that_the_device_loses_is_told(where, speech):
    """In whose scores it is missing, which nothing else shows."""
    said: list[str] = []
    show = Display((), said.append).show
    play = target.player(where, "brd2601b", speech)
    frontend = Pipeline(MODEL).frontend
    for event in listening.played(where.device, speech.size, frontend, listening.RESULTS, play):
        if isinstance(event, Event) and event.time_ms == 1990:
            where.machine.uart_write(b"\0stall 1500\n")
        show(event)
    lost = [line for line in said if "samples of audio lost" in line]
    assert len(lost) == 1 and lost[0].startswith("Warning: ")
