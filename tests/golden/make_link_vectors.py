"""Writes vectors/link.json: messages, frames and byte streams with what they must turn into.

Run by hand once, and again after a deliberate change of the protocol; the tests hold both codecs to
the committed file, so a change of the bytes shows in its diff.
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from pathlib import Path

from host.device import messages as m
from host.device.codec import Array, Boolean, Message, Scalar, Text
from host.device.framing import Damaged, Decoder, Encoder, Frame, Mismatch, Received, TextLine

PATH = Path(__file__).parent / "vectors" / "link.json"
RANGES = {
    "B": (0, 2**8 - 1), "H": (0, 2**16 - 1), "I": (0, 2**32 - 1), "Q": (0, 2**64 - 1),
    "b": (-(2**7), 2**7 - 1), "h": (-(2**15), 2**15 - 1), "i": (-(2**31), 2**31 - 1),
}  # fmt: skip


def number(code: str, rng: random.Random, full: bool) -> int | float:
    """A value of a struct code: its largest if ``full``, else any."""
    if code == "f":
        return 3.0e38 if full else rng.randrange(-1000, 1000) / 8
    low, high = RANGES[code]
    return high if full else rng.choice([low, 0, 1, high, rng.randint(low, high)])


def example(cls: type[Message], rng: random.Random, full: bool) -> Message:
    """A message with every field at its bound if ``full``, else with any values."""
    values: dict[str, object] = {}
    for field in cls.LAYOUT:
        if isinstance(field, Boolean):
            values[field.name] = full or rng.random() < 0.5
        elif isinstance(field, Text):
            length = field.maximum if full else rng.randrange(field.maximum // 2)
            values[field.name] = "".join(rng.choice("abcXYZ 0_é") for _ in range(length // 2)) or "x"
            if full:
                values[field.name] = "y" * field.maximum
        elif isinstance(field, Array):
            count = field.maximum if full or field.fixed else rng.randrange(field.maximum)
            items = [number(field.code, rng, full) for _ in range(count)]
            values[field.name] = bytes(items) if field.code == "B" else tuple(items)  # type: ignore[arg-type]
        elif isinstance(field, Scalar):
            values[field.name] = number(field.code, rng, full)
    return cls.decode(cls(**values).encode())


def plain(value: object) -> object:
    """A field's value as JSON has it."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return list(value)
    return value if isinstance(value, (bool, str, float)) else int(value)  # type: ignore[call-overload]


def event(item: Received) -> list[object]:
    """What a decoder gave out, as JSON has it."""
    if isinstance(item, Frame):
        where = [item.boot_id, item.sequence, item.lost, item.restarted]
        return ["frame", item.type, item.payload.hex(), *where]
    if isinstance(item, TextLine):
        return ["text", item.text]
    if isinstance(item, Mismatch):
        return ["mismatch", item.version]
    assert isinstance(item, Damaged)
    return [item.reason.name.lower()]


def streams() -> dict[str, bytes]:
    """Byte streams as they occur on a line, by what is the matter with them."""
    a = Encoder(7)
    first, second, third, fourth = (a.encode(1, bytes([k]) * 5) for k in range(4))
    flipped = bytearray(second)
    flipped[9] ^= 0x20
    behind = Encoder(7, 200)
    return {
        "in order": first + second + third,
        "text between frames": b"boot\r\n" + first + b"one line\ntwo\n" + second + b"no end",
        "text cut by a frame": b"half a li" + first,
        "attached in the middle of a frame": first[7:] + second,
        "one lost": first + third,
        "one flipped bit": first + bytes(flipped) + third,
        "cut short": first + second[:11] + third,
        "delimiter lost": first + second[:-1] + third[1:] + fourth,
        "duplicate": first + first + second + first,
        "restarted, first frame": first + second + Encoder(8).encode(2, b""),
        "restarted, three lost": first + second + Encoder(8, 3).encode(2, b""),
        "restarted with the same boot id": behind.encode(1, b"") + behind.encode(1, b"") + first,
        "sequence wraps": Encoder(7, 2**32 - 1).encode(1, b"") + first,
        "another version": first + Encoder(7, 1).encode(1, b"new", version=m.VERSION + 1) + third,
        "too long": first + b"\0" + b"\x91" * 600 + b"\0" + second,
        "a very long line": b"x" * 700 + b"\n" + first,
        "only zeros": bytes(9) + first,
        "not COBS": b"\0\xc8\x81\x01\0" + first,
        "shorter than a header": b"\0\x03\x81\x01\0" + first,
    }


def main() -> None:
    rng = random.Random(4)
    messages = []
    for cls in m.MESSAGES.values():
        for message in (cls(), example(cls, rng, True), example(cls, rng, False), example(cls, rng, False)):
            fields = {name: plain(value) for name, value in asdict(message).items()}
            messages.append({"type": cls.TYPE, "fields": fields, "payload": message.encode().hex()})
    frames = []
    for count in (0, 1, 2, 241, 242, 243, 253, 254, 255, 256, 479, 480):
        for payload in (bytes(count), b"\x01" * count, rng.randbytes(count)):
            boot_id, sequence = rng.randrange(2**16), rng.randrange(2**32)
            frame = Encoder(boot_id, sequence).encode(count & 0xFF, payload)
            frames.append([count & 0xFF, boot_id, sequence, payload.hex(), frame.hex()])
    texts = [
        {"name": name, "bytes": data.hex(), "events": [event(e) for e in Decoder().feed(data)]}
        for name, data in streams().items()
    ]
    parts = {"messages": messages, "frames": frames, "streams": texts}
    body = ",\n".join(
        f'"{name}": [\n' + ",\n".join(json.dumps(item, ensure_ascii=False) for item in items) + "\n]"
        for name, items in parts.items()
    )
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text("{\n" + body + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
