/* What the pools of all targets share: the walk through the input under a window, and the mean of what is there. */
#ifndef TOKAY_NN_POOL_WINDOW_H
#define TOKAY_NN_POOL_WINDOW_H

#include "nn_kernels.h"
#include "quantization.h"

typedef struct pool_window {
    const int8_t *first;
    int32_t rows, columns;
    int32_t step; /* bytes to the next column */
    int32_t skip; /* bytes from behind a row's last column to the next row's first */
} pool_window_t;

/* Cuts [origin, origin + size) to [0, limit): *first is inclusive, *end exclusive. */
static inline void pool_window_cut(int32_t origin, int32_t size, int32_t limit, int32_t *first,
                                   int32_t *end)
{
    *first = origin < 0 ? 0 : origin;
    *end = origin + size > limit ? limit : origin + size;
}

/* The window of output position (y, x), without what lies outside the input. */
static inline pool_window_t pool_window(const nn_pool_2d_options_t *o, const int8_t *input, int32_t y,
                                        int32_t x)
{
    int32_t top, bottom, left, right;
    pool_window_cut(y * o->stride_height - o->pad_top, o->kernel_height, o->input_height, &top, &bottom);
    pool_window_cut(x * o->stride_width - o->pad_left, o->kernel_width, o->input_width, &left, &right);
    return (pool_window_t){
        .first = input + (top * o->input_width + left) * o->channels,
        .rows = bottom - top,
        .columns = right - left,
        .step = o->channels,
        .skip = (o->input_width - (right - left)) * o->channels,
    };
}

/* One channel of a window reduced to a number: `one` takes what there is and the next value. Always
 * inline, so that it is no call. */
typedef int32_t pool_step_t(int32_t so_far, int32_t value);

static inline __attribute__((always_inline)) int32_t pool_reduce(pool_step_t *one, int32_t start,
                                                                 const pool_window_t *w, int32_t channel)
{
    const int8_t *from = w->first + channel;
    for (int32_t r = w->rows; r > 0; r--, from += w->skip) {
        for (int32_t c = w->columns; c > 0; c--, from += w->step) start = one(start, *from);
    }
    return start;
}

/* The mean of `count` values from their sum: rounded to nearest, halves away from zero. */
static inline int8_t pool_mean(const nn_pool_2d_options_t *o, int32_t sum, int32_t count)
{
    const int32_t mean = (sum + (sum > 0 ? count / 2 : -(count / 2))) / count;
    return (int8_t)nn_clamp(mean, o->clamp_min, o->clamp_max);
}

#endif
