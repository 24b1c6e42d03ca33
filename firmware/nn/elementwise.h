/* What the element-by-element operators of all targets share: the walk through inputs of different shapes. */
#ifndef TOKAY_NN_ELEMENTWISE_H
#define TOKAY_NN_ELEMENTWISE_H

#include "nn_kernels.h"
#include "quantization.h"

/* One element of the output, from one of each input; `options` are the layer's. */
typedef int8_t elementwise_t(const void *options, int32_t a, int32_t b);

/* `count` elements of a row; the next one of an input is `step_1` (`step_2`) on. */
typedef void elementwise_row_t(const void *context, const int8_t *a, int32_t step_1, const int8_t *b,
                               int32_t step_2, int8_t *output, int32_t count);

/* Walks through the rows of a layer's output, by the shape and strides of its options. Always inline, so that
 * `row`, of which the compiler then knows the code, is no call. */
static inline __attribute__((always_inline)) void elementwise_rows(
    elementwise_row_t *row, const void *context, const nn_call_t *call, const int32_t shape[4],
    const int32_t strides_1[4], const int32_t strides_2[4])
{
    const int8_t *const a = nn_call_input(call, 0);
    const int8_t *const b = nn_call_input(call, 1);
    int8_t *output = nn_call_output(call);
    for (int32_t i = 0; i < shape[0]; i++) {
        for (int32_t j = 0; j < shape[1]; j++) {
            for (int32_t k = 0; k < shape[2]; k++, output += shape[3]) {
                row(context, a + i * strides_1[0] + j * strides_1[1] + k * strides_1[2], strides_1[3],
                    b + i * strides_2[0] + j * strides_2[1] + k * strides_2[2], strides_2[3], output, shape[3]);
            }
        }
    }
}

typedef struct elementwise_one {
    elementwise_t *one;
    const void *options;
} elementwise_one_t;

static inline __attribute__((always_inline)) void elementwise_row_of_one(
    const void *context, const int8_t *a, int32_t step_1, const int8_t *b, int32_t step_2, int8_t *output,
    int32_t count)
{
    const elementwise_one_t *const each = context;
    for (int32_t l = 0; l < count; l++, a += step_1, b += step_2) {
        output[l] = each->one(each->options, *a, *b);
    }
}

/* Ditto, element by element. */
static inline __attribute__((always_inline)) void elementwise_ones(
    elementwise_t *one, const nn_call_t *call, const int32_t shape[4], const int32_t strides_1[4],
    const int32_t strides_2[4])
{
    const elementwise_one_t each = {one, call->layer->options};
    elementwise_rows(elementwise_row_of_one, &each, call, shape, strides_1, strides_2);
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

static inline int8_t elementwise_mul(const void *options, int32_t a, int32_t b)
{
    const nn_mul_options_t *o = options;
    const int32_t product = (a - o->zero_point_1) * (b - o->zero_point_2);
    const int32_t value = nn_requantize(product, o->output_multiplier, o->output_shift) + o->output_zero_point;
    return (int8_t)nn_clamp(value, o->clamp_min, o->clamp_max);
}

#endif
