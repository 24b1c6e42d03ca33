"""EUSART: bytes at their rate, by interrupt and by DMA."""

from __future__ import annotations

import numpy as np
import pytest

from host.simulator.machine import SimulatorError
from tests.simulator.sources import CLOCKS
from tests.simulator.variables import finish, words

_UART = (
    CLOCKS
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


_CLOCKLESS = """
volatile uint32_t received, stopped, overflow;
int main(void) {
    SET(0x40008064) = 1 << 26; SET(0x40008068) = 1 << 22;
    REG(0x40008220) = 1; REG(0x40008128) = 3; /* FSRCO */
    REG(0x4003C4AC) = 5 << 16; REG(0x4003C4A4) = 6 << 16; REG(0x4003C494) = 0x14;
    REG(0x4B010004) = 1; REG(0x4B010030) = 256 * 9; /* 125 kBd: 80 us a byte */
    while (REG(0x4B010054)) { }
    REG(0x4B010038) = 5;
    while (REG(0x4B010054)) { }
    BEFORE
    REG(0x40008220) = 0; stopped = 1;
    DURING
    for (volatile int i = 0; i < 5000; i++) { }
    REG(0x40008220) = 1; stopped = 2;
    while (received < 20) { if (REG(0x4B010048) & 1 << 7) { (void)REG(0x4B01003C); received++; } }
    overflow = REG(0x4B01004C) & 1 << 4;
    return 0;
}
"""


@pytest.mark.parametrize("given", ["BEFORE", "DURING"])
def test_a_byte_waits_for_the_clock_that_shifts_it_out(boot, given):
    source = _CLOCKLESS.replace(given, "REG(0x4B010044) = 'x';")
    machine = boot(source.replace("BEFORE", "").replace("DURING", ""))
    assert machine.run_until(lambda: words(machine, "stopped", 1) == [1], 0.1)
    machine.run(0.001)
    assert machine.uart_read() == b""
    assert machine.run_until(lambda: words(machine, "stopped", 1) == [2], 0.1)
    machine.run(0.001)
    assert machine.uart_read() == b"x"


def test_bytes_wait_for_the_clock_that_takes_them_in(boot):
    """Not all of them at once when it stops."""
    source = _CLOCKLESS.replace("BEFORE", "while (!(REG(0x4B010048) & 1 << 7)) { }").replace("DURING", "")
    machine = boot(source)
    machine.uart_write(bytes(20))
    finish(machine)
    assert words(machine, "overflow", 1) == [0]
