"""Interrupts, faults and sleep: what the core does around the firmware's handlers."""

from __future__ import annotations

import pytest

from host.simulator.machine import SimulatorError, SimulatorFault
from tests.simulator.variables import finish, words

_NESTING = """
volatile uint32_t log[16], n;
static void note(uint32_t v) { log[n++] = v; }
void irq60(void) { note(600); pend(61); note(601); pend(26); __asm volatile("dsb"); note(602); }
void irq61(void) { note(610); note(611); }
void irq26(void) { note(260); }
int main(void) {
    set_priority(60, 0x80); set_priority(61, 0x40); set_priority(26, 0x80);
    enable_irq(60); enable_irq(61); enable_irq(26);
    __asm volatile("cpsid i");
    pend(60);
    note(1);
    __asm volatile("cpsie i\\n isb");
    note(2);
    uint32_t base = 0x40;
    __asm volatile("msr basepri, %0" :: "r"(base));
    pend(61); __asm volatile("dsb\\n isb");
    note(3);
    __asm volatile("msr basepri, %0\\n isb" :: "r"(0));
    note(4);
    return 0;
}
"""


def test_nested_priorities_masks_and_order(boot):
    machine = boot(_NESTING)
    finish(machine)
    # 61 preempts 60; 26 has 60's priority and follows it; PRIMASK and BASEPRI hold interrupts back.
    assert words(machine, "n", 1) == [12]
    assert words(machine, "log", 12) == [1, 600, 610, 611, 601, 602, 260, 2, 3, 610, 611, 4]


_FRAMES = """
volatile uint32_t frame[26], seen_return, seen_control, before[34], after[34], moves;
__attribute__((naked)) void irq60(void) {
    __asm volatile(
        "ldr r1, =frame\\n mov r0, sp\\n movs r2, #26\\n"
        "1: ldr r3, [r0], #4\\n str r3, [r1], #4\\n subs r2, #1\\n bne 1b\\n"
        "ldr r1, =seen_return\\n str lr, [r1]\\n mrs r2, control\\n ldr r1, =seen_control\\n str r2, [r1]\\n"
        "vmov.f32 s0, #2.0\\n vmov.f32 s15, #3.0\\n vmov.f32 s7, #4.0\\n movs r2, #0\\n vmsr fpscr, r2\\n"
        "movs r0, #0\\n movs r1, #0\\n mov r12, r0\\n bx lr");
}
int main(void) {
    enable_irq(60);
    __asm volatile(
        "ldr r0, =0x01000003\\n vmsr fpscr, r0\\n"
        "movs r0, #32\\n ldr r1, =before\\n"
        "1: subs r0, #1\\n ldr r2, =0x3f800000\\n add r2, r2, r0, lsl #12\\n str r2, [r1, r0, lsl #2]\\n"
        "cmp r0, #0\\n bne 1b\\n"
        "vldmia r1, {s0-s31}\\n"
        "ldr r4, =0xE000E204\\n mov r5, #0x10000000\\n"
        "ldr r0, =0x11111111\\n ldr r1, =0x22222222\\n ldr r2, =0x33333333\\n ldr r3, =0x44444444\\n"
        "ldr r12, =0x55555555\\n"
        "sub sp, #4\\n str r5, [r4]\\n dsb\\n isb\\n add sp, #4\\n"
        "ldr r6, =after\\n vstmia r6, {s0-s31}\\n vmrs r7, fpscr\\n str r7, [r6, #128]\\n"
        "str r12, [r6, #132]\\n"
        ::: "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r12", "memory");
    return 0;
}
"""


def test_floating_point_frame_is_stacked_and_restored(boot):
    machine = boot(_FRAMES)
    finish(machine)
    floats = words(machine, "before", 32)
    assert floats[31] == 0x3F800000 + (31 << 12)
    assert words(machine, "after", 32) == floats
    assert words(machine, "after", 34)[32:] == [0x01000003, 0x55555555]
    frame = words(machine, "frame", 26)
    assert frame[:5] == [0x11111111, 0x22222222, 0x33333333, 0x44444444, 0x55555555]
    assert frame[7] & (1 << 9), "the stack was not aligned to 8: xPSR[9] says so"
    assert frame[7] & (1 << 24) and frame[7] & 0x1FF == 0
    assert frame[8:24] == floats[:16]
    assert frame[24] == 0x01000003
    assert words(machine, "seen_return", 1) == [0xFFFFFFE9]
    assert words(machine, "seen_control", 1)[0] & 6 == 0


