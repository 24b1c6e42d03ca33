/* sub: see elementwise_sum. */
#include "elementwise.h"

static int8_t sub_one(const void *options, int32_t a, int32_t b)
{
    return elementwise_sum(options, a, b, -1);
}

nn_status_t nn_kernel_sub(const nn_call_t *call)
{
    const nn_add_options_t *o = call->layer->options;
    elementwise_ones(sub_one, call, o->shape, o->strides_1, o->strides_2);
    return NN_OK;
}
