"""What C, the linker script and Renode say of the chip's memory is what ``host.memory_map`` says."""

from __future__ import annotations

import re

from codegen.mvp import isa
from host import memory_map
from host.flashing import core_debug
from tests.places import ROOT

SIMULATOR = ROOT / "host" / "simulator"
RENODE = ROOT / "boards" / "renode"
CHIP = ROOT / "firmware" / "chips" / "efr32mg24"


def test_linker_script() -> None:
    text = (CHIP / "linker.ld").read_text()
    found = re.findall(r"^ *(\w+) \(\w+\) *: ORIGIN = (\w+), LENGTH = (\d+)K$", text, re.M)
    assert {name: (int(origin, 16), 1024 * int(room)) for name, origin, room in found} == {
        "FLASH": (memory_map.FLASH_BASE, memory_map.FIRMWARE_BYTES),
        "RAM": (memory_map.RAM_BASE, memory_map.RAM_BYTES),
        **{f"SLOT_{memory_map.SLOT_NAMES[start]}": (start, room) for start, room in memory_map.SLOTS.items()},
    }
    assert 1024 * int(re.search(r"flash_size = (\d+)K;", text)[1]) == memory_map.FLASH_BYTES


def test_slots_lie_behind_the_firmware_and_before_the_last_sector() -> None:
    end = memory_map.FLASH_BASE + memory_map.FIRMWARE_BYTES
    for start, room in memory_map.SLOTS.items():
        assert start == end and start % memory_map.SECTOR == room % memory_map.SECTOR == 0
        end = start + room
    assert end == memory_map.LAST_SECTOR


def test_simulated_chip() -> None:
    text = (SIMULATOR / "core" / "machine.h").read_text()
    numbers = {name: int(number, 16) for name, number in re.findall(r"#define (\w+) (0x\w+?)u\b", text)}
    for name in ("FLASH_BASE", "FLASH_BYTES", "RAM_BASE", "RAM_BYTES", "INFO_BASE", "INFO_BYTES"):
        assert numbers[name] == getattr(memory_map, name), name
    assert numbers["FLASH_PAGE_BYTES"] == memory_map.SECTOR


def test_device_information() -> None:
    registers = (CHIP / "registers.h").read_text()
    tuning = int(re.search(r"USERDATA_HFXO_CTUNE .*\(uintptr_t\)(\w+)u\)", registers)[1], 16)
    calibration = int(re.search(r"DEVINFO_HFRCODPLLCAL_80MHZ REG32\((\w+)u\)", registers)[1], 16)
    assert memory_map.USER_DATA <= tuning < memory_map.USER_DATA + memory_map.USER_DATA_BYTES
    assert memory_map.DEVICE_INFO <= calibration < memory_map.INFO_BASE + memory_map.INFO_BYTES
    simulator = (SIMULATOR / "core" / "machine.c").read_text()
    offset = int(re.search(r"devinfo_fill\(m->info \+ (\w+)u\)", simulator)[1], 16)
    assert memory_map.INFO_BASE + offset == memory_map.DEVICE_INFO


def test_flash_controller() -> None:
    """The registers by which the simulated probe knows what a power cut interrupts."""
    text = (CHIP / "registers.h").read_text()
    base = int(re.search(r"#define MSC_BASE (\w+)u", text)[1], 16)
    registers = {
        name: base + int(offset, 16)
        for name, offset in re.findall(r"#define (MSC_\w+) REG32\(MSC_BASE \+ (\w+)u\)", text)
    }
    for name in ("MSC_WRITECMD", "MSC_ADDRB", "MSC_STATUS"):
        assert getattr(core_debug, f"_{name}") == registers[name], name
    bits = dict(re.findall(r"#define (MSC_\w+) BIT\((\d+)\)", text))
    for name in ("MSC_STATUS_BUSY", "MSC_WRITECMD_ERASEPAGE"):
        assert getattr(core_debug, f"_{name}") == 1 << int(bits[name]), name


def test_accelerator() -> None:
    """Where programs find the arena and constants: in codegen, on the PC, in the estimates and in Renode."""
    bases = memory_map.RAM_BASE, memory_map.FLASH_BASE
    assert bases == (isa.RAM_BASE, isa.FLASH_BASE)
    driver = (SIMULATOR / "mvp" / "nn_driver.c").read_text()
    assert tuple(int(x, 16) for x in re.findall(r"#define (?:ARENA|CONSTANTS)_BASE (\w+)u", driver)) == bases
    timing = (SIMULATOR / "mvp" / "timing.c").read_text()
    begin, end = re.findall(r"#define FLASH_(?:BEGIN|END) (\w+)u", timing)
    assert int(begin, 16) == memory_map.FLASH_BASE
    assert memory_map.FLASH_BASE + memory_map.FLASH_BYTES <= int(end, 16) <= memory_map.RAM_BASE
    renode = (RENODE / "TokayMvp.cs").read_text()
    assert tuple(int(x, 16) for x in re.findall(r"ulong (?:ram|flash)Base = (\w+)", renode)) == bases
    start = re.search(r"VectorTableOffset (\w+)", (RENODE / "tokay.resc").read_text())[1]
    assert int(start, 16) == memory_map.FLASH_BASE
