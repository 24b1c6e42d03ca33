"""The FPU: switching it on, its frames and its status."""

from __future__ import annotations

import pytest

from host.simulator.machine import SimulatorError, SimulatorFault
from tests.simulator.variables import finish, words

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


def test_default_floating_point_status_is_reported(boot):
    with pytest.raises(SimulatorError, match="FPDSCR other than 0 is not modelled"):
        finish(boot("int main(void) { REG(0xE000EF3C) = 0; REG(0xE000EF3C) = 1 << 24; return 0; }"))


def test_fpu_must_be_switched_on(boot):
    source = """
    volatile float x = 1;
    void culprit(void) { x = x * 2; }
    int main(void) { REG(0xE000ED88) = 0; __asm volatile("dsb\\n isb"); culprit(); return 0; }
    """
    with pytest.raises(SimulatorFault, match="CPACR") as caught:
        finish(boot(source))
    assert caught.value.function == "culprit"


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
