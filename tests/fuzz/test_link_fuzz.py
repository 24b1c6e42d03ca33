"""Any bytes at all into the link's C and Python decoders: no crash, no hang, nothing wrong delivered."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from host.device import messages
from host.device.framing import Decoder, Frame, TextLine
from tests.fuzz.c_targets import FUZZ, Target, fuzz, shake
from tests.places import ROOT

LINK = ROOT / "firmware" / "link"
VECTORS = ROOT / "tests" / "golden" / "vectors" / "link.json"

TARGET = Target([*sorted(LINK.glob("*.c")), FUZZ / "fuzz_link.c"], [LINK])


def corpus(folder: Path) -> Path:
    """Starting points: the shared vectors, as each part of the target takes them."""
    folder.mkdir()
    vectors = json.loads(VECTORS.read_text(encoding="utf-8"))
    for k, stream in enumerate(vectors["streams"]):
        (folder / f"stream{k}").write_bytes(b"\0" + bytes.fromhex(stream["bytes"]))
    for k, item in enumerate(vectors["messages"]):
        payload = bytes.fromhex(item["payload"])
        (folder / f"message{k}").write_bytes(bytes([2, item["type"]]) + payload)
        if len(payload) < 500:
            half = bytes([(len(payload) + 1) // 2])
            (folder / f"frame{k}").write_bytes(bytes([1, item["type"], 0]) + half + payload)
    return folder


def test_c_decoders_shaken(shaker: Path, tmp_path: Path) -> None:
    shake(shaker, corpus(tmp_path / "corpus"), 100_000)


@pytest.mark.slow
def test_c_decoders_shaken_millions_of_times(shaker: Path, tmp_path: Path) -> None:
    shake(shaker, corpus(tmp_path / "corpus"), 2_000_000)


def test_c_decoders_for_seconds(fuzzer: Path, tmp_path: Path) -> None:
    assert fuzz(fuzzer, corpus(tmp_path / "corpus"), "-runs=60000") >= 60000


@pytest.mark.slow
def test_c_decoders_for_millions_of_inputs(fuzzer: Path, tmp_path: Path) -> None:
    assert fuzz(fuzzer, corpus(tmp_path / "corpus"), "-runs=2000000") >= 2_000_000


def python_decoder(inputs: int, seed: int) -> None:
    """Damaged and invented streams into the Python decoder and message parser."""
    rng = random.Random(seed)
    vectors = json.loads(VECTORS.read_text(encoding="utf-8"))
    seeds = [bytes.fromhex(item["bytes"]) for item in vectors["streams"]]
    seeds += [bytes.fromhex(frame[4]) for frame in vectors["frames"]]
    payloads = [(item["type"], bytes.fromhex(item["payload"])) for item in vectors["messages"]]
    decoder = Decoder()
    for _ in range(inputs):
        data = bytearray(rng.choice(seeds) if rng.random() < 0.8 else rng.randbytes(rng.randrange(100)))
        for _ in range(rng.randrange(4)):
            at = rng.randrange(len(data) + 1)
            data[at : at + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
        for event in decoder.feed(bytes(data)):
            if isinstance(event, Frame):
                assert len(event.payload) <= 2 * messages.MAX_PAYLOAD
            elif isinstance(event, TextLine):
                assert event.text
        number, payload = rng.choice(payloads)
        mutated = bytearray(payload)
        for _ in range(rng.randrange(1, 4)):
            mutated[rng.randrange(len(mutated))] = rng.randrange(256)
        raw = bytes(mutated[: rng.randrange(len(mutated) + 1)] if rng.random() < 0.3 else mutated)
        message = messages.decode(number, raw)
        assert message is None or len(message.encode()) <= len(raw)


def test_python_decoders_for_seconds() -> None:
    python_decoder(20_000, seed=1)


@pytest.mark.slow
def test_python_decoders_for_a_million_inputs() -> None:
    python_decoder(1_000_000, seed=2)
