"""A bad line between two ends of the link, in C and in Python: nothing wrong is delivered, everything
missing is counted, and each frame that arrives whole is received whatever came before it."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from host.device.framing import Damage, Damaged, Decoder, Encoder, Frame, TextLine
from tests.native_link import NativeLink

FAST, FULL = 2_000, 100_000
HIT = 0.2  # share of frames that the fault meets


@dataclass(frozen=True)
class Sent:
    """One frame as it left its sender."""

    boot: int  # how many times the sender had started again
    boot_id: int
    sequence: int  # not wrapped
    type: int
    payload: bytes
    wire: bytes


@dataclass
class Line:
    """What the sender sent, what arrives of it, and which frames are whole in that."""

    make: Callable[[int], Encoder | NativeLink]
    rng: random.Random
    sent: list[Sent] = field(default_factory=list)
    whole: set[int] = field(default_factory=set)
    wire: bytearray = field(default_factory=bytearray)
    boot: int = 0
    sequence: int = 0
    count: int = 0  # frames of this boot
    boot_id: int = 100

    def __post_init__(self) -> None:
        self.sender = self.make(self.boot_id)
        # The sender may have been at it for long: its numbers wrap at 2^32.
        self.sequence = self.rng.choice([0, 0x01010101, 2**32 - 100])
        state = self.sender.state if isinstance(self.sender, NativeLink) else self.sender
        state.sequence = self.sequence

    def frame(self) -> Sent:
        """The sender's next frame. Each payload is unlike any other, by its number."""
        count = self.rng.choice([0, 3, 20, 60, self.rng.randrange(477)])
        filler = bytes(count) if self.rng.random() < 0.2 else self.rng.randbytes(count)
        payload = struct.pack("<I", len(self.sent)) + filler
        kind = self.rng.randrange(256)
        item = Sent(
            self.boot, self.boot_id, self.sequence, kind, payload, self.sender.encode(kind, payload)
        )
        self.sequence += 1
        self.count += 1
        self.sent.append(item)
        return item

    def restart(self) -> None:
        """The sender starts again, under another boot id."""
        self.boot += 1
        self.boot_id = (self.boot_id + self.rng.randrange(1, 1000)) & 0xFFFF
        self.sequence = self.count = 0
        self.sender = self.make(self.boot_id)

    def carry(self, item: Sent) -> None:
        """Brings a frame over unharmed."""
        self.whole.add(len(self.sent) - 1)
        self.wire += item.wire


Fault = Callable[[Line, Sent], None]


def flip(line: Line, item: Sent) -> None:
    data = bytearray(item.wire)
    for _ in range(line.rng.choice([1, 1, 2, 8])):
        data[line.rng.randrange(len(data))] ^= 1 << line.rng.randrange(8)
    line.wire += data


def drop(line: Line, item: Sent) -> None:
    if line.rng.random() < 0.3:
        return
    at = line.rng.randrange(len(item.wire))
    line.wire += item.wire[:at] + item.wire[at + line.rng.choice([1, 1, 2, 9]) :]


def truncate(line: Line, item: Sent) -> None:
    line.wire += item.wire[: line.rng.randrange(len(item.wire))]


def insert(line: Line, item: Sent) -> None:
    at = line.rng.randrange(len(item.wire) + 1)
    noise = bytes(line.rng.choice([0, 0x0A, 0x41, 0x81, line.rng.randrange(256)]) for _ in range(9))
    noise = noise[: line.rng.randrange(1, 10)]
    line.wire += item.wire[:at] + noise + item.wire[at:]
    if at in (0, len(item.wire)):
        line.whole.add(len(line.sent) - 1)


def duplicate(line: Line, item: Sent) -> None:
    if line.rng.random() < 0.5:
        line.carry(item)
        for _ in range(line.rng.choice([1, 1, 3])):
            back = line.rng.randrange(1, min(60, line.count) + 1)
            line.wire += line.sent[-back].wire
    else:
        at = line.rng.randrange(len(item.wire))
        end = at + line.rng.randrange(1, 9)
        line.wire += item.wire[:end] + item.wire[at:]


