"""The I2S microphone behind USART0 and DMA."""

from __future__ import annotations

import numpy as np
import pytest

from tests.simulator.sources import CLOCKS
from tests.simulator.variables import finish, words

# PC8 switches the microphone on.
_POWER = "REG(0x4003C09C) = 4; SET(0x4003C0A0) = 1 << 8;"


_MICROPHONE = (
    CLOCKS
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
    """Interpolated to the last sample, which is heard for as long as the others, and silence after it."""
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


def test_a_microphone_without_power_is_silent(boot):
    source = _MICROPHONE.replace("STOP", "").replace("POWER", "")
    machine = boot(source, audio=np.full(4096, 1000, np.int16))
    finish(machine, 0.5)
    assert not any(machine.read(machine.symbol("kept"), 2 * 32 * 64))
