/* The chip simulator's interface, as Python calls it (host/simulator/native.py has the same in ctypes). One
 * machine is one chip; machines are independent, and one is used from one thread at a time. Addresses are the
 * chip's; strings end in 0. */
#ifndef TOKAY_SIMULATOR_H
#define TOKAY_SIMULATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct machine;

/* Why simulator_run came back. */
enum {
    SIMULATOR_LIMIT = 0,    /* the time asked for has gone by */
    SIMULATOR_RETURNED = 1, /* the function called has returned */
    SIMULATOR_FAULT = 2,    /* the firmware faulted; running on runs its handler */
    SIMULATOR_ERROR = 3,    /* something that is not modelled, or the core has locked up */
    SIMULATOR_BREAKPOINT = 4, /* a BKPT instruction; the core stands behind it */
};

/* What stopped the latest run, where it was a fault, an error or a breakpoint. `cfsr` and `exception`, the handler
 * that the firmware's fault goes to, are 0 unless it was a fault. */
struct simulator_fault {
    uint32_t pc, address, cfsr, exception;
    uint64_t cycles; /* when, as in simulator_status */
    char text[192];  /* what happened, in words */
};

struct simulator_status {
    uint64_t cycles, instructions, sleep_cycles, time_ps; /* since simulator_reset; cycles count asleep too */
    uint64_t core_hz;
    uint32_t pc, exception;         /* exception: the active one, 0 in a thread */
    uint32_t resets, i2s_overflows; /* since simulator_reset: resets of the core; I2S words that were lost */
    uint64_t audio_position; /* samples of the audio presented since it was set, or simulator_reset */
    uint64_t frames;         /* I2S frames since simulator_reset */
    uint64_t i2s_millihertz; /* their rate, 0 when the clock does not run */
};

/* `unicorn` is the path of libunicorn. NULL on failure, with a reason in `error`. */
struct machine *simulator_create(const char *unicorn, char *error, size_t error_bytes);
void simulator_destroy(struct machine *m);
/* Power-on reset: time, counters and audio begin anew, memory keeps its contents. */
void simulator_reset(struct machine *m);
/* What a loader does: reads and writes RAM, flash and the information pages, takes no time and has no side effects.
 * False, with nothing done, where the range is not wholly inside one of them. */
bool simulator_read(struct machine *m, uint32_t address, uint8_t *bytes, size_t count);
bool simulator_write(struct machine *m, uint32_t address, const uint8_t *bytes, size_t count);
/* Runs for so many core cycles or until so many picoseconds of time, whichever is first (UINT64_MAX: no such
 * limit). Why it came back, as above; it may go on to the end of the basic block in which the time was up. */
int simulator_run(struct machine *m, uint64_t cycles, uint64_t until_ps);
/* Runs a function with `count` integer arguments on stack `sp` (0: the present one), with the FPU on, for at most
 * so many cycles. Interrupts stay as they are. *result is r0. If the function returned, the core is as before in
 * all but time and memory; else it stands where the run ended. */
int simulator_call(struct machine *m, uint32_t address, const uint32_t *arguments, size_t count, uint32_t sp,
                   uint64_t cycles, uint32_t *result);
/* From now on code may run from RAM: a debugger puts its flash algorithm there. The firmware never does,
 * so without a debugger a jump into RAM is reported. */
bool simulator_debug_attach(struct machine *m);
/* What a debug probe does. Accesses are of 1, 2 or 4 bytes, over the bus (flash cannot be written so), with the
 * effects that they have on the chip; false where nothing answers. */
