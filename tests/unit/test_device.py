"""Requests, answers, events and losses, against a device that is the firmware's own C link."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from host.device import commands
from host.device import messages as m
from host.device.device import AnswerLost, Device, DeviceError, DeviceRestarted, DeviceTimeout, Gap, Restarted
from host.device.framing import Damaged, Encoder, TextLine
from host.device.simulator import SimulatorTransport
from host.device.transport import TransportClosed
from host.errors import TokayError
from tests.unit.fake_device import HELLO, Dead, FakeMachine, Lossy, connected


def test_connect_and_requests() -> None:
    device = connected(FakeMachine())
    assert device.hello is not None and device.hello.board == "brd2601b"
    assert device.request(m.StreamSet(events=m.Stream.SCORES | m.Stream.LEVEL)) == m.Ack(request=2)
    start = list(device.events(0.01))
    assert start[:2] == [TextLine("Tokay"), HELLO]
    with pytest.raises(DeviceError, match="refused fault_get: unknown request: because") as error:
        device.request(m.FaultGet())
    assert error.value.code == m.Result.UNKNOWN_REQUEST


def test_a_refusal_for_a_reason_that_this_host_does_not_know() -> None:
    """As later firmware may have one."""
    machine = FakeMachine()
    device = connected(machine)
    machine.do_fault_get = lambda request, number: machine.send(m.Ack(number, 99))  # type: ignore[method-assign]
    with pytest.raises(DeviceError, match=r"refused fault_get: code 99$") as error:
        device.request(m.FaultGet())
    assert error.value.code == 99


def test_a_device_that_is_still_starting_is_asked_again() -> None:
    machine = FakeMachine(to_device=lambda data: data if machine.time_s > 1.2 else b"")
    transport = SimulatorTransport(machine)
    with Device(transport) as device:
        device.connect()
        assert machine.time_s < 1.2 + 0.6
    with pytest.raises(TransportClosed):
        transport.now()


def test_parameters() -> None:
    machine = FakeMachine()
    device = connected(machine)
    values = commands.parameters(device)
    assert values == machine.parameters
    assert [type(value) for value in values.values()] == [tuple, int, float, bool, str]
    for name, value in {
        "suppression_ms": -7, "volume_gain": 0.25, "verbose_model_output_logs": True,
        "detection_threshold_list": (1, 2, 3), "name": "grün",
    }.items():  # fmt: skip
        assert commands.set_parameter(device, name, value) == value == machine.parameters[name]
        assert type(machine.parameters[name]) is type(value)  # it came as what it is
    with pytest.raises(DeviceError, match="not found"):
        commands.set_parameter(device, "nonsense", 1)
    with pytest.raises(TokayError, match="does not fit"):
        commands.set_parameter(device, "name", "x" * 121)
    with pytest.raises(TokayError, match="does not fit"):
        commands.set_parameter(device, "suppression_ms", 2**31)


def test_a_parameter_without_a_value_is_refused() -> None:
    machine = FakeMachine()
    device = connected(machine)
    empty = m.Parameter(count=1, name="suppression_ms", kind=m.ParameterKind.INTEGER)
    machine.do_parameter_get = (  # type: ignore[method-assign]
        lambda request, number: machine.send(replace(empty, request=number))
    )
    with pytest.raises(TokayError, match="sent a parameter without a value"):
        commands.parameters(device)


def test_tensors_and_inference() -> None:
    machine = FakeMachine()
    device = connected(machine)
    assert commands.read_tensor(device, 0) == bytes(range(256)) * 4
    commands.write_tensor(device, 0, bytes(range(250, 0, -1)) * 4)
    assert commands.read_tensor(device, 0) == bytes(range(250, 0, -1)) * 4 + bytes(range(232, 256))
    commands.write_tensor(device, 1, b"other")
    assert commands.read_tensor(device, 1) == b"other"
    features = np.random.default_rng(1).integers(-128, 128, (32, 32), dtype=np.int8)
    commands.inject_features(device, features)
    assert bytes(machine.tensors[0]) == features.tobytes()
    assert commands.run_network(device).tolist() == [-128, 0, 127]
    device.request(m.RunLayer(layer=2))
    with pytest.raises(DeviceError, match="not found"):
        device.request(m.RunLayer(layer=3))
    with pytest.raises(DeviceError, match="not found"):
        commands.read_tensor(device, 9)


def test_a_tensor_of_nothing_is_read_and_another_piece_than_asked_for_is_not_taken() -> None:
    machine = FakeMachine()
    device = connected(machine)
    machine.tensors[2] = bytearray()
    assert commands.read_tensor(device, 2) == b""

    for changes in ({"offset": 1}, {"tensor": 1}, {"data": b""}):
        answer = replace(m.TensorData(0, 0, 0, 1024, b"x"), **changes)

        def read(request: m.TensorRead, number: int, answer: m.TensorData = answer) -> None:
            machine.send(replace(answer, request=number))

        machine.do_tensor_read = read  # type: ignore[method-assign]
        with pytest.raises(TokayError, match="sent another piece of tensor 0 than asked for"):
            commands.read_tensor(device, 0)


@pytest.mark.parametrize(
    "audio", [np.linspace(-1, 1, 500), np.full(500, 40000), np.zeros((250, 2), np.int16)]
)
def test_audio_and_features_of_another_type_are_refused(audio: np.ndarray) -> None:
    """Converted, floats of full scale would be silence, and too large values others."""
    machine = FakeMachine()
    device = connected(machine)
    with pytest.raises(TokayError, match="audio must be one channel of int16, not"):
        commands.inject_audio(device, audio)
    with pytest.raises(TokayError, match="features must be int8, not"):
        commands.inject_features(device, audio)
    assert not machine.audio and "inject_features" not in machine.done


def test_audio_waits_while_the_device_is_busy() -> None:
    machine = FakeMachine()
    device = connected(machine)
    samples = np.random.default_rng(2).integers(-32768, 32768, 5000, dtype=np.int16)
    middle = commands.inject_audio(device, samples[:2000], last=False)
    assert commands.inject_audio(device, samples[2000:], start=middle) == 5000
    assert machine.audio == samples.tolist()
    assert machine.done.count("inject_audio") > -(-5000 // 224)


def test_audio_that_is_lost_costs_no_more_than_its_repetition() -> None:
    to_device = Lossy(0.1, 4)
    machine = FakeMachine(to_device=to_device)
    device = Device(SimulatorTransport(machine))
    device.connect(timeout_s=20)
    samples = np.random.default_rng(2).integers(-32768, 32768, 20_000, dtype=np.int16)
    start = device.transport.now()
    commands.inject_audio(device, samples)
    assert machine.audio == samples.tolist()
    assert to_device.lost > 20 and device.transport.now() - start < to_device.lost


@pytest.mark.parametrize("size", [0, 1, 224, 225, 448])
@pytest.mark.parametrize("last", [False, True])
def test_the_last_piece_of_audio_alone_is_marked_as_such(size: int, last: bool) -> None:
    machine, pieces = FakeMachine(), []
    machine.do_inject_audio = lambda request, number: pieces.append(request) or m.Result.OK
    samples = np.arange(size, dtype=np.int16)
    start = 2**32 - 224  # an index is 32 bits on the line
    assert commands.inject_audio(connected(machine), samples, start=start, last=last) == start + size
    assert [value for piece in pieces for value in piece.samples] == samples.tolist()
    assert [piece.last for piece in pieces] == [False] * (len(pieces) - 1) + [last]
    assert [piece.index for piece in pieces] == [start, 0][: max(1, -(-size // 224))]


def test_a_busy_device_is_not_asked_all_the_time() -> None:
    machine = FakeMachine()
    device = connected(machine)
    free_s = machine.time_s + 0.4

    def inject(request: m.InjectAudio, number: int) -> int:
        return m.Result.BUSY if machine.time_s < free_s else m.Result.OK

    machine.do_inject_audio = inject  # type: ignore[method-assign]
    commands.inject_audio(device, np.zeros(1, np.int16))
    assert 10 < machine.done.count("inject_audio") <= 22  # every 20 ms
    assert machine.time_s < free_s + 0.05


def test_request_numbers_begin_anew_after_the_last() -> None:
    """0 is no request's: it marks events."""
    device = connected(FakeMachine())
    device._number = 0xFFFE
    assert [device.request(m.HelloGet()).request for _ in range(3)] == [0xFFFF, 1, 2]


