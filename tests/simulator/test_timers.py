"""TIMER and SYSRTC."""

from __future__ import annotations

from tests.simulator.variables import finish, words

_TIMER = """
volatile uint32_t overflows, count;
void irq4(void) { overflows++; CLR(0x40048014) = 1; }
int main(void) {
    SET(0x40008064) = 1 << 4;
    REG(0x40008120) = 3; /* FSRCO */
    REG(0x40048004) = 3 << 18; /* / 4 */
    REG(0x40048030) = 1;
    REG(0x4004801C) = 999; REG(0x40048018) = 1; enable_irq(4);
    REG(0x4004800C) = 1;
    while (overflows < 5) WFI();
    count = REG(0x40048024);
    return 0;
}
"""


def test_timer_overflows_wake_the_core(boot):
    machine = boot(_TIMER)
    machine.run(0.00099)  # 5 * 1000 ticks of 4 cycles at 20 MHz take 1 ms
    assert words(machine, "overflows", 1) == [4]
    machine.run(0.00005)
    assert words(machine, "overflows", 1) == [5]
    assert words(machine, "count", 1)[0] < 40


def test_timer_buffers_take_effect_at_the_overflow(boot):
    source = """
    volatile uint32_t seen[8], at[4], n;
    void irq4(void) { if (n < 4) at[n] = REG(0xE0001004); n++; CLR(0x40048014) = 1; }
    int main(void) {
        REG(0xE000EDFC) = 1 << 24; REG(0xE0001000) = 1;
        SET(0x40008064) = 1 << 4;
        REG(0x40008120) = 3; /* FSRCO */
        REG(0x40048060) = 2; REG(0x40048030) = 1;
        REG(0x40048020) = 1999; seen[0] = REG(0x4004801C); /* stopped: at once */
        REG(0x40048068) = 1000; REG(0x40048018) = 1; enable_irq(4);
        REG(0x4004800C) = 1;
        REG(0x40048020) = 999; REG(0x40048070) = 200;
        seen[1] = REG(0x4004801C); seen[2] = REG(0x40048010); seen[3] = REG(0x40048068);
        while (n < 3) { }
        seen[4] = REG(0x4004801C); seen[5] = REG(0x40048010); seen[6] = REG(0x40048068);
        return 0;
    }
    """
    machine = boot(source)
    finish(machine)
    assert words(machine, "seen", 7) == [1999, 1999, 0x105, 1000, 999, 1, 200]
    at = words(machine, "at", 3)
    assert abs(at[1] - at[0] - 1000) < 10 and abs(at[2] - at[1] - 1000) < 10


def test_a_running_timer_is_up_to_date_for_dma_and_debugger(boot):
    source = """
    uint32_t descriptor[4]; volatile uint32_t copied, before, after;
    int main(void) {
        SET(0x40008064) = 3 | 1 << 4; REG(0x40040004) = 1;
        REG(0x40008120) = 3; REG(0x40048030) = 1; REG(0x4004801C) = 0xFFFFFFFF; REG(0x4004800C) = 1;
        for (volatile int i = 0; i < 1000; i++) { }
        descriptor[0] = 1 << 3 | 2 << 26; descriptor[1] = 0x40048024; descriptor[2] = (uint32_t)&copied;
        before = REG(0x40048024);
        REG(0x40040070) = (uint32_t)descriptor; REG(0x40040048) = 1;
        after = REG(0x40048024);
        return 0;
    }
    """
    machine = boot(source)
    finish(machine)
    before, copied, after = (words(machine, name, 1)[0] for name in ("before", "copied", "after"))
    assert 5000 < before < copied < after
    first = machine.debug_read(0x40048024, 4)
    machine.run(cycles=1000)
    assert machine.debug_read(0x40048024, 4) == first + 1000


def test_a_timer_that_counts_down_compares_too(boot):
    source = """
    volatile uint32_t at[4], n, status;
    void irq4(void) {
        if (n < 4) at[n] = REG(0xE0001004);
        n++; CLR(0x40048014) = REG(0x40048014);
    }
    int main(void) {
        REG(0xE000EDFC) = 1 << 24; REG(0xE0001000) = 1;
        SET(0x40008064) = 1 << 4;
        REG(0x40008120) = 3; /* FSRCO */
        REG(0x40048004) = 1; REG(0x40048060) = 2; REG(0x40048030) = 1;
        REG(0x4004801C) = 1999; REG(0x40048024) = 1999; REG(0x40048068) = 500;
        REG(0x40048018) = 1 << 4 | 2; enable_irq(4); /* match, underflow */
        REG(0x4004800C) = 1; status = REG(0x40048010) & 3;
        while (n < 4) { }
        return 0;
    }
    """
    machine = boot(source)
    finish(machine)
    at = words(machine, "at", 4)
    assert all(abs(b - a - ticks) < 10 for a, b, ticks in zip(at, at[1:], (500, 1500, 500), strict=False)), at
    assert words(machine, "status", 1) == [3], "running, downwards"