def test_the_state_of_exceptions_can_be_read(boot):
    source = """
    volatile uint32_t shcsr, icsr[2];
    void unexpected_nmi(void) { shcsr = REG(0xE000ED24); icsr[1] = REG(0xE000ED04); }
    static void *ram_vectors[92] __attribute__((aligned(512)));
    int main(void) {
        ram_vectors[2] = unexpected_nmi;
        REG(0xE000ED08) = (uint32_t)ram_vectors;
        pend(60);
        icsr[0] = REG(0xE000ED04);
        REG(0xE000ED04) = 1u << 31; __asm volatile("dsb\\n isb");
        return 0;
    }
    """
    machine = boot(source)
    finish(machine)
    assert words(machine, "shcsr", 1) == [1 << 5], "NMIACT"
    assert words(machine, "icsr", 2) == [1 << 22 | 1 << 11, 1 << 22 | 1 << 11 | 2], "pending, not enabled"


_FLAGS = """
volatile uint32_t after[4], selected;
void svc(void) {
    uint32_t r;
    __asm volatile("msr apsr_nzcvqg, %1\\n sadd8 %0, %2, %2"
                   : "=r"(r) : "r"(0xF80F0000), "r"(0x80808080) : "cc");
}
int main(void) {
    static const uint32_t flags[4] = {0x50050000, 0xA80A0000, 0x00000000, 0xF80F0000};
    for (int i = 0; i < 4; i++) {
        uint32_t value;
        __asm volatile("msr apsr_nzcvqg, %1\\n svc #0\\n mrs %0, apsr" : "=r"(value) : "r"(flags[i]) : "cc");
        after[i] = value;
    }
    uint32_t r;
    __asm volatile("usub8 %0, %1, %2\\n svc #0\\n sel %0, %1, %2"
                   : "=&r"(r) : "r"(0x10FF2001), "r"(0x20FE1002) : "cc");
    selected = r;
    return 0;
}
"""


def test_all_flags_are_restored(boot):
    machine = boot(_FLAGS)
    finish(machine)
    assert words(machine, "after", 4) == [0x50050000, 0xA80A0000, 0, 0xF80F0000], "N Z C V Q and GE"
    assert words(machine, "selected", 1) == [0x20FF2002], "SEL takes what USUB8 found"


_EXCLUSIVES = """
static uint32_t word = 5;
static uint8_t byte = 5;
volatile uint32_t refused[6];
void svc(void) { }
void irq60(void) {
    uint32_t value, refused;
    __asm volatile("ldrex %0, [%2]\\n strex %1, %0, [%2]"
                   : "=&r"(value), "=&r"(refused) : "r"(&word) : "memory");
}
#define ATTEMPT(n, load, between, store, object) do { \\
    uint32_t r, x; \\
    __asm volatile(load " %1, [%2]\\n" between store " %0, %1, [%2]" \\
                   : "=&r"(r), "=&r"(x) : "r"(&object), "r"(0xE000E204), "r"(1 << 28) : "memory"); \\
    refused[n] = r; } while (0)
int main(void) {
    enable_irq(60);
    ATTEMPT(0, "ldrex", "", "strex", word);
    ATTEMPT(1, "ldrex", "svc #0\\n", "strex", word);
    ATTEMPT(2, "ldrexb", "svc #0\\n", "strexb", byte);
    ATTEMPT(3, "ldaex", "svc #0\\n", "stlex", word);
    ATTEMPT(4, "ldrex", "str %4, [%3]\\n dsb\\n isb\\n", "strex", word);
    ATTEMPT(5, "ldaexb", "", "stlexb", byte);
    return 0;
}
"""


def test_exceptions_break_exclusive_accesses(boot):
    machine = boot(_EXCLUSIVES)
    finish(machine)
    assert words(machine, "refused", 6) == [0, 1, 1, 1, 1, 0]


_PROCESS_STACK = """
volatile uint32_t returns[4], n, stacked_pc, svc_number, psp_before, psp_after, msp_inside;
__attribute__((naked)) void svc(void) {
    __asm volatile("mov r1, lr\\n mrs r0, psp\\n mrs r2, msp\\n push {r4, lr}\\n bl svc_c\\n pop {r4, pc}");
}
void svc_c(uint32_t *frame, uint32_t lr, uint32_t msp) {
    returns[n++] = lr; stacked_pc = frame[6]; svc_number = ((uint8_t *)frame[6])[-2]; msp_inside = msp;
    frame[0] = 77;
    REG(0xE000ED04) = 1 << 28;
}
void pendsv(void) { uint32_t lr; __asm volatile("mov %0, lr" : "=r"(lr)); returns[n++] = lr; }
volatile uint32_t result;
int main(void) {
    __asm volatile("msr psp, %0\\n mrs r0, control\\n orr r0, #2\\n msr control, r0\\n isb"
                   :: "r"(0x20008000) : "r0");
    register uint32_t r0 __asm("r0") = 5;
    uint32_t a, b;
    __asm volatile("mov %0, sp" : "=r"(a));
    __asm volatile("svc #42" : "+r"(r0) :: "memory");
    result = r0;
    __asm volatile("mov %0, sp" : "=r"(b));
    psp_before = a; psp_after = b;
    done = 1;
    for (;;) WFI();
}
"""


