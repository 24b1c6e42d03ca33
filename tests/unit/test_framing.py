"""Frames and messages: known values, round trips of anything, the Python and the C code alike."""

from __future__ import annotations

import ctypes
import dataclasses
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host import native
from host.device import messages
from host.device.codec import Array, Boolean, Message, Scalar, Text
from host.device.framing import (
    HEADER,
    MAX_SEGMENT,
    Damage,
    Damaged,
    Decoder,
    Encoder,
    Frame,
    Mismatch,
    Received,
    TextLine,
    cobs_decode,
    cobs_encode,
)
from tests import native_link as wrapper
from tests.native_link import NativeLink
from tests.used_memory import used

COUNTERS = ("received", "lost", "corrupt", "oversize", "duplicates", "mismatches", "restarts", "lines")


def crc_in_c(data: bytes) -> int:
    update = native.library().crc32_update
    update.restype = ctypes.c_uint32
    return update(ctypes.c_uint32(0), data, ctypes.c_size_t(len(data)))


def cobs_in_c(data: bytes) -> bytes | None:
    buffer = ctypes.create_string_buffer(data, len(data) or 1)
    decode = native.library().cobs_decode
    decode.restype = ctypes.c_ssize_t
    count = decode(buffer, ctypes.c_size_t(len(data)))
    return None if count < 0 else buffer.raw[:count]


def test_crc_check_value() -> None:
    assert crc_in_c(b"123456789") == zlib.crc32(b"123456789") == 0xCBF43926


RUN = bytes(range(1, 256))


@pytest.mark.parametrize(
    ("plain", "encoded"),
    [  # the examples of the paper's and of common descriptions of COBS
        (b"\0", b"\x01\x01"),
        (b"\0\0", b"\x01\x01\x01"),
        (b"\0\x11\0", b"\x01\x02\x11\x01"),
        (b"\x11\x22\0\x33", b"\x03\x11\x22\x02\x33"),
        (b"\x11\x22\x33\x44", b"\x05\x11\x22\x33\x44"),
        (b"\x11\0\0\0", b"\x02\x11\x01\x01\x01"),
        (RUN[:254], b"\xff" + RUN[:254]),
        (b"\0" + RUN[:254], b"\x01\xff" + RUN[:254]),
        (RUN, b"\xff" + RUN[:254] + b"\x02\xff"),
        (RUN[1:] + b"\0", b"\xff" + RUN[1:] + b"\x01\x01"),
        (RUN[2:] + b"\0\x01", b"\xfe" + RUN[2:] + b"\x02\x01"),
    ],
)
def test_cobs_examples(plain: bytes, encoded: bytes) -> None:
    assert cobs_encode(plain) == encoded
    assert cobs_decode(encoded) == cobs_in_c(encoded) == plain


@given(st.binary(max_size=700) | st.lists(st.sampled_from([0, 1, 255]), max_size=700).map(bytes))
def test_cobs_round_trip(data: bytes) -> None:
    encoded = cobs_encode(data)
    assert 0 not in encoded and len(encoded) <= len(data) + 1 + len(data) // 254
    assert cobs_decode(encoded) == data
    assert cobs_in_c(encoded) == data


@given(st.binary(max_size=300))
def test_cobs_decoders_agree_on_anything(data: bytes) -> None:
    assert cobs_decode(data) == cobs_in_c(data)


def values(field: object) -> st.SearchStrategy:
    """Any value that a field takes."""
    if isinstance(field, Boolean):
        return st.booleans()
    if isinstance(field, Text):
        text = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=60)
        return text.filter(lambda value: len(value.encode()) <= field.maximum)
    bits = {"B": 8, "H": 16, "I": 32, "Q": 64, "b": -8, "h": -16, "i": -32}
    code = field.code  # type: ignore[attr-defined]
    if code == "f":
        item: st.SearchStrategy = st.floats(width=32, allow_nan=False)
    elif bits[code] > 0:
        item = st.integers(0, 2 ** bits[code] - 1)
    else:
        item = st.integers(-(2 ** (-bits[code] - 1)), 2 ** (-bits[code] - 1) - 1)
    if isinstance(field, Scalar):
        return item
    assert isinstance(field, Array)
    items = st.lists(item, min_size=field.maximum if field.fixed else 0, max_size=min(field.maximum, 40))
    return items.map(bytes if code == "B" else tuple)


