/* fully_connected, the definition: two output channels at a time from interleaved weights. */
#include "nn_kernels.h"
#include "quantization.h"
#include "weights.h"

nn_status_t nn_kernel_fully_connected(const nn_call_t *call)
{
    const nn_fully_connected_options_t *o = call->layer->options;
    const int8_t *input = nn_call_input(call, 0);
    int8_t *output = nn_call_output(call);
    const int32_t pair_bytes = 2 * ((o->taps + 1) & ~1);
    const int32_t order = nn_weight_order(o->joined, o->taps);

    for (int32_t row = 0; row < o->rows; row++, input += o->taps) {
        const int8_t *weights = o->weights;
        for (int32_t c = 0; c < o->output_channels; c += 2, weights += pair_bytes) {
            const nn_channel_t *channel = &o->channels[c];
            int32_t sums[2] = {channel[0].bias, channel[1].bias};
            for (int32_t k = 0; k < o->taps; k++) {
                const nn_weight_pair_t weight = nn_weight_pair(weights, k, o->joined, order);
                sums[0] += input[k] * weight.first;
                sums[1] += input[k] * weight.second;
            }
            for (int32_t i = 0; i < 2 && c + i < o->output_channels; i++) {
                const int32_t value =
                    nn_requantize(sums[i], channel[i].multiplier, channel[i].shift) +
                    o->output_zero_point;
                *output++ = (int8_t)nn_clamp(value, o->clamp_min, o->clamp_max);
            }
        }
    }
    return NN_OK;
}
