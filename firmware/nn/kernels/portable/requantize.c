/* requantize: int8 of one scale to int8 of another, between bounds; relu and relu6 are this too. */
#include "nn_kernels.h"
#include "quantization.h"

nn_status_t nn_kernel_requantize(const nn_call_t *call)
{
    const nn_requantize_options_t *o = call->layer->options;
    const int8_t *input = nn_call_input(call, 0);
    int8_t *output = nn_call_output(call);
    for (int32_t i = 0; i < o->elements; i++) {
        const int32_t value =
            nn_requantize(input[i] - o->input_zero_point, o->multiplier, o->shift) +
            o->output_zero_point;
        output[i] = (int8_t)nn_clamp(value, o->clamp_min, o->clamp_max);
    }
    return NN_OK;
}
