/* The rest of what hal.h promises: start, names, reset. */
#include "hal.h"

#include "board_config.h"
#include "chip.h"
#include "registers.h"

/* Whatever the memory holds after power-on is as good a start as any. */
static uint16_t s_boot_id __attribute__((section(".noinit")));

hal_status_t hal_init(void) {
    s_boot_id++;
    leds_init(); /* first: a fault from here on can be seen */
    hal_status_t status = clocks_init();
    eusart_init();
    time_init();
    return status;
}

uint32_t hal_core_clock_hz(void) { return clocks_core_hz(); }

const char *hal_board_name(void) { return BOARD_NAME; }

const char *hal_board_key(void) { return BOARD_KEY; }

/* Sizes from the linker script: addresses that stand for numbers. */
extern uint8_t flash_size[], ram_size[], image_size[];
uint32_t hal_flash_bytes(void) { return (uint32_t)(uintptr_t)flash_size; }
uint32_t hal_ram_bytes(void) { return (uint32_t)(uintptr_t)ram_size; }
uint32_t hal_image_bytes(void) { return (uint32_t)(uintptr_t)image_size; }

uint16_t hal_boot_id(void) { return s_boot_id; }

const char *hal_part_name(void) { return BOARD_PART; }

void hal_reset(void) {
    core_barrier();
    SCB_AIRCR = SCB_AIRCR_RESET;
    core_barrier();
    for (;;) {
    }
}