bool simulator_debug_read(struct machine *m, uint32_t address, uint32_t bytes, uint32_t *value);
bool simulator_debug_write(struct machine *m, uint32_t address, uint32_t bytes, uint32_t value);
/* The reset that SYSRESETREQ makes: time runs on, the core stands at its first instruction. */
void simulator_reset_core(struct machine *m);
/* One instruction (or as much of the time asleep as an instruction takes); results as of simulator_run. */
int simulator_step(struct machine *m);
void simulator_status(struct machine *m, struct simulator_status *status);
/* The latest fault; whether it is one that this function has not told of yet. */
bool simulator_fault(struct machine *m, struct simulator_fault *fault);
/* By number: 0..15 r0..r15, 16 xPSR, 17 MSP, 18 PSP, 19 CONTROL, 20 PRIMASK, 21 BASEPRI, 22 FAULTMASK, 23 FPSCR,
 * 32..63 S0..S31; there are no others. */
uint32_t simulator_register(struct machine *m, uint32_t number);
void simulator_set_register(struct machine *m, uint32_t number, uint32_t value);

/* Queues bytes that EUSART0 or 1 (`index`) receives at its baud rate, once its receiver is on; how many there was
 * room for. */
size_t simulator_uart_give(struct machine *m, uint32_t index, const uint8_t *bytes, size_t count);
/* Fetches what the port has sent, at most `count` bytes, each with the time at which its stop bit ended. Of more than
 * a megabyte that nobody fetched, the oldest are lost. */
size_t simulator_uart_take(struct machine *m, uint32_t index, uint8_t *bytes, uint64_t *ps, size_t count);
/* What the microphone hears from `at_ps` on, or from now if that has passed, and again after simulator_reset. The
 * samples are copied. Each frame is a sample, or, `at_own_rate`, what a line between two samples of `rate_hz` is at the
 * time. */
void simulator_set_audio(struct machine *m, const int16_t *pcm, size_t count, uint32_t rate_hz, bool at_own_rate,
                         uint64_t at_ps);
/* How a board connects its microphone: what it sends arrives over these pins alone, and while its power is on. Unless
 * this is called, any pins will do. */
struct simulator_pin {
    uint32_t port, pin;
};
struct simulator_microphone {
    struct simulator_pin clock, data, word_select, power; /* power: high is on */
};
void simulator_set_microphone(struct machine *m, const struct simulator_microphone *wiring);
/* Ports are 0..3 for A..D, pins 0..15. A pin's mode as GPIO numbers them (from 4 on it is an output), and the level
 * that the firmware has given it in DOUT. */
uint32_t simulator_pin_mode(struct machine *m, uint32_t port, uint32_t pin);
uint32_t simulator_pin_output(struct machine *m, uint32_t port, uint32_t pin);
/* Drives a pin from outside, for good: to 0 or 1. */
void simulator_pin_drive(struct machine *m, uint32_t port, uint32_t pin, uint32_t level);
/* Cycles spent in each basic block of flash or RAM that begins in [address, +bytes), by halfword: bytes / 2 numbers. */
void simulator_profile(struct machine *m, uint32_t address, uint32_t bytes, uint64_t *cycles);
void simulator_profile_clear(struct machine *m);
/* Estimated cycles of straight code, as a basic block is counted, and its instructions. For tests. */
uint32_t simulator_block_cost(const uint8_t *code, uint32_t bytes, uint32_t *instructions);
/* The stored word of a peripheral's register, without clock gating or side effects; false where none is modelled.
 * Of registers that are made up when they are read, that is not what the firmware would see. */
bool simulator_peek(struct machine *m, uint32_t address, uint32_t *value);
/* How the accelerator's memory is counted: 0 ports, 1 shared (mvp.h). Resets the accelerator. */
void simulator_set_mvp_timing(struct machine *m, int timing);
/* How many cycles of HCLK after a program's flag PROGDONE STATUS.IDLE follows; 0 unless this is called. */
void simulator_set_mvp_idle_lag(struct machine *m, uint32_t cycles);
/* Makes the part one without an accelerator, for good. */
void simulator_remove_mvp(struct machine *m);
/* The crystal on the board's high-frequency oscillator (39 MHz unless this is called; 0: one that never
 * starts), before it is started. */
void simulator_set_crystal(struct machine *m, uint32_t hz);

#endif
