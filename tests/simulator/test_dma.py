"""LDMA: descriptors, requests, loops and errors."""

from __future__ import annotations

import pytest

from host.simulator.machine import SimulatorError
from tests.simulator.variables import finish, words

_COPY = """
uint32_t from[69], to[69], descriptor[2][4];
volatile uint32_t flags;
uint8_t bytes[8], swapped[8];
void irq21(void) { flags |= REG(0x40040050); CLR(0x40040050) = 0xFF; }
int main(void) {
    SET(0x40008064) = 3;
    REG(0x40040004) = 1;
    for (int i = 0; i < 69; i++) from[i] = i * 0x01010101;
    for (int i = 0; i < 8; i++) bytes[i] = i;
    SET(0x40040054) = 0xFF; enable_irq(21);
    descriptor[0][0] = 1 << 3 | 68 << 4 | 1 << 21 | 2 << 26;
    descriptor[0][1] = (uint32_t)from; descriptor[0][2] = (uint32_t)to; descriptor[0][3] = 16 | 3;
    descriptor[1][0] = 1 << 3 | 1 << 4 | 1 << 21 | 2 << 26 | 1 << 15 | 1 << 20;
    descriptor[1][1] = (uint32_t)bytes; descriptor[1][2] = (uint32_t)swapped; descriptor[1][3] = 0;
    REG(0x40040070 + 0x30 * 2) = (uint32_t)descriptor[0];
    REG(0x40040048) = 1 << 2;
    while (!flags) WFI();
    return 0;
}
"""


def test_dma_copies_memory_by_linked_descriptors(boot):
    machine = boot(_COPY)
    finish(machine)
    assert words(machine, "to", 69) == [i * 0x01010101 for i in range(69)]
    assert machine.read(machine.symbol("swapped"), 8) == bytes([3, 2, 1, 0, 7, 6, 5, 4])
    assert words(machine, "flags", 1) == [4]
    assert machine.peripheral(0x40040034) == 4  # CHDONE


def test_a_dma_request_while_the_channel_is_busy_waits_for_the_next_descriptor(boot):
    source = """
    uint32_t descriptor[2][4], pending; uint8_t from[16], to[4096];
    int main(void) {
        SET(0x40008064) = 3; REG(0x40040004) = 1;
        for (int i = 0; i < 16; i++) from[i] = i + 1;
        for (int i = 0; i < 2; i++) {
            descriptor[i][0] = 7 << 4 | 1 << 21; descriptor[i][1] = (uint32_t)(from + 8 * i);
            descriptor[i][2] = (uint32_t)(to + 8 * i); descriptor[i][3] = LINK;
        }
        descriptor[1][3] = 0;
        REG(0x40040070) = (uint32_t)descriptor; REG(0x40040048) = 1;
        REG(0x4004003C) = 1; REG(0x4004003C) = 1; pending = REG(0x40040044);
        while (REG(0x40040034) != 1) { }
        return 0;
    }
    """
    for link, moved in (("0", 8), ("16 | 3", 16)):
        machine = boot(source.replace("LINK", link))
        finish(machine)
        assert machine.read(machine.symbol("to"), 4096) == bytes([*range(1, moved + 1)]).ljust(4096, b"\0")
        assert words(machine, "pending", 1) == [1]


def test_a_dma_request_moves_a_block(boot):
    source = """
    static uint8_t from[2048], to[2048];
    volatile uint32_t left[16];
    int main(void) {
        SET(0x40008064) = 3;
        REG(0x40040004) = 1;
        for (int code = 0; code < 16; code++) {
            REG(0x40040064) = 2047 << 4 | code << 16;
            REG(0x40040068) = (uint32_t)from; REG(0x4004006C) = (uint32_t)to; REG(0x40040070) = 0;
            REG(0x40040024) = 1; REG(0x4004003C) = 1;
            left[code] = REG(0x40040064) >> 4 & 0x7FF;
            REG(0x40040028) = 1;
        }
        return 0;
    }
    """
    machine = boot(source)
    finish(machine)
    moved = [2047 - left for left in words(machine, "left", 16)]
    named = {0: 1, 1: 2, 2: 3, 3: 4, 4: 6, 5: 8, 7: 16, 9: 32, 10: 64, 11: 128, 12: 256, 13: 512, 14: 1024}
    assert {code: moved[code] for code in named} == named
    assert moved[15] == 2047, "all: none is left"


def test_dma_loops_over_a_descriptor(boot):
    """As often as LOOP says and once more, then what follows in memory; a relative address goes on."""
    source = """
    static uint32_t descriptor[2][4] __attribute__((aligned(16)));
    static uint8_t again[4] = "abcd", last[4] = "WXYZ";
    uint8_t to[20];
    int main(void) {
        SET(0x40008064) = 3;
        REG(0x40040004) = 1;
        for (int i = 0; i < 2; i++) {
            descriptor[i][0] = 1 << 3 | 3 << 4 | 1 << 21 | 1u << 31 | (i == 0 ? 1 << 22 : 0);
            descriptor[i][1] = (uint32_t)(i == 0 ? again : last);
        }
        descriptor[0][3] = 3; /* itself */
        REG(0x40040060) = 2; REG(0x4004006C) = (uint32_t)to;
        REG(0x40040070) = (uint32_t)descriptor; REG(0x40040048) = 1;
        while (!(REG(0x40040034) & 1)) { }
        return 0;
    }
    """
    machine = boot(source)
    finish(machine)
    assert machine.read(machine.symbol("to"), 20) == b"abcdabcdabcdWXYZ" + bytes(4)


def test_dma_of_unaligned_units_is_reported(boot):
    source = """
    uint32_t descriptor[4], from[3], to[3];
    int main(void) {
        SET(0x40008064) = 3; REG(0x40040004) = 1;
        descriptor[0] = 1 << 3 | 1 << 4 | 1 << 21 | 1 << 26;
        descriptor[1] = (uint32_t)from + 2; descriptor[2] = (uint32_t)to + OFFSET;
        REG(0x40040070 + 0x30) = (uint32_t)descriptor; REG(0x40040048) = 2;
        while (REG(0x40040034) != 2) { }
        return 0;
    }
    """
    finish(boot(source.replace("OFFSET", "6")))
    with pytest.raises(SimulatorError, match=r"LDMA channel 1 moves units of 2 bytes .*: unaligned ones"):
        finish(boot(source.replace("OFFSET", "1")))


def test_dma_errors_are_flagged(boot):
    source = """
    uint32_t descriptor[4], to; volatile uint32_t flags, failed;
    void irq21(void) { failed = REG(0x4004000C) >> 8 & 31; flags = REG(0x40040050); CLR(0x40040050) = flags; }
    int main(void) {
        SET(0x40008064) = 3; REG(0x40040004) = 1;
        descriptor[0] = 1 << 3 | 1 << 21 | 2 << 26 | 1 << 20;
        descriptor[1] = SOURCE; descriptor[2] = (uint32_t)&to;
        SET(0x40040054) = 0x800000FF; enable_irq(21);
        for (int n = 3; n < 7; n += 3) {
            flags = 0;
            REG(0x40040070 + 0x30 * n) = (uint32_t)descriptor; REG(0x40040048) = 1 << n;
            while (!flags) { }
        }
        return 0;
    }
    """
    for address in ("0x70000000", "0x4B010048"):  # nothing there; a port whose clock is off
        machine = boot(source.replace("SOURCE", address))
        finish(machine)
        assert words(machine, "flags", 1) + words(machine, "failed", 1) == [1 << 31, 6]
