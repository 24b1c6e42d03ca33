/* dequantize: int8 to float. */
#include "nn_kernels.h"

nn_status_t nn_kernel_dequantize(const nn_call_t *call)
{
    const nn_dequantize_options_t *o = call->layer->options;
    const int8_t *input = nn_call_input(call, 0);
    float *output = nn_call_output(call);
    for (int32_t i = 0; i < o->elements; i++)
        output[i] = o->scale * (float)(input[i] - o->zero_point);
    return NN_OK;
}
