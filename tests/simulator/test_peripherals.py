"""The chip's peripherals as firmware uses them: clocks, serial port, microphone, DMA, timers, flash."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from codegen.mvp.assembler import Program
from codegen.mvp.isa import Type
from host import board as boards
from host.simulator.machine import SimulatorError
from tests.simulator.variables import finish, words

_CLOCKS = """
static void clocks(void) {
    SET(0x40008064) = 1 << 20 | 1 << 17 | 1 << 18; SET(0x40008068) = 1 << 16;
    REG(0x4A004080) = 0x580E;
    SET(0x4A004028) = 1 << 24; CLR(0x4A004028) = 1 << 16;
    while (REG(0x4A004058) & 1 << 16) { }
    REG(0x4A004010) = 11 << 24 | 12 << 20 | 32 << 6 | 32;
    CLR(0x4A004028) = 1 << 24; SET(0x4A004028) = 1 << 16;
    while ((REG(0x4A004058) & 0x40010003) != 0x10003) { }
    CLR(0x4001C004) = 1;
    while (REG(0x4001C004) & 2) { }
    REG(0x40010008) = 0xCCF09F00 | (REG(0x0FE08098) & 0x7F);
    REG(0x40008100) = 1;
    REG(0x4001C00C) = 3839 << 16 | 1919; REG(0x4001C008) = 5;
    CLR(0x4001C010) = 7; SET(0x4001C004) = 1;
    while (!(REG(0x4001C010) & 7)) { }
    REG(0x40030004) = 1 << 20;
    SET(0x40008070) = 1 << 10 | 1 << 16;
    REG(0x40008070) = (REG(0x40008070) & ~7) | 2;
}
"""


def test_clocks_start_and_lock_at_78_mhz(boot):
    machine = boot(_CLOCKS + "int main(void) { clocks(); return 0; }")
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
    machine = boot(_CLOCKS + "int main(void) { clocks(); return 0; }", board=str(place))
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
    machine = boot(_CLOCKS + source)
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
    machine = boot(_CLOCKS + source)
    finish(machine)
    assert words(machine, "locked", 2) == [0, 1] and machine.status.core_hz == 78_000_000


def test_the_loop_does_not_lock_to_a_crystal_that_was_stopped(boot):
    stopped = "SET(0x4A004028) = 1 << 24; CLR(0x4A004028) = 1 << 16; for (volatile int i = 0; i < 5000; i++);"
    machine = boot(
        "volatile uint32_t flags;"
        + _CLOCKS.replace("while (!(REG(0x4001C010) & 7)) { }", stopped + "flags = REG(0x4001C010);")
        + "int main(void) { flags = 8; clocks(); return 0; }"
    )
    finish(machine)
    assert words(machine, "flags", 1) == [0]


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
    machine = boot(_CLOCKS + "int main(void) { clocks(); " + change + " return 0; }")
    with pytest.raises(SimulatorError, match=message):
        finish(machine)


@pytest.mark.parametrize("prescalers", ["1 << 16", "1 << 10"])
def test_a_clock_that_becomes_too_fast_while_it_is_used_is_refused(boot, prescalers):
    """The core already runs from the oscillator when that is made faster."""
    source = _CLOCKS.replace("REG(0x40010008)", f"REG(0x40008070) = 2 | {prescalers}; REG(0x40010008)", 1)
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
    machine = boot(_CLOCKS + source)
    assert machine.run_until(lambda: words(machine, "done", 1) == [1], 0.1)
    before = words(machine, "ticks", 1)[0]
    machine.run(0.01)
    assert words(machine, "ticks", 1)[0] - before == 39


_UART = (
    _CLOCKS
    + """
