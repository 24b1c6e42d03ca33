/* Puts the bytes of one convolution window side by side, with padding where it leaves the input. */
#ifndef TOKAY_NN_M33_WINDOW_H
#define TOKAY_NN_M33_WINDOW_H

#include <stdint.h>

#include "../../nn_kernels.h"
#include "m33.h"

/* Bytes behind a window that m33_window may overwrite. */
#define M33_WINDOW_SLACK 3

/* Copies count bytes, or up to three more if they can be read, which words are faster with. */
static inline void m33_copy(int8_t *to, const int8_t *from, int32_t count, const int8_t *readable_end)
{
    if (readable_end - from >= ((count + 3) & ~3)) {
        for (; count > 0; count -= 4, to += 4, from += 4) {
            m33_store(to, m33_load(from));
        }
    } else {
        for (; count > 0; count--) {
            *to++ = *from++;
        }
    }
}

/* Writes count bytes, and up to three more. */
static inline void m33_fill(int8_t *to, uint32_t four_times, int32_t count)
{
    for (; count > 0; count -= 4, to += 4) {
        m33_store(to, four_times);
    }
}

/* The rows of a window inside the input, as words; false if that would read behind the input. */
static inline int m33_window_inside(const int8_t *from, int32_t pitch, int32_t rows, int32_t bytes,
                                    const int8_t *readable_end, int8_t *to)
{
    if (readable_end - (from + (rows - 1) * pitch) < ((bytes + 3) & ~3)) {
        return 0;
    }
    for (; rows > 0; rows--, from += pitch, to += bytes) {
        m33_store(to, m33_load(from));
        if (bytes > 4) {
            m33_store(to + 4, m33_load(from + 4));
        }
        for (int32_t k = 8; k < bytes; k += 4) {
            m33_store(to + k, m33_load(from + k));
        }
    }
    return 1;
}

/* Writes the taps of the window at (y, x) to `to`, in order, and up to M33_WINDOW_SLACK bytes more. */
static __attribute__((noinline)) void m33_window(const nn_conv_2d_options_t *o, const int8_t *input, int32_t y,
                                                 int32_t x, int8_t *to)
{
    const int32_t depth = o->input_channels;
    const int32_t pitch = o->input_width * depth;
    const int8_t *const end = input + o->input_height * pitch;
    const uint32_t padding = ((uint32_t)o->pad_value & 0xffu) * 0x01010101u;
    const int32_t width = o->dilation_width == 1 ? o->kernel_width : 1; /* columns that are copied at once */
    if (o->dilation_width == 1 && x >= 0 && x + width <= o->input_width && y >= 0 &&
        y + (o->kernel_height - 1) * o->dilation_height < o->input_height &&
        m33_window_inside(input + y * pitch + x * depth, pitch * o->dilation_height, o->kernel_height, width * depth,
                          end, to)) {
        return;
    }
    for (int32_t r = 0; r < o->kernel_height; r++, y += o->dilation_height) {
        const int8_t *const row = input + y * pitch;
        int32_t at = x;
        for (int32_t c = 0; c < o->kernel_width; c += width, at += o->dilation_width) {
            const int32_t bytes = width * depth;
            if ((uint32_t)y >= (uint32_t)o->input_height) {
                m33_fill(to, padding, bytes);
            } else if (at >= 0 && at + width <= o->input_width) {
                m33_copy(to, row + at * depth, bytes, end);
            } else {
                const int32_t before = at >= 0 ? 0 : -at < width ? -at : width;
                const int32_t past = at + width - o->input_width;
                const int32_t inside = width - before - (past <= 0 ? 0 : past < width ? past : width);
                const int32_t left = before * depth;
                m33_fill(to, padding, inside > 0 ? left : bytes);
                if (inside > 0) {
                    m33_copy(to + left, row + (at + before) * depth, inside * depth, end);
                    m33_fill(to + left + inside * depth, padding, bytes - left - inside * depth);
                }
            }
            to += bytes;
        }
    }
}

#endif
