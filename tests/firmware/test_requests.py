"""The image's answers to the host, over the link, in the simulator."""

from __future__ import annotations

import importlib.metadata
import math
import shutil

import numpy as np
import pytest

from codegen.parameters import write_parameters
from host import board, demo, image
from host.audio import read_audio
from host.device import commands
from host.device import messages as m
from host.device.device import Device, DeviceError
from host.device.simulator import SimulatorTransport
from host.pipeline import Pipeline
from host.simulator.machine import Machine
from tests.sounds import bursts
from tests.tflite_builder import NetworkBuilder

MODEL = "keyword_spotting_on_off"
WAKE_UP = 4096


def collect(device: Device, kind: type, seconds: float = 0.5) -> list:
    """The events of the next seconds of virtual time."""
    end, found = device.transport.now() + seconds, []
    for event in device.events(timeout_s=seconds):
        if isinstance(event, kind):
            found.append(event)
        if device.transport.now() > end:
            break
    return found


def answers(device: Device, request: m.Message, seconds: float = 0.5) -> list:
    """All answers to a request that has its number already. ``Device`` would take them for late ones."""
    end, found = device.transport.now() + seconds, []
    device.post(request)
    while (left := end - device.transport.now()) > 0:
        found += [e for e in device._receive(left) if getattr(e, "request", 0) == request.request]
    return found


def test_hello(device, machine, built, pipeline):
    hello = device.hello
    assert (hello.protocol, hello.board, hello.part) == (m.VERSION, "brd2601b", "EFR32MG24B310F1536IM48")
    assert hello.firmware == importlib.metadata.version("tokay")
    assert hello.model_hash.hex() == pipeline.model.plan.sha256[:32]
    assert hello.arena_bytes == pipeline.model.plan.memory.arena_bytes
    assert hello.layer_count == len(pipeline.model.layers)
    assert hello.class_count == len(pipeline.labels)
    assert (hello.core_clock_hz, hello.sample_rate_hz) == (78_000_000, 8018)
    assert 0 <= hello.image_bytes - built.flash_bytes < 8  # for alignment
    assert (hello.flash_bytes, hello.ram_bytes) == (1536 << 10, 256 << 10)
    machine.run(0.5)
    again = device.request(m.HelloGet())
    assert abs(again.uptime_ms - 1000 * device.transport.now()) < 50 and again.uptime_ms >= 500


def test_injected_audio_gives_the_pcs_scores_and_detections(device, pipeline):
    clip = demo.DEMO.with_suffix(".wav")
    audio = read_audio(clip, pipeline.sample_rate_hz, resample=True)[: 8 * pipeline.sample_rate_hz]
    thresholds = (120,) * len(pipeline.labels)
    device.request(m.SourceSet(source=m.Source.AUDIO))
    device.request(m.StreamSet(events=m.Stream.SCORES | m.Stream.DETECTIONS))
    assert commands.set_parameter(device, "detection_threshold_list", thresholds) == thresholds
    assert commands.inject_audio(device, audio) == audio.size
    events = collect(device, m.Message)
    expected = Pipeline(MODEL, overrides={"detection_threshold": 120}).process(audio)
    assert len(expected) > 50 and any(e.detection for e in expected)
    scores = [(e.time_ms, tuple(e.values)) for e in events if isinstance(e, m.Scores)]
    assert scores == [(e.time_ms, e.scores) for e in expected]
    heard = [(e.time_ms, e.class_index, e.score, e.label) for e in events if isinstance(e, m.Detection)]
    found = [e.detection for e in expected if e.detection]
    assert heard == [(d.time_ms, d.class_index, d.score, d.label) for d in found]


def test_injected_audio_must_be_complete(device):
    device.request(m.SourceSet(source=m.Source.AUDIO))
    device.request(m.InjectAudio(index=0, samples=(1,) * 100))
    device.request(m.InjectAudio(index=0, samples=(1,) * 100))  # again: taken before
    for index in (101, 50, 1):  # behind a gap, or half of it new
        with pytest.raises(DeviceError, match="missing"):
            device.request(m.InjectAudio(index=index, samples=(1,) * 100))
    device.request(m.InjectAudio(index=100, samples=(1,) * 100))
    device.request(m.SourceSet(source=m.Source.MICROPHONE))
    with pytest.raises(DeviceError, match="not audio"):
        device.request(m.InjectAudio(index=200, samples=(1,)))