def test_a_device_that_takes_no_more_audio_is_given_up_after_ten_seconds() -> None:
    to_device = Lossy()
    device = connected(FakeMachine(to_device=to_device))
    to_device.share, start = 1.0, device.transport.now()
    with pytest.raises(DeviceTimeout, match="did not answer inject_audio"):
        commands.inject_audio(device, np.zeros(5000, np.int16))
    assert 9 < device.transport.now() - start < 11


def test_profile() -> None:
    device = connected(FakeMachine())
    start = device.transport.now()
    profile = commands.profile(device, repetitions=7)
    assert device.transport.now() - start < 1  # nothing is waited for after the end
    assert [layer.index for layer in profile.layers] == [0, 1, 2]
    assert [layer.cpu_cycles for layer in profile.layers] == [1000, 1001, 1002]
    assert profile.begin.repetitions == 7 and profile.end.network_cycles == 3000
    part = commands.profile(device, first=1, count=1)
    assert [layer.index for layer in part.layers] == [1]


def test_a_profile_that_failed_on_the_device_says_why() -> None:
    machine = FakeMachine()

    def profile_run(request: m.ProfileRun, number: int) -> None:
        machine.send(m.ProfileBegin(number, 0, 1, 1))
        machine.send(m.ProfileLayer(number, 0))
        machine.send(m.ProfileEnd(request=number, code=m.Result.FAILED, text="the accelerator stopped"))

    machine.do_profile_run = profile_run  # type: ignore[method-assign]
    with pytest.raises(TokayError, match="profile failed: the accelerator stopped"):
        commands.profile(connected(machine))


