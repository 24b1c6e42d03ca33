"""The host's side of the link against a device that is the firmware's own C link and a few answers."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from host.cli import run
from host.device import commands
from host.device import messages as m
from host.device.__main__ import main as device_command
from host.device.codec import Message
from host.device.device import AnswerLost, Device, DeviceError, DeviceRestarted, DeviceTimeout, Gap, Restarted
from host.device.framing import Damaged, Encoder, Frame, TextLine
from host.device.native import NativeLink
from host.device.pty import PtyBridge
from host.device.recording import Recorder, Replay, describe, load
from host.device.serial_port import Board, SerialTransport, choose_port, find_boards
from host.device.simulator import SimulatorTransport
from host.device.transport import SocketTransport, TransportClosed
from host.errors import TokayError

HELLO = m.Hello(
    protocol=m.VERSION, part="EFR32MG24B310F1536IM48", board="brd2601b", firmware="0.1", model="on_off",
    model_hash=bytes(range(16)), flash_bytes=1536 << 10, ram_bytes=256 << 10, image_bytes=60_000,
    arena_bytes=20_000, accelerator=m.Accelerator.MVP, core_clock_hz=78_000_000, sample_rate_hz=16_000,
    layer_count=3, class_count=3, uptime_ms=5,
)  # fmt: skip
Filter = Callable[[bytes], bytes]


class FakeMachine:
    """What a simulated chip looks like from outside: time that is run, and a UART."""

    def __init__(self, to_host: Filter = bytes, to_device: Filter = bytes) -> None:
        self.to_host, self.to_device = to_host, to_device
        self.time_s = 0.0
        self.boots = 0
        self.out = bytearray()
        self.late: list[tuple[float, bytes]] = []  # what goes out later
        self.done: list[str] = []  # requests executed
        self.parameters: dict[str, commands.Value] = {
            "detection_threshold_list": (200, 180), "suppression_ms": 500, "volume_gain": 1.5,
            "verbose_model_output_logs": False, "name": "on_off",
        }  # fmt: skip
        self.tensors = {0: bytearray(range(256)) * 4, 1: bytearray(5)}
        self.audio: list[int] = []
        self.start()

    def start(self) -> None:
        self.boots += 1
        self.link = NativeLink(1000 + self.boots)
        self.stream = m.Stream(0)
        self.out += b"Tokay\r\n"
        self.send(HELLO)

    # What the transport uses.
    def run(self, seconds: float) -> None:
        self.time_s += seconds

    def uart_read(self) -> bytes:
        for at, data in [item for item in self.late if item[0] <= self.time_s]:
            self.late.remove((at, data))
            self.out += data
        data = self.to_host(bytes(self.out))
        self.out.clear()
        return data

    def uart_write(self, data: bytes) -> int:
        taken = min(len(data), 100)  # the chip's queue is not endless
        self._take(data[:taken])
        return taken

    def _take(self, data: bytes) -> None:
        for event in self.link.feed(self.to_device(data)):
            if isinstance(event, Frame):
                self.handle(m.decode(event.type, event.payload), event.type)

    # The firmware.
    def send(self, message: Message, delay: float = 0.0) -> None:
        data = self.link.encode(message.TYPE, message.encode())
        if delay:
            self.late.append((self.time_s + delay, data))
        else:
            self.out += data

    def handle(self, request: Any, number_of_type: int) -> None:
        if request is None:
            return
        number = request.request
        code = self.link.repeated(number) if not request.REPEATABLE else None
        if code is not None:
            self.send(m.Ack(request=number, code=code))
            return
        self.done.append(request.NAME)
        before = len(self.out)
        code = getattr(self, f"do_{request.NAME}", self.unknown)(request, number)
        if code is not None:
            self.send(m.Ack(request=number, code=code, text="" if code == 0 else "because"))
        if not request.REPEATABLE and code != m.Result.BUSY:
            self.link.done(number, 0 if code is None else code)
        assert len(self.out) > before or self.late

    def unknown(self, request: Message, number: int) -> int:
        return m.Result.UNKNOWN_REQUEST

    def do_hello_get(self, request: m.HelloGet, number: int) -> None:
        self.send(replace(HELLO, request=number, uptime_ms=int(self.time_s * 1000)))

    def do_stream_set(self, request: m.StreamSet, number: int) -> int:
        self.stream = m.Stream(request.events)
        return m.Result.OK

    def do_parameter_get(self, request: m.ParameterGet, number: int) -> int | None:
        names = list(self.parameters)
        if request.name not in self.parameters and (request.name or request.index >= len(names)):
            return m.Result.NOT_FOUND
        name = request.name or names[request.index]
        value = commands.parameter_message(name, self.parameters[name])
        self.send(
            m.Parameter(
                request=number, index=names.index(name), count=len(names), name=name, kind=value.kind,
                integers=value.integers, real=value.real, text=value.text, writable=True,
            )
        )  # fmt: skip
        return None

    def do_parameter_set(self, request: m.ParameterSet, number: int) -> int | None:
        if request.name not in self.parameters:
            return m.Result.NOT_FOUND
        self.parameters[request.name] = commands.parameter_value(request)
        return self.do_parameter_get(m.ParameterGet(name=request.name), number)

    def do_tensor_read(self, request: m.TensorRead, number: int) -> int | None:
        tensor = self.tensors.get(request.tensor)
        if tensor is None:
            return m.Result.NOT_FOUND
        data = bytes(tensor[request.offset : request.offset + request.count])
        answer = m.TensorData(number, request.tensor, request.offset, len(tensor), data)
        self.send(answer)
        return None

    def do_tensor_write(self, request: m.TensorWrite, number: int) -> int:
        self.tensors[request.tensor][request.offset : request.offset + len(request.data)] = request.data
        return m.Result.OK

    def do_inject_features(self, request: m.InjectFeatures, number: int) -> int:
        data = np.array(request.values, np.int8).tobytes()
        self.tensors[0][request.offset : request.offset + len(data)] = data
        return m.Result.OK

    def do_run_network(self, request: m.RunNetwork, number: int) -> None:
        self.send(m.Scores(request=number, values=bytes([0, 128, 255])))

    def do_run_layer(self, request: m.RunLayer, number: int) -> int:
        return m.Result.OK if request.layer < HELLO.layer_count else m.Result.NOT_FOUND

    def do_inject_audio(self, request: m.InjectAudio, number: int) -> int:
        if self.done.count("inject_audio") % 3 == 2:
            return m.Result.BUSY
        if request.index < len(self.audio):
            return m.Result.OK
        assert request.index == len(self.audio)
        self.audio += request.samples
        return m.Result.OK

    def do_profile_run(self, request: m.ProfileRun, number: int) -> None:
        count = request.count or HELLO.layer_count - request.first
        self.send(m.ProfileBegin(number, request.first, count, request.repetitions, 78_000_000, 1))
        for k in range(count):
            layer = m.ProfileLayer(number, request.first + k, 3, 1, request.repetitions, cpu_cycles=1000 + k)
            self.send(layer, 0.01 * (k + 1))
        self.send(m.ProfileEnd(request=number, network_cycles=3000, records=count), 0.2)

    def do_reset(self, request: m.Reset, number: int) -> None:
        self.send(m.Ack(request=number))
        self.start()


def connected(machine: FakeMachine) -> Device:
    device = Device(SimulatorTransport(machine))
    device.connect()
    return device


def test_connect_and_requests() -> None:
    device = connected(FakeMachine())
    assert device.hello is not None and device.hello.board == "brd2601b"
    assert device.request(m.StreamSet(events=m.Stream.SCORES | m.Stream.LEVEL)) == m.Ack(request=2)
    start = list(device.events(0.01))
    assert start[:2] == [TextLine("Tokay"), HELLO]
    with pytest.raises(DeviceError, match="refused fault_get: unknown request: because") as error:
        device.request(m.FaultGet())
    assert error.value.code == m.Result.UNKNOWN_REQUEST


def test_parameters() -> None:
    machine = FakeMachine()
    device = connected(machine)
    assert commands.parameters(device) == machine.parameters
    for name, value in {
        "suppression_ms": -7, "volume_gain": 0.25, "verbose_model_output_logs": True,
        "detection_threshold_list": (1, 2, 3), "name": "grün",
    }.items():  # fmt: skip
        assert commands.set_parameter(device, name, value) == value == machine.parameters[name]
    with pytest.raises(DeviceError, match="not found"):
        commands.set_parameter(device, "nonsense", 1)
    with pytest.raises(TokayError, match="does not fit"):
        commands.set_parameter(device, "name", "x" * 121)
    with pytest.raises(TokayError, match="does not fit"):
        commands.set_parameter(device, "suppression_ms", 2**31)


def test_tensors_and_inference() -> None:
    machine = FakeMachine()
    device = connected(machine)
    assert commands.read_tensor(device, 0) == bytes(range(256)) * 4
    commands.write_tensor(device, 0, bytes(1000))
    assert commands.read_tensor(device, 0) == bytes(1000) + bytes(range(232, 256))
    features = np.random.default_rng(1).integers(-128, 128, (32, 32), dtype=np.int8)
    commands.inject_features(device, features)
    assert bytes(machine.tensors[0]) == features.tobytes()
    assert commands.run_network(device).tolist() == [-128, 0, 127]
    device.request(m.RunLayer(layer=2))
    with pytest.raises(DeviceError, match="not found"):
        device.request(m.RunLayer(layer=3))
    with pytest.raises(DeviceError, match="not found"):
        commands.read_tensor(device, 9)


def test_audio_waits_while_the_device_is_busy() -> None:
    machine = FakeMachine()
    device = connected(machine)
    samples = np.random.default_rng(2).integers(-32768, 32768, 5000, dtype=np.int16)
    middle = commands.inject_audio(device, samples[:2000], last=False)
    assert commands.inject_audio(device, samples[2000:], start=middle) == 5000
    assert machine.audio == samples.tolist()
    assert machine.done.count("inject_audio") > -(-5000 // 224)


def test_profile() -> None:
    device = connected(FakeMachine())
    profile = commands.profile(device, repetitions=7)
    assert [layer.index for layer in profile.layers] == [0, 1, 2]
    assert [layer.cpu_cycles for layer in profile.layers] == [1000, 1001, 1002]
    assert profile.begin.repetitions == 7 and profile.end.network_cycles == 3000
    part = commands.profile(device, first=1, count=1)
    assert [layer.index for layer in part.layers] == [1]


class Lossy:
    """A line that loses each frame with a probability, or those that are named."""

    def __init__(self, share: float = 0.0, seed: int = 1) -> None:
        self.share = share
        self.rng = random.Random(seed)
        self.lose_next = 0
        self.lost = 0

    def __call__(self, data: bytes) -> bytes:
        kept = []
        for part in data.split(b"\0"):
            hit = part and (self.lose_next > 0 or self.rng.random() < self.share)
            if hit:
                self.lose_next -= self.lose_next > 0
                self.lost += 1
            kept.append(b"" if hit else part)
        return b"\0".join(kept)


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


def test_unknown_and_unreadable_frames_do_not_stop_anything() -> None:
    machine = FakeMachine()
    device = connected(machine)
    list(device.events(0.01))
    machine.out += machine.link.encode(0x3F, b"of the future") + machine.link.encode(m.Scores.TYPE, b"\1")
    events = list(device.events(0.01))
    assert [event.type for event in events] == [0x3F, m.Scores.TYPE]  # type: ignore[union-attr]
    assert device.unreadable == 2
    device.request(m.HelloGet())


class Dead:
    """A machine that says the same whatever it hears."""

    def __init__(self, says: bytes = b"") -> None:
        self.says = says
        self.time_s = 0.0

    def run(self, seconds: float) -> None:
        self.time_s += seconds

    def uart_write(self, data: bytes) -> int:
        return len(data)

    def uart_read(self) -> bytes:
        data, self.says = self.says, b""
        return data


@pytest.mark.parametrize(
    ("says", "error"),
    [
        (b"", "simulator is silent"),
        (b"\x91\x93\0\xff\xfe" * 9, "sends 45 bytes that are neither frames nor text"),
        (b"other firmware\r\n", "sends, but does not answer"),
        (Encoder(1).encode(0x41, b"", version=5), "speaks version 5 of the protocol, this tool version 1"),
    ],
)
def test_connect_says_what_is_wrong(says: bytes, error: str) -> None:
    device = Device(SimulatorTransport(Dead(says)))
    with pytest.raises(TokayError, match=error):
        device.connect()
    assert device.transport.now() == pytest.approx(3.0, abs=0.6)


def test_no_answer_is_tried_again_and_then_reported() -> None:
    machine = FakeMachine()
    device = connected(machine)
    machine.to_device = lambda data: b""
    start = device.transport.now()
    with pytest.raises(DeviceTimeout, match="did not answer hello_get"):
        device.request(m.HelloGet(), timeout_s=0.5, retries=3)
    assert device.transport.now() - start == pytest.approx(2.0, abs=0.1)


def conversation(device: Device) -> list[object]:
    hello = device.connect()
    values = commands.parameters(device)
    commands.set_parameter(device, "suppression_ms", 100)
    layers = commands.profile(device).layers
    return [hello, values, layers, list(device.events(0.5))]


def test_recording_replays_the_same(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    with Device(Recorder(SimulatorTransport(FakeMachine(Lossy(0.1, 5))), path)) as device:
        recorded = conversation(device)
        lost = device.counters.lost
    assert lost > 0
    with Device(Replay(path)) as again:  # another session id, the same messages
        assert conversation(again) == recorded
        assert again.counters.lost == lost
        with pytest.raises(TransportClosed, match="the recording is over"):
            again.request(m.HelloGet())
    with Device(Replay(path)) as other:
        other.connect()
        with pytest.raises(TokayError, match=r"session\.jsonl:\d+: the host sent RunLayer"):
            other.request(m.RunLayer(layer=1))
    shown = "\n".join(describe(path))
    assert "->  HelloGet(request=1)" in shown and "<-  Hello(" in shown and "lost" in shown
    assert [record.time_s for record in load(path)] == sorted(record.time_s for record in load(path))


def test_recording_that_was_cut_off_is_good_to_its_last_line(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    with Device(Recorder(SimulatorTransport(FakeMachine()), path)) as device:
        device.connect()
        device.request(m.RunLayer(layer=1))
    whole = load(path)
    path.write_text(path.read_text()[:-20])
    assert load(path) == whole[:-1] and whole[-1].direction == "closed"
    for text, error in {
        "": "not a recorded conversation",
        "{}\n": ":1: not a line",
        '{"format": "tokay-conversation", "version": 9}\n': ":1: not a line",
        '{"format": "tokay-conversation", "version": 1}\n[]\n': ":2: not a line",
        '{"format": "tokay-conversation", "version": 1}\n{"t": 0, "rx": "zz"}\n': ":2: not a line",
    }.items():
        path.write_text(text)
        with pytest.raises(TokayError, match=error):
            load(path)
    with pytest.raises(TokayError, match="cannot read"):
        load(tmp_path / "absent")


@pytest.fixture
def bridge() -> Iterator[PtyBridge]:
    with PtyBridge(SimulatorTransport(FakeMachine())) as made:
        yield made


def test_pseudo_terminal_is_a_serial_port(bridge: PtyBridge) -> None:
    with Device(SerialTransport(bridge.port)) as device:
        assert device.connect().model == "on_off"
        assert len(commands.parameters(device)) == 5
        assert commands.read_tensor(device, 0) == bytes(range(256)) * 4
        assert len(commands.profile(device).layers) == 3
        with pytest.raises(TokayError, match=r"cannot open .* \(another program has it open\)"):
            SerialTransport(bridge.port)
    with Device(SerialTransport(bridge.port)) as device:  # a second program, later
        assert device.connect().model == "on_off"
    assert bridge.error is None


def test_pseudo_terminal_survives_a_host_that_does_not_read(tmp_path: Path) -> None:
    machine = FakeMachine()
    with PtyBridge(SimulatorTransport(machine), link=str(tmp_path / "board"), paced=False) as bridge:
        transport = SerialTransport(str(tmp_path / "board"))
        for k in range(4000):
            machine.send(m.Log(time_ms=k, text="x" * 60))
        with Device(transport) as device:
            assert device.connect(timeout_s=10).model == "on_off"
            logs = [event for event in device.events(0.2) if isinstance(event, m.Log)]
            assert device.counters.lost > 0 and bridge.lost_bytes > 0
            assert device.counters.lost + len(logs) <= 4001
    assert not (tmp_path / "board").exists()
    bridge.close()


def test_sockets() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                machine = FakeMachine()
                connection.sendall(machine.uart_read())
                while data := connection.recv(4096):
                    machine.uart_write(data)
                    connection.sendall(machine.uart_read())
                    if "run_layer" in machine.done:
                        return

        thread = threading.Thread(target=serve)
        thread.start()
        with Device(SocketTransport("127.0.0.1", port)) as device:
            assert device.connect().model == "on_off"
            device.request(m.RunLayer(layer=1))
            with pytest.raises(TransportClosed):
                device.request(m.HelloGet())
        thread.join()
    with pytest.raises(TokayError, match="cannot connect"):
        SocketTransport("127.0.0.1", port)


def usb(device: str, vid: int | None, product: str, serial_number: str | None = None) -> SimpleNamespace:
    return SimpleNamespace(
        device=device, vid=vid, pid=0x0105 if vid else None, product=product, description=product,
        serial_number=serial_number,
    )  # fmt: skip


PORTS = [
    usb("/dev/ttyACM1", 0x1366, "J-Link", "000440123456"),
    usb("/dev/ttyS0", None, "n/a"),
    usb("/dev/ttyUSB0", 0x0403, "FT232R USB UART", "A1"),
    usb("/dev/ttyACM0", 0x2E8A, "Debugprobe on Pico (CMSIS-DAP)", "E66"),
]


def test_boards_are_found_by_their_probes() -> None:
    assert find_boards(PORTS) == [
        Board("/dev/ttyACM0", "CMSIS-DAP", "E66", "Debugprobe on Pico (CMSIS-DAP)", "2e8a:0105"),
        Board("/dev/ttyACM1", "J-Link", "000440123456", "J-Link", "1366:0105"),
    ]
    assert find_boards([]) == []


def test_choosing_a_port() -> None:
    boards = find_boards(PORTS)
    assert choose_port(None, boards[:1]) == "/dev/ttyACM0"
    assert choose_port("000440123456", boards) == "/dev/ttyACM1"
    assert choose_port("/dev/anything", boards) == "/dev/anything"
    with pytest.raises(TokayError, match="no board found"):
        choose_port(None, [])
    with pytest.raises(TokayError, match=r"2 boards found: /dev/ttyACM0 \(E66\), /dev/ttyACM1"):
        choose_port(None, boards)


def test_commands_end_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, bridge: PtyBridge
) -> None:
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: [])
    for argv in (["list"], ["info"], ["info", "--port", "/dev/absent"], ["show", "absent"], []):
        assert run(device_command, argv) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1, argv
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: PORTS)
    assert run(device_command, ["list"]) == 0
    assert "/dev/ttyACM1  J-Link  1366:0105  000440123456" in capsys.readouterr().out
    session = tmp_path / "session.jsonl"
    assert run(device_command, ["info", "--port", bridge.port, "--record", str(session)]) == 0
    assert "EFR32MG24B310F1536IM48" in capsys.readouterr().out
    assert run(device_command, ["show", str(session)]) == 0
    assert "Hello(" in capsys.readouterr().out


def test_damage_is_an_event() -> None:
    machine = FakeMachine()
    device = connected(machine)
    list(device.events(0.01))
    machine.out += b"\0\x91\x92\0"
    (event,) = device.events(0.01)
    assert isinstance(event, Damaged) and device.counters.corrupt == 1
