/* fully_connected for the Cortex-M33: four output channels (two pairs of joined weights) over the input
 * as it lies. */
#include "dot.h"
#include "requantize.h"

/* Groups of four taps after which a joined sum is split: 508 products of int8 stay within 2^23. */
#define SPLIT_QUADS 127

/* Sums of four channels, or of two if `pairs` is 1, over groups of four taps of joined weights. */
static inline __attribute__((always_inline)) void sum_joined(const uint32_t *weights, int32_t steps,
                                                             const int8_t *input, int32_t quads, int pairs,
                                                             int32_t sums[4])
{
    const uint32_t *other = weights + steps;
    sums[0] = sums[1] = sums[2] = sums[3] = 0;
    while (quads > 0) {
        const int32_t part = quads < SPLIT_QUADS ? quads : SPLIT_QUADS;
        int32_t a0 = 0, b0 = 0, a1 = 0, b1 = 0;
        for (int32_t i = 0; i < part; i++) {
            const uint32_t taps = m33_load(input);
            const int16x2_t even = (int16x2_t)m33_even_bytes(taps);
            const int16x2_t odd = (int16x2_t)m33_odd_bytes(taps);
            const uint32_t w0 = weights[0];
            const uint32_t w1 = weights[1];
            b0 = __smlad((int16x2_t)w0, even, b0);
            a0 = __smlad((int16x2_t)m33_even_bytes(w0), even, a0);
            b0 = __smlad((int16x2_t)w1, odd, b0);
            a0 = __smlad((int16x2_t)m33_even_bytes(w1), odd, a0);
            if (pairs == 2) {
                const uint32_t v0 = other[0];
                const uint32_t v1 = other[1];
                b1 = __smlad((int16x2_t)v0, even, b1);
                a1 = __smlad((int16x2_t)m33_even_bytes(v0), even, a1);
                b1 = __smlad((int16x2_t)v1, odd, b1);
                a1 = __smlad((int16x2_t)m33_even_bytes(v1), odd, a1);
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

/* Sums of one pair over taps in order, whatever the weights' layout and the number of taps. */
static void sum_in_order(const nn_fully_connected_options_t *o, const uint32_t *weights, const int8_t *input,
                         int32_t sums[2])
{
    sums[0] = sums[1] = 0;
    for (int32_t k = 0; k < o->taps;) {
        const int32_t part = o->taps - k < 4 * SPLIT_QUADS ? o->taps - k : 4 * SPLIT_QUADS;
        int32_t a = 0, b = 0;
        for (const int32_t end = k + part; k < end; k += 2) {
            const uint32_t second = k + 1 < o->taps ? (uint32_t)input[k + 1] : 0;
            const int16x2_t taps = (int16x2_t)m33_low_halves((uint32_t)input[k], second);
            const uint32_t word = *weights++;
            a = __smlad((int16x2_t)m33_even_bytes(word), taps, a);
            b = __smlad((int16x2_t)(o->joined ? word : m33_odd_bytes(word)), taps, b);
        }
        sums[0] += a;
        sums[1] += o->joined ? (b - a) >> 8 : b;
    }
}

static void store(const nn_fully_connected_options_t *o, const int32_t *sums, int32_t channel, int32_t count,
                  int8_t *output)
{
    for (int32_t k = 0; k < count && channel + k < o->output_channels; k++) {
        const nn_channel_t *const c = &o->channels[channel + k];
        const int32_t value = nn_requantize(sums[k] + c->bias, c->multiplier, c->shift);
        output[channel + k] = (int8_t)nn_clamp(value + o->output_zero_point, o->clamp_min, o->clamp_max);
    }
}

nn_status_t nn_kernel_fully_connected(const nn_call_t *call)
{
    const nn_fully_connected_options_t *const o = call->layer->options;
    const int32_t steps = (o->taps + 1) / 2;
    const int8_t *input = nn_call_input(call, 0);
    int8_t *output = nn_call_output(call);
    for (int32_t row = 0; row < o->rows; row++, input += o->taps, output += o->output_channels) {
        const uint32_t *weights = (const uint32_t *)(const void *)o->weights;
        int32_t c = 0;
        int32_t sums[4];
        if (o->joined && o->taps % 4 == 0) {
            for (; c + 2 < o->output_channels; c += 4, weights += 2 * steps) {
                sum_joined(weights, steps, input, o->taps / 4, 2, sums);
                store(o, sums, c, 4, output);
            }
            if (c < o->output_channels) {
                sum_joined(weights, steps, input, o->taps / 4, 1, sums);
                store(o, sums, c, 2, output);
            }
        } else {
            for (; c < o->output_channels; c += 2, weights += steps) {
                sum_in_order(o, weights, input, sums);
                store(o, sums, c, 2, output);
            }
        }
    }
    return NN_OK;
}