def test_process_stack_svc_and_pendsv(boot):
    machine = boot(_PROCESS_STACK)
    finish(machine)
    assert words(machine, "returns", 2) == [0xFFFFFFFD, 0xFFFFFFFD]
    assert words(machine, "svc_number", 1) == [42]
    assert words(machine, "result", 1) == [77]
    assert words(machine, "psp_before", 1) == words(machine, "psp_after", 1)
    assert 0x20007F00 <= words(machine, "psp_before", 1)[0] <= 0x20008000
    assert 0x2000FF00 <= words(machine, "msp_inside", 1)[0] <= 0x20010000


_SYSTICK = """
volatile uint32_t ticks, cyccnt[2], slept;
void systick(void) { ticks++; }
int main(void) {
    REG(0xE000EDFC) = 1 << 24; REG(0xE0001004) = 0; REG(0xE0001000) = 1;
    REG(0xE000E014) = 1999; REG(0xE000E018) = 0; REG(0xE000E010) = 7;
    cyccnt[0] = REG(0xE0001004);
    while (ticks < 10) WFI();
    cyccnt[1] = REG(0xE0001004);
    return 0;
}
"""


def test_systick_wakes_from_wfi_at_its_rate_and_cyccnt_stands_still(boot):
    machine = boot(_SYSTICK)
    machine.run(0.000995)  # 9 periods of 100 us, and start-up
    assert words(machine, "ticks", 1) == [9]
    finish(machine)
    before, after = words(machine, "cyccnt", 2)
    assert 0 < after - before < 2000, "the cycle counter does not count asleep"
    assert machine.sleep_cycles > 18000


_SYSTICK_VALUES = """

volatile uint32_t seen[8], ticks, at[3];
void systick(void) { if (ticks < 3) at[ticks] = REG(0xE0001004); ticks++; }
static void spin(int n) { for (volatile int i = 0; i < n; i++) { } }
int main(void) {
    REG(0xE000EDFC) = 1 << 24; REG(0xE0001004) = 0; REG(0xE0001000) = 1;
    REG(0xE000E014) = 0xFFFF; REG(0xE000E018) = 0; REG(0xE000E010) = 5;
    spin(100);
    REG(0xE000E010) = 4;
    seen[0] = REG(0xE000E018); spin(100); seen[1] = REG(0xE000E018);
    REG(0xE000E010) = 5;
    seen[2] = REG(0xE000E018);
    REG(0xE000E014) = 0x1FFFF; seen[3] = REG(0xE000E018);
    REG(0xE000E010) = 4; REG(0xE000E018) = 123; seen[4] = REG(0xE000E018);

    REG(0xE000E014) = 1999; REG(0xE0001004) = 0; REG(0xE000E010) = 7;
    spin(1); REG(0xE000E014) = 4999;
    while (ticks < 2) { }
    REG(0xE000E014) = 0;
    while (ticks < 3) { }
    spin(3000);
    seen[5] = ticks; seen[6] = REG(0xE000E018);
    return 0;
}
"""


def test_systick_stands_while_it_is_off_and_takes_a_new_period_at_zero(boot):
    machine = boot(_SYSTICK_VALUES)
    finish(machine)
    seen, at = words(machine, "seen", 7), words(machine, "at", 3)
    assert 0xF000 < seen[0] < 0xFF00 and seen[1] == seen[0], "stopped, it keeps its value"
    assert seen[0] - 40 < seen[2] <= seen[0], "and goes on from there"
    assert seen[2] - 40 < seen[3] <= seen[2], "a new reload value does not move the counter"
    assert seen[4] == 0, "any write clears it"
    assert 1990 < at[0] < 2060 and 4990 < at[1] - at[0] < 5010 and 4990 < at[2] - at[1] < 5010
    assert seen[5:] == [3, 0], "with a reload value of 0 it ends at 0"


