"""What carries a conversation: recordings, pseudo-terminals, sockets, serial ports and their boards."""

from __future__ import annotations

import errno
import json
import os
import re
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from host import target
from host.cli import run
from host.device import commands
from host.device import messages as m
from host.device.__main__ import main as device_command
from host.device.device import Device
from host.device.framing import Damaged, Decoder, Encoder, Frame
from host.device.pty import PtyBridge
from host.device.recording import Recorder, Replay, describe, load
from host.device.serial_port import Board, SerialTransport, choose_port, find_boards
from host.device.simulator import SimulatorTransport
from host.device.transport import SocketTransport, TransportClosed
from host.errors import TokayError
from tests.unit.fake_device import HELLO, Dead, FakeMachine, Lossy


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


def test_recording_of_a_host_that_was_at_work_between_its_requests(tmp_path: Path) -> None:
    """On a board's time that takes as long as it does; in a replay no time at all."""
    path, machine = tmp_path / "session.jsonl", FakeMachine()
    machine.time_s = 100.0
    with Device(Recorder(SimulatorTransport(machine), path)) as device:
        device.connect()
        machine.time_s += 7
        heard = commands.parameters(device), list(device.events(2.0))
    assert all(record.data for record in load(path))  # silence is not written down
    with Device(Replay(path)) as again:
        again.connect()
        assert (commands.parameters(again), list(again.events(2.0))) == heard
        assert again.transport.now() == 9.0


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
        '{"format": "another", "version": 1}\n': ":1: not a line",
        '{"format": "tokay-conversation", "version": 9}\n': "recording of version 9, this tool reads 1",
        "[]\n": ":1: not a line",
        '{"format": "tokay-conversation", "version": 1}\n[]\n': ":2: not a line",
        '{"format": "tokay-conversation", "version": 1}\n{"t": 0, "rx": 65}\n': ":2: not a line",
        '{"format": "tokay-conversation", "version": 1}\n{"t": 0, "closed": 1}\n': ":2: not a line",
        '{"format": "tokay-conversation", "version": 1}\n{"t": 0, "rx": "zz"}\n': ":2: not a line",
        '{"format": "tokay-conversation", "version": 1}\n{"rx": "", "t": 1' + "0" * 999 + "}\n": ":2: not a",
        '{"format": "tokay-conversation", "version": 1}\n' + "[" * 100_000 + "\n": ":2: not a line",
    }.items():
        path.write_text(text)
        with pytest.raises(TokayError, match=error):
            load(path)
        with pytest.raises(TokayError, match=error):
            Replay(path)
    with pytest.raises(TokayError, match="cannot read"):
        load(tmp_path / "absent")
    path.write_text('{"format": "tokay-conversation", "version": 1}\n{"t": 0, "rx"')
    assert load(path) == []  # cut off before anything was said


def written(path: Path, *lines: dict) -> Path:
    """A recording of these lines."""
    head = {"format": "tokay-conversation", "version": 1, "transport": "COM3"}
    path.write_text("".join(json.dumps(line) + "\n" for line in (head, *lines)))
    return path


def test_a_recording_shows_what_this_version_cannot_read(tmp_path: Path) -> None:
    """Of another version's firmware, say, or of one that is being written."""
    sender = Encoder(1)
    path = written(
        tmp_path / "session.jsonl",
        {"t": 0, "tx": sender.encode(0x3F, b"new").hex()},
        {"t": 0.25, "rx": sender.encode(m.Scores.TYPE, b"\1").hex()},
        {"t": 0.5, "closed": "unplugged"},
    )
    assert describe(path) == [
        "    0.0000 ->  type 0x3f, 6e6577",
        f"    0.2500 <-  type {m.Scores.TYPE:#04x}, 01",
        "    0.5000 --  unplugged",
    ]
    assert Replay(path).recorded == "COM3"


def test_a_replay_ends_when_the_conversation_did_and_its_clock_never_goes_back(tmp_path: Path) -> None:
    """A host that waited until the end is let wait until the end, though times are rounded."""
    path = written(
        tmp_path / "session.jsonl", {"t": 0.5, "rx": "41"}, {"t": 1.000001, "closed": "unplugged"}
    )
    replay = Replay(path)
    assert replay.read(0.25) == b"" and replay.now() == 0.25
    assert replay.read(-1) == b"" and replay.now() == 0.25
    assert replay.read(0.25) == b"A" and replay.now() == 0.5
    assert replay.read(0.500001) == b"" and replay.now() == pytest.approx(1.000001)
    with pytest.raises(TransportClosed, match="unplugged"):
        replay.read(0.1)