volatile uint32_t received;
static void uart(void) {
    SET(0x40008064) = 1 << 26; SET(0x40008068) = 1 << 22;
    REG(0x4B010004) = 1;
    REG(0x4B010030) = 10576;
    REG(0x4B010038) = 5;
    REG(0x4003C4AC) = 5 << 16; REG(0x4003C4A4) = 6 << 16; REG(0x4003C494) = 0x14;
}
void irq11(void) {
    while (REG(0x4B010048) & 1 << 7) {
        uint32_t byte = REG(0x4B01003C);
        received++;
        REG(0x4B010044) = byte ^ 0x20;
    }
    CLR(0x4B01004C) = 1 << 2;
}
int main(void) {
    clocks(); uart();
    SET(0x4B010050) = 1 << 2; enable_irq(11);
    for (const char *p = "hello, this is longer than sixteen"; *p; p++) {
        while (!(REG(0x4B010048) & 1 << 6)) { }
        REG(0x4B010044) = *p;
    }
    return 0;
}
"""
)


def test_serial_port_sends_at_its_baud_rate_and_receives_by_interrupt(boot):
    machine = boot(_UART)
    assert machine.run_until(b"sixteen", 0.1)
    timed = machine.uart_read_timed()
    assert bytes(b for b, _ in timed) == b"hello, this is longer than sixteen"
    gaps = np.diff([t for _, t in timed])
    expected = 10 * 16 * (1 + 10576 / 256) / 78e6
    assert np.allclose(gaps, expected, atol=1e-9)
    start = machine.time_s
    machine.uart_write(b"ABCdefghijklmnopqrstuvwxyz")
    assert machine.run_until(b"VWXYZ", 0.1)
    timed = machine.uart_read_timed()
    assert bytes(b for b, _ in timed) == b"abcDEFGHIJKLMNOPQRSTUVWXYZ"
    assert timed[-1][1] - start == pytest.approx(27 * expected, rel=0.01)
    assert words(machine, "received", 1) == [26]


def test_nothing_leaves_or_reaches_a_port_that_is_not_routed_to_its_pins(boot):
    machine = boot(_UART.replace("REG(0x4003C494) = 0x14;", ""))
    machine.uart_write(b"unheard")
    machine.run(0.05)
    assert machine.uart_read() == b"" and words(machine, "received", 1) == [0]


def test_a_port_whose_receiver_is_off_hears_nothing(boot):
    machine = boot(_UART.replace("REG(0x4B010038) = 5;", "REG(0x4B010038) = 4;"))
    machine.uart_write(b"unheard")
    machine.run(0.05)
    assert machine.uart_read() == b"hello, this is longer than sixteen"
    assert words(machine, "received", 1) == [0]


# PC8 switches the microphone on.
_POWER = "REG(0x4003C09C) = 4; SET(0x4003C0A0) = 1 << 8;"
_MICROPHONE = (
    _CLOCKS
    + """
