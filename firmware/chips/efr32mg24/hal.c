/* The rest of what hal.h promises: start, names, reset. */
#include "hal.h"

#include "board_config.h"
#include "chip.h"
#include "registers.h"

hal_status_t hal_init(void) {
    hal_status_t status = clocks_init();
    leds_init();
    eusart_init();
    time_init();
    return status;
}

uint32_t hal_core_clock_hz(void) { return clocks_core_hz(); }

const char *hal_board_name(void) { return BOARD_NAME; }

const char *hal_part_name(void) { return BOARD_PART; }

/* No driver for the MVP in this image: every layer runs on the core. */
__attribute__((weak)) void *hal_accelerator(void) { return NULL; }

void hal_reset(void) {
    core_barrier();
    SCB_AIRCR = SCB_AIRCR_RESET;
    core_barrier();
    for (;;) {
    }
}