def test_a_replay_answers_only_what_was_asked(tmp_path: Path) -> None:
    asked = Encoder(1).encode(m.HelloGet.TYPE, m.HelloGet(request=1).encode())
    path = written(tmp_path / "session.jsonl", {"t": 0, "tx": asked.hex()}, {"t": 0.75, "rx": "41"})
    replay = Replay(path)
    assert replay.read(1.0) == b"" and replay.now() == 1.0
    replay.write(asked[:5])
    assert replay.read(0.5) == b""
    replay.write(asked[5:])
    assert replay.read(0.5) == b"A" and replay.now() == 1.5
    with pytest.raises(TransportClosed, match=r"the recording is over \(was it cut off"):
        replay.read(0.5)


def test_a_replay_takes_messages_that_come_before_it_was_their_turn(tmp_path: Path) -> None:
    sender = Encoder(1)
    first, second = (
        sender.encode(m.RunLayer.TYPE, m.RunLayer(request=k, layer=k).encode()).hex() for k in (1, 2)
    )
    path = written(
        tmp_path / "session.jsonl",
        {"t": 0.25, "rx": "41"}, {"t": 0.5, "tx": first}, {"t": 3.0, "tx": second}, {"t": 3.5, "rx": "42"},
    )  # fmt: skip
    replay = Replay(path)
    replay.write(bytes.fromhex(first))
    replay.write(bytes.fromhex(second))
    assert replay.read(1.0) == b"A" and replay.now() == 0.25
    assert replay.read(1.0) == b"B" and replay.now() == 3.5
    other = Replay(path)
    other.write(bytes.fromhex(second))
    assert other.read(1.0) == b"A"
    said = r"session.jsonl:3: the host sent RunLayer\(request=2, .*, recorded is RunLayer\(request=1, "
    with pytest.raises(TokayError, match=said):
        other.read(1.0)


def test_a_recording_may_end_with_what_the_host_sent(tmp_path: Path) -> None:
    asked = Encoder(1).encode(m.HelloGet.TYPE, m.HelloGet(request=1).encode())
    replay = Replay(written(tmp_path / "session.jsonl", {"t": 0, "tx": asked.hex()}))
    replay.write(asked)
    with pytest.raises(TransportClosed, match="the recording is over"):
        replay.read(0.5)


def test_a_recorder_lets_go_of_what_it_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    transport, closed = SimulatorTransport(FakeMachine()), []
    monkeypatch.setattr(transport, "close", lambda: closed.append(True))
    recorder = Recorder(transport, tmp_path / "session.jsonl")
    recorder.close()
    recorder.close()
    assert len(closed) == 2
    assert [record.direction for record in load(tmp_path / "session.jsonl")] == ["closed"]


def test_a_recording_ends_with_why_the_other_end_went_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host is told as well, and a replay says it again."""
    transport, path = SimulatorTransport(FakeMachine()), tmp_path / "session.jsonl"
    with Device(Recorder(transport, path)) as device:
        device.connect()

        def unplugged(timeout_s: float) -> bytes:
            raise TransportClosed("simulator: unplugged")

        monkeypatch.setattr(transport, "read", unplugged)
        with pytest.raises(TransportClosed, match=r"^simulator: unplugged"):
            device.request(m.HelloGet())
    with Device(Replay(path)) as again:
        again.connect()
        with pytest.raises(TransportClosed, match=r"session\.jsonl: simulator: unplugged"):
            again.request(m.HelloGet())


def test_a_recording_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(TokayError, match=r"cannot write .*absent.session\.jsonl: No such file"):
        Recorder(SimulatorTransport(FakeMachine()), tmp_path / "absent" / "session.jsonl")


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no /dev/full here")
def test_recording_to_a_full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(TokayError, match="cannot write /dev/full: No space left on device"):
        Recorder(SimulatorTransport(FakeMachine()), "/dev/full")
    recorder = Recorder(SimulatorTransport(FakeMachine()), tmp_path / "session.jsonl")
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(recorder, "_file", full)  # the disk fills up in mid-conversation
        with Device(recorder) as device:
            with pytest.raises(TokayError, match=r"cannot write .*session\.jsonl: No space left on device"):
                device.connect()
            device.connect()  # goes on if it must, for example to let the board listen again


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


def test_a_board_that_runs_something_else_is_let_go_at_once(
    bridge: PtyBridge, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its port is one program's at a time."""
    closed, close, path = [], SerialTransport.close, str(tmp_path / "session.jsonl")
    monkeypatch.setattr(SerialTransport, "close", lambda port: closed.append(port) or close(port))
    model = HELLO.model_hash.hex() + 32 * "0"  # of which a device tells the first half
    for board, sha256, said in (
        ("brd2601b", 64 * "0", r"'on_off' \(model 000102030405\), not this model \(000000000000\) \(flash"),
        ("brd2703a", model, r"runs firmware for board 'brd2601b', not for 'brd2703a' \(--board brd2601b, or"),
    ):
        with pytest.raises(TokayError, match=said):
            target.attach(bridge.port, 115200, sha256, board)
    assert len(closed) == 2
    with target.attach(bridge.port, 115200, model, "brd2601b", path) as where:
        assert (where.kind, target.accelerator(where.device)) == ("device", "mvp")
    assert len(closed) == 3 and load(path)[-1].direction == "closed"
    assert target.replay(path, model, "brd2601b").kind == "device"