_SLEEP = """
volatile uint32_t irqs, order[6], n;
void systick(void) { irqs++; REG(0xE000E010) = 0; }
int main(void) {
    __asm volatile("cpsid i");
    REG(0xE000E014) = 999; REG(0xE000E018) = 0; REG(0xE000E010) = 7;
    WFI();                      /* wakes though the handler may not run */
    order[n++] = irqs;
    __asm volatile("cpsie i\\n isb");
    order[n++] = irqs;
    __asm volatile("sev\\n wfe"); /* the event is there: no sleep */
    order[n++] = 100;
    REG(0xE000E018) = 0; REG(0xE000E010) = 7;
    __asm volatile("wfe\\n wfe");
    order[n++] = irqs;
    return 0;
}
"""


def test_wfi_with_primask_and_wfe_with_events(boot):
    machine = boot(_SLEEP)
    finish(machine)
    assert words(machine, "order", 4) == [0, 1, 100, 2]


_EVENTS = """
volatile uint32_t step;
int main(void) {
    __asm volatile("cpsid i");
    REG(0xE000ED10) = 16;       /* SEVONPEND */
    pend(9);                    /* which is not enabled */
    __asm volatile("wfe");
    step = 1;
    REG(0xE000E014) = 999; REG(0xE000E018) = 0; REG(0xE000E010) = 7;
    __asm volatile("wfe");      /* SysTick becomes pending and is masked: an event */
    step = 2;
    REG(0xE000ED10) = 0; REG(0xE000ED04) = 1 << 25;
    __asm volatile("wfe");      /* now it is none */
    step = 3;
    return 0;
}
"""


def test_wfe_is_ended_by_what_is_pending_only_where_sevonpend_says_so(boot):
    machine = boot(_EVENTS)
    machine.run(0.001)
    assert words(machine, "step", 1) == [2]
    assert machine.sleep_cycles > 900


def test_a_call_leaves_a_core_that_awaits_an_event_asleep(boot):
    source = """
    uint32_t one(void) { return 1; }
    int main(void) {
        __asm volatile("cpsid i");
        enable_irq(9); pend(9);     /* would end WFI */
        __asm volatile("wfe");
        return 0;
    }
    """
    machine = boot(source)
    machine.run(0.0001)
    assert machine.call("one").value == 1
    machine.run(0.0001)
    assert words(machine, "done", 1) == [0]


_LATE_ARRIVAL = """
volatile uint32_t order[3], n;
void irq9(void) { order[n++] = 9; }
void svc(void) { order[n++] = 11; }
int main(void) {
    set_priority(9, 0x20);
    REG(0xE000ED1C) = 0x40u << 24; /* of SVC */
    enable_irq(9);
    __asm volatile("str %0, [%1]\\n svc 0" :: "r"(1 << 9), "r"(0xE000E200) : "memory");
    order[n++] = 1;
    return 0;
}
"""


def test_an_interrupt_that_comes_with_an_svc_is_served_first(boot):
    machine = boot(_LATE_ARRIVAL)
    finish(machine)
    assert words(machine, "order", 3) == [9, 11, 1]


_FAULTS = """
volatile uint32_t seen[4], fault_pc;
__attribute__((naked)) void bus_fault(void) {
    __asm volatile("mrs r0, msp\\n b bus_c");
}
void bus_c(uint32_t *frame) {
    seen[0]++; seen[1] = REG(0xE000ED28); seen[2] = REG(0xE000ED38); fault_pc = frame[6];
    REG(0xE000ED28) = seen[1];
    frame[6] += 2; /* past the load */
}
void hard_fault(void) { seen[3] = REG(0xE000ED2C); for (;;) { } }
void read_nowhere(void) {
    __asm volatile("ldr r0, =0x60000000\\n movs r1, #9\\n ldr r1, [r0]\\n" ::: "r0", "r1");
}
int main(void) {
    REG(0xE000ED24) = 1 << 17;
    read_nowhere();
    return 0;
}
"""


def test_bus_fault_reaches_the_handler_and_is_reported(boot):
    machine = boot(_FAULTS)
    with pytest.raises(SimulatorFault) as caught:
        finish(machine)
    assert caught.value.function == "read_nowhere"
    assert caught.value.line.startswith("test.c:")
    assert caught.value.report.exception == 5
    finish(machine)  # the handler steps over it
    seen = words(machine, "seen", 3)
    assert seen == [1, 0x8200, 0x60000000]
    assert words(machine, "fault_pc", 1)[0] == caught.value.pc


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


def test_faults_can_be_only_recorded(boot):
    machine = boot(_FAULTS, stop_on_fault=False)
    finish(machine)
    assert [fault.function for fault in machine.faults] == ["read_nowhere"]


