/* conv_2d, the definition: each window is laid out in the order of the weights, and two output
 * channels at a time pass over it. */
#include "nn_kernels.h"
#include "quantization.h"
#include "weights.h"

/* Lays out the window at (y, x), the input coordinates of its first tap. */
static void gather(const nn_conv_2d_options_t *o, const int8_t *input, int32_t y, int32_t x,
                   int8_t *window)
{
    const int32_t order = nn_weight_order(o->joined, o->kernel_width * o->input_channels);
    int32_t k = 0;
    for (int32_t r = 0; r < o->kernel_height; r++) {
        const int32_t row = y + r * o->dilation_height;
        for (int32_t c = 0; c < o->kernel_width; c++) {
            const int32_t column = x + c * o->dilation_width;
            const int inside =
                row >= 0 && row < o->input_height && column >= 0 && column < o->input_width;
            const int8_t *in =
                inside ? input + (row * o->input_width + column) * o->input_channels : NULL;
            for (int32_t i = 0; i < o->input_channels; i++, k++)
                window[nn_weight_place(k, order)] = in ? in[i] : (int8_t)o->pad_value;
        }
    }
}

/* Adds the window times a pair's weights to sums[0..1]. A loop that compilers turn into vectors. */
static void add_products(const int8_t *window, const int8_t *weights, int32_t taps, int32_t joined,
                         int32_t sums[2])
{
    int32_t first = sums[0], second = sums[1];
    for (int32_t k = 0; k < taps; k++) {
        const nn_weight_pair_t weight = nn_weight_pair(weights, k, joined, 0);
        first += window[k] * weight.first;
        second += window[k] * weight.second;
    }
    sums[0] = first;
    sums[1] = second;
}

nn_status_t nn_kernel_conv_2d(const nn_call_t *call)
{
    const nn_conv_2d_options_t *o = call->layer->options;
    const int8_t *input = nn_call_input(call, 0);
    int8_t *output = nn_call_output(call);
    int8_t *window = nn_call_scratch(call);
    const int32_t pair_bytes = 2 * ((o->taps + 1) & ~1);

    for (int32_t y = 0; y < o->output_height; y++) {
        for (int32_t x = 0; x < o->output_width; x++) {
            gather(o, input, y * o->stride_height - o->pad_top, x * o->stride_width - o->pad_left,
                   window);
            const int8_t *weights = o->weights;
            for (int32_t c = 0; c < o->output_channels; c += 2, weights += pair_bytes) {
                const nn_channel_t *channel = &o->channels[c];
                int32_t sums[2] = {channel[0].bias, channel[1].bias};
                add_products(window, weights, o->taps, o->joined, sums);
                for (int32_t i = 0; i < 2 && c + i < o->output_channels; i++) {
                    const int32_t value =
                        nn_requantize(sums[i], channel[i].multiplier, channel[i].shift) +
                        o->output_zero_point;
                    *output++ = (int8_t)nn_clamp(value, o->clamp_min, o->clamp_max);
                }
            }
        }
    }
    return NN_OK;
}