ANY_MESSAGE = st.sampled_from(sorted(messages.MESSAGES)).flatmap(
    lambda number: st.builds(
        messages.MESSAGES[number], **{f.name: values(f) for f in messages.MESSAGES[number].LAYOUT}
    )
)


@given(ANY_MESSAGE, st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF))
def test_message_round_trip_through_both(message: Message, boot_id: int, sequence: int) -> None:
    payload = message.encode()
    wire = Encoder(boot_id, sequence).encode(message.TYPE, payload)
    for decoder in (Decoder(), NativeLink(0)):
        (frame,) = decoder.feed(wire)
        assert isinstance(frame, Frame) and (frame.boot_id, frame.sequence) == (boot_id, sequence)
        again = messages.decode(frame.type, frame.payload)
        assert again == message and type(again) is type(message)


def c_takes(message_type: int, payload: bytes) -> bool:
    """Whether the C code finds a message of this type in a payload."""
    library = native.library()
    library.message_layout.restype = ctypes.c_void_p
    library.codec_decode.restype = ctypes.c_bool
    layout = library.message_layout(ctypes.c_uint8(message_type))
    space = ctypes.create_string_buffer(2048)
    return bool(layout) and library.codec_decode(
        ctypes.c_void_p(layout), payload, ctypes.c_size_t(len(payload)), space
    )


@given(st.integers(0, 255), st.binary(max_size=480))
def test_any_payload_is_a_message_or_refused_by_both(message_type: int, payload: bytes) -> None:
    message = messages.decode(message_type, payload)
    assert c_takes(message_type, payload) == (message is not None)
    if message is not None and not any(
        isinstance(value, float) and value != value for value in dataclasses.asdict(message).values()
    ):
        assert payload.startswith(message.encode())


LISTS = [
    (message, field)
    for message in messages.MESSAGES.values()
    for field in message.LAYOUT
    if isinstance(field, Text) or (isinstance(field, Array) and not field.fixed)
]


@pytest.mark.parametrize(("message", "field"), LISTS, ids=lambda x: getattr(x, "NAME", None) or x.name)
def test_a_list_or_text_over_its_maximum_is_refused_by_both(message: type[Message], field: Array | Text):
    """Sound in all else: its count is that of the elements which follow."""
    empty = message()
    place = message.LAYOUT.index(field)
    before, after = (
        b"".join(f.encode(getattr(empty, f.name)) for f in fields)
        for fields in (message.LAYOUT[:place], message.LAYOUT[place + 1 :])
    )
    element = 1 if isinstance(field, Text) else struct.calcsize(field.code)

    def payload(count: int, elements: bytes) -> bytes:
        return before + count.to_bytes(2 if field.maximum > 255 else 1, "little") + elements + after

    full = payload(field.maximum, b"\x01" * element * field.maximum)
    assert c_takes(message.TYPE, full) and message.decode(full).encode() == full
    wrong = [payload(field.maximum + 1, b"\x01" * element * (field.maximum + 1))]
    if isinstance(field, Text):
        wrong.append(payload(2, b"a\0"))
    for sent in wrong:
        assert not c_takes(message.TYPE, sent)
        with pytest.raises(ValueError, match=field.name):
            message.decode(sent)