def test_a_profile_without_one_of_its_layers_is_taken_again() -> None:
    machine, lost = FakeMachine(), [True, True]
    device, send = connected(machine), machine.send

    def lossy(message, delay: float = 0.0) -> None:
        if isinstance(message, m.ProfileLayer) and message.index == 1 and lost:
            lost.pop()
        else:
            send(message, delay)

    machine.send = lossy  # type: ignore[method-assign]
    assert [layer.index for layer in commands.profile(device).layers] == [0, 1, 2]
    assert machine.done.count("profile_run") == 3


def test_a_profile_that_never_begins_is_not_told_as_one_that_was_broken_off() -> None:
    machine = FakeMachine()
    device = connected(machine)
    machine.to_device = lambda data: b""
    start = device.transport.now()
    with pytest.raises(DeviceTimeout, match="did not answer profile_run"):
        commands.profile(device)
    assert device.transport.now() - start == pytest.approx(8.0, abs=0.1)  # four times 2 s


def test_a_profile_may_take_long_where_layers_are_run_often() -> None:
    """A device says nothing while it repeats a layer or the whole network."""

    class Slow(FakeMachine):
        def send(self, message, delay: float = 0.0) -> None:
            super().send(message, 100 * delay)

    device = connected(Slow())
    assert commands.profile(device, repetitions=100).end.records == 3
    with pytest.raises(DeviceTimeout, match="parts of the profile were lost"):
        commands.profile(device, repetitions=1)


def test_a_profile_that_was_asked_for_twice_on_a_slow_line_is_taken() -> None:
    """The second request is acknowledged while the first one's records come."""

    class SlowLine(FakeMachine):
        ends_s = math.inf

        def send(self, message, delay: float = 0.0) -> None:
            super().send(message, 2.3)

        def run(self, seconds: float) -> None:
            super().run(seconds)
            if self.time_s > self.ends_s:
                self.ends_s = math.inf
                self.send(m.ProfileEnd(request=self.asked, records=1))

        def do_profile_run(self, request: m.ProfileRun, number: int) -> None:
            self.send(m.ProfileBegin(number, 0, 1, request.repetitions))
            self.send(m.ProfileLayer(number, 0))
            self.asked, self.ends_s = number, self.time_s + 3

    machine = SlowLine()
    device = Device(SimulatorTransport(machine))
    device.connect(timeout_s=10)
    assert [layer.index for layer in commands.profile(device).layers] == [0]
    assert machine.done.count("profile_run") == 1


def test_a_device_that_falls_silent_in_a_profile_is_given_up_soon() -> None:
    machine = FakeMachine()
    device, run = connected(machine), machine.do_profile_run

    def profile_run(request: m.ProfileRun, number: int) -> None:
        run(request, number)
        machine.late.clear()
        machine.to_device = lambda data: b""

    machine.do_profile_run = profile_run  # type: ignore[method-assign]
    start = device.transport.now()
    with pytest.raises(DeviceTimeout, match="fell silent in the middle of the profile"):
        commands.profile(device, repetitions=3, timeout_s=5.0)
    assert device.transport.now() - start < 12


