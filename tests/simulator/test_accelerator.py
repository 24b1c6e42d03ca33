"""The MVP on the chip's bus."""

from __future__ import annotations

import pytest

from codegen.mvp.assembler import Program
from codegen.mvp.isa import Type
from tests.simulator.sources import CLOCKS
from tests.simulator.variables import finish, words

_MVP = """
volatile uint32_t finished, status, cycles;
void irq15(void) { finished++; CLR(0x4D00001C) = 1; }
int main(void) {
    SET(0x40008068) = 1 << 30;
    SET(0x4D000004) = 1; REG(0x4D00000C) = 1; SET(0x4D000020) = 1; enable_irq(15);
    REG(0x4D0000D4) = 99;                      /* loop 0: 100 times */
    REG(0x4D000114) = 0; REG(0x4D000118) = 0;
    REG(0x4D00011C) = 1u << 31 | 3;            /* one NOOP, begin and end of loop 0, end of program */
    REG(0x4D000174) = 9;
    status = REG(0x4D000010);
    while (!finished) WFI();
    cycles = REG(0x4D000014);
    return 0;
}
"""


def test_accelerator_runs_in_time_and_interrupts(boot):
    machine = boot(_MVP)
    finish(machine)
    assert words(machine, "status", 1)[0] & 1, "running right after the start"
    assert words(machine, "finished", 1) == [1]
    assert 100 <= words(machine, "cycles", 1)[0] <= 130
    assert machine.sleep_cycles >= 50


def test_a_program_takes_as_many_cycles_of_a_clock_that_changes_meanwhile(boot):
    source = """
    volatile uint32_t cycles;
    int main(void) {
        SET(0x40008068) = 1 << 30;
        SET(0x4D000004) = 1;
        REG(0x4D0000D4) = 999; REG(0x4D0000DC) = 999;
        REG(0x4D000114) = 0; REG(0x4D000118) = 0;
        REG(0x4D00011C) = 1u << 31 | 15;           /* a million times one NOOP */
        uint32_t start = REG(0xE0001004);
        REG(0x4D000174) = 9;
        clocks();                                  /* from 20 to 78 MHz, after milliseconds */
        while (!(REG(0x4D000010) & 4)) { }
        cycles = REG(0xE0001004) - start;
        return 0;
    }
    """
    counter = "REG(0xE000EDFC) = 1 << 24; REG(0xE0001000) = 1;"
    machine = boot(CLOCKS + source.replace("SET(0x40008068)", f"{counter} SET(0x40008068)", 1))
    finish(machine)
    assert words(machine, "cycles", 1)[0] == pytest.approx(1_000_000, abs=100)


_MVP_PROGRAM = """
uint32_t program[69], target[2];
uint32_t run(void) {
    SET(0x40008068) = 1 << 30;
    SET(0x4D000004) = 1;
    for (int i = 0; i < 69; i++) REG(0x4D000064 + 4 * i) = program[i];
    while (!(REG(0x4D000010) & 4)) { }
    return REG(0x4D00001C);
}
int main(void) { return 0; }
"""


@pytest.mark.parametrize("source", [0x0FE00000, 0x08040000], ids=["over the bus", "flash"])
@pytest.mark.parametrize("type", [Type.UINT8, Type.INT8, Type.HALF])
@pytest.mark.parametrize("complex", [False, True], ids=["scalar", "complex"])
def test_the_accelerator_reads_what_is_not_ram(boot, source, type, complex):
    machine = boot(_MVP_PROGRAM)
    machine.run(0.001)
    given = b"\x81\x3c\x7f\xbd\x01\x02\xff\x44"
    machine.write(source, given)
    p = Program("copy")
    count = 8 // (type.bytes * (2 if complex else 1))
    x = p.array("x", source, type, [(count, 1)], complex=complex)
    y = p.array("y", machine.symbol("target"), type, [(count, 1)], complex=complex)
    with p.loop(count):
        p.instruction("COPY", z=1, a=2, load0=x.to(2, 0), store=y.of(1, 0))
    machine.write(machine.symbol("program"), p.assemble().tobytes())
    assert machine.call("run").value & 0x1F000001 == 1, "done, and no fault"
    assert machine.read(machine.symbol("target"), 8) == given
