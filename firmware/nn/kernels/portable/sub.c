/* sub: see elementwise_sum. */
#include "elementwise.h"

static int8_t sub_one(const void *options, int32_t a, int32_t b)
{
    return elementwise_sum(options, a, b, -1);
}

nn_status_t nn_kernel_sub(const nn_call_t *call)
{
    const nn_add_options_t *o = call->layer->options;
    /* also where the shapes are equal: the strides are those of the shape then */
    elementwise_broadcast(sub_one, o, o->shape, o->strides_1, o->strides_2, nn_call_input(call, 0),
                          nn_call_input(call, 1), nn_call_output(call));
    return NN_OK;
}