_IN_IT_BLOCK = """
volatile uint32_t log[4];
__attribute__((naked)) void bus_fault(void) {
    __asm volatile(
        "ldr r0, =log\\n movs r1, #1\\n str r1, [r0]\\n"    /* would be skipped under the old condition */
        "ldr r1, [sp, #28]\\n str r1, [r0, #4]\\n"            /* xPSR */
        "ldr r1, =0x20000100\\n str r1, [sp, #0]\\n bx lr");  /* mend r0, so that the load works */
}
int main(void) {
    REG(0xE000ED24) = 1 << 17; REG(0x20000100) = 55;
    uint32_t a = 0x60000000, b = 2, c = 3;
    __asm volatile(
        "mov r0, %2\\n cmp r0, #0\\n ittee ne\\n ldrne %0, [r0]\\n addne %0, #1\\n"
        "moveq %0, #9\\n moveq %1, #9"
        : "+r"(b), "+r"(c) : "r"(a) : "r0", "cc");
    log[2] = b; log[3] = c;
    return 0;
}
"""


def test_fault_inside_an_it_block_keeps_its_condition(boot):
    machine = boot(_IN_IT_BLOCK, stop_on_fault=False)
    finish(machine)
    seen = words(machine, "log", 4)
    assert seen[0] == 1
    assert seen[1] & 0x0600FC00, "the IT state is in the stacked xPSR"
    assert seen[2:] == [56, 3]


_ESCALATE = """
volatile uint32_t hfsr;
void hard_fault(void) { hfsr = REG(0xE000ED2C); CASE; for (;;) { } }
void culprit(void) { ACTION; }
int main(void) { culprit(); return 0; }
"""


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ("*(volatile uint32_t *)0x08000000 = 1", "write to 0x08000000, which is flash"),
        ('__asm volatile("udf #3")', "undefined instruction"),
        ("((void (*)(void))0x30000001)()", "jump to 0x30000000"),
        ("REG(0x4B010048)", r"EUSART0\+0x048 while its clock is off"),
    ],
)
def test_faults_without_a_handler_become_hard_faults(boot, action, message):
    machine = boot(_ESCALATE.replace("ACTION", action).replace("CASE", "(void)0"))
    with pytest.raises(SimulatorFault, match=message) as caught:
        finish(machine)
    if "jump" not in message:
        assert caught.value.function == "culprit"
    else:  # nothing of the program is there
        assert caught.value.line == ""
    machine.run(0.001)
    assert words(machine, "hfsr", 1) == [1 << 30]


@pytest.mark.parametrize("load", ["ldrex r1, [r0]", "ldrexh r1, [r0]", "ldaex r1, [r0]"])
def test_unaligned_exclusive_access_is_a_usage_fault(boot, load):
    action = f'__asm volatile("ldr r0, =0x20008001\\n {load}" ::: "r0", "r1")'
    source = _ESCALATE.replace("ACTION", action).replace("CASE", "(void)0")
    with pytest.raises(SimulatorFault, match="unaligned exclusive access") as caught:
        finish(boot(source))
    assert caught.value.report.cfsr == 1 << 24


def test_default_floating_point_status_is_reported(boot):
    with pytest.raises(SimulatorError, match="FPDSCR other than 0 is not modelled"):
        finish(boot("int main(void) { REG(0xE000EF3C) = 0; REG(0xE000EF3C) = 1 << 24; return 0; }"))


def test_fault_in_the_hard_fault_handler_is_a_lockup(boot):
    udf = '__asm volatile("udf #3")'
    source = _ESCALATE.replace("ACTION", udf).replace("CASE", udf)
    machine = boot(source, stop_on_fault=False)
    with pytest.raises(SimulatorError, match="lockup") as caught:
        finish(machine)
    assert caught.value.function == "hard_fault"


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


def test_a_fault_on_waking_is_told_of_what_slept(boot):
    source = """
    volatile uint32_t seen;
    __attribute__((naked)) void usage_fault(void) {
        __asm volatile("movs r0, #0\\n msr msplim, r0\\n b usage_c");
    }
    void usage_c(void) { seen++; REG(0x60000000); for (;;) WFI(); }
    void bus_fault(void) { done = 1; for (;;) WFI(); }
    int main(void) {
        REG(0xE000ED24) = 3 << 17; REG(0xE000ED18) = 0x40 << 16; REG(0xE000ED20) = 0x80u << 24;
        uint32_t sp; __asm volatile("mov %0, sp" : "=r"(sp));
        __asm volatile("msr msplim, %0" :: "r"(sp - 16));
        REG(0xE000E014) = 999; REG(0xE000E018) = 0; REG(0xE000E010) = 3;
        WFI();
        return 0;
    }
    """
    machine = boot(source)
    with pytest.raises(SimulatorFault, match="stack overflow entering exception 15") as caught:
        finish(machine)
    assert (caught.value.function, words(machine, "seen", 1)) == ("main", [0])
    with pytest.raises(SimulatorFault, match="read from 0x60000000"):
        finish(machine)


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