def test_a_target_that_is_refused_or_done_with_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []

    def part(name: str) -> SimpleNamespace:
        transport = SimpleNamespace(name="it")
        return SimpleNamespace(close=lambda: closed.append(name), hello=HELLO, transport=transport)

    def opened(*_: object) -> target.Target:
        return target.Target("simulator", *(part(name) for name in ("device", "machine", "renode")))

    monkeypatch.setattr(target, "simulate", opened)
    chosen = target.Options()
    with pytest.raises(TokayError, match="it runs 'on_off'"):
        target.connect(chosen, 64 * "0", Path("an.elf"))
    assert closed == ["device", "machine", "renode"]
    with target.connect(chosen, HELLO.model_hash.hex(), Path("an.elf")):
        assert len(closed) == 3
    assert len(closed) == 6


def test_a_program_need_not_set_the_pseudo_terminal_up(bridge: PtyBridge) -> None:
    """Opened as a file, it neither echoes nor waits for the end of a line, nor turns one into another."""
    decoder = Decoder()
    port = os.open(bridge.port, os.O_RDWR | os.O_NOCTTY)
    try:
        for number in (10, 13):  # line feed, carriage return
            os.write(port, Encoder(7, number).encode(m.HelloGet.TYPE, m.HelloGet(request=number).encode()))
            answers: list[int] = []
            while number not in answers:
                assert select.select([port], [], [], 10)[0]
                for got in decoder.feed(os.read(port, 4096)):
                    assert not isinstance(got, Damaged)
                    if isinstance(got, Frame):
                        assert got.type == m.Hello.TYPE
                        answers.append(m.Hello.decode(got.payload).request)
    finally:
        os.close(port)


def test_a_paced_bridge_goes_no_faster_than_the_wall_and_goes_on() -> None:
    machine = Dead()
    machine.time_s = 1000.0  # what was before the bridge does not count
    start = time.monotonic()
    with PtyBridge(SimulatorTransport(machine)) as bridge:
        clock = 0.0
        while clock < 0.2:
            bridge.wait(0.01)
            clock = machine.time_s - 1000
            assert clock - 0.05 <= time.monotonic() - start < 10
    with PtyBridge(SimulatorTransport(machine), paced=False) as bridge:
        start = time.monotonic()
        while machine.time_s < 1100:  # of any other, as fast as it can
            assert time.monotonic() - start < 10
            bridge.wait(0.01)


def test_link_to_a_pseudo_terminal_in_use_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = tmp_path / "board"
    link.symlink_to("/dev/pts/left-by-one-that-was-killed")
    with PtyBridge(SimulatorTransport(FakeMachine()), link=str(link)):
        first = link.readlink()
        pair = os.openpty()
        monkeypatch.setattr(os, "openpty", lambda: pair)
        refused = SimulatorTransport(FakeMachine())
        with pytest.raises(TokayError, match=r"cannot make .*board: File exists"):
            PtyBridge(refused, link=str(link))
        assert link.readlink() == first
        with pytest.raises(TransportClosed):
            refused.read(0)
        for end in pair:
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(end)
    assert not link.is_symlink()


