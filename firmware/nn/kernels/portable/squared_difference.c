/* squared_difference: both inputs at a common scale, their difference squared and requantized. */
#include "elementwise.h"

static int8_t squared_difference_one(const void *options, int32_t a, int32_t b)
{
    const nn_add_options_t *o = options;
    const int32_t scale = (int32_t)1 << o->left_shift;
    const int32_t first = nn_requantize((a - o->zero_point_1) * scale, o->multiplier_1, o->shift_1);
    const int32_t second = nn_requantize((b - o->zero_point_2) * scale, o->multiplier_2, o->shift_2);
    const int32_t square = (first - second) * (first - second);
    const int32_t value = nn_requantize(square, o->output_multiplier, o->output_shift);
    return (int8_t)nn_clamp(value + o->output_zero_point, o->clamp_min, o->clamp_max);
}

nn_status_t nn_kernel_squared_difference(const nn_call_t *call)
{
    const nn_add_options_t *o = call->layer->options;
    elementwise_ones(squared_difference_one, call, o->shape, o->strides_1, o->strides_2);
    return NN_OK;
}
