/* An image without a model: starts the board, prints a banner once, then the uptime every second and
 * the microphone's peak level. For bringing up a board or a simulator. */
#include "format.h"
#include "hal.h"

#include <stdlib.h>
#include <string.h>

#define SAMPLE_RATE_HZ 8000u

static void print(const char *text) { (void)hal_uart_write((const uint8_t *)text, strlen(text)); }

int main(void) {
    char line[96];
    format_t out;
    int16_t samples[128];
    uint32_t next_ms = 1000, peak = 0, count = 0, rate = 0;

    hal_status_t status = hal_init();
    format_init(&out, line, sizeof line);
    format_text(&out, "Tokay on ");
    format_text(&out, hal_board_name());
    format_text(&out, ", ");
    format_unsigned(&out, hal_core_clock_hz() / 1000u, 0);
    format_text(&out, status == HAL_OK ? " kHz\n" : " kHz (the crystal or the PLL did not start)\n");
    print(line);
    if (hal_microphone_start(SAMPLE_RATE_HZ, &rate) != HAL_OK) {
        print("Microphone: cannot run at this rate\n");
    }
    for (;;) {
        size_t taken = hal_microphone_read(samples, 128);
        for (size_t i = 0; i < taken; i++) {
            uint32_t level = (uint32_t)abs((int)samples[i]);
            peak = level > peak ? level : peak;
        }
        count += (uint32_t)taken;
        if ((int32_t)(hal_milliseconds() - next_ms) >= 0) {
            format_init(&out, line, sizeof line);
            format_unsigned(&out, next_ms, 0);
            format_text(&out, " ms: samples=");
            format_unsigned(&out, count, 0);
            format_text(&out, " peak=");
            format_unsigned(&out, peak, 0);
            format_text(&out, " overruns=");
            format_unsigned(&out, hal_microphone_overruns(), 0);
            format_text(&out, " stack=");
            format_unsigned(&out, hal_stack_high_water(), 0);
            format_text(&out, "\n");
            print(line);
            next_ms += 1000;
            peak = 0;
        }
        if (taken == 0) {
            hal_sleep();
        }
    }
}