def test_fpu_must_be_switched_on(boot):
    source = """
    volatile float x = 1;
    void culprit(void) { x = x * 2; }
    int main(void) { REG(0xE000ED88) = 0; __asm volatile("dsb\\n isb"); culprit(); return 0; }
    """
    with pytest.raises(SimulatorFault, match="CPACR") as caught:
        finish(boot(source))
    assert caught.value.function == "culprit"


_EVEN_ADDRESS = """
volatile uint32_t cfsr, pc, xpsr;
void usage_c(uint32_t *frame) {
    cfsr = REG(0xE000ED28); pc = frame[6]; xpsr = frame[7];
    done = 1;
    for (;;) WFI();
}
__attribute__((naked)) void usage_fault(void) { __asm volatile("mov r0, sp\\n b usage_c"); }
void target(void) { }
void irq60(void) { }
void jump(void) { ((void (*)(void))((uint32_t)target & ~1u))(); }
__attribute__((naked)) void svc(void) {
    __asm volatile("ldr r0, [sp, #28]\\n bic r0, #0x1000000\\n str r0, [sp, #28]\\n bx lr");
}
int main(void) {
    REG(0xE000ED24) = 1 << 18;
    ACTION;
    return 0;
}
"""


@pytest.mark.parametrize(
    ("action", "function"),
    [
        ("jump()", "target"),
        # a vector that lacks the lowest bit, as that of an assembly label which is not declared a function
        ("uint32_t *table = (uint32_t *)0x20020000;"
         "for (int i = 0; i < 92; i++) table[i] = REG(4 * i + 0x8000000);"
         "table[76] &= ~1u; REG(0xE000ED08) = 0x20020000; set_priority(60, 0x40); enable_irq(60); pend(60);"
         '__asm volatile("dsb\\n isb")', "irq60"),
        ('__asm volatile("svc #0")', "main"),
    ],
)  # fmt: skip
def test_an_even_address_is_not_in_thumb_state(boot, action, function):
    machine = boot(_EVEN_ADDRESS.replace("ACTION", action))
    with pytest.raises(SimulatorFault, match="even address: not in Thumb state") as caught:
        finish(machine)
    assert caught.value.function == function
    finish(machine)
    cfsr, xpsr, pc = (words(machine, name, 1)[0] for name in ("cfsr", "xpsr", "pc"))
    assert (cfsr, xpsr >> 24 & 1, pc) == (1 << 17, 0, caught.value.pc)


@pytest.mark.parametrize(
    ("handler", "action", "message", "cfsr", "function"),
    [
        ("bx lr", "set_mask(); svc_now()", "SVC while its priority is masked", 0, "svc_now"),
        ("push {r0, r1}\\n bx lr", "svc_now()", "with a frame of a handler at sp=0x20", 1 << 18, "svc"),
        ("mrs r0, xpsr\\n movs r0, #0\\n msr control, r0\\n ldr r0, =0xFFFFFFF1\\n bx r0", "svc_now()",
         "by 0xfffffff1 with a frame of a thread", 1 << 18, "svc"),
    ],
)  # fmt: skip
def test_faults_of_exceptions_themselves_are_reported(boot, handler, action, message, cfsr, function):
    source = f"""
    __attribute__((naked)) void hard_fault(void) {{
        __asm volatile("ldr r0, =0x20010000\\n msr msp, r0\\n b finish");
    }}
    void finish(void) {{ done = 1; for (;;) WFI(); }}
    __attribute__((naked)) void svc(void) {{ __asm volatile("{handler}"); }}
    void svc_now(void) {{ __asm volatile("movs r0, #4\\n svc #0" ::: "r0", "r1"); }}
    void set_mask(void) {{ __asm volatile("cpsid i"); }}
    int main(void) {{ {action}; return 0; }}
    """
    machine = boot(source)
    with pytest.raises(SimulatorFault, match=message) as caught:
        finish(machine)
    report = caught.value.report
    assert (report.cfsr, report.exception, report.function) == (cfsr, 3, function)
    finish(machine)


def test_a_lockup_on_the_way_out_of_a_handler_is_told_of_the_handler(boot):
    source = """
    __attribute__((naked)) void svc(void) { __asm volatile("ldr r0, =0x70000000\\n msr msp, r0\\n bx lr"); }
    int main(void) { __asm volatile("svc #0" ::: "r0"); return 0; }
    """
    with pytest.raises(SimulatorError, match="no memory for the frame of exception 3") as caught:
        finish(boot(source))
    assert caught.value.function == "svc"


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


