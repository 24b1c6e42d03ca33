/* average_pool_2d for the Cortex-M33: four channels at a time as pairs of int16 sums. */
#include "../../pool_window.h"
#include "bytes.h"

static void pool_4(const nn_pool_2d_options_t *o, const pool_window_t *w, const int8_t *from, int8_t *to)
{
    m33_byte_sums_t sums = {0, 0};
    for (int32_t r = w->rows; r > 0; r--, from += w->skip) {
        for (int32_t c = w->columns; c > 0; c--, from += w->step) {
            m33_add_bytes(&sums, m33_load(from));
        }
    }
    const int32_t count = w->rows * w->columns;
    for (int32_t c = 0; c < 4; c++) {
        to[c] = pool_mean(o, m33_byte_sum(&sums, c), count);
    }
}

static void pool_1(const nn_pool_2d_options_t *o, const pool_window_t *w, const int8_t *from, int8_t *to)
{
    int32_t sum = 0;
    for (int32_t r = w->rows; r > 0; r--, from += w->skip) {
        for (int32_t c = w->columns; c > 0; c--, from += w->step) {
            sum += *from;
        }
    }
    *to = pool_mean(o, sum, w->rows * w->columns);
}

nn_status_t nn_kernel_average_pool_2d(const nn_call_t *call)
{
    const nn_pool_2d_options_t *const o = call->layer->options;
    const int8_t *const input = nn_call_input(call, 0);
    int8_t *output = nn_call_output(call);
    for (int32_t y = 0; y < o->output_height; y++) {
        for (int32_t x = 0; x < o->output_width; x++) {
            const pool_window_t w = pool_window(o, input, y, x);
            int32_t c = 0;
            for (; c + 4 <= o->channels && w.rows * w.columns <= M33_BYTE_SUMS; c += 4) {
                pool_4(o, &w, w.first + c, output + c);
            }
            for (; c < o->channels; c++) {
                pool_1(o, &w, w.first + c, output + c);
            }
            output += o->channels;
        }
    }
    return NN_OK;
}
