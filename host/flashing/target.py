"""The EFR32MG24 for pyOCD: its memory, our flash algorithm, and what is checked when connecting."""

from __future__ import annotations

from typing import Any

from pyocd.core import exceptions
from pyocd.core.memory_map import FlashRegion, MemoryMap, RamRegion, RomRegion
from pyocd.coresight.ap import MEM_AP
from pyocd.coresight.coresight_target import CoreSightTarget
from pyocd.target import TARGET

from host.flashing import algorithm
from host.memory_map import FLASH_BASE, FLASH_BYTES, INFO_BASE, INFO_BYTES, RAM_BASE, RAM_BYTES, SECTOR

# The parts of the boards there are, the XIAO MG24 and the first BRD2703A included.
PARTS = (
    "EFR32MG24B310F1536IM48",
    "EFR32MG24B210F1536IM48",
    "EFR32MG24B220F1536IM48",
    "EFR32MG24B020F1536IM48",
)
CORE_PORT = 0  # of the debug port's access ports
# What a connection that breaks raises. A probe that is pulled out: also the errors of USB libraries, OSErrors
# that pyOCD lets pass. A chip that only ever says "wait": pyOCD asks it to stop, and again, and so on.
BROKEN = (exceptions.Error, OSError, RecursionError)
_STACK_END, _STACK_TOP = RAM_BASE + 0x800, RAM_BASE + 0x1000
_BUFFERS = (RAM_BASE + 0x2000, RAM_BASE + 0x2000 + SECTOR)


class LockedPart(exceptions.TargetError):
    """The debug port answers and the core does not let itself be debugged."""


def flash_algorithm() -> dict[str, Any]:
    """Our algorithm as pyOCD wants it described."""
    code = algorithm.stored()

    def entry(name: str) -> int:
        return RAM_BASE + code.entries[name] | 1

    return {
        "load_address": RAM_BASE,
        "instructions": code.words,
        "pc_init": entry("Init"),
        "pc_unInit": entry("UnInit"),
        "pc_erase_sector": entry("EraseSector"),
        "pc_program_page": entry("ProgramPage"),
        "page_buffers": list(_BUFFERS),
        "min_program_length": 4,
        "begin_stack": _STACK_TOP,
        "end_stack": _STACK_END,
        "static_base": _STACK_TOP,
        "analyzer_supported": False,
        "analyzer_address": 0,
    }


def memory_map() -> MemoryMap:
    """The main flash is the only region that can be written: the user data page is none of ours."""
    return MemoryMap(
        FlashRegion(
            name="flash",
            start=FLASH_BASE,
            length=FLASH_BYTES,
            blocksize=SECTOR,
            page_size=SECTOR,
            phrase_size=4,
            erased_byte_value=0xFF,
            is_boot_memory=True,
            algo=flash_algorithm(),
        ),
        RomRegion(name="info", start=INFO_BASE, length=INFO_BYTES),
        RamRegion(name="ram", start=RAM_BASE, length=RAM_BYTES),
    )


class EFR32MG24(CoreSightTarget):
    """A part with 1536 kB of flash and 256 kB of RAM."""

    VENDOR = "Silicon Labs"

    def __init__(self, session: Any) -> None:
        super().__init__(session, memory_map())

    def create_init_sequence(self) -> Any:
        sequence = super().create_init_sequence()
        sequence.insert_before("discovery", ("core_port_only", self._core_port_only))
        sequence.insert_before("check_for_cores", ("check_lock", self._check_lock))
        return sequence

    def _core_port_only(self) -> None:
        # The other ports are the secure engine's and the radio's: what pyOCD looks for there answers with
        # faults, or is a second core that is none of ours.
        self.dp.valid_aps = [CORE_PORT]

    def _check_lock(self) -> None:
        port = next(iter(self.aps.values()), None)
        if isinstance(port, MEM_AP) and not port.is_enabled:
            raise LockedPart("the part is locked")


def register() -> None:
    """Makes the parts known to pyOCD."""
    for part in PARTS:
        TARGET[part.lower()] = EFR32MG24


def forget() -> None:
    """Leaves the parts to a pack."""
    for part in PARTS:
        TARGET.pop(part.lower(), None)