def test_everything_works_on_a_line_that_loses_a_fifth() -> None:
    to_host, to_device = Lossy(0.2, 1), Lossy(0.2, 2)
    machine = FakeMachine(to_host, to_device)
    device = Device(SimulatorTransport(machine))
    device.connect(timeout_s=20)
    for number in range(60):
        assert device.request(m.RunLayer(layer=1), retries=20) == m.Ack(request=device._number)
        assert device.request(m.ParameterGet(index=number % 5), retries=20).name  # type: ignore[attr-defined]
    profile = None
    while profile is None:
        try:
            profile = commands.profile(device)
        except DeviceTimeout:
            continue
    assert [layer.cpu_cycles for layer in profile.layers] == [1000, 1001, 1002]
    # Requests that must not be repeated were executed once each, however often they were sent.
    assert machine.done.count("run_layer") == 60
    device.request(m.HelloGet(), retries=20)
    assert device.counters.lost <= to_host.lost and device.counters.lost > 10


def test_a_lost_answer_with_a_result_is_said_so() -> None:
    to_host = Lossy()
    machine = FakeMachine(to_host)
    device = connected(machine)
    to_host.lose_next = 1
    with pytest.raises(AnswerLost, match="did run_network, but its answer was lost"):
        device.request(m.RunNetwork())
    assert machine.done.count("run_network") == 1
    assert commands.run_network(device).tolist() == [-128, 0, 127]


def test_answers_to_the_host_before_are_not_taken() -> None:
    """A profile was interrupted: its records carry numbers that the next host uses for other requests."""
    machine = FakeMachine()
    for number in (1, 2, 3):
        machine.send(m.ProfileLayer(request=number, index=0))
        machine.send(m.ProfileEnd(request=number))
    device = connected(machine)
    assert device.hello.model == "on_off" and len(commands.parameters(device)) == len(machine.parameters)


def test_lost_events_are_counted() -> None:
    to_host = Lossy()
    machine = FakeMachine(to_host)
    device = connected(machine)
    list(device.events(0.01))
    to_host.lose_next = 3
    for k in range(5):
        machine.send(m.Detection(time_ms=k, label="on"))
    assert list(device.events(0.01)) == [Gap(3), *(m.Detection(time_ms=k, label="on") for k in (3, 4))]
    assert device.counters.lost == 3


def test_a_host_that_was_stopped_takes_what_is_waiting() -> None:
    class Stopping(SimulatorTransport):
        stopped_s = 0.0

        def now(self) -> float:
            return super().now() + self.stopped_s

        def read(self, timeout_s: float) -> bytes:
            if self.stopped_s:
                return super().read(timeout_s)
            self.stopped_s = 100.0  # and then sees first that its time is over
            return b""

    machine = FakeMachine()
    device = Device(Stopping(machine))
    machine.send(m.Detection(label="on"))
    assert m.Detection(label="on") in list(device.events(5.0))


def test_restart_during_a_request_and_by_request() -> None:
    machine = FakeMachine()
    device = connected(machine)
    list(device.events(0.01))
    machine.do_hello_get = lambda request, number: machine.start()  # type: ignore[method-assign]
    with pytest.raises(DeviceRestarted, match="started again"):
        device.request(m.HelloGet())
    del machine.do_hello_get  # type: ignore[method-assign]
    assert device.connect() == device.hello
    assert [e for e in device.events(0.01) if isinstance(e, Restarted)] == [Restarted(1002)]
    assert device.reset() == device.hello
    assert [e for e in device.events(0.01) if isinstance(e, Restarted)] == [Restarted(1003)]
    machine.do_reset = lambda request, number: m.Result.OK  # type: ignore[method-assign]
    with pytest.raises(DeviceTimeout, match="goes on as before"):
        device.reset()


