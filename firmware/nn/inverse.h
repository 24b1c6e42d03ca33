/* What softmax, log_softmax and l2_normalization share: the largest value of a row, and fixed-point inverses
 * by Newton's method, as the reference has them. */
#ifndef TOKAY_NN_INVERSE_H
#define TOKAY_NN_INVERSE_H

#include "quantization.h"

static inline int32_t nn_largest(const int8_t *row, int32_t count)
{
    int32_t largest = INT8_MIN;
    for (int32_t c = 0; c < count; c++)
        if (row[c] > largest) largest = row[c];
    return largest;
}

static inline int32_t nn_shift_left_saturating(int32_t x, int32_t bits)
{
    const int32_t limit = INT32_MAX >> bits;
    if (x > limit) return INT32_MAX;
    if (x < -limit) return INT32_MIN;
    return x * ((int32_t)1 << bits);
}

/* 1 / (1 + a) for a in [0, 1), both with 31 fraction bits. The iteration works on half the
 * denominator d = (1 + a) / 2 in [0.5, 1), with x -> 1/d in 29 fraction bits, from the usual linear
 * start 48/17 - 32/17 d. */
static inline int32_t nn_inverse_of_one_plus(int32_t a)
{
    const int32_t half_denominator = (int32_t)(((int64_t)a + INT32_MAX + 1) / 2);
    int32_t x = 1515870810 + nn_multiply_high(half_denominator, -1010580540);
    for (int i = 0; i < 3; i++) {
        const int32_t error = (1 << 29) - nn_multiply_high(half_denominator, x);
        x += nn_shift_left_saturating(nn_multiply_high(x, error), 2);
    }
    return nn_shift_left_saturating(x, 1);
}

#endif
