/* mul: the product of both inputs, requantized. */
#include "elementwise.h"

static int8_t mul_one(const void *options, int32_t a, int32_t b)
{
    const nn_mul_options_t *o = options;
    const int32_t product = (a - o->zero_point_1) * (b - o->zero_point_2);
    const int32_t value =
        nn_requantize(product, o->output_multiplier, o->output_shift) + o->output_zero_point;
    return (int8_t)nn_clamp(value, o->clamp_min, o->clamp_max);
}

nn_status_t nn_kernel_mul(const nn_call_t *call)
{
    const nn_mul_options_t *o = call->layer->options;
    const int8_t *a = nn_call_input(call, 0);
    const int8_t *b = nn_call_input(call, 1);
    int8_t *output = nn_call_output(call);

    if (o->broadcast) {
        elementwise_broadcast(mul_one, o, o->shape, o->strides_1, o->strides_2, a, b, output);
    } else {
        for (int32_t i = 0; i < o->elements; i++) output[i] = mul_one(o, a[i], b[i]);
    }
    return NN_OK;
}