def reboot(line: Line, item: Sent) -> None:
    line.wire += item.wire[: line.rng.randrange(len(item.wire) + 1)]
    line.restart()


def noise(line: Line, item: Sent) -> None:
    """The line picks up anything at all for a while, more than any frame at times."""
    line.wire += line.rng.randbytes(line.rng.choice([1, 30, 600, 1500]))
    if line.rng.random() < 0.5:
        line.carry(item)


def text(line: Line, item: Sent) -> None:
    lines = [b"a line\r\n", b"half", b"x" * 700, b"\n\n", b"Detected class=0 label=on\n"]
    line.wire += line.rng.choice(lines)
    line.carry(item)


def anything(line: Line, item: Sent) -> None:
    line.rng.choice([flip, drop, truncate, insert, duplicate, reboot, noise, text])(line, item)


FAULTS = [flip, drop, truncate, insert, duplicate, reboot, noise, text, anything]
PAIRS = {
    "C to Python": (NativeLink, Decoder),
    "Python to C": (Encoder, lambda: NativeLink(9)),
}


def pieces(data: bytes, rng: random.Random) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        count = rng.choice([1, 7, 64, 512, 4096])
        yield data[at : at + count]
        at += count


def check(line: Line, receiver: Decoder | NativeLink, rng: random.Random) -> list[Frame]:
    """Lets the receiver read the line and holds it to all that was promised."""
    events = [event for part in pieces(bytes(line.wire), rng) for event in receiver.feed(part)]
    frames = [event for event in events if isinstance(event, Frame)]
    numbers = []
    for frame in frames:
        assert len(frame.payload) >= 4, "a frame that nobody sent"
        number = struct.unpack("<I", frame.payload[:4])[0]
        assert number < len(line.sent), "a frame that nobody sent"
        item = line.sent[number]
        assert (frame.type, frame.payload) == (item.type, item.payload)
        assert (frame.boot_id, frame.sequence) == (item.boot_id, item.sequence & 0xFFFFFFFF)
        numbers.append(number)
    assert numbers == sorted(set(numbers)), "a frame came twice or late"
    assert line.whole <= set(numbers), "a whole frame was not received"

    # What is missing between the first frame received and the last one of each of the sender's
    # lives. Nobody can know of the frames after that, or before the receiver was there.
    first, last = {}, {}
    for number in numbers:
        item = line.sent[number]
        first.setdefault(item.boot, item.sequence)
        last[item.boot] = item.sequence
    missing = sum(last.values()) + len(last) - len(numbers) - (first[min(first)] if first else 0)
    assert receiver.counters.lost == missing == sum(frame.lost for frame in frames)
    assert receiver.counters.received == len(frames)
    assert receiver.counters.restarts == max(0, len(last) - 1) == sum(frame.restarted for frame in frames)
    return frames