def test_columns_and_audio_as_on_the_pc(machine, pipeline):
    audio = bursts(6000, seed=3)
    machine.set_audio(np.concatenate([np.zeros(WAKE_UP, np.int16), audio]), at=0)
    device = Device(SimulatorTransport(machine), session_id=1)
    device.connect()
    device.request(m.StreamSet(events=m.Stream.FEATURES))
    machine.run(WAKE_UP / 8018 + 0.7)
    features = collect(device, m.Features, 0.05)
    spectrogram = pipeline.frontend.spectrogram(audio)
    expected = pipeline.frontend.quantize(spectrogram)
    assert [f.column for f in features] == list(range(len(features))) and len(features) > 20
    for event in features:
        if event.column < len(expected):
            assert list(event.values) == expected[event.column].tolist()


def test_spectrogram_and_audio_streams(device, pipeline):
    audio = bursts(2000, seed=3)
    device.request(m.SourceSet(source=m.Source.AUDIO))
    device.request(m.StreamSet(events=m.Stream.AUDIO | m.Stream.SPECTROGRAM | m.Stream.LEVEL))
    commands.inject_audio(device, audio)
    events = collect(device, m.Message)
    pieces = [e for e in events if isinstance(e, m.Audio)]
    assert [e.index for e in pieces] == np.cumsum([0, *(len(e.samples) for e in pieces[:-1])]).tolist()
    assert np.concatenate([e.samples for e in pieces]).tolist() == audio.tolist()
    columns = [list(e.values) for e in events if isinstance(e, m.Spectrogram)]
    assert columns == pipeline.frontend.spectrogram(audio).tolist()
    since: list[int] = []
    levels = 0
    for event in events:
        if isinstance(event, m.Audio):
            assert len(since) < 800  # a tenth of a second
            since += event.samples
        elif isinstance(event, m.Level):
            squares = sum(v * v for v in since)
            assert (event.peak, event.rms) == (max(map(abs, since)), math.isqrt(squares // len(since)))
            assert len(since) >= 800
            levels, since = levels + 1, []
    assert levels == 2


def test_a_repetition_of_a_request_that_is_executed_once_is_not(device, pipeline):
    """A host sends a request again whose answer it did not get; PROTOCOL.md says what it gets then."""
    model = pipeline.model
    device.request(m.SourceSet(source=m.Source.NONE))
    commands.inject_features(device, np.zeros(model.input.shape, np.int8))
    assert [type(e) for e in answers(device, m.RunNetwork(request=40001))] == [m.Scores]
    assert answers(device, m.RunNetwork(request=40001)) == [m.Ack(request=40001)]
    output = model.plan.number(model.layers[0].output)
    assert answers(device, m.RunLayer(request=40002)) == [m.Ack(request=40002)]
    before = commands.read_tensor(device, output)
    commands.write_tensor(device, output, bytes(len(before)))
    assert answers(device, m.RunLayer(request=40002)) == [m.Ack(request=40002)]
    assert commands.read_tensor(device, output) == bytes(len(before))
    assert len(answers(device, m.ProfileRun(request=40003, count=1, repetitions=1))) == 3
    assert answers(device, m.ProfileRun(request=40003, count=1, repetitions=1)) == [m.Ack(request=40003)]
    for index in (0, 100):  # the second source_set does not begin the audio anew
        assert answers(device, m.SourceSet(request=40004, source=m.Source.AUDIO)) == [m.Ack(request=40004)]
        device.request(m.InjectAudio(index=index, samples=(1,) * 100))


def test_a_shorter_latency_does_not_wait_for_the_end_of_a_long_one(device):
    def set_latency(ms: int) -> None:
        device.request(m.ParameterSet(name="latency_ms", kind=m.ParameterKind.INTEGER, integers=(ms,)))

    set_latency(500_000)
    device.request(m.StreamSet(events=m.Stream.SCORES))
    assert len(collect(device, m.Scores, 2.5)) == 1  # when the first window is full
    set_latency(200)
    assert len(collect(device, m.Scores, 1.0)) in (4, 5)


def test_the_leds_show_what_is_heard(device, machine, pipeline):
    """One LED at a time, each for a while; activity is any score that moves."""
    clip = demo.DEMO.with_suffix(".wav")
    audio = read_audio(clip, pipeline.sample_rate_hz, resample=True)
    threshold = {"detection_threshold": 120}
    heard = next(e for e in Pipeline(MODEL, overrides=threshold).process(audio) if e.detection)
    end = heard.time_ms * pipeline.sample_rate_hz // 1000 + 1
    commands.set_parameter(device, "sensitivity", 0.0)
    commands.set_parameter(device, "detection_threshold_list", (120,) * 4)
    # Scores still move where each part ends.
    for part, use in ((audio[: end - 2000], "activity"), (audio[: end + 900], "detected")):
        device.request(m.SourceSet(source=m.Source.AUDIO))
        commands.inject_audio(device, part)
        machine.run(0.1)
        begun = machine.time_s
        while any(machine.leds.values()):
            assert machine.leds == {"activity": False, "detected": False, "fault": False, use: True}
            machine.run(0.01)
        # Since the last score that moved, or since the word, which was while audio still came.
        assert machine.time_s - begun > (0.3 if use == "activity" else 0.4)
        assert machine.time_s - begun < (0.5 if use == "activity" else 0.75)


def test_statistics_and_log_stream(device, machine):
    device.request(m.StreamSet(events=m.Stream.STATISTICS | m.Stream.LOG, interval_ms=500))
    machine.uart_write(b"stall 1500\n")
    machine.run(4)
    events = collect(device, m.Message, 0.05)
    statistics = [e for e in events if isinstance(e, m.Statistics)]
    assert len(statistics) >= 5
    last = statistics[-1]
    assert last.overruns > 1000 and last.frames_dropped == last.frames_lost == last.frames_corrupt == 0
    assert 0 < last.cpu_load_permille < 500
    assert 50_000 < last.network_cycles <= last.network_cycles_max < 2_000_000
    assert last.accelerator_cycles == 0
    assert 5_000 < last.frontend_cycles <= last.frontend_cycles_max < 50_000
    assert 300 < last.stack_bytes < last.stack_size == 4096
    assert last.frames_sent >= len(events) and last.frames_received >= 2
    assert abs(last.audio_samples - (4 * 8018 - WAKE_UP)) < 4000 and last.uptime_ms > 3500
    assert last.inferences > 5
    logs = [e for e in events if isinstance(e, m.Log)]
    assert any(e.level == m.LogLevel.WARNING and f"{last.overruns} samples" in e.text for e in logs)


def test_scores_say_how_long_their_audio_has_waited(device, machine):
    """At most a period: with more waiting an inference is put off, and counted as late."""
    device.request(m.StreamSet(events=m.Stream.SCORES))
    assert max(e.age_ms for e in collect(device, m.Scores, 2.0)) <= 20
    assert device.request(m.StatisticsGet()).late_inferences == 0
    machine.uart_write(b"stall 450\n")
    ages = [e.age_ms for e in collect(device, m.Scores, 1.0)]
    assert 80 <= max(ages) <= 120 and ages[-1] <= 20
    assert 2 <= device.request(m.StatisticsGet()).late_inferences <= 5


def test_the_means_of_a_second_are_those_of_its_own_audio(device):
    """Also of a second in which the source was set anew, and its counters with it."""
    for interval_ms in (100, 0):  # 0 keeps what was set
        device.request(m.StreamSet(events=m.Stream.STATISTICS, interval_ms=interval_ms))
    means = []
    for _ in range(3):
        device.request(m.SourceSet(source=m.Source.MICROPHONE))
        means += [e.frontend_cycles for e in collect(device, m.Statistics, 1.7)]
    device.request(m.SourceSet(source=m.Source.NONE))
    assert len(means) > 40 and max(means) < 50_000
    assert sum(mean > 5_000 for mean in means) > 20 and all(mean == 0 or mean > 5_000 for mean in means)
    assert collect(device, m.Statistics, 2.5)[-1].frontend_cycles == 0


def test_frames_that_are_damaged_or_missing_are_counted(device, machine):
    machine.uart_write(b"\0\x05\xff\xff\xff\xff\0" + b"\0" + b"\xff" * 2000 + b"\0")
    device._encoder.sequence += 3
    machine.run(0.5)
    counted = device.request(m.StatisticsGet())
    assert (counted.frames_corrupt, counted.frames_lost) == (2, 3)


def test_lines_are_framed_only_for_who_asks_for_the_log(device, machine):
    for events, framed in ((m.Stream.SCORES, 0), (m.Stream.LOG, 1), (0, 0)):
        device.request(m.StreamSet(events=events))
        machine.uart_write(b"help\n")
        logs = [log for log in collect(device, m.Log, 0.1) if log.text.startswith("Commands: help")]
        assert len(logs) == framed


def test_profile(device, pipeline):
    profile = commands.profile(device, repetitions=2)
    assert [r.index for r in profile.layers] == list(range(len(pipeline.model.layers)))
    total = sum(r.cpu_cycles for r in profile.layers)
    assert 0.95 * profile.end.network_cycles < total < 1.1 * profile.end.network_cycles
    assert 1000 < profile.end.frontend_cycles <= profile.end.frontend_cycles_max
    assert profile.end.detector_cycles > 100 and profile.end.frontend_step_ms == 20
    assert profile.end.records == len(profile.layers) and profile.end.text == ""
    assert all((r.repetitions, r.disturbances) == (2, 0) for r in profile.layers)
    part = commands.profile(device, first=1, count=2, repetitions=1)
    assert [r.index for r in part.layers] == [1, 2]
    layers = len(pipeline.model.layers)
    for options, indices in (({"first": layers - 1}, [layers - 1]), ({"count": layers}, range(layers))):
        part = commands.profile(device, repetitions=1, **options)
        assert [r.index for r in part.layers] == list(indices)
    for wrong in (
        {"first": layers}, {"first": layers, "count": 1}, {"first": layers + 1},
        {"first": 1, "count": layers}, {"count": layers + 1}, {"repetitions": 0},
        {"repetitions": 1001},  # the board would be deaf for as long as those take
    ):  # fmt: skip
        with pytest.raises(DeviceError, match="first, count or repetitions"):
            commands.profile(device, **wrong)


def test_injected_audio_begins_anew_after_a_profile(device):
    """As PROTOCOL.md says."""
    device.request(m.SourceSet(source=m.Source.AUDIO))
    device.request(m.InjectAudio(index=0, samples=(1,) * 100))
    list(device.converse(m.ProfileRun(count=1, repetitions=1), m.ProfileEnd, timeout_s=1.0))
    with pytest.raises(DeviceError, match="samples are missing"):
        device.request(m.InjectAudio(index=100, samples=(1,) * 100))
    device.request(m.InjectAudio(index=0, samples=(1,) * 100))


def test_a_refusal_that_was_lost_is_told_again_with_its_reason(device):
    refused = m.SourceSet(request=4242, source=len(m.Source))
    for _ in range(2):
        (answer,) = answers(device, refused)
        assert (answer.code, answer.text) == (m.Result.BAD_VALUE, "there is no such source")


def test_fault_is_told_after_the_restart(device, machine):
    assert device.request(m.FaultGet()).kind == m.FaultKind.NONE
    machine.uart_write(b"peek 0x30000000\n")
    peeked_s = machine.time_s
    machine.run(1)
    fault = next(e for e in collect(device, m.Fault, 0.05) if e.request == 0)
    assert (fault.kind, fault.bfar) == (m.FaultKind.BUS, 0x30000000)
    assert machine.image.function_at(fault.pc) in (
        "peek",
        "execute",
        "receive_line",
        "receive_byte",
        "serve_serial",
        "application_turn",
    )
    assert (fault.cfsr, fault.hfsr, fault.detail) == (0x8200, 0, 5)  # precise, with its address; BusFault
    assert abs(fault.uptime_ms - 1000 * peeked_s) < 50
    assert fault.xpsr & 1 << 24 and machine.symbol("stack_bottom") < fault.sp < machine.symbol("stack_top")
    assert device.request(m.FaultGet()).kind == m.FaultKind.BUS  # until it is cleared
    assert device.request(m.FaultGet(clear=True)).kind == m.FaultKind.BUS
    assert device.request(m.FaultGet()).kind == m.FaultKind.NONE


def test_unknown_and_short_requests(device):
    class Unknown(m.HelloGet):
        TYPE = 0xEE

    class Short(m.HelloGet):
        TYPE = m.StreamSet.TYPE

    for request, code in ((Unknown(), m.Result.UNKNOWN_REQUEST), (Short(), m.Result.BAD_PAYLOAD)):
        with pytest.raises(DeviceError) as error:
            device.request(request)
        assert error.value.code == code


def test_a_device_that_sends_more_than_the_line_carries_still_answers(device):
    """So that a host finds a board that another one left like that."""
    every = m.Stream.AUDIO | m.Stream.SPECTROGRAM | m.Stream.FEATURES | m.Stream.SCORES | m.Stream.LEVEL
    device.request(m.SourceSet(source=m.Source.MICROPHONE))
    device.request(m.StreamSet(events=every | m.Stream.STATISTICS, interval_ms=1))
    for _ in device.events(timeout_s=1.0):
        if device.transport.now() > 4:
            break
    dropped = device.request(m.StatisticsGet(), timeout_s=1.0, retries=0).frames_dropped
    assert dropped > 20
    for _ in range(5):
        assert device.request(m.HelloGet(), timeout_s=1.0, retries=0).board == "brd2601b"
        assert commands.parameters(device)["latency_ms"] >= 0


def test_columns_that_no_message_holds_are_not_sent(tmp_path):
    """More channels than a message has room for: the device goes on listening, without them."""
    channels, frames = 600, 2
    n = NetworkBuilder()
    x = n.tensor((1, frames * channels), scale=1.0)
    y = n.tensor((1, 2), scale=8.0)
    weights = n.tensor((2, frames * channels), scale=0.01, data=np.ones((2, frames * channels)))
    n.operator("FULLY_CONNECTED", [x, weights], [y], "FullyConnectedOptions")
    parameters = {
        "classes": ["on", "off"], "fe.sample_rate_hz": 8000, "fe.sample_length_ms": 50,
        "fe.window_size_ms": 30, "fe.window_step_ms": 20, "fe.filterbank_n_channels": channels,
        "fe.filterbank_upper_band_limit": 3900.0,
    }  # fmt: skip
    model = tmp_path / "wide.tflite"
    model.write_bytes(write_parameters(n.build([x], [y]), parameters))
    made = image.build(str(model), board.load("brd2601b"), tmp_path / "image")
    with Device(SimulatorTransport(Machine(made.elf)), session_id=1) as device:
        device.connect()
        device.request(m.StreamSet(events=m.Stream.SCORES | m.Stream.FEATURES | m.Stream.SPECTROGRAM))
        device.request(m.SourceSet(source=m.Source.AUDIO))
        commands.inject_audio(device, bursts(2000, seed=3))
        found = collect(device, m.Message, 1.0)
    assert any(isinstance(event, m.Scores) for event in found)
    assert not any(isinstance(event, m.Features | m.Spectrogram) for event in found)


def test_the_slowest_serial_line_that_a_board_may_have_is_fast_enough(tmp_path):
    shutil.copytree(board.folder("brd2601b"), tmp_path / "slow")
    description = tmp_path / "slow" / "board.toml"
    description.write_text(description.read_text().replace("baud = 115200", f"baud = {board._LEAST_BAUD}"))
    slow = str(tmp_path / "slow")
    made = image.build(MODEL, board.load(slow), tmp_path / "image")
    with Device(SimulatorTransport(Machine(made.elf, board=slow)), session_id=1) as device:
        device.connect()
        device.request(m.SourceSet(source=m.Source.AUDIO))
        assert commands.inject_audio(device, bursts(2_000, seed=3)) == 2_000
        assert device.counters.lost == 0