def test_a_timer_of_one_shot_matches_nothing_behind_its_end(boot):
    source = """
    volatile uint32_t seen[3];
    int main(void) {
        SET(0x40008064) = 1 << 4; REG(0x40008120) = 3;
        REG(0x40048004) = 1 << 4; REG(0x40048060) = 2; REG(0x40048030) = 1;
        REG(0x4004801C) = 20; REG(0x40048024) = 10; REG(0x40048068) = 5;
        REG(0x4004800C) = 1;
        __asm volatile("isb\\n .rept 200\\n nop\\n .endr\\n isb");
        seen[0] = REG(0x40048014); seen[1] = REG(0x40048010); seen[2] = REG(0x40048024);
        return 0;
    }
    """
    machine = boot(source)
    finish(machine)
    assert words(machine, "seen", 3) == [1, 0, 0]


def test_three_timers_have_16_bits(boot):
    source = """
    volatile uint32_t top[5];
    int main(void) {
        SET(0x40008064) = 31 << 4;
        for (int i = 0; i < 5; i++) {
            REG(0x40048030 + 0x4000 * i) = 1;
            REG(0x4004801C + 0x4000 * i) = 0x12345678; top[i] = REG(0x4004801C + 0x4000 * i);
        }
        return 0;
    }
    """
    machine = boot(source)
    finish(machine)
    assert words(machine, "top", 5) == [0x12345678] * 2 + [0x5678] * 3


def test_the_real_time_counter_overflows_and_is_reset(boot):
    source = """
    volatile uint32_t flags, count, after;
    void irq67(void) { flags = REG(0x400A8040); CLR(0x400A8040) = flags; count = REG(0x400A8018); }
    static void *ram_vectors[92] __attribute__((aligned(512)));
    int main(void) {
        ram_vectors[16 + 67] = irq67; REG(0xE000ED08) = (uint32_t)ram_vectors;
        SET(0x40008064) = 1 << 30;
        REG(0x400A8004) = 1; REG(0x400A8018) = 0xFFFFFFF0; REG(0x400A8044) = 1; enable_irq(67);
        REG(0x400A8010) = 1;
        while (!flags) WFI();
        REG(0x400A8008) = 1;
        after = REG(0x400A8004) | REG(0x400A8014) | REG(0x400A8018) | REG(0x400A8044);
        return 0;
    }
    """
    machine = boot(source)
    machine.run(15 / 32768)
    assert words(machine, "flags", 1) == [0]
    machine.run(4 / 32768)
    assert [words(machine, name, 1)[0] for name in ("flags", "count", "after")] == [1, 0, 0]


def test_the_real_time_counter_compares(boot):
    """Each of two values once in 2^32 ticks, and not when its channel is off."""
    source = """
    volatile uint32_t flags[3], at[3], n;
    void irq67(void) {
        flags[n] = REG(0x400A8040); at[n++] = REG(0x400A8018);
        CLR(0x400A8040) = 7;
        REG(0x400A8048) = n == 1 ? 2 : 0;
    }
    static void *ram_vectors[92] __attribute__((aligned(512)));
    int main(void) {
        ram_vectors[16 + 67] = irq67; REG(0xE000ED08) = (uint32_t)ram_vectors;
        SET(0x40008064) = 1 << 30;
        REG(0x400A8004) = 1; REG(0x400A8044) = 7; enable_irq(67);
        REG(0x400A804C) = 20; REG(0x400A8050) = 50; REG(0x400A8048) = 1;
        REG(0x400A8010) = 1;
        for (;;) WFI();
    }
    """
    machine = boot(source)
    for ticks, seen in ((19, 0), (5, 1), (26, 1), (5, 2), (32768, 2)):
        machine.run(ticks / 32768)
        assert words(machine, "n", 1) == [seen], ticks
    assert words(machine, "flags", 2) == [2, 4] and words(machine, "at", 2) == [20, 50]


def test_the_real_time_counter_keeps_what_it_counted_before_its_clock_changed(boot):
    source = """
    volatile uint32_t before, after;
    int main(void) {
        SET(0x40008064) = 1 << 30;
        REG(0x400A8004) = 1; REG(0x400A8010) = 1;
        while (REG(0x400A8018) < 300) { }
        before = REG(0x400A8018);
        for (volatile int i = 0; i < 1000; i++) { } /* nobody looks */
        REG(0x40008240) = 3;                        /* 1 kHz instead of 32,768 Hz */
        after = REG(0x400A8018);
        return 0;
    }
    """
    machine = boot(source)
    finish(machine)
    before, after = (words(machine, name, 1)[0] for name in ("before", "after"))
    assert before == 300 and 310 < after < 340
