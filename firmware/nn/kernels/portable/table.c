/* table: the 256 outcomes of a function of an int8: logistic, tanh, gelu and others; for prelu several that take
 * turns. */
#include "nn_kernels.h"

nn_status_t nn_kernel_table(const nn_call_t *call)
{
    const nn_table_options_t *o = call->layer->options;
    const int8_t *input = nn_call_input(call, 0);
    int8_t *output = nn_call_output(call);
    int32_t turn = 0;
    for (int32_t i = 0; i < o->elements; i++) {
        output[i] = o->table[256 * turn + input[i] + 128];
        turn = turn + 1 < o->tables ? turn + 1 : 0;
    }
    return NN_OK;
}
