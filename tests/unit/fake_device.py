"""A device for tests: the firmware's own C link, and a few answers, behind a simulated machine's face."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from host.device import commands
from host.device import messages as m
from host.device.codec import Message
from host.device.device import Device
from host.device.framing import Frame
from host.device.simulator import SimulatorTransport
from tests.native_link import NativeLink

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
        refused_source = isinstance(request, m.SourceSet) and code != m.Result.OK
        if not request.REPEATABLE and code != m.Result.BUSY and not refused_source:
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
