"""host.flash --pack: a CMSIS pack made here, with our algorithm in the vendors' form (an FLM file), through
pyOCD's pack code. Its part is one that pyOCD and we do not know otherwise."""

from __future__ import annotations

import random
import shutil
import subprocess
import zipfile

import pytest

pytest.importorskip("pyocd", reason="pyOCD is not installed (extra flash)")
if shutil.which("arm-none-eabi-gcc") is None:
    pytest.skip("arm-none-eabi-gcc is not installed", allow_module_level=True)

from pyocd.target import TARGET

from host import cli, flash, image
from host.board import load
from host.errors import TokayError
from host.flashing import connection, images, programmer
from host.flashing.simulated_probe import SimulatedProbe
from host.memory_map import FLASH_BASE, FLASH_BYTES, SECTOR
from host.simulator.machine import Machine
from tests.places import ROOT

CHIP = ROOT / "firmware" / "chips" / "efr32mg24"

DEVICE = """
#include <stdint.h>
struct device {
    uint16_t version; char name[128]; uint16_t type; uint32_t start, bytes, page, reserved; uint8_t erased;
    uint32_t program_ms, erase_ms, sectors[4];
};
const struct device FlashDevice __attribute__((section("DevDscr"), used)) = {
    0x101, "test", 1, 0x08000000, SIZE, PAGE, 0, 0xFF, 1000, 1000, {ERASED, 0, 0xFFFFFFFF, 0xFFFFFFFF},
};
"""

SCRIPT = """
SECTIONS {
  PrgCode 0 : { *(.text .text.*) }
  DevDscr : { KEEP(*(DevDscr)) }
  /DISCARD/ : { *(.ARM.* .comment .note.*) }
}
"""

DESCRIPTION = """<?xml version="1.0" encoding="UTF-8"?>
<package schemaVersion="1.4"><vendor>Tokay</vendor><name>Test_DFP</name><devices>
<family Dfamily="Test" Dvendor="Tokay:999"><device Dname="TOKAYTEST1">
<processor Dcore="Cortex-M33" DcoreVersion="r0p4"/><debug __ap="0"/>
<memory name="flash" access="rx" start="0x08000000" size="{first:#x}" startup="1" default="1"/>
{second}<memory name="ram" access="rwx" start="0x20000000" size="0x40000" default="1"/>
<algorithm name="test.flm" start="0x08000000" size="{size:#x}" default="1"/>
</device></family></devices></package>
"""

SECOND = '<memory name="flash2" access="rx" start="{start:#x}" size="{size:#x}" default="1"/>\n'


@pytest.fixture(autouse=True)
def no_pack_before(monkeypatch):
    """pyOCD keeps a part as the first pack of a process describes it."""
    monkeypatch.delitem(TARGET, "tokaytest1", raising=False)


def make_pack(folder, page: int, *, size=FLASH_BYTES, sector=SECTOR, first: int | None = None):
    """A pack whose algorithm writes pages of so many bytes, in a flash of so many, in sectors of so many.
    With ``first`` its flash is two regions, the first of so many bytes."""
    device, script, flm = folder / "device.c", folder / "flm.ld", folder / "test.flm"
    device.write_text(DEVICE)
    script.write_text(SCRIPT)
    flags = ["-mcpu=cortex-m33", "-mthumb", "-mgeneral-regs-only", "-mfloat-abi=soft", "-Os", "-fPIC"]
    subprocess.run(
        ["arm-none-eabi-gcc", *flags, "-nostdlib", "-ffreestanding", f"-I{CHIP}",
         f"-DPAGE={page}", f"-DSIZE={size}", f"-DERASED={sector}",
         f"-Wl,-T,{script}", "-Wl,--no-warn-rwx-segments", "-Wl,-e,Init",
         str(CHIP / "flash_algorithm" / "flash_algorithm.c"), str(device), "-o", str(flm)],
        check=True,
    )  # fmt: skip
    second = "" if first is None else SECOND.format(start=FLASH_BASE + first, size=size - first)
    path = folder / "test.pack"
    with zipfile.ZipFile(path, "w") as archive:
        text = DESCRIPTION.format(size=size, first=first or size, second=second)
        archive.writestr("Tokay.Test_DFP.pdsc", text)
        archive.write(flm, "test.flm")
    return path