def test_a_link_that_is_gone_at_the_end_or_anothers_is_no_matter(tmp_path: Path) -> None:
    link = tmp_path / "board"
    with PtyBridge(SimulatorTransport(FakeMachine()), link=str(link)):
        link.unlink()
    with PtyBridge(SimulatorTransport(FakeMachine()), link=str(link)):
        link.unlink()
        link.symlink_to("elsewhere")
    assert os.readlink(link) == "elsewhere"


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (OSError(errno.EIO, "gone"), r"^bridge /dev/.*: gone$"),
        (TransportClosed("the chip is gone"), "^the chip is gone"),
        (ValueError("a bug"), "^a bug"),
    ],
)
def test_a_bridge_whose_other_end_fails_says_why_and_ends(raised: Exception, said: str) -> None:
    transport, begun = SimulatorTransport(FakeMachine()), time.monotonic()
    transport.read = lambda timeout_s: fail(raised)  # type: ignore[method-assign]
    with PtyBridge(transport) as bridge:
        bridge.wait(60)
        ends = bridge._master, bridge._slave
    assert time.monotonic() - begun < 30 and re.search(said, str(bridge.error))
    assert isinstance(bridge.error, ValueError if isinstance(raised, ValueError) else TokayError)
    for end in ends:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(end)


def fail(error: Exception) -> None:
    raise error


def test_a_machine_without_pseudo_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left() -> tuple[int, int]:
        raise OSError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(os, "openpty", none_left)
    transport = SimulatorTransport(FakeMachine())
    with pytest.raises(TokayError, match="cannot make a pseudo-terminal: No such file"):
        PtyBridge(transport)
    with pytest.raises(TransportClosed):
        transport.read(0)


def test_link_of_a_bridge_that_was_killed_may_name_the_port_that_is_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = os.openpty()
    link = tmp_path / "board"
    link.symlink_to(os.ttyname(pair[1]))
    monkeypatch.setattr(os, "openpty", lambda: pair)
    with PtyBridge(SimulatorTransport(FakeMachine()), link=str(link)) as bridge:
        assert bridge.port == str(link)
    assert not link.is_symlink()


def test_pseudo_terminal_survives_a_host_that_does_not_read(tmp_path: Path) -> None:
    sent: list[int] = []
    machine = FakeMachine(to_host=lambda data: sent.append(len(data)) or data)
    with PtyBridge(SimulatorTransport(machine), link=str(tmp_path / "board"), paced=False) as bridge:
        transport = SerialTransport(str(tmp_path / "board"))
        for k in range(4000):
            machine.send(m.Log(time_ms=k, text="x" * 60))
        with Device(transport) as device:
            assert device.connect(timeout_s=10).model == "on_off"
            logs = [event for event in device.events(0.2) if isinstance(event, m.Log)]
            assert device.counters.lost > 0 and bridge.lost_bytes > 0
            assert device.counters.lost + len(logs) <= 4001
            assert device.bytes_received + bridge.lost_bytes <= sum(sent)
    assert not (tmp_path / "board").exists()
    bridge.close()


def test_pseudo_terminal_ends_before_its_transport_at_ctrl_c() -> None:
    """A machine must not be taken away from the thread that runs it."""
    running: list[bool] = []

    class Slow(SimulatorTransport):
        def read(self, timeout_s: float) -> bytes:
            time.sleep(0.3)
            return super().read(timeout_s)

        def close(self) -> None:
            running.append(bridge._thread.ident in sys._current_frames())
            super().close()

    bridge = PtyBridge(Slow(FakeMachine()))
    before = signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt), bridge:
            bridge.wait(10)
        assert running == [False]
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_simulated_chip_runs_as_long_as_it_is_waited_for_and_always_goes_on() -> None:
    """It counts whole cycles: less than one would leave it where it is, for ever."""
    machine, runs = FakeMachine(), []
    transport, run_machine = SimulatorTransport(machine), machine.run
    machine.run = lambda seconds: runs.append(seconds) or run_machine(seconds)  # type: ignore[method-assign]
    assert transport.read(0.0) and not runs  # what it says at its start
    assert transport.read(0.012) == b"" and runs == pytest.approx([0.005, 0.005, 0.002])
    assert transport.read(1e-9) == b"" and runs[3:] == [1e-6]
    assert transport.read(-1.0) == b"" and len(runs) == 4
    taken = iter((3, 0, 2))  # of its queue, which is full until it has worked
    machine.uart_write = lambda data: next(taken)  # type: ignore[method-assign]
    transport.write(b"hello")
    assert len(runs) == 6 and next(taken, None) is None


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
    with pytest.raises(TokayError, match=rf"^cannot connect to 127.0.0.1:{port}: Connection refused \("):
        SocketTransport("127.0.0.1", port)


