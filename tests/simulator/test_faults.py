"""Faults: which handler gets them, what is recorded of them, and where they end the run."""

from __future__ import annotations

import pytest
from elftools.elf.elffile import ELFFile

from host.simulator.machine import Machine, SimulatorError, SimulatorFault
from tests.simulator.variables import finish, words

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


def test_faults_can_be_only_recorded(boot):
    machine = boot(_FAULTS, stop_on_fault=False)
    finish(machine)
    assert [fault.function for fault in machine.faults] == ["read_nowhere"]


def test_a_fault_is_told_though_the_image_does_not_say_its_line(build_image, tmp_path):
    """Its debug information may be damaged, or of a compiler that is newer than what reads it."""
    elf = build_image(_FAULTS)
    with elf.open("rb") as stream:
        units = ELFFile(stream).get_section_by_name(".debug_info")["sh_offset"]
    data = bytearray(elf.read_bytes())
    data[units + 4] = 99  # the version of DWARF
    damaged = tmp_path / "damaged.elf"
    damaged.write_bytes(data)
    with pytest.raises(SimulatorFault, match=r"read from 0x60000000.* in read_nowhere$") as caught:
        finish(Machine(damaged))
    assert caught.value.line == ""


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


def test_fault_in_the_hard_fault_handler_is_a_lockup(boot):
    udf = '__asm volatile("udf #3")'
    source = _ESCALATE.replace("ACTION", udf).replace("CASE", udf)
    machine = boot(source, stop_on_fault=False)
    with pytest.raises(SimulatorError, match="lockup") as caught:
        finish(machine)
    assert caught.value.function == "hard_fault"


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
