/* concatenation: the inputs' blocks in turn. */
#include <string.h>

#include "nn_kernels.h"

nn_status_t nn_kernel_concatenation(const nn_call_t *call)
{
    const nn_concatenation_options_t *o = call->layer->options;
    uint8_t *output = nn_call_output(call);
    size_t pitch = 0;
    for (uint32_t i = 0; i < call->layer->input_count; i++) pitch += (size_t)o->block_bytes[i];
    for (uint32_t i = 0; i < call->layer->input_count; i++) {
        const size_t bytes = (size_t)o->block_bytes[i];
        const uint8_t *input = nn_call_input(call, i);
        uint8_t *to = output;
        for (int32_t block = 0; block < o->outer; block++, input += bytes, to += pitch)
            memcpy(to, input, bytes);
        output += bytes;
    }
    return NN_OK;
}
