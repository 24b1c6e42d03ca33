/* Sums to int8, bit-exact to nn_requantize, in five or six instructions a value where the channel
 * allows it.
 *
 * SMMLA gives (2 * sum * multiplier) / 2^32 plus a constant, and a shift by `bits` the rest. Halves are
 * rounded by 2^(bits-1) in that constant, where the output's zero point is too, as zero_point << bits.
 * Rounding once, that is all: the fraction that SMMLA drops cannot carry. Rounding twice (quantization.h)
 * takes the instruction that rounds, SMMLAR, and then halves away from zero, so the constant is one less
 * for negative values. Testing the sum's sign for that instead of the product's is the same for bits >= 1:
 * they differ only where the product is 0, and then (2^(bits-1) - 1) >> bits is 0 too.
 */
#ifndef TOKAY_NN_M33_REQUANTIZE_H
#define TOKAY_NN_M33_REQUANTIZE_H

#include <stdbool.h>
#include <stdint.h>

#include "../../nn_kernels.h"
#include "../../quantization.h"
#include "m33.h"

typedef struct m33_channel {
    int32_t doubled_bias;
    int32_t multiplier;
    int32_t rounding;
    int32_t bits;
} m33_channel_t;

/* The largest shift for which zero_point << bits plus a sum below 2^30 cannot overflow. */
#define M33_MAX_BITS 22

/* Prepares a channel whose sums without bias stay within +-bound < 2^29; false if the short form is not
 * exact for it. A channel scaled down so far that every sum rounds to zero is made a plain zero:
 * pruned channels have such multipliers. */
static inline bool m33_prepare_channel(m33_channel_t *out, const nn_channel_t *in, int32_t bound,
                                       int32_t zero_point)
{
    const int32_t bias = in->bias;
    int32_t bits = -in->shift;
    int32_t multiplier = in->multiplier;
    if (bias >= 1 << 29 || bias <= -(1 << 29)) {
        return false;
    }
    const int32_t largest = (bias < 0 ? -bias : bias) + bound;
    if (multiplier == 0 || (bits > M33_MAX_BITS && largest < (1 << (bits - 1 > 30 ? 30 : bits - 1)))) {
        multiplier = 0;
        bits = 1;
    }
    if (bits < 1 || bits > M33_MAX_BITS) {
        return false;
    }
    out->doubled_bias = bias * 2;
    out->multiplier = multiplier;
    out->rounding = (1 << (bits - 1)) + zero_point * (1 << bits);
    out->bits = bits;
    return true;
}

/* Prepares all channels of a layer with `taps` int8 products to a sum, and zeros for the partner of an
 * odd last one. False if any of them, or the clamping, needs nn_requantize. */
static inline bool m33_prepare_channels(m33_channel_t *out, const nn_channel_t *in, int32_t count,
                                        int32_t taps, int32_t zero_point, int32_t clamp_min,
                                        int32_t clamp_max)
{
    if (clamp_min != INT8_MIN || clamp_max != INT8_MAX || taps >= 1 << 15) {
        return false;
    }
    for (int32_t c = 0; c < count; c++) {
        if (!m33_prepare_channel(&out[c], &in[c], taps << 14, zero_point)) {
            return false;
        }
    }
    return true;
}

/* nn_requantize of what stays below 2^30 when it is shifted left, where that is, so that it can be doubled. */
static inline int32_t m33_requantize_bounded(int32_t x, int32_t multiplier, int32_t shift)
{
#ifdef NN_SINGLE_ROUNDING
    return nn_requantize(x, multiplier, shift);
#else
    if (shift >= 0) {
        return m33_multiply_high_round_add(x * (2 << shift), multiplier, 0);
    }
    const int32_t doubled = x * 2, rounding = (1 << (-shift - 1)) + (doubled >> 31);
    return m33_multiply_high_round_add(doubled, multiplier, rounding) >> -shift;
#endif
}

/* `sum` is without bias. Saturates to int8, which is all the clamping most layers need. */
static inline int32_t m33_requantize(int32_t sum, const m33_channel_t *channel)
{
    const int32_t doubled = channel->doubled_bias + sum * 2;
#ifdef NN_SINGLE_ROUNDING
    const int32_t scaled = m33_multiply_high_add(doubled, channel->multiplier, channel->rounding);
#else
    const int32_t rounding = channel->rounding + (doubled >> 31);
    const int32_t scaled = m33_multiply_high_round_add(doubled, channel->multiplier, rounding);
#endif
    return m33_saturate_int8(scaled >> channel->bits);
}

#endif
