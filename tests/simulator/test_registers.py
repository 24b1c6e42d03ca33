"""What the simulator says of registers that it does not model, and of accesses that silicon would ignore."""

from __future__ import annotations

import pytest

from host.simulator.machine import SimulatorError
from tests.simulator.variables import finish


@pytest.mark.parametrize(
    ("write", "message"),
    [
        ("REG(0x40044004) = 2 << 16", r"LDMAXBAR: requests of source 2, signal 0, are not modelled"),
        ("REG(0x40044008) = 4 << 16 | 2", r"LDMAXBAR: requests of source 4, signal 2, are not modelled"),
        ("REG(0x4003C300) = 0xA534; REG(0x4003C300) = 0", "GPIO: locking it is not modelled"),
        ("REG(0x4004802C) = 0xCE80; REG(0x4004802C) = 0", "TIMER0: locking it is not modelled"),
        ("REG(0x400A8020) = 0x4776; REG(0x400A8020) = 0", "SYSRTC0: locking it is not modelled"),
        ("REG(0x4B010008) = 2", "EUSART0: loop-back is not modelled"),
        ("REG(0x4B010008) = 1 << 14", "EUSART0: an inverted line is not modelled"),
        ("REG(0x4B010008) = 1 << 3", "EUSART0: multi-processor mode is not modelled"),
        ("REG(0x4B01000C) = 2 << 4", "EUSART0: a timeout of the receiver is not modelled"),
        ("REG(0x4B010024) = 0x50001", "EUSART0: a delay before each frame is not modelled"),
        ("REG(0x4B010014) = 0x1001", "EUSART0: other than 8 data bits are not modelled"),
        ("REG(0x4B010004) = 1; REG(0x4B010008) = 0", "EUSART0: configuration written while it is enabled"),
        ("REG(0x4B010038) = 1", "EUSART0: command before EN"),
        ("SET(0x40008064) = 1 << 9; REG(0x4005C01C) = 18 << 8", "USART0 register written before EN"),
        ("SET(0x40008064) = 1 << 9; REG(0x4005C004) = 1; REG(0x4005C054) = 0x201", "I2S format 2"),
        ("SET(0x40008064) = 1 << 9; REG(0x4005C004) = 1; REG(0x4005C014) = 1", "USART0 is modelled in I2S"),
        ("REG(0x40048030) = 1; REG(0x40048004) = 0", "TIMER0: configuration written while it is enabled"),
        ("REG(0x40048004) = 2", "TIMER0: only counting up or down on its clock is modelled"),
        ("REG(0x40048060) = 1", "TIMER0: input capture is not modelled"),
    ],
)
def test_settings_that_would_have_no_effect_are_reported(boot, write, message):
    source = "int main(void) { SET(0x40008064) = 0x44000013; SET(0x40008068) = 1 << 22; %s; return 0; }"
    with pytest.raises(SimulatorError, match=message):
        finish(boot(source % write))


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
