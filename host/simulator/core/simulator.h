/* The chip simulator's interface, as Python calls it. One machine is one chip; machines are
 * independent, and one is used from one thread at a time. */
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
    SIMULATOR_BREAKPOINT = 4,
};

struct simulator_fault {
    uint32_t pc, address, cfsr, exception;
    uint64_t cycles;
    char text[192];
};

struct simulator_status {
    uint64_t cycles, instructions, sleep_cycles, time_ps, core_hz;
    uint32_t pc, exception, resets, i2s_overflows;
    uint64_t audio_position;  /* frames presented since the audio was set, or simulator_reset */
    uint64_t frames;          /* I2S frames since simulator_reset */
    uint64_t i2s_millihertz;  /* frame rate, 0 when not running */
};

/* `unicorn` is the path of libunicorn. NULL on failure, with a reason in `error`. */
struct machine *simulator_create(const char *unicorn, char *error, size_t error_bytes);
void simulator_destroy(struct machine *m);
/* Power-on reset: time, counters and audio begin anew, memory keeps its contents. */
void simulator_reset(struct machine *m);
/* Debugger's access: memory only, flash included; false outside. */
bool simulator_read(struct machine *m, uint32_t address, uint8_t *bytes, size_t count);
bool simulator_write(struct machine *m, uint32_t address, const uint8_t *bytes, size_t count);
/* Runs for so many core cycles or until so many picoseconds of time, whichever is first. */
int simulator_run(struct machine *m, uint64_t cycles, uint64_t until_ps);
/* Runs a function with at most 8 integer arguments on stack `sp` (0: the present one). Interrupts stay
 * as they are. On return the core's registers are as before; *result is r0. */
int simulator_call(struct machine *m, uint32_t address, const uint32_t *arguments, size_t count, uint32_t sp,
                   uint64_t cycles, uint32_t *result);
/* From now on code may run from RAM: a debugger puts its flash algorithm there. The firmware never does,
 * so without a debugger a jump into RAM is reported. */
bool simulator_debug_attach(struct machine *m);
/* What a debug probe does. Accesses are of 1, 2 or 4 bytes, over the bus (flash cannot be written so);
 * false where nothing answers. */
bool simulator_debug_read(struct machine *m, uint32_t address, uint32_t bytes, uint32_t *value);
bool simulator_debug_write(struct machine *m, uint32_t address, uint32_t bytes, uint32_t value);
/* The reset that SYSRESETREQ makes: time runs on, the core stands at its first instruction. */
void simulator_reset_core(struct machine *m);
/* One instruction (or as much of the time asleep as an instruction takes); results as of simulator_run. */
int simulator_step(struct machine *m);
void simulator_status(struct machine *m, struct simulator_status *status);
bool simulator_fault(struct machine *m, struct simulator_fault *fault);
/* 0..15 the core's registers, 16 xPSR, 17 MSP, 18 PSP, 19 CONTROL, 32..63 S0..S31 */
uint32_t simulator_register(struct machine *m, uint32_t number);
void simulator_set_register(struct machine *m, uint32_t number, uint32_t value);

size_t simulator_uart_give(struct machine *m, uint32_t index, const uint8_t *bytes, size_t count);
size_t simulator_uart_take(struct machine *m, uint32_t index, uint8_t *bytes, uint64_t *ps, size_t count);
/* mode 0: one PCM sample a frame; 1: the latest sample of its own rate; 2: linear interpolation. */
void simulator_set_audio(struct machine *m, const int16_t *pcm, size_t count, uint32_t rate_hz, int mode,
                         uint64_t at_ps);
/* How a board connects its microphone; without it any pins will do. */
struct simulator_pin {
    uint32_t port, pin;
};
struct simulator_microphone {
    bool present;
    struct simulator_pin clock, data, word_select, power; /* power: high is on */
};
void simulator_set_microphone(struct machine *m, const struct simulator_microphone *wiring);
/* Level driven by, or read at, a pin. */
uint32_t simulator_pin_mode(struct machine *m, uint32_t port, uint32_t pin);
uint32_t simulator_pin_output(struct machine *m, uint32_t port, uint32_t pin);
void simulator_pin_drive(struct machine *m, uint32_t port, uint32_t pin, uint32_t level);
/* Cycles spent in blocks starting in [address, +bytes), per halfword into `cycles`. */
void simulator_profile(struct machine *m, uint32_t address, uint32_t bytes, uint64_t *cycles);
void simulator_profile_clear(struct machine *m);
/* Cost of the code given, as the block hook counts it. For tests. */
uint32_t simulator_block_cost(const uint8_t *code, uint32_t bytes, uint32_t *instructions);
/* The stored word of a register of a peripheral, without clock gating or side effects; false where none is modelled. */
bool simulator_peek(struct machine *m, uint32_t address, uint32_t *value);
/* How the accelerator's memory is counted: 0 ports, 1 shared. Resets the accelerator. */
void simulator_set_mvp_timing(struct machine *m, int timing);
/* How many cycles of HCLK after a program's flag PROGDONE STATUS.IDLE follows; 0 unless this is called. */
void simulator_set_mvp_idle_lag(struct machine *m, uint32_t cycles);
/* Makes the part one without an accelerator, for good. */
void simulator_remove_mvp(struct machine *m);
/* The crystal on the board's high-frequency oscillator (39 MHz unless this is called), before it is started. */
void simulator_set_crystal(struct machine *m, uint32_t hz);

#endif
