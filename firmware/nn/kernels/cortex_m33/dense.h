/* Sums of products for fully_connected and lstm: pairs of channels over inputs as they lie. */
#ifndef TOKAY_NN_M33_DENSE_H
#define TOKAY_NN_M33_DENSE_H

#include "m33.h"

/* Groups of four taps after which a joined sum is split: 508 products of int8 stay within 2^23. */
#define M33_SPLIT_QUADS 127

/* Adds the products of a pair of channels with four taps: those of the first to `a`, joined ones to `b`. */
static inline __attribute__((always_inline)) void m33_add_joined(const uint32_t weights[2], int16x2_t even,
                                                                 int16x2_t odd, int32_t *a, int32_t *b)
{
    const uint32_t w0 = weights[0];
    const uint32_t w1 = weights[1];
    *b = __smlad((int16x2_t)w0, even, *b);
    *a = __smlad((int16x2_t)m33_even_bytes(w0), even, *a);
    *b = __smlad((int16x2_t)w1, odd, *b);
    *a = __smlad((int16x2_t)m33_even_bytes(w1), odd, *a);
}

/* Sums of four channels, or of two if `pairs` is 1, over groups of four taps of joined weights. */
static inline __attribute__((always_inline)) void m33_sum_joined(const uint32_t *weights, int32_t steps,
                                                                 const int8_t *input, int32_t quads,
                                                                 int pairs, int32_t sums[4])
{
    const uint32_t *other = weights + steps;
    sums[0] = sums[1] = sums[2] = sums[3] = 0;
    while (quads > 0) {
        const int32_t part = quads < M33_SPLIT_QUADS ? quads : M33_SPLIT_QUADS;
        int32_t a0 = 0, b0 = 0, a1 = 0, b1 = 0;
        for (int32_t i = 0; i < part; i++) {
            const uint32_t taps = m33_load(input);
            const int16x2_t even = (int16x2_t)m33_even_bytes(taps);
            const int16x2_t odd = (int16x2_t)m33_odd_bytes(taps);
            m33_add_joined(weights, even, odd, &a0, &b0);
            if (pairs == 2) {
                m33_add_joined(other, even, odd, &a1, &b1);
            }
            input += 4;
            weights += 2;
            other += 2;
        }
        sums[0] += a0;
        sums[1] += (b0 - a0) >> 8;
        sums[2] += a1;
        sums[3] += (b1 - a1) >> 8;
        quads -= part;
    }
}

#endif