def test_a_socket_waits_as_long_as_it_is_told_and_says_how_it_ended() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        name, port = server.getsockname()
        transport, other = SocketTransport(name, port), SocketTransport(name, port)
        near, far = server.accept()[0], server.accept()[0]
    begun = time.monotonic()
    assert transport.read(0.2) == b"" and time.monotonic() - begun >= 0.2
    assert transport.read(-1.0) == b""
    near.sendall(b"A")
    assert transport.read(60.0) == b"A" and time.monotonic() - begun < 30
    near.close()
    with pytest.raises(TransportClosed, match="the other side closed the connection"):
        transport.read(60.0)
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    far.close()  # without a good-bye, as a program that is killed
    with pytest.raises(TransportClosed, match="Connection reset by peer"):
        other.read(60.0)
    with pytest.raises(TransportClosed, match="Broken pipe"):
        other.write(b"A")
    for closed in (transport, transport, other):
        closed.close()
    assert transport._socket.fileno() == other._socket.fileno() == -1


def usb(
    device: str, vid: int | None, product: str | None, serial_number: str | None = None, *,
    description: str | None = None,
) -> SimpleNamespace:  # fmt: skip
    return SimpleNamespace(
        device=device, vid=vid, pid=0x0105 if vid else None, product=product, description=description,
        serial_number=serial_number,
    )  # fmt: skip


PORTS = [
    usb("/dev/ttyACM1", 0x1366, "J-Link", "000440123456"),
    usb("/dev/ttyS0", None, "n/a"),
    usb("/dev/ttyUSB0", 0x0403, "FT232R USB UART", "A1"),
    usb("/dev/ttyACM0", 0x2E8A, "Debugprobe on Pico (CMSIS-DAP)", "E66"),
    usb("/dev/ttyACM2", 0x0D28, "DAPLink", description="no matter"),
    usb("COM7", 0x0D28, None, description="CMSIS-DAP serial port (COM7)"),  # as Windows tells of it
    usb("COM8", 0x1366, None),
    usb("COM9", None, "CMSIS-DAP"),  # through a driver that hides the bus
]


def test_boards_are_found_by_their_probes() -> None:
    assert find_boards(PORTS) == [
        Board("/dev/ttyACM0", "CMSIS-DAP", "E66", "Debugprobe on Pico (CMSIS-DAP)", "2e8a:0105"),
        Board("/dev/ttyACM1", "J-Link", "000440123456", "J-Link", "1366:0105"),
        Board("/dev/ttyACM2", "CMSIS-DAP", "", "DAPLink", "0d28:0105"),
        Board("COM7", "CMSIS-DAP", "", "CMSIS-DAP serial port (COM7)", "0d28:0105"),
        Board("COM8", "J-Link", "", "", "1366:0105"),
        Board("COM9", "CMSIS-DAP", "", "CMSIS-DAP", ""),
    ]
    assert find_boards([]) == []


def test_choosing_a_port() -> None:
    boards = find_boards(PORTS)[:3]
    assert choose_port(None, boards[:1]) == "/dev/ttyACM0"
    assert choose_port("000440123456", boards) == "/dev/ttyACM1"
    assert choose_port("/dev/anything", boards) == "/dev/anything"
    with pytest.raises(TokayError, match=r"no board found: .* \(plug it in, or give --port\)"):
        choose_port(None, [])
    said = r"2 boards found: /dev/ttyACM0 \(E66\), /dev/ttyACM2 \(CMSIS-DAP\) \(choose one with --port\)"
    with pytest.raises(TokayError, match=said):
        choose_port(None, [boards[0], boards[2]])


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
    for argv in (["--json", "-", "info"], ["info", "--json", "-"]):
        assert run(device_command, [*argv, "--port", bridge.port]) == 0
        assert json.loads(capsys.readouterr().out)["model"] == "on_off"


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf"])
def test_times_that_cannot_be_waited(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(device_command, ["simulate", "absent.elf", f"--seconds={seconds}"]) == 2
    assert "--seconds takes a time above 0" in capsys.readouterr().err


@pytest.mark.parametrize("baud", ["0", "-5", "fast", "12345678901"])
def test_rates_that_no_driver_takes(baud: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(device_command, ["info", "--port", "/dev/absent", f"--baud={baud}"]) == 2
    assert f"{baud} is not a rate from 1 to 2147483647" in capsys.readouterr().err
