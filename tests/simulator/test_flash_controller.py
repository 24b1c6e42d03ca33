"""MSC: erasing and writing flash, its locks and its time."""

from __future__ import annotations

import struct

import pytest

from host.simulator.machine import SimulatorError
from tests.simulator.variables import finish, words

_FLASH = """
volatile uint32_t status[6];
static void once(void) { while (REG(0x4003001C) & 0x21) { } }
static void wait(void) { once(); once(); }
int main(void) {
    SET(0x40008068) = 1 << 16;
    REG(0x4003003C) = 0x1B71;
    REG(0x40030014) = 0x08020000; REG(0x40030010) = 2; status[0] = REG(0x4003001C);
    REG(0x4003000C) = 1;
    REG(0x40030014) = 0x08020000; REG(0x40030010) = 2; wait();
    REG(0x40030014) = 0x08020010;
    for (int i = 0; i < 4; i++) { while (!(REG(0x4003001C) & 8)) { } REG(0x40030018) = 0xA0 + i; }
    REG(0x40030010) = 4; wait();
    REG(0x40030014) = 0x08020010; REG(0x40030018) = 0x0F; wait();
    REG(0x40030014) = 0x08200000; status[1] = REG(0x4003001C);
    SET(0x40030120) = 1 << 16;
    REG(0x40030014) = 0x08020000; REG(0x40030010) = 2; status[2] = REG(0x4003001C);
    return 0;
}
"""


def test_flash_is_erased_and_written_with_its_locks_and_its_time(boot):
    machine = boot(_FLASH)
    machine.write(0x08020000, bytes(range(64)))
    finish(machine)
    page = machine.read(0x08020000, 64)
    assert page[:16] == b"\xff" * 16
    assert list(struct.unpack("<4I", page[16:32])) == [0, 0xA1, 0xA2, 0xA3]  # 0xA0 & 0x0F
    locked, invalid, page_locked = words(machine, "status", 3)
    assert locked & 2 and invalid & 4 and page_locked & 2
    assert machine.time_s > 0.01


def test_the_user_data_page_is_written_until_it_is_locked(boot):
    source = """
    volatile uint32_t status[2];
    static void put(uint32_t value) {
        REG(0x40030014) = 0x0FE00000; REG(0x40030018) = value;
        for (int quiet = 0; quiet < 2; quiet = REG(0x4003001C) & 1 ? 0 : quiet + 1) { }
    }
    int main(void) {
        SET(0x40008068) = 1 << 16;
        REG(0x4003003C) = 0x1B71;
        REG(0x4003000C) = 1;
        CLR(0x40030040) = 0x10; put(0x1234); status[0] = REG(0x4003001C);
        SET(0x40030040) = 0x10; put(0x1030); status[1] = REG(0x4003001C);
        return 0;
    }
    """
    machine = boot(source)
    finish(machine)
    assert [status & 2 for status in words(machine, "status", 2)] == [0, 2]
    assert machine.read(0x0FE00000, 8) == b"\x34\x12" + bytes(2) + b"\xff" * 4


@pytest.mark.parametrize(
    ("early", "message"),
    [
        ("REG(0x40030014) = 0x08020010;", "address is given while it is busy"),
        ("REG(0x4003000C) = 0;", "writing is switched off .* while it is busy"),
    ],
)
def test_one_look_does_not_tell_that_the_flash_is_done(boot, early, message):
    """The vendor's driver looks twice: a command that is about to start may show as no command."""
    source = _FLASH.replace("REG(0x40030010) = 2; wait();", f"REG(0x40030010) = 2; once(); {early}")
    machine = boot(source)
    with pytest.raises(SimulatorError, match=message):
        finish(machine)