def test_unmodelled_registers_stop_the_run_with_their_name(boot):
    machine = boot("void culprit(void) { REG(0x40008FF0); }\nint main(void) { culprit(); return 0; }")
    with pytest.raises(SimulatorError, match=r"CMU\+0xff0") as caught:
        finish(machine)
    assert (caught.value.function, caught.value.line) == ("culprit", "test.c:1")
    machine = boot("void culprit(void) { REG(0x49000000) = 1; }\nint main(void) { culprit(); return 0; }")
    with pytest.raises(SimulatorError, match="no peripheral"):
        finish(machine)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        ("*(volatile uint16_t *)0x4000806Au = 0x4000", r"2 bytes to CMU\+0x06a, within a register"),
        ("*(volatile uint8_t *)0x4000806Bu = 0x40", r"1 bytes to CMU\+0x06b, within a register"),
    ],
)
def test_a_write_within_a_register_is_reported_and_changes_nothing(boot, write, message):
    machine = boot(f"int main(void) {{ REG(0x40008068) = 1; {write}; return 0; }}")
    with pytest.raises(SimulatorError, match=message) as caught:
        finish(machine)
    assert caught.value.function == "main"
    assert machine.peripheral(0x40008068) == 1


def test_a_narrow_write_of_a_register_is_a_word(boot):
    machine = boot("int main(void) { *(volatile uint8_t *)0x40008068u = 0x40; return 0; }")
    finish(machine)
    assert machine.peripheral(0x40008068) == 0x40


def test_system_reset(boot):
    source = """
    __attribute__((section(".noinit"))) volatile uint32_t dummy;
    int main(void) {
        volatile uint32_t *kept = (volatile uint32_t *)0x20030000;
        if (REG(0x40004094) == 1) { *kept = 1234; REG(0xE000ED0C) = 0x05FA0004; for (;;) { } }
        done = REG(0x40004094) == 1u << 6 && *kept == 1234;
        for (;;) WFI();
    }
    """
    machine = boot(source)
    finish(machine)
    assert machine.status.resets == 1


def test_two_machines_agree_to_the_cycle(boot):
    def run():
        machine = boot(_NESTING)
        finish(machine)
        status = machine.status
        return status.cycles, status.instructions, status.sleep_cycles, status.time_ps

    assert run() == run()


def test_the_parts_of_cfsr_are_cleared_apart(boot):
    source = """
    volatile uint32_t seen[4];
    void bus_fault(void) {
        seen[0] = REG(0xE000ED28);
        *(volatile uint8_t *)0xE000ED28 = 0xFF; seen[1] = REG(0xE000ED28);
        *(volatile uint16_t *)0xE000ED2A = 0xFFFF; seen[2] = REG(0xE000ED28);
        *(volatile uint8_t *)0xE000ED29 = 0x02; seen[3] = REG(0xE000ED28);
        done = 1; for (;;) WFI();
    }
    int main(void) { REG(0xE000ED24) = 1 << 17; return REG(0x70000000); }
    """
    machine = boot(source, stop_on_fault=False)
    finish(machine)
    assert words(machine, "seen", 4) == [0x8200, 0x8200, 0x8200, 0x8000]


def test_software_triggers_no_interrupt_that_is_not_there(boot):
    source = """
    volatile uint32_t triggered;
    void irq4(void) { triggered |= 1; }
    void irq61(void) { triggered |= 2; }
    int main(void) {
        enable_irq(4); enable_irq(61);
        REG(0xE000EF00) = 76 + 4; __asm volatile("dsb\\n isb");
        REG(0xE000EF00) = 61; __asm volatile("dsb\\n isb");
        return 0;
    }
    """
    machine = boot(source)
    finish(machine)
    assert words(machine, "triggered", 1) == [2]


_FPU_OFF = """
volatile uint32_t before, pc, cfsr;
void fault_c(uint32_t *frame) { pc = frame[6]; cfsr = REG(0xE000ED28); done = 1; for (;;) WFI(); }
__attribute__((naked)) void usage_fault(void) { __asm volatile("mov r0, sp\\n b fault_c"); }
__attribute__((naked)) void culprit(void) {
    __asm volatile("ldr r0, =before\\n ldr r1, [r0]\\n adds r1, #1\\n str r1, [r0]\\n INSTRUCTIONS\\n"
                   "here: FLOATING\\n adds r1, #1\\n str r1, [r0]\\n bx lr\\n"
                   ".global here\\n .type here, %function");
}
int main(void) {
    REG(0xE000ED24) = 1 << 18;
    REG(0xE000ED88) = 0; __asm volatile("dsb\\n isb");
    culprit();
    return 0;
}
"""