def test_a_restart_while_connecting_and_instead_of_an_acknowledgement() -> None:
    """Either is what was waited for: the device is there, and has begun anew."""
    machine, kinds = FakeMachine(), []
    device = connected(machine)

    def hello_get(request: m.HelloGet, number: int) -> None:
        del machine.do_hello_get  # type: ignore[method-assign]
        machine.start()

    def reset(request: m.Reset, number: int) -> None:
        kinds.append(request.kind)
        machine.start()

    machine.do_hello_get = hello_get  # type: ignore[method-assign]
    assert device.connect() == device.hello and machine.boots == 2
    machine.do_reset = reset  # type: ignore[method-assign]
    for kind in m.ResetKind:
        assert device.reset(kind) == device.hello
    assert kinds == list(m.ResetKind) and machine.boots == 2 + len(kinds)


def test_a_reset_that_takes_its_time() -> None:
    """The device answers as before for a second after it acknowledged the reset."""
    machine, due = FakeMachine(), []
    device, run = connected(machine), machine.run

    def later(seconds: float) -> None:
        run(seconds)
        if due and machine.time_s >= due[0]:
            due.clear()
            machine.start()

    def reset(request: m.Reset, number: int) -> int:
        due.append(machine.time_s + 1.0)
        return m.Result.OK

    machine.run, machine.do_reset = later, reset  # type: ignore[method-assign]
    assert device.reset() == device.hello
    assert machine.boots == 2 and machine.time_s > 1.0


def test_unknown_and_unreadable_frames_do_not_stop_anything() -> None:
    machine = FakeMachine()
    device = connected(machine)
    list(device.events(0.01))
    machine.out += machine.link.encode(0x3F, b"of the future") + machine.link.encode(m.Scores.TYPE, b"\1")
    events = list(device.events(0.01))
    assert [event.type for event in events] == [0x3F, m.Scores.TYPE]  # type: ignore[union-attr]
    device.request(m.HelloGet())


@pytest.mark.parametrize(
    ("says", "error"),
    [
        (b"", "simulator is silent"),
        (b"\x91\x93\0\xff\xfe" * 9, "sends 45 bytes that are neither frames nor text"),
        (b"other firmware\r\n", r"sends, but does not answer \(does it run Tokay"),
        (Encoder(1).encode(0x45, b""), r"sends, but does not answer \(it may be at a profile"),
        (Encoder(1).encode(0x41, b"", version=5), "speaks version 5 of the protocol, this tool version 1"),
    ],
)
def test_connect_says_what_is_wrong(says: bytes, error: str) -> None:
    device = Device(SimulatorTransport(Dead(says)))
    with pytest.raises(TokayError, match=error) as caught:
        device.connect()
    assert caught.value.hint and device.transport.now() == pytest.approx(3.0, abs=0.6)


def test_connect_says_that_a_port_echoes() -> None:
    class Echo(Dead):
        def uart_write(self, data: bytes) -> int:
            self.says += data
            return len(data)

    with pytest.raises(TokayError, match="only sends back what it is sent"):
        Device(SimulatorTransport(Echo(b"boot\r\n"))).connect()


def test_no_answer_is_tried_again_and_then_reported() -> None:
    machine = FakeMachine()
    device = connected(machine)
    machine.to_device = lambda data: b""
    for timeout_s, retries, waited_s in ((0.5, 3, 2.0), (3.0, 0, 3.0), (0.1, 1, 0.2)):
        start = device.transport.now()
        with pytest.raises(DeviceTimeout, match="did not answer hello_get"):
            device.request(m.HelloGet(), timeout_s=timeout_s, retries=retries)
        assert device.transport.now() - start == pytest.approx(waited_s, abs=0.05)


def test_an_answer_that_comes_after_it_was_given_up_is_no_event() -> None:
    machine = FakeMachine()
    device = connected(machine)
    list(device.events(0.01))
    machine.do_run_layer = lambda request, number: machine.send(m.Ack(number), 1.0)  # type: ignore[method-assign]
    with pytest.raises(DeviceTimeout):
        device.request(m.RunLayer(layer=1), retries=0)
    machine.send(m.Detection(label="on"), 1.0)
    assert list(device.events(2.0)) == [m.Detection(label="on")]
    machine.send(m.Detection(label="off"), 100.0)
    assert next(device.events()) == m.Detection(label="off")  # which waits as long as it takes


def test_damage_is_an_event() -> None:
    machine = FakeMachine()
    device = connected(machine)
    list(device.events(0.01))
    machine.out += b"\0\x91\x92\0"
    (event,) = device.events(0.01)
    assert isinstance(event, Damaged) and device.counters.corrupt == 1