@pytest.mark.parametrize("page", [0x400, 0x2000, 0x4000])
def test_flash_with_a_pack(tmp_path, page):
    """Pages smaller than a sector, of its size and larger: none writes outside the image."""
    pack = make_pack(tmp_path, page)
    machine = Machine()
    machine.write(FLASH_BASE, random.Random(7).randbytes(FLASH_BYTES))
    before = machine.read(FLASH_BASE, FLASH_BYTES)
    data = random.Random(1).randbytes(30000)
    with connection.connect(SimulatedProbe(machine), "TOKAYTEST1", pack=pack) as chip:
        outcome = programmer.program(chip, images.from_bytes("x", FLASH_BASE, data), lambda d, n: None)
    padded = data + b"\xff" * (-len(data) % SECTOR)
    assert machine.read(FLASH_BASE, FLASH_BYTES) == padded + before[len(padded) :]
    assert outcome.sectors_written == 4
    machine.close()


@pytest.mark.parametrize(
    ("described", "start", "message"),
    [
        ({"size": 0x100000}, 0x08100000, r"no flash at 0x08100000 \(give another --pack\)"),
        ({"size": 0x100000}, 0x080FE000, r"no flash at 0x08100000 \(give another --pack\)"),
        ({"first": 0x80000}, 0x0807E000, "two of the target's flash regions, the second with 0x08080000"),
        ({"sector": 0x4000}, 0x08000000, r"sectors are of 16384 bytes, not 8192 \(give another --pack\)"),
    ],
    ids=["elsewhere", "partly elsewhere", "two regions", "sectors"],
)
def test_a_pack_that_is_not_of_this_flash(described, start, message, tmp_path):
    """Nothing is erased for an image that it cannot write."""
    pack = make_pack(tmp_path, 0x400, **described)
    machine = Machine()
    machine.write(FLASH_BASE, random.Random(7).randbytes(FLASH_BYTES))
    before = machine.read(FLASH_BASE, FLASH_BYTES)
    whole = images.from_bytes("x", start, bytes(2 * SECTOR))
    opened = connection.connect(SimulatedProbe(machine), "TOKAYTEST1", pack=pack)
    with pytest.raises(TokayError, match=message), opened as chip:
        programmer.program(chip, whole, lambda done, steps: None)
    assert machine.read(FLASH_BASE, FLASH_BYTES) == before
    machine.close()


@pytest.mark.parametrize("offset", [-1, 2 * SECTOR], ids=["before", "behind"])
def test_an_algorithm_that_writes_beside_the_image_is_noticed(offset, tmp_path, monkeypatch):
    pack, start = make_pack(tmp_path, 0x400), 0x08010000
    whole = images.from_bytes("x", start, bytes(2 * SECTOR))
    machine = Machine()
    machine.write(FLASH_BASE, random.Random(7).randbytes(FLASH_BYTES))
    changed = pytest.raises(TokayError, match=r"the sector (before|behind) the image at 0x080\w+ has changed")
    with changed, connection.connect(SimulatedProbe(machine), "TOKAYTEST1", pack=pack) as chip:
        flash = chip.memory_map.get_region_for_address(start).flash
        erase = flash.erase_sector

        def careless(address: int) -> None:
            erase(address)
            machine.write(start + offset, b"\x55")

        monkeypatch.setattr(flash, "erase_sector", careless)
        programmer.program(chip, whole, lambda done, steps: None)
    machine.close()


def test_model_only_with_a_pack(tmp_path, capsys):
    """The slots and the two words that the firmware clears go through the pack's algorithm as well."""
    pack, model = make_pack(tmp_path, 0x2000), "keyword_spotting_on_off"
    firmware = image.build(model, load("brd2601b"), tmp_path / "firmware", swappable=True)
    arguments = [model, "--model-only", "--simulate", "--firmware", str(firmware.elf)]
    assert cli.run(flash.main, [*arguments, "--pack", str(pack), "--part", "TOKAYTEST1"]) == 0
    out = capsys.readouterr().out
    assert "in slot A (0x08100000), number 1, verified" in out and "has proven it" in out


def test_pack_without_the_part(tmp_path):
    pack = make_pack(tmp_path, 0x2000)
    machine = Machine()
    opened = connection.connect(SimulatedProbe(machine), "EFR32MG24B310F1536IM48", pack=pack)
    with pytest.raises(TokayError, match=r"test\.pack does not know EFR32MG24B310F1536IM48"), opened:
        pass
    machine.close()