#define N 64
int16_t buffer[2][N];
uint16_t ignored;
uint32_t left[2][4], right[4];
volatile uint32_t blocks, stamp[40], errors;
int16_t kept[32 * N];
volatile uint32_t overflow;
void irq21(void) {
    uint32_t flags = REG(0x40040050);
    CLR(0x40040050) = flags;
    if (flags & 0x80000000) errors++;
    if (blocks < 32) {
        for (int i = 0; i < N; i++) kept[blocks * N + i] = buffer[blocks & 1][i];
        stamp[blocks] = REG(0xE000E018);
    }
    blocks++;
}
void irq9(void) { overflow++; CLR(0x4005C048) = 1 << 4; }
int main(void) {
    clocks();
    REG(0xE000E014) = 0xFFFFFF; REG(0xE000E018) = 0; REG(0xE000E010) = 5;
    SET(0x40008064) = 1 << 0 | 1 << 1 | 1 << 9 | 1 << 26;
    for (int i = 0; i < 2; i++) {
        left[i][0] = 3 << 24 | 1 << 26 | (N - 1) << 4 | 1 << 20;
        left[i][1] = 0x4005C02C; left[i][2] = (uint32_t)buffer[i]; left[i][3] = (uint32_t)left[1 - i] | 2;
    }
    right[0] = 3 << 24 | 1 << 26 | 3u << 28 | 2047 << 4;
    right[1] = 0x4005C02C; right[2] = (uint32_t)&ignored; right[3] = (uint32_t)right | 2;
    REG(0x40040004) = 1;
    REG(0x40044004) = 4 << 16; REG(0x40044008) = 4 << 16 | 1;
    REG(0x40040070) = (uint32_t)left[0]; REG(0x400400A0) = (uint32_t)right;
    SET(0x40040054) = 1 | 1u << 31; REG(0x40040048) = 3; enable_irq(21);
    REG(0x4005C004) = 1; REG(0x4005C008) = 1 | 1 << 10 | 1 << 29; REG(0x4005C00C) = 13 | 1 << 12;
    REG(0x4005C01C) = 18 << 8; REG(0x4005C014) = 1 << 4;
    REG(0x4005C054) = 1 | 1 << 3 | 1 << 4 | 3 << 8;
    POWER
    REG(0x4003C724) = 5 << 16 | 3; REG(0x4003C730) = 4 << 16 | 3; REG(0x4003C734) = 3 << 16 | 3;
    REG(0x4003C720) = 1 | 4 | 8;
    SET(0x4005C04C) = 1 << 4; enable_irq(9);
    REG(0x4005C014) = 1 | 4;
    while (blocks < 32) WFI();
    STOP
    return 0;
}
"""
)


def test_microphone_through_dma_sample_for_sample_and_at_its_rate(boot):
    samples = np.random.default_rng(1).integers(-32768, 32767, 4096).astype(np.int16)
    machine = boot(_MICROPHONE.replace("STOP", "").replace("POWER", _POWER), audio=samples)
    finish(machine, 0.5)
    kept = np.frombuffer(machine.read(machine.symbol("kept"), 2 * 32 * 64), dtype=np.int16)
    assert np.array_equal(kept, samples[: len(kept)])
    # 64 frames of 64 bits at 39 MHz / 38: 64 * 64 * 38 * 2 core cycles, apart from the interrupt's jitter.
    stamps = np.array(words(machine, "stamp", 32), dtype=np.int64)
    gaps = -np.diff(stamps) % (1 << 24)
    assert np.all(np.abs(gaps - 64 * 64 * 38 * 2) < 60)
    assert abs(int(np.sum(gaps)) - 31 * 64 * 64 * 38 * 2) < 60
    assert machine.status.i2s_millihertz == int(39e6 / 38 / 64 * 1000)
    assert words(machine, "errors", 1) + words(machine, "overflow", 1) == [0, 0]


def test_microphone_overflow_is_flagged_when_nobody_takes_the_samples(boot):
    machine = boot(
        _MICROPHONE.replace("STOP", "REG(0x40040028) = 3; while (!overflow) { }").replace("POWER", _POWER)
    )
    finish(machine, 0.5)
    assert machine.status.i2s_overflows >= 1


def test_a_receiver_that_was_switched_off_takes_no_more_samples(boot):
    stop = "REG(0x4005C014) = 2; overflow = REG(0x4005C018);"
    machine = boot(_MICROPHONE.replace("STOP", stop).replace("POWER", _POWER))
    finish(machine, 0.5)
    assert words(machine, "overflow", 1)[0] & 5 == 4, "not RXENS, but MASTER still"
    frames = machine.status.frames
    machine.run(0.01)
    assert machine.status.frames == frames >= 32 * 64


def test_audio_can_be_heard_at_its_own_rate(boot):
    machine = boot(_MICROPHONE.replace("STOP", "").replace("POWER", _POWER))
    ramp = np.arange(4000, dtype=np.int16)
    machine.set_audio(ramp, sample_rate=8000, mode="hold")
    finish(machine, 0.5)
    kept = np.frombuffer(machine.read(machine.symbol("kept"), 2 * 32 * 64), dtype=np.int16)
    heard = np.diff(kept)
    assert set(heard.tolist()) <= {0, 1}
    assert np.sum(heard) / len(heard) == pytest.approx(8000 / (39e6 / 38 / 64), rel=0.01)


def test_audio_can_be_interpolated(boot):
    """To the last sample, which is heard for as long as the others, and silence after it."""
    machine = boot(_MICROPHONE.replace("STOP", "").replace("POWER", _POWER))
    machine.set_audio(np.arange(500, dtype=np.int16) * np.int16(60), sample_rate=8000, mode="linear")
    finish(machine, 0.5)
    kept = np.frombuffer(machine.read(machine.symbol("kept"), 2 * 32 * 64), dtype=np.int16).astype(int)
    last = np.flatnonzero(kept)[-1]
    assert kept[last - 1] == kept[last] == 60 * 499
    steps = np.diff(kept[: last - 2])
    assert steps.min() >= 29 and steps.max() <= 31
    assert np.mean(steps) == pytest.approx(60 * 8000 / (39e6 / 38 / 64), rel=0.01)


def test_a_run_after_a_power_on_reset_is_the_first_one_again(boot):
    samples = np.random.default_rng(1).integers(-32768, 32767, 4096).astype(np.int16)
    machine = boot(_MICROPHONE.replace("STOP", "").replace("POWER", _POWER), audio=samples)
    runs = []
    for _ in range(2):
        finish(machine, 0.5)
        status = machine.status
        kept = machine.read(machine.symbol("kept"), 2 * 32 * 64)
        runs.append((kept, status.frames, status.audio_position, machine.cycles, machine.instructions))
        machine.reset()
        machine.write(machine.symbol("done"), bytes(4))
    assert runs[0] == runs[1]
    assert (machine.status.frames, machine.audio_position) == (0, 0)
    for at, position in ((None, runs[0][2]), (0.4, 0)):
        machine.run(0.1)  # it is given late, and begins when it was to after the reset all the same
        machine.set_audio(samples, at=at)
        machine.reset()
        machine.write(machine.symbol("done"), bytes(4))
        finish(machine, 0.5)
        assert machine.audio_position == position


def test_what_a_port_sent_before_a_power_on_reset_is_not_read_after_it(boot):
    second = _UART.replace("0x4B0100", "0x400A00").replace("1 << 22", "1 << 23")
    second = second.replace("0x4003C4AC", "0x4003C4CC").replace("0x4003C4A4", "0x4003C4C4")
    second = second.replace("0x4003C494", "0x4003C4B4")
    for source, port in ((_UART, 0), (second, 1)):
        machine = boot(source)
        machine.run(0.05)
        machine.reset()
        assert machine.uart_read(port) == b""
        machine.run(0.05)
        assert machine.uart_read(port) == b"hello, this is longer than sixteen"


def test_a_microphone_without_power_is_silent(boot):
    source = _MICROPHONE.replace("STOP", "").replace("POWER", "")
    machine = boot(source, audio=np.full(4096, 1000, np.int16))
    finish(machine, 0.5)
    assert not any(machine.read(machine.symbol("kept"), 2 * 32 * 64))


_COPY = """
uint32_t from[69], to[69], descriptor[2][4];
volatile uint32_t flags;
uint8_t bytes[8], swapped[8];
void irq21(void) { flags |= REG(0x40040050); CLR(0x40040050) = 0xFF; }
int main(void) {
    SET(0x40008064) = 3;
    REG(0x40040004) = 1;
    for (int i = 0; i < 69; i++) from[i] = i * 0x01010101;
    for (int i = 0; i < 8; i++) bytes[i] = i;
    SET(0x40040054) = 0xFF; enable_irq(21);
    descriptor[0][0] = 1 << 3 | 68 << 4 | 1 << 21 | 2 << 26;
    descriptor[0][1] = (uint32_t)from; descriptor[0][2] = (uint32_t)to; descriptor[0][3] = 16 | 3;
    descriptor[1][0] = 1 << 3 | 1 << 4 | 1 << 21 | 2 << 26 | 1 << 15 | 1 << 20;
    descriptor[1][1] = (uint32_t)bytes; descriptor[1][2] = (uint32_t)swapped; descriptor[1][3] = 0;
    REG(0x40040070 + 0x30 * 2) = (uint32_t)descriptor[0];
    REG(0x40040048) = 1 << 2;
    while (!flags) WFI();
    return 0;
}
"""


def test_dma_copies_memory_by_linked_descriptors(boot):
    machine = boot(_COPY)
    finish(machine)
    assert words(machine, "to", 69) == [i * 0x01010101 for i in range(69)]
    assert machine.read(machine.symbol("swapped"), 8) == bytes([3, 2, 1, 0, 7, 6, 5, 4])
    assert words(machine, "flags", 1) == [4]
    assert machine.peripheral(0x40040034) == 4  # CHDONE


def test_a_dma_request_while_the_channel_is_busy_waits_for_the_next_descriptor(boot):
    source = """
    uint32_t descriptor[2][4], pending; uint8_t from[16], to[4096];
    int main(void) {
        SET(0x40008064) = 3; REG(0x40040004) = 1;
        for (int i = 0; i < 16; i++) from[i] = i + 1;
        for (int i = 0; i < 2; i++) {
            descriptor[i][0] = 7 << 4 | 1 << 21; descriptor[i][1] = (uint32_t)(from + 8 * i);
            descriptor[i][2] = (uint32_t)(to + 8 * i); descriptor[i][3] = LINK;
        }
        descriptor[1][3] = 0;
        REG(0x40040070) = (uint32_t)descriptor; REG(0x40040048) = 1;
        REG(0x4004003C) = 1; REG(0x4004003C) = 1; pending = REG(0x40040044);
        while (REG(0x40040034) != 1) { }
        return 0;
    }
    """
    for link, moved in (("0", 8), ("16 | 3", 16)):
        machine = boot(source.replace("LINK", link))
        finish(machine)
        assert machine.read(machine.symbol("to"), 4096) == bytes([*range(1, moved + 1)]).ljust(4096, b"\0")
        assert words(machine, "pending", 1) == [1]


def test_a_dma_request_moves_a_block(boot):
    source = """
    static uint8_t from[2048], to[2048];
    volatile uint32_t left[16];
    int main(void) {
        SET(0x40008064) = 3;
        REG(0x40040004) = 1;
        for (int code = 0; code < 16; code++) {
            REG(0x40040064) = 2047 << 4 | code << 16;
            REG(0x40040068) = (uint32_t)from; REG(0x4004006C) = (uint32_t)to; REG(0x40040070) = 0;
            REG(0x40040024) = 1; REG(0x4004003C) = 1;
            left[code] = REG(0x40040064) >> 4 & 0x7FF;
            REG(0x40040028) = 1;
        }
        return 0;
    }
    """
    machine = boot(source)
    finish(machine)
    moved = [2047 - left for left in words(machine, "left", 16)]
    named = {0: 1, 1: 2, 2: 3, 3: 4, 4: 6, 5: 8, 7: 16, 9: 32, 10: 64, 11: 128, 12: 256, 13: 512, 14: 1024}
    assert {code: moved[code] for code in named} == named
    assert moved[15] == 2047, "all: none is left"


def test_dma_loops_over_a_descriptor(boot):
    """As often as LOOP says and once more, then what follows in memory; a relative address goes on."""
    source = """
    static uint32_t descriptor[2][4] __attribute__((aligned(16)));
    static uint8_t again[4] = "abcd", last[4] = "WXYZ";
    uint8_t to[20];
    int main(void) {
        SET(0x40008064) = 3;
        REG(0x40040004) = 1;
        for (int i = 0; i < 2; i++) {
            descriptor[i][0] = 1 << 3 | 3 << 4 | 1 << 21 | 1u << 31 | (i == 0 ? 1 << 22 : 0);
            descriptor[i][1] = (uint32_t)(i == 0 ? again : last);
        }
        descriptor[0][3] = 3; /* itself */
        REG(0x40040060) = 2; REG(0x4004006C) = (uint32_t)to;
        REG(0x40040070) = (uint32_t)descriptor; REG(0x40040048) = 1;
        while (!(REG(0x40040034) & 1)) { }
        return 0;
    }
    """
    machine = boot(source)
    finish(machine)
    assert machine.read(machine.symbol("to"), 20) == b"abcdabcdabcdWXYZ" + bytes(4)


def test_dma_of_unaligned_units_is_reported(boot):
    source = """
    uint32_t descriptor[4], from[3], to[3];
    int main(void) {
        SET(0x40008064) = 3; REG(0x40040004) = 1;
        descriptor[0] = 1 << 3 | 1 << 4 | 1 << 21 | 1 << 26;
        descriptor[1] = (uint32_t)from + 2; descriptor[2] = (uint32_t)to + OFFSET;
        REG(0x40040070 + 0x30) = (uint32_t)descriptor; REG(0x40040048) = 2;
        while (REG(0x40040034) != 2) { }
        return 0;
    }
    """
    finish(boot(source.replace("OFFSET", "6")))
    with pytest.raises(SimulatorError, match=r"LDMA channel 1 moves units of 2 bytes .*: unaligned ones"):
        finish(boot(source.replace("OFFSET", "1")))


def test_dma_errors_are_flagged(boot):
    source = """
    uint32_t descriptor[4], to; volatile uint32_t flags, failed;
    void irq21(void) { failed = REG(0x4004000C) >> 8 & 31; flags = REG(0x40040050); CLR(0x40040050) = flags; }
    int main(void) {
        SET(0x40008064) = 3; REG(0x40040004) = 1;
        descriptor[0] = 1 << 3 | 1 << 21 | 2 << 26 | 1 << 20;
        descriptor[1] = SOURCE; descriptor[2] = (uint32_t)&to;
        SET(0x40040054) = 0x800000FF; enable_irq(21);
        for (int n = 3; n < 7; n += 3) {
            flags = 0;
            REG(0x40040070 + 0x30 * n) = (uint32_t)descriptor; REG(0x40040048) = 1 << n;
            while (!flags) { }
        }
        return 0;
    }
    """
    for address in ("0x70000000", "0x4B010048"):  # nothing there; a port whose clock is off
        machine = boot(source.replace("SOURCE", address))
        finish(machine)
        assert words(machine, "flags", 1) + words(machine, "failed", 1) == [1 << 31, 6]


_SERIAL_DMA = """
static uint32_t descriptor[8] __attribute__((aligned(16)));
static uint8_t text[120], heard[8];
volatile uint32_t interrupts, left;
void irq21(void) { interrupts++; CLR(0x40040050) = 3; }
static void transfer(uint32_t channel, uint32_t select, uint32_t *first) {
    REG(0x40044004 + 4 * channel) = 15 << 16 | select;
    REG(0x40040070 + 0x30 * channel) = (uint32_t)first;
    REG(0x40040048) = 1 << channel;
}
int main(void) {
    SET(0x40008064) = 3 | 1 << 26; SET(0x40008068) = 1 << 22;
    REG(0x40008128) = 3; /* FSRCO */
    REG(0x40040004) = 1; SET(0x40040054) = 3; enable_irq(21);
    REG(0x4003C034) = 0x04100000; REG(0x4003C4A4) = 6 << 16; REG(0x4003C4AC) = 5 << 16;
    REG(0x4003C494) = 4 | 16;
    REG(0x4B010004) = 1; REG(0x4B010030) = 256 * 9; /* 125 kBd */
    for (int i = 0; i < 120; i++) text[i] = ' ' + i % 90;
    descriptor[0] = 99 << 4 | 3 << 28; descriptor[1] = (uint32_t)text; descriptor[2] = 0x4B010044;
    descriptor[3] = (uint32_t)&descriptor[4] | 2;
    descriptor[4] = 19 << 4 | 3 << 28 | 1 << 20; descriptor[5] = (uint32_t)text + 100;
    descriptor[6] = 0x4B010044;
    transfer(0, 1, descriptor);
    REG(0x4B010038) = 5; /* the port's switch comes last */
    while (interrupts == 0) WFI();
    while ((REG(0x4B010048) >> 5 & 1) == 0) { } /* TXC */
    while ((REG(0x4B010048) >> 7 & 1) == 0) { } /* RXFL */
    for (volatile int i = 0; i < 3000; i++) { }
    descriptor[0] = 4 << 4 | 3 << 24 | 1 << 20; descriptor[1] = 0x4B01003C; descriptor[2] = (uint32_t)heard;
    descriptor[3] = 0;
    transfer(1, 0, descriptor); /* everything is there already */
    while (interrupts == 1) WFI();
    left = REG(0x4B010048) >> 7 & 1;
    return 0;
}
"""


def test_serial_port_through_dma(boot):
    machine = boot(_SERIAL_DMA)
    machine.uart_write(b"Hello")
    finish(machine)
    sent = machine.uart_read_timed()
    assert bytes(byte for byte, _ in sent) == bytes(32 + i % 90 for i in range(120))
    gaps = np.diff([second for _, second in sent])
    assert np.allclose(gaps, 10 / 125000, atol=1e-9), "byte after byte, without a pause"
    assert machine.read(machine.symbol("heard"), 8) == b"Hello\0\0\0"
    assert words(machine, "left", 1) == [0]


def test_a_copy_that_follows_a_transfer_to_a_serial_port_ends_by_itself(boot):
    """Nobody touches the DMA meanwhile: the core sleeps."""
    source = """
    static uint32_t descriptor[3][4] __attribute__((aligned(16)));
    static uint32_t from[8], to[2][8];
    static uint8_t text[40];
    volatile uint32_t interrupts;
    void irq21(void) { interrupts++; CLR(0x40040050) = 1; }
    static void copy(uint32_t n, uint32_t *to, uint32_t more, uint32_t link) {
        descriptor[n][0] = 1 << 3 | 7 << 4 | 1 << 21 | 2 << 26 | more; descriptor[n][1] = (uint32_t)from;
        descriptor[n][2] = (uint32_t)to; descriptor[n][3] = link;
    }
    int main(void) {
        SET(0x40008064) = 3; SET(0x40008068) = 1 << 22;
        REG(0x40008128) = 3; /* FSRCO */
        REG(0x4B010004) = 1; REG(0x4B010030) = 256 * 9; REG(0x4B010038) = 4;
        REG(0x40040004) = 1; SET(0x40040054) = 1; enable_irq(21);
        for (int i = 0; i < 8; i++) from[i] = i + 1;
        copy(0, to[0], 0, (uint32_t)descriptor[1] | 2);
        descriptor[1][0] = (BYTES - 1) << 4 | 3 << 28; descriptor[1][1] = (uint32_t)text;
        descriptor[1][2] = 0x4B010044; descriptor[1][3] = (uint32_t)descriptor[2] | 2;
        copy(2, to[1], 1 << 20, 0);
        REG(0x40044004) = 15 << 16 | 1; REG(0x40040070) = (uint32_t)descriptor[0]; REG(0x40040048) = 1;
        while (interrupts == 0) WFI();
        return 0;
    }
    """
    for count in (3, 30):  # at once into the FIFO, and as the port sends
        machine = boot(source.replace("BYTES", str(count)))
        finish(machine)
        assert words(machine, "to", 16) == [*range(1, 9)] * 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("REG(0x4B010030) = 256; REG(0x4B010030) = 512;", r"EUSART0: written before .*SYNCBUSY"),
        ("REG(0x4B010038) = 1; REG(0x4B010038) = 4;", r"EUSART0: written before .*SYNCBUSY"),
        ("REG(0x4B010030) = 256; REG(0x4B010038) = 1; REG(0x4B010030) = 512;", "before .*SYNCBUSY"),
        ("REG(0x4B010038) = 1; while (REG(0x4B010054)) { } REG(0x4B010038) = 4;", None),
        ("REG(0x4B010004) = 0; REG(0x4B010008) = 0;", r"EUSART0: written while .*DISABLING"),
        ("REG(0x4B010004) = 0; while (REG(0x4B010004)) { } REG(0x4B010008) = 0;", None),
    ],
)
def test_a_port_is_given_time_to_take_what_it_was_told(boot, change, message):
    """Its own clock is slower than the core here; what it has not taken yet must not be overwritten."""
    source = """
    int main(void) {
        SET(0x40008064) = 1 << 26; SET(0x40008068) = 1 << 22;
        REG(0x40008220) = 1; REG(0x40008128) = 3;
        REG(0x4B010004) = 1; REG(0x4B010030) = 0;
        while (REG(0x4B010054)) { }
        CHANGE
        return 0;
    }
    """
    machine = boot(source.replace("CHANGE", change))
    if message is None:
        finish(machine)
        return
    with pytest.raises(SimulatorError, match=message):
        finish(machine)


@pytest.mark.parametrize("told", ["REG(0x4B010038) = 1", "REG(0x4B010030) = 256", "REG(0x4B010004) = 0"])
def test_a_port_takes_what_it_was_told_once_it_has_a_clock(boot, told):
    source = f"""
    int main(void) {{
        SET(0x40008068) = 1 << 22;
        REG(0x40008220) = 0;
        REG(0x4B010004) = 1; {told};
        REG(0x40008220) = 1; REG(0x40008128) = 3;
        while (REG(0x4B010054) || REG(0x4B010004) & 2) {{ }}
        return 0;
    }}
    """
    finish(boot(source))


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
    with pytest.raises(SimulatorError, match="TIMER0: input capture is not modelled"):
        finish(boot("int main(void) { SET(0x40008064) = 1 << 4; REG(0x40048060) = 1; return 0; }"))


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


_FLASH = """
volatile uint32_t status[6];
static void once(void) { while (REG(0x4003001C) & 0x21) { } }
static void wait(void) { once(); once(); }
int main(void) {
    SET(0x40008068) = 1 << 16;
    REG(0x4003003C) = 0x1B71;
    REG(0x40030014) = 0x08020000; REG(0x40030010) = 2; status[0] = REG(0x4003001C);
    REG(0x4003000C) = 1;
    REG(0x40030014) = 0x08020000; REG(0x40030010) = 2; wait();
    REG(0x40030014) = 0x08020010;
    for (int i = 0; i < 4; i++) { while (!(REG(0x4003001C) & 8)) { } REG(0x40030018) = 0xA0 + i; }
    REG(0x40030010) = 4; wait();
    REG(0x40030014) = 0x08020010; REG(0x40030018) = 0x0F; wait();
    REG(0x40030014) = 0x08200000; status[1] = REG(0x4003001C);
    SET(0x40030120) = 1 << 16;
    REG(0x40030014) = 0x08020000; REG(0x40030010) = 2; status[2] = REG(0x4003001C);
    return 0;
}
"""


def test_flash_is_erased_and_written_with_its_locks_and_its_time(boot):
    machine = boot(_FLASH)
    machine.write(0x08020000, bytes(range(64)))
    finish(machine)
    page = machine.read(0x08020000, 64)
    assert page[:16] == b"\xff" * 16
    assert list(struct.unpack("<4I", page[16:32])) == [0, 0xA1, 0xA2, 0xA3]  # 0xA0 & 0x0F
    locked, invalid, page_locked = words(machine, "status", 3)
    assert locked & 2 and invalid & 4 and page_locked & 2
    assert machine.time_s > 0.01


def test_the_user_data_page_is_written_until_it_is_locked(boot):
    source = """
    volatile uint32_t status[2];
    static void put(uint32_t value) {
        REG(0x40030014) = 0x0FE00000; REG(0x40030018) = value;
        for (int quiet = 0; quiet < 2; quiet = REG(0x4003001C) & 1 ? 0 : quiet + 1) { }
    }
    int main(void) {
        SET(0x40008068) = 1 << 16;
        REG(0x4003003C) = 0x1B71;
        REG(0x4003000C) = 1;
        CLR(0x40030040) = 0x10; put(0x1234); status[0] = REG(0x4003001C);
        SET(0x40030040) = 0x10; put(0x1030); status[1] = REG(0x4003001C);
        return 0;
    }
    """
    machine = boot(source)
    finish(machine)
    assert [status & 2 for status in words(machine, "status", 2)] == [0, 2]
    assert machine.read(0x0FE00000, 8) == b"\x34\x12" + bytes(2) + b"\xff" * 4


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


@pytest.mark.parametrize(
    ("early", "message"),
    [
        ("REG(0x40030014) = 0x08020010;", "address is given while it is busy"),
        ("REG(0x4003000C) = 0;", "writing is switched off .* while it is busy"),
    ],
)
def test_one_look_does_not_tell_that_the_flash_is_done(boot, early, message):
    """The vendor's driver looks twice: a command that is about to start may show as no command."""
    source = _FLASH.replace("REG(0x40030010) = 2; wait();", f"REG(0x40030010) = 2; once(); {early}")
    machine = boot(source)
    with pytest.raises(SimulatorError, match=message):
        finish(machine)


def test_gpio_levels_and_leds(boot):
    source = """
    volatile uint32_t pressed, before;
    void irq26(void) { pressed++; CLR(0x4003C420) = 0xFFFF; }
    int main(void) {
        SET(0x40008064) = 1 << 26;
        REG(0x4003C0C4) = 4 << 8;  /* PD2 push-pull, low: red is lit */
        REG(0x4003C034) = 4 << 16; SET(0x4003C040) = 1 << 4; /* PA4 high: green is off */
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
    assert machine.leds == {"red": True, "green": False, "blue": False}
    assert words(machine, "before", 1)[0] & 4
    machine.drive_pin("B", 2, False)
    finish(machine)
    assert words(machine, "pressed", 1) == [1]


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
