/* What the kernels of mean share: the sum over the reduced dimensions of one output, and its scaling. */
#ifndef TOKAY_NN_MEAN_H
#define TOKAY_NN_MEAN_H

#include <stdint.h>

#include "nn_kernels.h"
#include "quantization.h"

static inline int32_t mean_sum(const nn_mean_options_t *o, const int8_t *first)
{
    const int32_t *n = o->reduced_shape, *s = o->reduced_strides;
    int32_t sum = 0;
    for (int32_t i = 0; i < n[0]; i++)
        for (int32_t j = 0; j < n[1]; j++)
            for (int32_t k = 0; k < n[2]; k++)
                for (int32_t l = 0; l < n[3]; l++)
                    sum += first[i * s[0] + j * s[1] + k * s[2] + l * s[3]];
    return sum;
}

static inline int8_t mean_scaled(const nn_mean_options_t *o, int32_t sum)
{
    const int32_t value = nn_requantize(sum - o->offset, o->output_multiplier, o->output_shift);
    return (int8_t)nn_clamp(value + o->output_zero_point, INT8_MIN, INT8_MAX);
}

#endif
