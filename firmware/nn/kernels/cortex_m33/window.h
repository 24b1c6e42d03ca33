/* Puts the bytes of one convolution window side by side, with padding where it leaves the input. */
#ifndef TOKAY_NN_M33_WINDOW_H
#define TOKAY_NN_M33_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "../../nn_kernels.h"
#include "m33.h"

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
static __attribute__((noinline)) bool m33_window_inside(const int8_t *from, int32_t pitch, int32_t rows,
                                                        int32_t bytes, const int8_t *readable_end, int8_t *to)
{
    if (readable_end - (from + (rows - 1) * pitch) < ((bytes + 3) & ~3)) {
        return false;
    }
    if (bytes > 4 && bytes <= 8) {
        for (; rows > 0; rows--, from += pitch, to += bytes) {
            const uint32_t first = m33_load(from), second = m33_load(from + 4);
            m33_store(to, first);
            m33_store(to + 4, second);
        }
        return true;
    }
    for (; rows > 0; rows--, from += pitch, to += bytes) {
        for (int32_t k = 0; k < bytes; k += 4) {
            m33_store(to + k, m33_load(from + k));
        }
    }
    return true;
}

/* Neighbouring columns of an input row, some of which may be missing, in bytes. */
typedef struct m33_part {
    int32_t before, inside, after;
    int32_t from; /* where those inside start in the row */
} m33_part_t;

static inline m33_part_t m33_part(const nn_conv_2d_options_t *o, int32_t x, int32_t width)
{
    const int32_t depth = o->input_channels;
    const int32_t before = x >= 0 ? 0 : -x < width ? -x : width;
    const int32_t past = x + width - o->input_width;
    const int32_t after = past <= 0 ? 0 : past < width - before ? past : width - before;
    const int32_t inside = width - before - after;
    return (m33_part_t){before * depth, inside * depth, after * depth, (x + before) * depth};
}

/* Writes the taps of the window at (y, x) to `to`, in order, and up to three bytes more. */
static __attribute__((noinline)) void m33_window(const nn_conv_2d_options_t *o, const int8_t *input,
                                                 int32_t y, int32_t x, int8_t *to)
{
    const int32_t depth = o->input_channels;
    const int32_t pitch = o->input_width * depth;
    const int8_t *const end = input + o->input_height * pitch;
    const uint32_t padding = m33_four_times(o->pad_value);
    const int32_t step = o->dilation_height;
    /* Columns that are side by side are taken at once. */
    const int32_t width = o->dilation_width == 1 ? o->kernel_width : 1;
    m33_part_t part = m33_part(o, x, width);
    if (width == o->kernel_width && part.before + part.after == 0 && y >= 0 &&
        y + (o->kernel_height - 1) * step < o->input_height &&
        m33_window_inside(input + y * pitch + x * depth, pitch * step, o->kernel_height, width * depth, end,
                          to)) {
        return;
    }
    for (int32_t r = o->kernel_height; r > 0; r--, y += step) {
        const bool row_inside = y >= 0 && y < o->input_height;
        for (int32_t c = 0; c < o->kernel_width; c += width, to += width * depth) {
            if (width != o->kernel_width) {
                part = m33_part(o, x + c * o->dilation_width, width);
            }
            if (!row_inside || part.inside == 0) {
                m33_fill(to, padding, width * depth);
                continue;
            }
            m33_fill(to, padding, part.before);
            m33_copy(to + part.before, input + y * pitch + part.from, part.inside, end);
            m33_fill(to + part.before + part.inside, padding, part.after);
        }
    }
}

#endif