FILLERS = st.sampled_from([493, 494, 495])
CHUNKS = st.one_of(
    st.binary(max_size=40),
    st.builds(bytes, st.lists(st.sampled_from([0, 0x0A, 0x0D, 0x41, 0x81]), max_size=20)),
    st.builds(lambda byte, count: bytes([byte]) * count, st.integers(0, 255), FILLERS),
    st.builds(
        lambda boot, sequence, version, payload: Encoder(boot, sequence).encode(1, payload, version=version),
        st.integers(0, 1),
        st.integers(0, 70) | st.integers(2**32 - 3, 2**32 - 1),
        st.sampled_from([messages.VERSION, messages.VERSION, messages.VERSION, 2, 127]),
        st.binary(max_size=20),
    ),
)


@settings(max_examples=300)
@given(st.lists(CHUNKS, max_size=12), st.lists(st.integers(1, 600), min_size=1, max_size=5))
def test_receivers_agree_on_any_bytes_in_any_pieces(chunks: list[bytes], cuts: list[int]) -> None:
    data = b"".join(chunks)
    c, python = NativeLink(1), Decoder()
    expected = list(c.feed(data))
    got: list[Received] = []
    at = k = 0
    while at < len(data):
        cut = cuts[k % len(cuts)]
        got += python.feed(data[at : at + cut])
        at, k = at + cut, k + 1
    assert got == expected
    for name in COUNTERS:
        assert getattr(python.counters, name) & 0xFFFFFFFF == getattr(c.counters, name), name


def test_a_frame_never_looks_like_text() -> None:
    """The version byte stands second on the wire and is no character, in any version. The first byte
    is any number up to 255, a line end among them."""
    for zero_at in range(2, 40):
        body = b"\x81" + b"A" * (zero_at - 1) + b"\0" + b"\n" * 20
        wire = b"\0" + cobs_encode(body + zlib.crc32(body).to_bytes(4, "little")) + b"\0"
        for decoder in (Decoder(), NativeLink(1)):
            (frame,) = decoder.feed(wire)
            assert isinstance(frame, Frame), zero_at
    for version in range(128):
        wire = Encoder(0x4141, 0x41414141).encode(0x41, b"A" * 20 + b"\n", version=version)
        assert wire[2] >= 0x80
        assert not [e for e in NativeLink(1).feed(wire) if isinstance(e, TextLine)]


def test_another_version_is_named_and_not_delivered() -> None:
    wire = Encoder(1).encode(1, b"new", version=9) + Encoder(1, 1).encode(1, b"old")
    for decoder in (Decoder(), NativeLink(1)):
        other, frame = decoder.feed(wire)
        assert other == Mismatch(9)
        assert isinstance(frame, Frame) and frame.payload == b"old"
        assert decoder.counters.mismatches == 1


@pytest.mark.parametrize(
    ("sequence", "told"),
    [
        (37, (0, False)),  # Damage.DUPLICATE
        (36, (36, True)),  # further back than a line repeats: the sender started again
        (101 + 2**31, (101 + 2**31, True)),
        (100 + 2**31, (2**31 - 1, False)),
    ],
)
def test_what_is_repeated_what_is_lost_and_what_is_a_new_start(sequence: int, told: tuple[int, bool]) -> None:
    for decoder in (Decoder(), NativeLink(1)):
        (first,) = decoder.feed(Encoder(7, 100).encode(1, b""))
        assert isinstance(first, Frame) and (first.lost, first.restarted) == (0, False)
        (event,) = decoder.feed(Encoder(7, sequence).encode(1, b""))
        if told == (0, False):
            assert event == Damaged(Damage.DUPLICATE)
        else:
            assert isinstance(event, Frame) and (event.lost, event.restarted) == told


def test_senders_number_their_frames_in_order_and_around() -> None:
    sender, decoder = Encoder(7, 2**32 - 1), Decoder()
    frames = [frame for _ in range(3) for frame in decoder.feed(sender.encode(1, b""))]
    assert [(frame.sequence, frame.lost) for frame in frames] == [(2**32 - 1, 0), (0, 0), (1, 0)]
    for new in (Encoder(7), NativeLink(7)):  # a first frame of another number would count as one lost
        (frame,) = Decoder().feed(new.encode(1, b""))
        assert frame.sequence == 0


