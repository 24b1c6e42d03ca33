/* strided_slice: elements picked by strides, which may be negative; also a transposition. */
#include "nn_kernels.h"

nn_status_t nn_kernel_strided_slice(const nn_call_t *call)
{
    const nn_strided_slice_options_t *o = call->layer->options;
    const int8_t *input = (const int8_t *)nn_call_input(call, 0) + o->start;
    int8_t *output = nn_call_output(call);
    const int32_t *n = o->shape, *s = o->strides;

    for (int32_t i = 0; i < n[0]; i++)
        for (int32_t j = 0; j < n[1]; j++)
            for (int32_t k = 0; k < n[2]; k++)
                for (int32_t l = 0; l < n[3]; l++)
                    *output++ = input[i * s[0] + j * s[1] + k * s[2] + l * s[3]];
    return NN_OK;
}
