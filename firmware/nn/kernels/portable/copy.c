/* copy: what is left of a reshape; nothing where output and input share memory. */
#include <string.h>

#include "nn_kernels.h"

nn_status_t nn_kernel_copy(const nn_call_t *call)
{
    const nn_copy_options_t *o = call->layer->options;
    const void *input = nn_call_input(call, 0);
    void *output = nn_call_output(call);
    if (output != input) memcpy(output, input, (size_t)o->bytes);
    return NN_OK;
}
