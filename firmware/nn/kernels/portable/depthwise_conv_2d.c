/* depthwise_conv_2d, the definition: each output channel from one input channel. */
#include "nn_kernels.h"
#include "quantization.h"

static int32_t window(const nn_depthwise_conv_2d_options_t *o, const int8_t *input, int32_t y,
                      int32_t x, int32_t channel)
{
    const int32_t input_channel = channel / o->depth_multiplier;
    const int8_t *weights = o->weights + channel * o->kernel_height * o->kernel_width;
    int32_t sum = o->channels[channel].bias;
    for (int32_t r = 0; r < o->kernel_height; r++) {
        const int32_t row = y + r * o->dilation_height;
        for (int32_t c = 0; c < o->kernel_width; c++, weights++) {
            const int32_t column = x + c * o->dilation_width;
            const int inside =
                row >= 0 && row < o->input_height && column >= 0 && column < o->input_width;
            const int32_t value =
                inside ? input[(row * o->input_width + column) * o->input_channels + input_channel]
                       : o->pad_value;
            sum += value * *weights;
        }
    }
    return sum;
}

nn_status_t nn_kernel_depthwise_conv_2d(const nn_call_t *call)
{
    const nn_depthwise_conv_2d_options_t *o = call->layer->options;
    const int8_t *input = nn_call_input(call, 0);
    int8_t *output = nn_call_output(call);

    for (int32_t y = 0; y < o->output_height; y++) {
        for (int32_t x = 0; x < o->output_width; x++) {
            for (int32_t c = 0; c < o->output_channels; c++) {
                const int32_t sum = window(o, input, y * o->stride_height - o->pad_top,
                                           x * o->stride_width - o->pad_left, c);
                const int32_t value =
                    nn_requantize(sum, o->channels[c].multiplier, o->channels[c].shift) +
                    o->output_zero_point;
                *output++ = (int8_t)nn_clamp(value, o->clamp_min, o->clamp_max);
            }
        }
    }
    return NN_OK;
}
