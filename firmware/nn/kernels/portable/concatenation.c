/* concatenation: the inputs' blocks in turn. */
#include <string.h>

#include "nn_kernels.h"

nn_status_t nn_kernel_concatenation(const nn_call_t *call)
{
    const nn_concatenation_options_t *o = call->layer->options;
    uint8_t *output = nn_call_output(call);
    for (int32_t block = 0; block < o->outer; block++) {
        for (uint32_t i = 0; i < call->layer->input_count; i++) {
            const uint8_t *input = nn_call_input(call, i);
            memcpy(output, input + block * o->block_bytes[i], (size_t)o->block_bytes[i]);
            output += o->block_bytes[i];
        }
    }
    return NN_OK;
}
