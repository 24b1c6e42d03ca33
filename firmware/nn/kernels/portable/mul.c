/* mul: the product of both inputs, requantized. */
#include "elementwise.h"

nn_status_t nn_kernel_mul(const nn_call_t *call)
{
    const nn_mul_options_t *o = call->layer->options;
    const int8_t *a = nn_call_input(call, 0);
    const int8_t *b = nn_call_input(call, 1);
    int8_t *output = nn_call_output(call);

    if (o->broadcast) {
        elementwise_broadcast(elementwise_mul, o, o->shape, o->strides_1, o->strides_2, a, b, output);
    } else {
        for (int32_t i = 0; i < o->elements; i++) output[i] = elementwise_mul(o, a[i], b[i]);
    }
    return NN_OK;
}
