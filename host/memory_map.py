"""The memory of an EFR32MG24 with 1536 kB of flash and 256 kB of RAM, as addresses and bytes.

Python has these numbers from here. C, the linker script and Renode write their own;
tests/contracts/test_memory_map.py holds them against these.
"""

from __future__ import annotations

FLASH_BASE, FLASH_BYTES = 0x08000000, 1536 * 1024
SECTOR = 8 * 1024
"""What the flash erases at once."""
LAST_SECTOR = FLASH_BASE + FLASH_BYTES - SECTOR
FIRMWARE_BYTES = 1024 * 1024
"""Of the flash, from its start: what an image may take. Behind it are the slots."""
SLOTS = {0x08100000: 256 * 1024, 0x08140000: 248 * 1024}
"""Where models go that are flashed apart from the firmware: address and room."""
SLOT_NAMES = dict(zip(SLOTS, "AB", strict=True))
RAM_BASE, RAM_BYTES = 0x20000000, 256 * 1024
INFO_BASE, INFO_BYTES = 0x0FE00000, 64 * 1024
"""A flash of its own, with the user data page at its start and the device information in it."""
USER_DATA, USER_DATA_BYTES = INFO_BASE, 1024
DEVICE_INFO = INFO_BASE + 0x8000
