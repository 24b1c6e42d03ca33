"""A device, whatever it is and however it is connected: requests with answers, events, losses."""

from __future__ import annotations

import math
import secrets
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from types import TracebackType

from host.device import messages as m
from host.device.codec import Message
from host.device.framing import Counters, Damaged, Decoder, Encoder, Frame, Mismatch, TextLine
from host.device.transport import Transport
from host.errors import TokayError

_BUSY_WAIT_S = 0.02
_HELLO_S = 0.5  # after which a device that has not said who it is, is asked again


class DeviceError(TokayError):
    """The device refused a request or could not do it."""

    def __init__(self, message: str, code: int, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code


class DeviceTimeout(TokayError):
    """The device did not answer."""


class AnswerLost(DeviceTimeout):
    """The device did what must not be done twice, and the answer with its result was lost."""


class DeviceRestarted(TokayError):
    """The device started again while a request was under way."""


@dataclass(frozen=True)
class Gap:
    """Frames of the device that did not arrive."""

    frames: int


@dataclass(frozen=True)
class Restarted:
    """The device has started again."""

    boot_id: int


@dataclass(frozen=True)
class Unknown:
    """A good frame that this host cannot read: of a type it does not know, or not as the type says."""

    type: int
    payload: bytes


Event = Message | TextLine | Gap | Restarted | Unknown | Damaged | Mismatch


class Device:
    """One end of the link. Not for use by several threads at once."""

    def __init__(self, transport: Transport, *, session_id: int | None = None) -> None:
        self.transport = transport
        self.hello: m.Hello | None = None
        self.bytes_received = 0
        self._encoder = Encoder(secrets.randbelow(0x10000) if session_id is None else session_id)
        self._decoder = Decoder()
        self._events: deque[Event] = deque()
        self._number = 0

    def __enter__(self) -> Device:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def counters(self) -> Counters:
        """What this host received, lost and found damaged."""
        return self._decoder.counters

    def close(self) -> None:
        self.transport.close()

    def connect(self, timeout_s: float = 3.0) -> m.Hello:
        """Asks the device who it is, until it answers; says what is wrong if it does not."""
        end = self.transport.now() + timeout_s
        while True:
            # One request, said again: on a slow line that is full its answer may come after the last of them.
            pause_s = min(_HELLO_S, timeout_s)
            retries = math.ceil(max(0.0, end - self.transport.now()) / pause_s) - 1
            try:
                self.hello = self.request(m.HelloGet(), timeout_s=pause_s, retries=max(0, retries))
                return self.hello
            except (DeviceTimeout, DeviceRestarted) as error:
                if self.transport.now() >= end:
                    raise self._no_answer() from error

    def reset(self, kind: m.ResetKind = m.ResetKind.APPLICATION, timeout_s: float = 3.0) -> m.Hello:
        """Resets the device and connects to it again, once it has really started anew."""
        before = self.counters.restarts
        end = self.transport.now() + timeout_s
        with suppress(DeviceRestarted):  # then only the acknowledgement was lost
            self.request(m.Reset(kind=kind))
        while True:
            hello = self.connect(max(0.1, end - self.transport.now()))
            if self.counters.restarts > before:
                return hello
            if self.transport.now() >= end:
                raise DeviceTimeout(f"{self.transport.name} acknowledged a reset, but goes on as before")
            with suppress(DeviceRestarted):  # which is waited for
                self._wait(0.1)

    def _no_answer(self) -> TokayError:
        other = next((event for event in self._events if isinstance(event, Mismatch)), None)
        name = self.transport.name
        if other:
            return TokayError(
                f"{name} speaks version {other.version} of the protocol, this tool version {m.VERSION}",
                hint="build and flash the firmware that belongs to this tool",
            )
        if self._decoder.peer_boot_id == self._encoder.boot_id:
            hint = "are its two data lines joined? is it the board's port?"
            return DeviceTimeout(f"{name} only sends back what it is sent", hint=hint)
        if self.counters.received:
            hint = "it may be at a profile that was interrupted: try again, or reset it"
            return DeviceTimeout(f"{name} sends, but does not answer", hint=hint)
        if self.counters.lines:
            return DeviceTimeout(f"{name} sends, but does not answer", hint="does it run Tokay? reset it")
        if self.bytes_received:
            return DeviceTimeout(
                f"{name} sends {self.bytes_received} bytes that are neither frames nor text",
                hint="check the baud rate and which firmware runs",
            )
        return DeviceTimeout(f"{name} is silent", hint="is the board powered, flashed, and the port its own?")

    def post(self, message: Message) -> None:
        """Sends a message and does not wait for an answer."""
        self.transport.write(self._encoder.encode(message.TYPE, message.encode()))

    def request(self, message: Message, *, timeout_s: float = 0.5, retries: int = 3) -> Message:
        """Sends a request and returns its answer.

        Raises DeviceError if the device refuses, DeviceTimeout if it stays silent ``retries`` times
        more, DeviceRestarted if it starts again meanwhile. Events that arrive in between are kept
        for ``events``.
        """
        return next(self.converse(message, timeout_s=timeout_s, retries=retries))

    def converse(
        self,
        message: Message,
        last: type[Message] | None = None,
        *,
        timeout_s: float = 0.5,
        pause_s: float | None = None,
        retries: int = 3,
    ) -> Iterator[Message]:
        """Sends a request and gives out its answers up to the first one, or the one of type ``last``. Between
        two answers it waits ``pause_s`` (None: ``timeout_s``)."""
        self._number = self._number % 0xFFFF + 1
        message = replace(message, request=self._number)  # type: ignore[type-var]
        name, what = self.transport.name, message.NAME
        answered = False
        for _ in range(retries + 1):
            self.post(message)
            end = self.transport.now() + timeout_s
            while (left := end - self.transport.now()) > 0:
                busy = False
                for answer in self._answers(left):
                    if isinstance(answer, m.Ack) and answer.code == m.Result.BUSY:
                        busy = True
                        continue
                    if last is None and answer.TYPE not in (message.ANSWER, m.Ack.TYPE):
                        continue  # to a host before this one, which counted its requests from 1 too
                    if answered and isinstance(answer, m.Ack) and answer.code == m.Result.OK:
                        continue  # the request was sent twice and had been done
                    self._check(message, answer)
                    answered = True
                    yield answer
                    if last is None or isinstance(answer, last):
                        return
                    end = self.transport.now() + (timeout_s if pause_s is None else pause_s)
                if busy and not answered:
                    self._wait(min(_BUSY_WAIT_S, left))
                    self.post(message)
            if answered:
                raise DeviceTimeout(f"{name}: the answers to {what} broke off", hint="try again")
        raise DeviceTimeout(f"{name} did not answer {what}", hint="reset the board")

    def _check(self, message: Message, answer: Message) -> None:
        """Raises DeviceError unless the answer is a good one."""
        if not isinstance(answer, m.Ack):
            return
        name, code = self.transport.name, answer.code
        if code != m.Result.OK:
            word = code.name.lower().replace("_", " ") if isinstance(code, m.Result) else f"code {code}"
            reason = f"{word}: {answer.text}" if answer.text else word
            raise DeviceError(f"{name} refused {message.NAME}: {reason}", int(code))
        if message.ANSWER != m.Ack.TYPE:
            raise AnswerLost(f"{name} did {message.NAME}, but its answer was lost", hint="ask again")

    def _answers(self, timeout_s: float) -> list[Message]:
        """Reads once; the answers to the present request. Events are kept for ``events``."""
        received = self._receive(timeout_s)
        answers = [event for event in received if getattr(event, "request", 0) == self._number]
        restarted = any(isinstance(event, Restarted) for event in received)
        self._keep(received)
        if restarted and not answers:
            raise DeviceRestarted(f"{self.transport.name} started again", hint="connect again")
        return answers  # type: ignore[return-value]

    def _keep(self, received: list[Event]) -> None:
        """Puts what is an event to the events: no answer, also not to a request that was given up."""
        self._events += [event for event in received if getattr(event, "request", 0) == 0]

    def _wait(self, seconds: float) -> None:
        end = self.transport.now() + seconds
        while (left := end - self.transport.now()) > 0:
            self._answers(left)

    def events(self, timeout_s: float | None = None) -> Iterator[Event]:
        """Gives out events as they arrive; ends after ``timeout_s`` without one (None: never)."""
        end = None if timeout_s is None else self.transport.now() + timeout_s
        while True:
            while self._events:
                yield self._events.popleft()
                end = None if timeout_s is None else self.transport.now() + timeout_s
            left = 1.0 if end is None else end - self.transport.now()
            if left > 0:
                self._keep(self._receive(left))
                continue
            # If this process was stopped that long, what came meanwhile is waiting.
            self._keep(self._receive(0.0) if timeout_s else [])
            if not self._events:
                return

    def _receive(self, timeout_s: float) -> list[Event]:
        data = self.transport.read(timeout_s)
        self.bytes_received += len(data)
        events: list[Event] = []
        for item in self._decoder.feed(data):
            if isinstance(item, Frame):
                if item.restarted:
                    events.append(Restarted(item.boot_id))
                if item.lost:
                    events.append(Gap(item.lost))
                message = m.decode(item.type, item.payload)
                events.append(Unknown(item.type, item.payload) if message is None else message)
            else:
                events.append(item)
        return events