def test_a_frames_first_bit_is_set_and_no_byte_of_it_is_zero() -> None:
    """The bit tells frames from text, the zero ends them."""
    for first, good in ((0x80 | messages.VERSION, True), (messages.VERSION, False)):
        body = HEADER.pack(first, 1, 7, 0)
        wire = b"\0" + cobs_encode(body + zlib.crc32(body).to_bytes(4, "little")) + b"\0"
        for decoder in (Decoder(), NativeLink(1)):
            (event,) = decoder.feed(wire)
            assert isinstance(event, Frame) if good else event == Damaged(Damage.CORRUPT)
    for damaged in (b"\x03a\0", b"\0", b"\x02a\0"):
        assert cobs_decode(damaged) is cobs_in_c(damaged) is None


def test_text_rules() -> None:
    for decoder in (Decoder(), NativeLink(1)):
        wire = b"tabs\tand \x1b[1mcolour\x1b[0m\r\n" + "naïve\n".encode() + b"\0plain\0\xff\0"
        assert list(decoder.feed(wire)) == [
            TextLine("tabs\tand \x1b[1mcolour\x1b[0m"),
            Damaged(Damage.CORRUPT),  # only ASCII is text
            TextLine("plain"),
            Damaged(Damage.CORRUPT),
        ]


def test_lines_end_with_any_line_end_and_blank_ones_vanish() -> None:
    for decoder in (Decoder(), NativeLink(1)):
        events = list(decoder.feed(b"a\r\nbb\rc\n\n\r\r\n\nd\n\0\n\0\r\n\0e\r"))
        assert events == [TextLine(text) for text in ("a", "bb", "c", "d", "e")]
        assert decoder.counters.lines == 5


def test_segments_at_the_size_limit() -> None:
    for decoder in (Decoder(), NativeLink(1)):
        assert list(decoder.feed(b"\0" + b"\xff" * MAX_SEGMENT + b"\0")) == [Damaged(Damage.CORRUPT)]
        assert list(decoder.feed(b"\0" + b"\xff" * (MAX_SEGMENT + 1) + b"\0")) == [Damaged(Damage.OVERSIZE)]
        assert (decoder.counters.corrupt, decoder.counters.oversize) == (1, 1)
        assert list(decoder.feed(b"\0" + b"x" * MAX_SEGMENT)) == [TextLine("x" * MAX_SEGMENT)]


@pytest.mark.parametrize("count", range(12))
def test_too_short_for_a_frame_though_its_crc_is_good(count: int) -> None:
    body = (b"\x81\x01" + bytes(6))[:count] + b"?" * (count - 8)
    wire = b"\0" + cobs_encode(body + zlib.crc32(body).to_bytes(4, "little")) + b"\0"
    for decoder in (Decoder(), NativeLink(1)):
        (event,) = decoder.feed(wire)
        if count < 8:
            assert event == Damaged(Damage.CORRUPT)
        else:
            assert isinstance(event, Frame) and event.payload == b"?" * (count - 8)


def test_c_sender_drops_what_does_not_fit_and_uses_up_its_number() -> None:
    link = NativeLink(3)
    assert link.encode(1, bytes(messages.MAX_PAYLOAD + 1)) == b""
    whole = NativeLink(3)
    whole.state.sequence = 1
    wire = whole.encode(1, b"abc")
    for capacity in range(len(wire)):
        link.state.sequence = 1
        assert link.encode(1, b"abc", capacity) == b"", capacity
    assert link.counters.dropped == link.counters.sent == len(wire) + 1
    assert link.state.sequence == 2
    link.state.sequence = 1
    assert link.encode(1, b"abc", len(wire)) == wire
    with pytest.raises(ValueError, match="at most 480"):
        Encoder(3).encode(1, bytes(messages.MAX_PAYLOAD + 1))


