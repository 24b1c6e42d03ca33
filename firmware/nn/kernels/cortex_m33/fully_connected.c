/* fully_connected for the Cortex-M33: four output channels (two pairs of joined weights) over the input
 * as it lies. */
#include "dense.h"
#include "requantize.h"

/* Sums of one pair over taps in order, whatever the weights' layout and the number of taps. */
static void sum_in_order(const nn_fully_connected_options_t *o, const uint32_t *weights, const int8_t *input,
                         int32_t sums[2])
{
    sums[0] = sums[1] = 0;
    for (int32_t k = 0; k < o->taps;) {
        const int32_t part = o->taps - k < 4 * M33_SPLIT_QUADS ? o->taps - k : 4 * M33_SPLIT_QUADS;
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
                m33_sum_joined(weights, steps, input, o->taps / 4, 2, sums);
                store(o, sums, c, 4, output);
            }
            if (c < o->output_channels) {
                m33_sum_joined(weights, steps, input, o->taps / 4, 1, sums);
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