def run(pair: str, fault: Fault, count: int, seed: int) -> tuple[Line, Decoder | NativeLink]:
    rng = random.Random(seed)
    make, receive = PAIRS[pair]
    line = Line(make, rng)
    receiver = receive()
    for _ in range(count):
        item = line.frame()
        if rng.random() < HIT:
            fault(line, item)
        else:
            line.carry(item)
    frames = check(line, receiver, rng)
    # The line does what it is meant to: most frames arrive, and faults do happen.
    assert len(frames) >= 0.75 * count
    counters = receiver.counters
    if fault in (flip, drop, truncate, insert, noise):
        assert counters.lost > 0 and counters.corrupt > 0
    elif fault is duplicate:
        assert counters.duplicates > 0
    elif fault is reboot:
        assert counters.restarts > 0.1 * count
    elif fault is text:
        assert counters.lost == counters.corrupt == 0 and counters.lines > 0
    return line, receiver


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_faults(fault: Fault, pair: str) -> None:
    run(pair, fault, FAST, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_faults_at_length(fault: Fault, pair: str) -> None:
    run(pair, fault, FULL, seed=2)


@pytest.mark.parametrize("pair", PAIRS)
def test_attach_in_the_middle(pair: str) -> None:
    make, receive = PAIRS[pair]
    rng = random.Random(3)
    for _ in range(FAST // 20):
        line = Line(make, rng)
        for _ in range(20):
            line.carry(line.frame())
        cut = rng.randrange(len(line.wire))
        at = 0
        for number, item in enumerate(line.sent):
            if at < cut:
                line.whole.discard(number)
            at += len(item.wire)
        del line.wire[:cut]
        receiver = receive()
        check(line, receiver, rng)
        assert receiver.counters.lost == 0


def stalled(pair: str, count: int, queue_bytes: int = 2048) -> None:
    """The receiver stops reading for long; the sender has a queue and never waits."""
    make, receive = PAIRS[pair]
    rng = random.Random(5)
    line = Line(make, rng)
    queue = bytearray()
    dropped = left = 0
    reading = True
    for _ in range(count):
        left -= 1
        if left < 0:
            reading, left = not reading, rng.choice([5, 50, 500])
        item = line.frame()
        if len(queue) + len(item.wire) <= queue_bytes:
            queue += item.wire
            line.whole.add(len(line.sent) - 1)
        else:
            dropped += 1
            if isinstance(line.sender, NativeLink):
                line.sender.dropped()
        if reading:
            line.wire += queue[:600]
            del queue[:600]
    line.wire += queue
    final = line.frame()  # shows what is missing at the end
    line.carry(final)
    receiver = receive()
    frames = check(line, receiver, rng)
    assert receiver.counters.lost == dropped > 0.1 * count
    assert len(frames) + dropped == count + 1
    if isinstance(line.sender, NativeLink):
        assert line.sender.counters.dropped == dropped
        assert line.sender.counters.sent == count + 1


@pytest.mark.parametrize("pair", PAIRS)
def test_stalls(pair: str) -> None:
    stalled(pair, FAST)


@pytest.mark.slow
@pytest.mark.parametrize("pair", PAIRS)
def test_stalls_at_length(pair: str) -> None:
    stalled(pair, FULL)


def test_text_comes_through_whole_between_frames() -> None:
    rng = random.Random(6)
    encoder, expected, wire = Encoder(1, 0x0A0A0A0A), [], b""
    for number in range(500):
        line = "".join(chr(rng.randrange(0x20, 0x7F)) for _ in range(rng.randrange(1, 80)))
        wire += line.encode() + b"\r\n" + encoder.encode(1, rng.randbytes(number % 50))
        expected.append(line)
    for receiver in (Decoder(), NativeLink(1)):
        events = [event for part in pieces(wire, rng) for event in receiver.feed(part)]
        assert [event.text for event in events if isinstance(event, TextLine)] == expected
        assert sum(isinstance(event, Frame) for event in events) == 500
        assert receiver.counters.corrupt == receiver.counters.lost == 0


def test_the_checks_would_notice() -> None:
    """A receiver that does not check the CRC, or does not count, fails the matrix."""

    class Gullible(Decoder):
        def _judge(self, segment: bytes):
            item = super()._judge(segment)
            if item == Damaged(Damage.CORRUPT):
                return self._follow(1, segment, self.peer_boot_id or 0, self.expected)
            return item

    class Careless(Decoder):
        def _follow(self, *arguments):
            item = super()._follow(*arguments)
            self.counters.lost = 0
            return item

    class Dull(Decoder):
        """Needs a quiet line to find the next frame."""

        def _judge(self, segment: bytes):
            item = super()._judge(segment)
            if getattr(self, "deaf", False) and isinstance(item, Frame):
                self.deaf = False
                return Damaged(Damage.CORRUPT)
            self.deaf = item == Damaged(Damage.CORRUPT)
            return item

    for bad in (Gullible, Careless, Dull):
        rng = random.Random(1)
        line = Line(NativeLink, rng)
        for _ in range(200):
            item = line.frame()
            flip(line, item) if rng.random() < HIT else line.carry(item)
        with pytest.raises(AssertionError):
            check(line, bad(), rng)
