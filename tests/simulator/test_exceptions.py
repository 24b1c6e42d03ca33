"""Interrupts, priorities and sleep: what the core does around the firmware's handlers."""

from __future__ import annotations

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
