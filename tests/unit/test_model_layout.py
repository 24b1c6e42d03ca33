"""What model images and the firmware that takes them say of themselves, and what the host refuses by that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from codegen.plan import KERNELS
from host import model_layout
from host.errors import TokayError
from host.memory_map import SLOTS

SLOT = next(iter(SLOTS))


def test_the_host_refuses_what_the_firmware_would():
    taker = model_layout.Taker(model_layout.layout(), optional_kernels=0, memory_bytes=1000)
    others = tuple(name for name in KERNELS if name != "mvp")
    model_layout.check(taker, others, 1000)
    model_layout.check(replace(taker, optional_kernels=1 << KERNELS.index("mvp")), KERNELS, 1000)
    with pytest.raises(TokayError, match="lacks what the model needs: mvp"):
        model_layout.check(taker, ("conv_2d", "mvp"), 1000)
    with pytest.raises(TokayError, match="needs 1001 bytes of RAM"):
        model_layout.check(taker, ("conv_2d",), 1001)
    with pytest.raises(TokayError, match="of layout"):
        model_layout.check(model_layout.Taker(1, 0, 1000), ("conv_2d",), 1000)


def test_a_model_image_is_whole_to_its_last_byte_and_no_further():
    room = model_layout._HEADER.size
    sealed = model_layout.seal(bytes(room) + b"constants", SLOT, SLOT + 40, 7)
    header = model_layout.read_header(sealed)
    assert (header.address, header.bytes, header.sequence) == (SLOT, room + 9, 7)
    assert header.model == SLOT + 40 and header.layout == model_layout.layout() and not header.is_proven
    assert sealed[room:] == b"constants"
    assert model_layout.is_whole(header, sealed) and model_layout.is_whole(header, sealed + b"\xff")
    assert not model_layout.is_whole(header, sealed[:-1])
    assert not model_layout.is_whole(header, sealed[:-1] + b"S")
    for beyond in (replace(header, bytes=header.bytes + 1), replace(header, bytes=16, crc=0)):
        assert not model_layout.is_whole(beyond, sealed)  # though that checksum is right
    assert model_layout.read_header(b"\xff" * 64) is None


def test_what_a_firmware_takes_is_found_in_its_first_bytes():
    said = model_layout._TAKER.pack(model_layout._TAKER_MAGIC, 1, 2, 3)
    for before in (b"", bytes(400)):
        assert model_layout.find_taker(before + said) == model_layout.Taker(1, 2, 3)
    for other in (b"", bytes(1000), said[:-1], bytes(model_layout._TAKER_WITHIN) + said):
        assert model_layout.find_taker(other) is None
