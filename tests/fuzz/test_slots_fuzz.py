"""Any bytes in the model slots of flash: no crash, nothing offered that is not whole and in its slot."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.fuzz.c_targets import FUZZ, Target, fuzz, shake
from tests.places import ROOT

FIRMWARE = ROOT / "firmware"
MEMORY, ROOM = 65532, 4096  # the memory ends where no arena is rounded up to
SYMBOLS = {  # the slots' addresses are the linker script's, so that they fit the header's 32 bits
    "model_slot_a": 0x08100000, "model_slot_a_bytes": ROOM, "model_slot_b": 0x08140000,
    "model_slot_b_bytes": ROOM, "model_memory_bytes": MEMORY,
}  # fmt: skip
TARGET = Target(
    sources=[
        FIRMWARE / "app" / "model_slots.c", FIRMWARE / "app" / "format.c", FIRMWARE / "link" / "crc32.c",
        FUZZ / "fuzz_slots.c",
    ],
    includes=[FIRMWARE / name for name in ("app", "link", "nn", "hal", "detector", "frontend")],
    flags=[
        "-DTOKAY_MODEL_LAYOUT=0x1234567u", "-DTOKAY_MVP=1", f"-DMEMORY_BYTES={MEMORY}", "-no-pie",
        *(f"-Wl,--defsym={name}={value}" for name, value in SYMBOLS.items()),
    ],
)  # fmt: skip
# How an input begins: what is made of the rest, whose checksums are made good, when a model is proven.
RAW, SEAL, FLASH_FAILS, SECOND = 1, 6, 8, 1 << 6
WORDS, POINTERS = (*range(0, 32, 4), 88, 92), (32, 40, 48, 56, 64)  # of header, model and plan on the PC
WORD, POINTER, FROM_SLOT = 4, 2, 1  # how a change is made


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good models, and each word of them with numbers that hurt."""
    inputs = [bytes([how]) for how in (0, 2, SEAL, SEAL | FLASH_FAILS, SEAL | SECOND, SEAL | 2 * SECOND)]
    for slot in (0, 1):
        for number in (0, 100, ROOM, MEMORY, 0xFFFFFFFF):
            changes = [(at, WORD) for at in WORDS] + [(at, POINTER | FROM_SLOT) for at in POINTERS]
            for at, how in changes:
                inputs.append(bytes([SEAL]) + struct.pack("<HBBI", slot << 15 | at, how, 0, number))
    inputs.append(bytes([RAW | SEAL]) + bytes(100))
    folder = tmp_path_factory.mktemp("slots") / "corpus"
    folder.mkdir()
    for k, data in enumerate(inputs):
        (folder / f"{k:03}").write_bytes(data)
    return folder


def test_slots_shaken(shaker: Path, corpus: Path) -> None:
    shake(shaker, corpus, 100_000)


@pytest.mark.slow
def test_slots_shaken_millions_of_times(shaker: Path, corpus: Path) -> None:
    shake(shaker, corpus, 2_000_000)


def test_slots_for_seconds(fuzzer: Path, corpus: Path) -> None:
    assert fuzz(fuzzer, corpus, "-runs=60000") >= 60000


@pytest.mark.slow
def test_slots_for_millions_of_inputs(fuzzer: Path, corpus: Path) -> None:
    assert fuzz(fuzzer, corpus, "-runs=2000000") >= 2_000_000


@pytest.mark.parametrize(
    ("check", "instead"),
    [
        ("header->bytes <= room && ", ""),
        ("lies_in(header, header->model, sizeof(model_t), _Alignof(model_t))", "true"),
        ("crc32_update(0, start, (size_t)(end - start)) == header->crc", "true"),
        ("lies_in(header, inside->plan, sizeof(nn_plan_t), _Alignof(nn_plan_t))", "true"),
        ("header->tried != MODEL_WORD_BLANK && header->proven != 0", "false"),
        ("header_of(slot)->sequence > header_of(found)->sequence", "false"),
        ("used < bytes ? bytes - used : 0", "bytes - used"),
        ("    source->trial = NULL;\n    for", "    for"),
        ("        source->trial = NULL;\n    }\n    bool asked", "    }\n    bool asked"),
    ],
)
def test_a_check_that_is_missing_is_noticed(check: str, instead: str, corpus: Path, tmp_path: Path) -> None:
    code = TARGET.sources[0].read_text()
    assert code.count(check) == 1
    changed = tmp_path / "model_slots.c"
    changed.write_text(code.replace(check, instead))
    target = Target([changed, *TARGET.sources[1:]], TARGET.includes, [*TARGET.flags, "-Wno-error"])
    with pytest.raises(AssertionError, match=r"broken: |ERROR: AddressSanitizer|runtime error"):
        shake(target.shaker(tmp_path / "shake"), corpus, 20_000)