def test_what_the_senders_memory_held_before_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = NativeLink(3).encode(1, b"abc\0")
    monkeypatch.setattr(wrapper, "_Link", used(wrapper._Link))
    link = NativeLink(3)
    ctypes.memset(link._out, 0xA5, ctypes.sizeof(link._out))
    assert link.encode(1, b"abc\0") == expected
    assert not any(getattr(link.counters, name) for name in COUNTERS)
    assert list(link.feed(b"help\n")) == [TextLine("help")] and link.repeated(0xA5A5) is None


def test_repeated_requests_are_recognized() -> None:
    link = NativeLink(1)
    list(link.feed(Encoder(50).encode(0x8E, b"")))
    assert link.repeated(7) is None
    link.done(7, 3)
    assert link.repeated(7) == 3
    assert link.repeated(8) is None
    list(link.feed(Encoder(50, 1).encode(0x8E, b"")))
    assert link.repeated(7) == 3
    # Another host begins its numbers anew.
    list(link.feed(Encoder(51).encode(0x8E, b"")))
    assert link.repeated(7) is None


@pytest.mark.parametrize(
    "message",
    [
        messages.Detection(label="x" * 33),
        messages.Detection(label="a\0b"),
        messages.Detection(score=256),
        messages.Detection(score=-1),
        messages.Hello(model_hash=b"short"),
        messages.Audio(samples=(0,) * 225),
        messages.Audio(samples=(40000,)),
        messages.TensorWrite(data=[256]),  # type: ignore[arg-type]
        messages.TensorWrite(data="text"),  # type: ignore[arg-type]
        messages.ParameterSet(real=1e39),
    ],
    ids=lambda message: str(message)[:40],
)
def test_values_that_do_not_fit_are_refused(message: Message) -> None:
    with pytest.raises(ValueError):
        message.encode()


def test_a_truth_value_is_0_or_1() -> None:
    no, yes = (messages.InjectAudio(last=last).encode() for last in (False, True))
    (at,) = [k for k, pair in enumerate(zip(no, yes, strict=True)) if pair == (0, 1)]
    assert messages.InjectAudio.decode(yes).last is True
    with pytest.raises(ValueError, match="last: 2 is no truth value"):
        messages.InjectAudio.decode(yes[:at] + b"\x02" + yes[at + 1 :])


def test_unknown_enumeration_values_stay_numbers() -> None:
    payload = bytearray(messages.Ack(request=1, code=messages.Result.OK).encode())
    payload[2] = 200
    assert messages.Ack.decode(bytes(payload)).code == 200
    assert messages.Ack.decode(messages.Ack(code=6).encode()).code is messages.Result.BUSY


def test_several_flags_at_once_stay_flags() -> None:
    both = messages.Stream.SCORES | messages.Stream.LEVEL
    again = messages.StreamSet.decode(messages.StreamSet(events=both).encode()).events
    assert again == both and isinstance(again, messages.Stream)


def test_set_text_cuts_at_a_character() -> None:
    def set_text(text: str | None, capacity: int) -> bytes:
        buffer = ctypes.create_string_buffer(b"\xaa" * 32, 32)
        native.library().codec_set_text(
            buffer, ctypes.c_size_t(capacity), text.encode() if text is not None else None
        )
        assert buffer.raw[capacity:] == b"\xaa" * (32 - capacity)
        return buffer.raw[:capacity]

    assert set_text("on", 8) == b"on" + bytes(6)
    assert set_text("sevenXX", 8) == b"sevenXX\0"
    assert set_text("eight_XX", 8) == b"eight_X\0"
    assert set_text("sixsixé", 8) == b"sixsix\0\0"
    assert set_text("é", 2) == b"\0\0"
    assert set_text(None, 4) == bytes(4)
