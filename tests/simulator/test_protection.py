"""Privileges, stack limits and the MPU."""

from __future__ import annotations

import pytest

from host.simulator.machine import SimulatorError, SimulatorFault
from tests.simulator.variables import finish, words

_USER_THREADS = """
volatile uint32_t order[8], n, control[2];
static uint32_t other[64];
uint32_t thread_b;
void svc(void) { order[n++] = 11; REG(0xE000ED04) = 1 << 28; }
__attribute__((naked)) void pendsv(void) {
    __asm volatile("mrs r0, psp\\n stmdb r0!, {r4-r11}\\n"
                   "ldr r1, =thread_b\\n ldr r2, [r1]\\n str r0, [r1]\\n"
                   "ldmia r2!, {r4-r11}\\n msr psp, r2\\n bx lr");
}
static void second(void) {
    order[n++] = 2;
    __asm volatile("svc #2" ::: "memory");
    for (;;) { }
}
static uint32_t get_control(void) { uint32_t c; __asm volatile("mrs %0, control" : "=r"(c)); return c; }
int main(void) {
    uint32_t *frame = &other[64 - 16];
    frame[14] = (uint32_t)second & ~1u; frame[15] = 1 << 24;
    thread_b = (uint32_t)frame;
    __asm volatile("msr psp, %0\\n msr msplim, %1\\n msr control, %2\\n isb\\n" ::
                   "r"(0x20008000), "r"(0x2000F000), "r"(3) : "memory");
    control[0] = get_control();
    order[n++] = 1;
    __asm volatile("msr primask, %0\\n msr basepri, %0\\n msr control, %1" :: "r"(0x41), "r"(0));
    __asm volatile("svc #1" ::: "memory");
    control[1] = get_control();
    order[n++] = 3;
    done = 1;
    for (;;) WFI();
}
"""


def test_threads_without_privileges(boot):
    machine = boot(_USER_THREADS)
    finish(machine)
    assert words(machine, "control", 2) == [3, 3], "a thread does not give itself privileges"
    assert words(machine, "order", 5) == [1, 11, 2, 11, 3]
    assert 0x2000FF00 < machine.register(17) <= 0x20010000
    assert 0x20007F00 < machine.register(18) <= 0x20008000


_UNPRIVILEGED = """
volatile uint32_t bfar, cfsr, seen, changed, trusted;
void svc(void) { trusted = REG(0xE000ED08); }
void irq60(void) { seen++; }
void bus_fault(void) {
    bfar = REG(0xE000ED38); cfsr = REG(0xE000ED28);
    changed = REG(0xE000ED10);
    done = 1;
    for (;;) WFI();
}
int main(void) {
    REG(0xE000ED24) = 1 << 17; REG(0xE000ED14) = 0x203;
    enable_irq(60);
    __asm volatile("msr control, %0\\n isb\\n svc #0" :: "r"(1) : "memory");
    REG(0xE000EF00) = 60; __asm volatile("dsb\\n isb");
    REG(0xE000ED10) = 4;
    return 0;
}
"""


def test_the_cores_registers_take_privileges(boot):
    machine = boot(_UNPRIVILEGED)
    with pytest.raises(SimulatorFault, match="write to 0xe000ed10, a register of the core, without priv"):
        finish(machine)
    machine.run(0.001)
    assert words(machine, "bfar", 1) == [0xE000ED10] and words(machine, "cfsr", 1) == [0x8200]
    assert words(machine, "changed", 1) == [0]
    assert words(machine, "trusted", 1) == [0x08000000], "handlers have privileges"
    assert words(machine, "seen", 1) == [1], "CCR lets anyone write STIR"


def test_stack_limit(boot):
    source = """
    void hard_fault(void) { for (;;) { } }
    volatile uint32_t depth;
    int culprit(int n) {
        volatile int here[16];
        here[0] = n; depth++;
        return n ? culprit(n - 1) + here[0] : 0;
    }
    int main(void) {
        __asm volatile("msr msplim, %0" :: "r"(0x2000F000));
        return culprit(1000);
    }
    """
    machine = boot(source)
    with pytest.raises(SimulatorFault, match="stack overflow") as caught:
        finish(machine)
    assert caught.value.function == "culprit"
    assert 30 < words(machine, "depth", 1)[0] < 64


