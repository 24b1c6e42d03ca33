/* What the element-by-element operators of all targets share: the walk through inputs of different shapes. */
#ifndef TOKAY_NN_ELEMENTWISE_H
#define TOKAY_NN_ELEMENTWISE_H

#include "nn_kernels.h"
#include "quantization.h"

/* One element of the output, from one of each input; `options` are the layer's. */
typedef int8_t elementwise_t(const void *options, int32_t a, int32_t b);

/* Walks through an output of `shape`, outermost first; strides are 0 along a dimension that an input does
 * not have. Always inline, so that `one`, of which the compiler then knows the code, is no call. */
static inline __attribute__((always_inline)) void elementwise_broadcast(
    elementwise_t *one, const void *options, const int32_t shape[4], const int32_t strides_1[4],
    const int32_t strides_2[4], const int8_t *a, const int8_t *b, int8_t *output)
{
    for (int32_t i = 0; i < shape[0]; i++) {
        for (int32_t j = 0; j < shape[1]; j++) {
            for (int32_t k = 0; k < shape[2]; k++) {
                const int8_t *first = a + i * strides_1[0] + j * strides_1[1] + k * strides_1[2];
                const int8_t *second = b + i * strides_2[0] + j * strides_2[1] + k * strides_2[2];
                for (int32_t l = 0; l < shape[3]; l++, first += strides_1[3], second += strides_2[3]) {
                    *output++ = one(options, *first, *second);
                }
            }
        }
    }
}

/* add and sub: both inputs are brought to a common scale with more bits, the second is added `sign` times,
 * and the sum is requantized. */
static inline int8_t elementwise_sum(const nn_add_options_t *o, int32_t a, int32_t b, int32_t sign)
{
    const int32_t scale = (int32_t)1 << o->left_shift;
    const int32_t first = nn_requantize((a - o->zero_point_1) * scale, o->multiplier_1, o->shift_1);
    const int32_t second = nn_requantize((b - o->zero_point_2) * scale, o->multiplier_2, o->shift_2);
    const int32_t sum = nn_requantize(first + sign * second, o->output_multiplier, o->output_shift);
    return (int8_t)nn_clamp(sum + o->output_zero_point, o->clamp_min, o->clamp_max);
}

static inline int8_t elementwise_add(const void *options, int32_t a, int32_t b)
{
    return elementwise_sum(options, a, b, 1);
}

#endif