@pytest.mark.parametrize("instructions", ["nop", "cmp r1, #0\\n it eq\\n vmoveq.f32 s1, #1.0"])
@pytest.mark.parametrize("floating", ["vmov.f32 s0, #1.0", "ite eq\\n moveq r2, #1\\n vmovne.f32 s1, #1.0"])
def test_a_floating_point_instruction_without_fpu_faults_where_it_stands(boot, instructions, floating):
    machine = boot(_FPU_OFF.replace("INSTRUCTIONS", instructions).replace("FLOATING", floating))
    with pytest.raises(SimulatorFault, match="CPACR") as caught:
        finish(machine)
    assert caught.value.pc == machine.symbol("here")
    finish(machine)
    assert words(machine, "before", 1) == [1], "what stands before it has run, once"
    assert (words(machine, "pc", 1), words(machine, "cfsr", 1)) == ([caught.value.pc], [1 << 19])


def test_the_fpu_may_be_switched_on_in_the_block_that_uses_it(boot):
    source = """
    volatile uint32_t result;
    int main(void) {
        REG(0xE000ED88) = 0; __asm volatile("dsb\\n isb");
        __asm volatile("ldr r0, =0xE000ED88\\n mov r1, #0xF00000\\n str r1, [r0]\\n dsb\\n"
                       "vmov.f32 s0, #2.0\\n vmov %0, s0" : "=r"(*(uint32_t *)&result) :: "r0", "r1", "s0");
        return 0;
    }
    """
    machine = boot(source)
    finish(machine)
    assert words(machine, "result", 1) == [0x40000000]


def test_both_faults_are_told_where_the_second_is_made_by_the_firsts_exception(boot):
    source = """
    void bus_fault(void) { for (;;) WFI(); }
    void culprit(void) { __asm volatile("mov r0, #0x70000000\\n mov sp, r0\\n str r0, [sp, #-8]"); }
    int main(void) { REG(0xE000ED24) = 1 << 17; culprit(); return 0; }
    """
    with pytest.raises(SimulatorFault) as caught:
        finish(boot(source))
    first, second = str(caught.value).split("; then ")
    assert "write to 0x6ffffff8, where there is no memory" in first
    assert second.startswith("no memory for the frame of exception 5 at sp=0x6fffffe0")
    assert (caught.value.report.cfsr, caught.value.function) == (1 << 9 | 1 << 15 | 1 << 12, "culprit")


def test_a_fault_of_an_interrupt_that_comes_between_two_runs_is_told_at_once(boot):
    source = """
    void irq26(void) { }
    void hard_fault(void) { for (;;) WFI(); }
    int main(void) {
        SET(0x40008064) = 1 << 26;
        REG(0x4003C064) = 1 << 8;
        REG(0x4003C400) = 1 << 8; REG(0x4003C408) = 2 << 8;
        REG(0x4003C410) = 1 << 2; REG(0x4003C424) = 1 << 2;
        enable_irq(26);
        __asm volatile("mov r0, sp\\n subs r0, #8\\n msr msplim, r0" ::: "r0");
        done = 1;
        for (;;) { done++; }
    }
    """
    machine = boot(source)
    machine.run(0.001)
    counted = words(machine, "done", 1)[0]
    assert counted > 1
    machine.drive_pin("B", 2, True)
    with pytest.raises(SimulatorFault, match="stack overflow entering exception 42") as caught:
        machine.run(0.001)
    assert caught.value.function == "main"
    assert words(machine, "done", 1)[0] - counted < 5


def test_stack_pointers_have_no_bits_below_a_word(boot):
    source = """
    volatile uint32_t read[2], pushed[2];
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


def test_the_stacked_status_says_whether_the_fpu_holds_something(boot):
    source = """
    volatile uint32_t stacked[2], n, control[2];
    void svc_c(uint32_t *frame) { stacked[n++] = frame[7] >> 20 & 1u; }
    __attribute__((naked)) void svc(void) { __asm volatile("mov r0, sp\\n b svc_c"); }
    int main(void) {
        __asm volatile("mrs r0, control\\n bic r0, #12\\n msr control, r0\\n isb\\n svc #0\\n mrs %0, control"
                       : "=r"(*(uint32_t *)&control[0]) :: "r0", "memory");
        __asm volatile("vmov.f32 s0, #1.0\\n svc #0\\n mrs %0, control"
                       : "=r"(*(uint32_t *)&control[1]) :: "s0", "memory");
        return 0;
    }
    """
    machine = boot(source)
    finish(machine)
    assert words(machine, "stacked", 2) == [0, 1]
    assert [c & 12 for c in words(machine, "control", 2)] == [0, 12]
