"""Oscillators, PLL and clock tree, as firmware starts them."""

from __future__ import annotations

import pytest

from host import board as boards
from host.simulator.machine import SimulatorError
from tests.simulator.sources import CLOCKS
from tests.simulator.variables import finish, words


def test_clocks_start_and_lock_at_78_mhz(boot):
    machine = boot(CLOCKS + "int main(void) { clocks(); return 0; }")
    assert machine.status.core_hz == 20_000_000
    finish(machine)
    assert machine.status.core_hz == 78_000_000
    assert 0.001 < machine.time_s < 0.01, "a cold crystal takes milliseconds"
    before = machine.status
    machine.run(0.001)
    after = machine.status
    assert after.cycles - before.cycles == 78_000


def test_the_crystal_is_the_boards(boot, tmp_path):
    text = (boards.BOARDS / "brd2601b" / "board.toml").read_text()
    text = text.replace("39_000_000", "38_400_000").replace("78_000_000", "76_800_000")
    place = tmp_path / "mine"
    place.mkdir()
    (place / "board.toml").write_text(text)
    machine = boot(CLOCKS + "int main(void) { clocks(); return 0; }", board=str(place))
    for _ in range(2):
        finish(machine)
        assert machine.status.core_hz == 76_800_000
        machine.reset()
        machine.write(machine.symbol("done"), bytes(4))


def test_the_crystal_starts_and_rests_as_the_clocks_that_are_selected_ask_for_it(boot):
    source = """
    volatile uint32_t running[5];
    static void look(int i) { running[i] = REG(0x4A004058) >> 16 & 1; }
    int main(void) {
        clocks();
        CLR(0x4A004028) = 1 << 16; look(0);             /* for the loop */
        REG(0x40008070) = 1; REG(0x40008100) = 0; look(1);
        REG(0x40008120) = 2; look(2);                   /* for EM01GRPACLK */
        REG(0x40008120) = 1; look(3);
        CLR(0x4001C004) = 1; CLR(0x4001C010) = 7; SET(0x4001C004) = 1;
        REG(0x40008100) = 1;                            /* when the loop waits for it already */
        while (!(REG(0x4001C010) & 7)) { }
        look(4);
        return 0;
    }
    """
    machine = boot(CLOCKS + source)
    finish(machine)
    assert words(machine, "running", 5) == [1, 0, 1, 0, 1]


def test_the_loop_locks_again_when_its_reference_comes_back(boot):
    source = """
    volatile uint32_t locked[2];
    int main(void) {
        clocks();
        CLR(0x4A004028) = 1 << 16; REG(0x40008100) = 0;
        locked[0] = REG(0x4001C018) & 1; REG(0x40008100) = 1;
        for (int i = 0; i < 100000 && !locked[1]; i++) { locked[1] = REG(0x4001C018) & 1; }
        return 0;
    }
    """
    machine = boot(CLOCKS + source)
    finish(machine)
    assert words(machine, "locked", 2) == [0, 1] and machine.status.core_hz == 78_000_000


def test_the_loop_does_not_lock_to_a_crystal_that_was_stopped(boot):
    stopped = "SET(0x4A004028) = 1 << 24; CLR(0x4A004028) = 1 << 16; for (volatile int i = 0; i < 5000; i++);"
    machine = boot(
        "volatile uint32_t flags;"
        + CLOCKS.replace("while (!(REG(0x4001C010) & 7)) { }", stopped + "flags = REG(0x4001C010);")
        + "int main(void) { flags = 8; clocks(); return 0; }"
    )
    finish(machine)
    assert words(machine, "flags", 1) == [0]


