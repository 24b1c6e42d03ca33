"""GPIO: levels, wires, LEDs and edge interrupts."""

from __future__ import annotations

import pytest

from tests.simulator.variables import finish, words


def test_wired_pins_have_the_level_that_all_agree_on(boot):
    source = """
    int main(void) {
        SET(0x40008064) = 1 << 26;
        REG(0x4003C094) = 8 << 16 | 10 << 20 | 6 << 24; /* PC4 and PC5 wired-and, PC6 wired-or */
        REG(0x4003C0A0) = 1 << 4 | 1 << 5;
        for (;;) { done = REG(0x4003C0A4) >> 4 & 7; }
    }
    """
    machine = boot(source)

    def levels() -> int:
        machine.run(0.0001)
        return words(machine, "done", 1)[0]

    assert levels() == 3
    machine.drive_pin("C", 4, False)
    machine.drive_pin("C", 6, True)
    assert levels() == 6
    machine.drive_pin("C", 4, True)
    machine.drive_pin("C", 6, False)
    assert levels() == 3


def test_pins_that_the_firmware_drives_interrupt_it_too(boot):
    source = """
    volatile uint32_t even;
    void irq26(void) { even++; CLR(0x4003C420) = 0xFFF; }
    int main(void) {
        SET(0x40008064) = 1 << 26;
        REG(0x4003C064) = 4 << 8; REG(0x4003C400) = 1; REG(0x4003C408) = 2; /* line 0: PB2, push-pull */
        REG(0x4003C410) = 1; REG(0x4003C424) = 1; enable_irq(26);
        for (int i = 0; i < 3; i++) {
            REG(0x4003C070) = 4; __asm volatile("dsb\\n isb"); REG(0x4003C070) = 0;
        }
        SET(0x4003C414) = 1; REG(0x4003C070) = 8 | 4; __asm volatile("dsb\\n isb"); REG(0x4003C070) = 0;
        __asm volatile("dsb\\n isb");
        return 0;
    }
    """
    machine = boot(source)
    finish(machine)
    assert words(machine, "even", 1) == [5], "four rises and, once asked for, a fall"


@pytest.mark.parametrize(("line", "pin"), [(1, 3), (5, 4), (8, 11), (11, 8)])
def test_each_line_looks_at_one_pin_of_four(boot, line, pin):
    source = f"""
    volatile uint32_t flags;
    int main(void) {{
        SET(0x40008064) = 1 << 26;
        REG(0x4003C064) = REG(0x4003C06C) = 0x11111111; /* port B: inputs */
        REG(0x4003C{0x400 + 4 * (line // 8):X}) = 1u << {4 * (line % 8)};
        REG(0x4003C{0x408 + 4 * (line // 8):X}) = {pin % 4}u << {4 * (line % 8)};
        REG(0x4003C410) = REG(0x4003C414) = 0xFFF;
        while (!flags) flags = REG(0x4003C420);
        return 0;
    }}
    """
    machine = boot(source)
    machine.run(0.0001)
    for other in range(16):
        if other != pin:
            machine.drive_pin("B", other, True)
    machine.run(0.0001)
    assert words(machine, "flags", 1) == [0]
    machine.drive_pin("B", pin, True)
    finish(machine)
    assert words(machine, "flags", 1) == [1 << line]


def test_gpio_levels_and_leds(boot):
    source = """
    volatile uint32_t pressed, before;
    void irq26(void) { pressed++; CLR(0x4003C420) = 0xFFFF; }
    int main(void) {
        SET(0x40008064) = 1 << 26;
        REG(0x4003C0C4) = 4 << 8;  /* PD2 push-pull, low: activity is lit */
        REG(0x4003C034) = 4 << 16; SET(0x4003C040) = 1 << 4; /* PA4 high: detected is off */
        REG(0x4003C064) = 2 << 8; SET(0x4003C070) = 1 << 2; /* PB2 input with pull-up */
        REG(0x4003C400) = 1 << 8; REG(0x4003C408) = 2 << 8;
        REG(0x4003C414) = 1 << 2; REG(0x4003C424) = 1 << 2;
        before = REG(0x4003C074);
        enable_irq(26);
        while (!pressed) WFI();
        return 0;
    }
    """
    machine = boot(source)
    machine.run(0.001)
    assert machine.leds == {"detected": False, "activity": True, "fault": False}
    assert words(machine, "before", 1)[0] & 4
    machine.drive_pin("B", 2, False)
    finish(machine)
    assert words(machine, "pressed", 1) == [1]
