/* sub: see elementwise_sum. */
#include "elementwise.h"

static int8_t sub_one(const void *options, int32_t a, int32_t b)
{
    return elementwise_sum(options, a, b, -1);
}

nn_status_t nn_kernel_sub(const nn_call_t *call)
{
    const nn_add_options_t *o = call->layer->options;
    const int8_t *a = nn_call_input(call, 0);
    const int8_t *b = nn_call_input(call, 1);
    int8_t *output = nn_call_output(call);

    if (o->broadcast) {
        elementwise_broadcast(sub_one, o, o->shape, o->strides_1, o->strides_2, a, b, output);
    } else {
        for (int32_t i = 0; i < o->elements; i++) output[i] = sub_one(o, a[i], b[i]);
    }
    return NN_OK;
}
