/* max_pool_2d for the Cortex-M33: eight or four channels at a time by SSUB8 and SEL. */
#include "../../pool_window.h"
#include "../../quantization.h"
#include "m33.h"

/* The larger of each of four int8. SEL takes a byte of `a` where SSUB8 found it not below b's. */
static inline uint32_t larger(uint32_t a, uint32_t b)
{
    uint32_t result;
    __asm__("ssub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(result) : "r"(a), "r"(b) : "cc");
    return result;
}

static inline uint32_t smaller(uint32_t a, uint32_t b)
{
    uint32_t result;
    __asm__("ssub8 %0, %1, %2\n\tsel %0, %2, %1" : "=&r"(result) : "r"(a), "r"(b) : "cc");
    return result;
}

static void pool_8(const pool_window_t *w, const int8_t *from, uint32_t low, uint32_t high, int8_t *to)
{
    uint32_t a = low, b = low;
    for (int32_t r = w->rows; r > 0; r--, from += w->skip) {
        for (int32_t c = w->columns; c > 0; c--, from += w->step) {
            a = larger(a, m33_load(from));
            b = larger(b, m33_load(from + 4));
        }
    }
    m33_store(to, smaller(a, high));
    m33_store(to + 4, smaller(b, high));
}

static void pool_4(const pool_window_t *w, const int8_t *from, uint32_t low, uint32_t high, int8_t *to)
{
    uint32_t a = low;
    for (int32_t r = w->rows; r > 0; r--, from += w->skip) {
        for (int32_t c = w->columns; c > 0; c--, from += w->step) {
            a = larger(a, m33_load(from));
        }
    }
    m33_store(to, smaller(a, high));
}

static void pool_1(const pool_window_t *w, const int8_t *from, int32_t low, int32_t high, int8_t *to)
{
    int32_t best = low;
    for (int32_t r = w->rows; r > 0; r--, from += w->skip) {
        for (int32_t c = w->columns; c > 0; c--, from += w->step) {
            best = *from > best ? *from : best;
        }
    }
    *to = (int8_t)(best < high ? best : high);
}

nn_status_t nn_kernel_max_pool_2d(const nn_call_t *call)
{
    const nn_pool_2d_options_t *const o = call->layer->options;
    const int8_t *const input = nn_call_input(call, 0);
    int8_t *output = nn_call_output(call);
    const uint32_t low = m33_four_times(o->clamp_min);
    const uint32_t high = m33_four_times(o->clamp_max);
    for (int32_t y = 0; y < o->output_height; y++) {
        for (int32_t x = 0; x < o->output_width; x++) {
            const pool_window_t w = pool_window(o, input, y, x);
            int32_t c = 0;
            for (; c + 8 <= o->channels; c += 8) {
                pool_8(&w, w.first + c, low, high, output + c);
            }
            for (; c + 4 <= o->channels; c += 4) {
                pool_4(&w, w.first + c, low, high, output + c);
            }
            for (; c < o->channels; c++) {
                pool_1(&w, w.first + c, o->clamp_min, o->clamp_max, output + c);
            }
            output += o->channels;
        }
    }
    return NN_OK;
}
