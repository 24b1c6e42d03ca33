/* Products of one pair of output channels with one window of taps, for every layout of weights. */
#ifndef TOKAY_NN_M33_DOT_H
#define TOKAY_NN_M33_DOT_H

#include <stdint.h>

#include "m33.h"

/* Sums `steps` words of weights times the words taps[0], taps[stride], ... into two sums. */
static inline void m33_dot_pair(const uint32_t *weights, const uint32_t *taps, int32_t steps, int32_t stride,
                                int32_t joined, int32_t sums[2])
{
    int32_t a = 0;
    int32_t b = 0;
    for (int32_t i = 0; i < steps; i++, taps += stride) {
        const uint32_t word = weights[i];
        a = __smlad((int16x2_t)m33_even_bytes(word), (int16x2_t)*taps, a);
        b = __smlad((int16x2_t)(joined ? word : m33_odd_bytes(word)), (int16x2_t)*taps, b);
    }
    sums[0] = a;
    sums[1] = joined ? (b - a) >> 8 : b;
}

#endif