def test_stack_limit_on_exception_entry(boot):
    source = """
    volatile uint32_t cfsr, at, interrupts;
    __attribute__((naked)) void usage_fault(void) {
        __asm volatile("ldr r0, =0x20010000\\n msr msp, r0\\n b usage_c");
    }
    void usage_c(void) { cfsr = REG(0xE000ED28); done = 1; for (;;) { } }
    void irq60(void) { interrupts++; }
    int main(void) {
        REG(0xE000ED24) = 1 << 18; enable_irq(60);
        pend(60); __asm volatile("dsb\\n isb");
        uint32_t sp; __asm volatile("mov %0, sp" : "=r"(sp));
        __asm volatile("msr msplim, %0" :: "r"(sp - 16));
        pend(60); __asm volatile("dsb\\n isb");
        return 0;
    }
    """
    machine = boot(source)
    with pytest.raises(SimulatorFault, match="stack overflow entering exception 76") as caught:
        finish(machine)
    assert caught.value.function == "main"
    finish(machine)
    assert words(machine, "cfsr", 1) == [1 << 20]
    assert words(machine, "interrupts", 1) == [1]


def test_a_reset_clears_the_stack_limits(boot):
    source = """
    volatile uint32_t msplim, psplim;
    int main(void) {
        __asm volatile("mrs %0, msplim" : "=r"(*(uint32_t *)&msplim));
        __asm volatile("mrs %0, psplim" : "=r"(*(uint32_t *)&psplim));
        if (REG(0x40004094) != 1) return 0;
        __asm volatile("msr msplim, %0\\n msr psplim, %1" :: "r"(0x2000FF00), "r"(0x2000F008));
        REG(0xE000ED0C) = 0x05FA0004;
        for (;;) { }
    }
    """
    machine = boot(source)
    finish(machine)
    assert machine.status.resets == 1
    assert words(machine, "msplim", 1) + words(machine, "psplim", 1) == [0, 0]
    machine.reset()
    finish(machine)
    assert words(machine, "msplim", 1) + words(machine, "psplim", 1) == [0, 0]


def test_the_mpu_keeps_its_regions_apart(boot):
    source = """
    volatile uint32_t bases[8], limits[8], aliases[4], attributes[2], number, none;
    int main(void) {
        for (int i = 0; i < 8; i++) {
            REG(0xE000ED98) = i;
            REG(0xE000ED9C) = 0x20000000 + 0x1000 * i; REG(0xE000EDA0) = 0x20000FE0 + 0x1000 * i + 0x13;
        }
        REG(0xE000ED98) = 6;
        aliases[0] = REG(0xE000ED9C); aliases[1] = REG(0xE000EDA4); aliases[2] = REG(0xE000EDB0);
        aliases[3] = REG(0xE000EDB4);
        REG(0xE000EDBC - 4) = 0; REG(0xE000EDA4) = 0x30000000; number = REG(0xE000ED98);
        REG(0xE000EDC0) = 0x44FF0400; REG(0xE000EDC4) = 0xFFFFFFFF;
        attributes[0] = REG(0xE000EDC0); attributes[1] = REG(0xE000EDC4);
        for (int i = 0; i < 8; i++) {
            REG(0xE000ED98) = i;
            bases[i] = REG(0xE000ED9C); limits[i] = REG(0xE000EDA0);
        }
        REG(0xE000ED98) = 8;
        REG(0xE000ED9C) = 1; none = REG(0xE000ED9C);
        return 0;
    }
    """
    machine = boot(source)
    finish(machine)
    assert words(machine, "aliases", 4) == [0x20006000, 0x20005000, 0x20006FE3, 0x20007000]
    bases, limits = [0x20000000 + 0x1000 * i for i in range(8)], [0x20000FE3 + 0x1000 * i for i in range(8)]
    bases[5], limits[7] = 0x30000000, 0
    assert words(machine, "bases", 8) == bases
    assert words(machine, "limits", 8) == limits
    assert words(machine, "attributes", 2) == [0x44FF0400, 0xFFFFFFFF]
    assert words(machine, "number", 1) + words(machine, "none", 1) == [6, 0]
    with pytest.raises(SimulatorError, match="the MPU is not modelled"):
        finish(boot("int main(void) { REG(0xE000ED94) = 5; return 0; }"))


def test_stack_pointers_have_no_bits_below_a_word(boot):
    source = """
    volatile uint32_t read[2];
    int main(void) {
        __asm volatile(
            "ldr r0, =0x20008003\\n msr psp, r0\\n mrs r1, psp\\n mov r2, #2\\n msr control, r2\\n isb\\n"
            "push {r0, r2}\\n pop {r0, r2}\\n ldr r0, =0x20008006\\n msr psp, r0\\n mov r2, sp\\n"
            "mov r0, #0\\n msr control, r0\\n isb\\n ldr r0, =read\\n stm r0, {r1, r2}"
            ::: "r0", "r1", "r2", "memory");
        return 0;
    }
    """
    machine = boot(source)
    finish(machine)
    assert words(machine, "read", 2) == [0x20008000, 0x20008004]
