/* For boards without a microphone: hal.h's functions say so. */
#include "board_config.h"

#if !BOARD_HAS_MICROPHONE

#include "chip.h"

hal_status_t hal_microphone_start(uint32_t sample_rate_hz, uint32_t *actual_rate_hz) {
    (void)sample_rate_hz;
    (void)actual_rate_hz;
    return HAL_ERROR_MICROPHONE;
}

void hal_microphone_stop(void) {}

size_t hal_microphone_read(int16_t *samples, size_t count) {
    (void)samples;
    (void)count;
    return 0;
}

size_t hal_microphone_available(void) { return 0; }

uint32_t hal_microphone_overruns(void) { return 0; }

bool hal_microphone_failed(void) { return false; }

void microphone_dma_interrupt(void) {}

void microphone_usart_interrupt(void) {}

#endif
