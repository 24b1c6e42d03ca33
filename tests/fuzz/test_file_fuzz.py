"""Damaged and hostile files of the other kinds that are read: a result or a TokayError, whatever is in."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codegen.errors import TokayError
from codegen.parameters import dictionary_bytes, read_parameters, write_parameters
from host import board
from host.audio import read_audio
from host.dataset import folder
from host.device import recording
from host.flashing import images
from host.memory_map import FLASH_BASE
from host.metrics import recordings
from tests.places import ROOT

EXAMPLES = int(os.environ.get("TOKAY_EXAMPLES", "300"))
# What a hand or another tool would write wrong.
ODD = [b"", b"\0", b"\xff\xfe", b"\n", b"-1", b"1e999", b"nan", b"null", b"{}", b"[", b'"', b"9" * 400]


@dataclass(frozen=True)
class Kind:
    """A file that is read: its name, a good one, and what reads it by its path."""

    name: str
    good: bytes
    read: Callable[[Path], Any]


def wav(subtype: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.arange(200) / 1000, 8000, subtype=subtype, format="WAV")
    return file.getvalue()


def recorded() -> bytes:
    head = {"format": recording.FORMAT, "version": recording.VERSION, "transport": "simulator"}
    lines = [head, {"t": 0.5, "tx": "00ff"}, {"t": 0.75, "rx": "0102"}, {"t": 1.0, "closed": "over"}]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def firmware_hex() -> bytes:
    words = np.array([0x20004000, 0x08000101] + [0] * 62, "<u4").tobytes()
    whole = images.to_hex(images.from_bytes("good", FLASH_BASE, words))
    return "\n".join([*whole.splitlines()[:9], ":00000001FF", ""]).encode()


SHIPPED = (ROOT / "host" / "models" / "keyword_spotting_on_off.tflite").read_bytes()
PARAMETERS = read_parameters(SHIPPED)
MODEL, DICTIONARY = write_parameters(SHIPPED, PARAMETERS), dictionary_bytes(PARAMETERS, PARAMETERS.types)
KINDS = [
    Kind("labels.txt", b"# start end label\n1.25 1.75 on\n2.5 3 off\n", recordings.read_labels),
    Kind("labels.json", b'[{"word": "on", "start_ms": 1250, "end_ms": 1750}]', recordings.read_labels),
    Kind("testing_list.txt", b"on/a_nohash_0.wav\noff/b_nohash_0.wav\n",
         lambda path: folder.scan(path.parent)),
    Kind("board.toml", (board.BOARDS / "brd2601b" / "board.toml").read_bytes(),
         lambda path: board.header(board.load(str(path.parent)))),
    Kind("device.jsonl", recorded(), recording.load),
    Kind("integers.wav", wav("PCM_16"), lambda path: read_audio(path, 8000, resample=True)),
    Kind("floats.wav", wav("FLOAT"), lambda path: read_audio(path, 8000)),
    Kind("firmware.hex", firmware_hex(), images.read),
    Kind("firmware.bin", bytes(np.array([0x20004000, 0x08000101, 7], "<u4")), images.read),
]  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A dataset of one clip, whose name is one that a board could have."""
    place = tmp_path / "mine"
    (place / "on").mkdir(parents=True)
    (place / "on" / "a_nohash_0.wav").write_bytes(wav("PCM_16"))
    return place


every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


def read_or_refuse(kind: Kind, path: Path, data: bytes) -> None:
    """Nothing but TokayError may come out, and it has to say something, in one line."""
    path.write_bytes(data)
    try:
        kind.read(path)
    except TokayError as error:
        assert error.message and "\n" not in error.message


@every_kind
def test_good_files_are_read(kind: Kind, place: Path) -> None:
    (place / kind.name).write_bytes(kind.good)
    kind.read(place / kind.name)


@every_kind
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 12), st.sampled_from(ODD) | st.binary(max_size=8)), max_size=4,
), keep=st.floats(0, 1) | st.just(1.0))  # fmt: skip
def test_files_with_pieces_replaced(kind: Kind, place: Path, changes: list, keep: float) -> None:
    data = kind.good
    for where, length, piece in changes:
        at = round(where * len(data))
        data = data[:at] + piece + data[at + length :]
    read_or_refuse(kind, place / kind.name, data[: round(keep * len(data))])


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(DICTIONARY) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_changed_bytes_of_parameters(changes: list[tuple[int, int]]) -> None:
    blob = bytearray(DICTIONARY)
    for at, value in changes:
        blob[at] = value
    assert MODEL.count(DICTIONARY) == 1
    try:
        read_parameters(MODEL.replace(DICTIONARY, bytes(blob)))
    except TokayError as error:
        assert error.message
