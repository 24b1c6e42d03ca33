/* The input positions under a pooling window, as the pools walk through them. */
#ifndef TOKAY_NN_M33_POOL_H
#define TOKAY_NN_M33_POOL_H

#include <stdint.h>

#include "../../nn_kernels.h"
#include "../../pool_window.h"
#include "../../quantization.h"
#include "m33.h"

typedef struct m33_pool {
    const int8_t *first;
    int32_t rows, columns;
    int32_t step; /* bytes to the next column */
    int32_t skip; /* bytes from behind a row's last column to the next row's first */
} m33_pool_t;

/* The window of output position (y, x), without what lies outside the input. */
static inline m33_pool_t m33_pool(const nn_pool_2d_options_t *o, const int8_t *input, int32_t y, int32_t x)
{
    int32_t top, bottom, left, right;
    pool_window(y * o->stride_height - o->pad_top, o->kernel_height, o->input_height, &top, &bottom);
    pool_window(x * o->stride_width - o->pad_left, o->kernel_width, o->input_width, &left, &right);
    return (m33_pool_t){
        .first = input + (top * o->input_width + left) * o->channels,
        .rows = bottom - top,
        .columns = right - left,
        .step = o->channels,
        .skip = (o->input_width - (right - left)) * o->channels,
    };
}

#endif
