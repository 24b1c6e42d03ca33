/* pad: fills the output with the padding value, then copies the input's rows into it. */
#include <string.h>

#include "nn_kernels.h"

nn_status_t nn_kernel_pad(const nn_call_t *call)
{
    const nn_pad_options_t *o = call->layer->options;
    const int8_t *input = nn_call_input(call, 0);
    int8_t *output = nn_call_output(call);
    const int32_t *in = o->input_shape, *out = o->output_shape, *before = o->before;

    memset(output, o->value, (size_t)(out[0] * out[1] * out[2] * out[3]));
    for (int32_t i = 0; i < in[0]; i++)
        for (int32_t j = 0; j < in[1]; j++)
            for (int32_t k = 0; k < in[2]; k++, input += in[3]) {
                const int32_t row =
                    ((i + before[0]) * out[1] + j + before[1]) * out[2] + k + before[2];
                memcpy(output + row * out[3] + before[3], input, (size_t)in[3]);
            }
    return NN_OK;
}