@pytest.mark.parametrize(
    ("lock", "key", "register", "value"),
    [
        (0x40008010, 0x93F7, 0x40008120, 3),
        (0x4A004080, 0x580E, 0x4A004040, 5),
        (0x4001001C, 0x8195, 0x40010008, 0xACED9F42),
        (0x4001C024, 0x7102, 0x4001C00C, 3839 << 16 | 1919),
    ],
    ids=["CMU", "HFXO", "HFRCO", "DPLL"],
)
def test_what_is_locked_takes_no_setting(boot, lock, key, register, value):
    source = f"""
    volatile uint32_t before, locked, unlocked;
    int main(void) {{
        SET(0x40008064) = 7 << 16 | 1 << 20;
        before = REG({register});
        REG({lock}) = 1; REG({register}) = {value}u; locked = REG({register});
        REG({lock}) = {key}; REG({register}) = {value}u; unlocked = REG({register});
        return 0;
    }}
    """
    machine = boot(source)
    finish(machine)
    assert words(machine, "locked", 1) == words(machine, "before", 1) != [value]
    assert words(machine, "unlocked", 1) == [value]


@pytest.mark.parametrize("ask", ["SET(0x40010004) = 1", "SET(0x4001C004) = 1", "REG(0x40008070) = 0x10002"])
def test_oscillator_that_nobody_asks_for_takes_no_new_setting(boot, ask):
    """Who waits for it before the PLL or the core's clock asks for it waits in vain."""
    source = """
    volatile uint32_t resting, asked;
    int main(void) {
        SET(0x40008064) = 1 << 17 | 1 << 18;
        REG(0x40010008) = 0xACED9F42;
        for (int i = 0; i < 1000; i++) { resting = REG(0x4001000C) & 6; }
        ASK;
        for (int i = 0; i < 1000; i++) { asked = REG(0x4001000C) & 7; }
        return 0;
    }
    """
    machine = boot(source.replace("ASK", ask))
    finish(machine)
    assert words(machine, "resting", 1) == [6] and words(machine, "asked", 1) == [1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("REG(0x40008070) = 2 | 1 << 16;", "PCLK above its limit"),
        ("REG(0x40030004) = 0; REG(0x40008070) = 2 | 1 << 10 | 1 << 16;", "no flash wait state"),
        ("REG(0x40030004) = 0;", "no flash wait state"),
        ("REG(0x40008070) = 2 | 1 << 10;", "RHCLK above its limit"),
        ("REG(0x40008070) = 1; REG(0x40030004) = 0; REG(0x40008070) = 2 | 1 << 10 | 1 << 16;", "no flash"),
        ("REG(0x40008070) = 3; CLR(0x4A004028) = 1 << 16; REG(0x4001C008) = 5;", "DPLL configuration"),
        ("SET(0x4A004018) = 1u << 31;", "HFXO configuration written while it runs on demand"),
        ("REG(0x40008070) = 3; SET(0x4A004028) = 1 << 24; CLR(0x4A004028) = 1 << 16;", "has been stopped"),
    ],
)
def test_clock_settings_that_silicon_would_not_survive_are_refused(boot, change, message):
    machine = boot(CLOCKS + "int main(void) { clocks(); " + change + " return 0; }")
    with pytest.raises(SimulatorError, match=message):
        finish(machine)


@pytest.mark.parametrize("prescalers", ["1 << 16", "1 << 10"])
def test_a_clock_that_becomes_too_fast_while_it_is_used_is_refused(boot, prescalers):
    """The core already runs from the oscillator when that is made faster."""
    source = CLOCKS.replace("REG(0x40010008)", f"REG(0x40008070) = 2 | {prescalers}; REG(0x40010008)", 1)
    machine = boot(source + "int main(void) { clocks(); return 0; }")
    with pytest.raises(SimulatorError, match="CLK above its limit"):
        finish(machine)


def test_systick_counts_core_cycles_over_a_change_of_the_clock(boot):
    source = """
    volatile uint32_t ticks, start;
    void systick(void) { ticks++; }
    int main(void) {
        REG(0xE000E014) = 19999; REG(0xE000E018) = 0; REG(0xE000E010) = 7;
        clocks();
        start = ticks; done = 1;
        for (;;) WFI();
    }
    """
    machine = boot(CLOCKS + source)
    assert machine.run_until(lambda: words(machine, "done", 1) == [1], 0.1)
    before = words(machine, "ticks", 1)[0]
    machine.run(0.01)
    assert words(machine, "ticks", 1)[0] - before == 39
