/* What a board gives the application. One chip folder implements it; the application knows only
 * this. All functions are callable from the main loop; none blocks unless it says so. */
#ifndef TOKAY_HAL_H
#define TOKAY_HAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    HAL_OK = 0,
    HAL_ERROR_CLOCK,
    HAL_ERROR_MICROPHONE,  /* there is none */
    HAL_ERROR_SAMPLE_RATE, /* the microphone cannot run within 1 % of the rate asked for */
} hal_status_t;

/* Clocks to full speed, UART, LEDs, cycle counter. Call once, first. */
hal_status_t hal_init(void);
uint32_t hal_core_clock_hz(void);
const char *hal_board_name(void);
const char *hal_board_key(void); /* its folder in boards/ */
const char *hal_part_name(void);
uint32_t hal_flash_bytes(void); /* of the part */
uint32_t hal_ram_bytes(void);
uint32_t hal_image_bytes(void); /* of flash that this image takes */
/* Another number after each start. */
uint16_t hal_boot_id(void);

/* Cycle counter: counts core clock cycles, also while the core sleeps; wraps at 2^32. */
uint32_t hal_cycles(void);
/* Milliseconds since hal_init; wraps at 2^32. */
uint32_t hal_milliseconds(void);
/* Core cycles spent in hal_sleep, and asleep while the accelerator ran, since hal_init: what is left is the load. */
uint64_t hal_idle_cycles(void);
/* Interrupt handlers that have run since hal_init, but for the clock's own; wraps. Where it has not
 * changed, nothing else ran. */
uint32_t hal_interrupts(void);
/* Sleeps until the next interrupt. Races with an interrupt are the implementation's business: an
 * event between the caller's check and the sleep wakes it at once. */
void hal_sleep(void);

/* Microphone: starts capture into the implementation's ring of buffers. The first samples after the
 * start, while the microphone settles, are dropped (the board's wake_up_frames). On success *actual_rate_hz is
 * the rate that the clocks give. */
hal_status_t hal_microphone_start(uint32_t sample_rate_hz, uint32_t *actual_rate_hz);
void hal_microphone_stop(void);
/* Copies at most `count` samples that have been captured and not read; returns how many. */
size_t hal_microphone_read(int16_t *samples, size_t count);
/* Samples that hal_microphone_read could give now. */
size_t hal_microphone_available(void);
/* Samples lost because nobody read them in time, since start. */
uint32_t hal_microphone_overruns(void);
/* Capture has stopped for good by a bus error; start it anew. */
bool hal_microphone_failed(void);

/* UART to the host. Writes queue into a buffer and return how many bytes were taken. */
size_t hal_uart_write(const uint8_t *bytes, size_t count);
size_t hal_uart_space(void); /* bytes that hal_uart_write would take now */
/* Takes at most `count` received bytes; returns how many. What comes while nobody reads is dropped, which
 * the link notices by its frames. */
size_t hal_uart_read(uint8_t *bytes, size_t count);
/* Waits until everything queued is on the wire (for fault messages and the profiler). */
void hal_uart_flush(void);

typedef enum { HAL_LED_DETECTED, HAL_LED_ACTIVITY, HAL_LED_FAULT } hal_led_t;
void hal_led_set(hal_led_t led, bool on);

/* The accelerator's handle for nn_init, NULL on a part without one. */
void *hal_accelerator(void);
/* Bytes of stack used at most since start, and how many there are. */
uint32_t hal_stack_high_water(void);
uint32_t hal_stack_bytes(void);
/* Does not return. */
void hal_reset(void);
/* Writes zero to a blank word of flash. False if the flash does not take it. */
bool hal_flash_clear(const uint32_t *word);

/* What stopped the firmware: kept over the reset that follows a fault, until power goes. */
typedef struct hal_fault {
    uint32_t exception; /* number of the exception: 3 hard, 4 memory, 5 bus, 6 usage, 7 secure */
    uint32_t uptime_ms;
    uint32_t pc, lr, sp, xpsr; /* 0 where the stack could not take them */
    uint32_t cfsr, hfsr, mmfar, bfar;
} hal_fault_t;
#define HAL_FAULT_STACK_OVERFLOW (1u << 20) /* in cfsr */
/* The last fault, NULL if there was none. */
const hal_fault_t *hal_last_fault(void);
void hal_clear_fault(void);
#endif
