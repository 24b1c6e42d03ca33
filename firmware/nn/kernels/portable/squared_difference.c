/* squared_difference: both inputs at a common scale, their difference squared and requantized. */
#include "elementwise.h"

/* One function for the three scalings, which are the most of this kernel. */
static __attribute__((noinline)) int32_t scaled(int32_t x, int32_t multiplier, int32_t shift)
{
    return nn_requantize(x, multiplier, shift);
}

/* The second input is scaled once where it is repeated along the row, as the mean is in a variance. */
static __attribute__((noinline)) void square_row(const void *context, const int8_t *a, int32_t step_1,
                                                 const int8_t *b, int32_t step_2, int8_t *output,
                                                 int32_t count)
{
    const nn_add_options_t *const o = context;
    const int32_t scale = (int32_t)1 << o->left_shift;
    int32_t second = 0;
    for (int32_t l = 0; l < count; l++, a += step_1, b += step_2) {
        if (l == 0 || step_2 != 0)
            second = scaled((*b - o->zero_point_2) * scale, o->multiplier_2, o->shift_2);
        const int32_t first = scaled((*a - o->zero_point_1) * scale, o->multiplier_1, o->shift_1);
        const int32_t square = (first - second) * (first - second);
        const int32_t value = scaled(square, o->output_multiplier, o->output_shift);
        output[l] = (int8_t)nn_clamp(value + o->output_zero_point, o->clamp_min, o->clamp_max);
    }
}

nn_status_t nn_kernel_squared_difference(const nn_call_t *call)
{
    const nn_add_options_t *o = call->layer->options;
    elementwise_rows(square_row, o, o->shape, o->strides_1, o->strides_2, nn_call_input(call, 0),
                     nn_call_input(call, 1), nn_call_output(call));
    return NN_OK;
}
