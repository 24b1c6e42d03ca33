/* squared_difference for the Cortex-M33: three scalings of a few instructions each. */
#include "../../elementwise.h"
#include "requantize.h"

/* nn_requantize of a difference of int8 that is shifted up by `up` less one bit; the scale is below 1. */
static int32_t scaled(int32_t difference, int32_t up, int32_t multiplier, int32_t shift)
{
#ifdef NN_SINGLE_ROUNDING
    return nn_requantize(difference * (1 << (up - 1)), multiplier, shift);
#else
    return nn_round_shift(m33_multiply_high_round_add(difference * (1 << up), multiplier, 0), -shift);
#endif
}

/* A row, of which the second input is scaled once where it is repeated, as the mean is in a variance. A copy of
 * the constants, or each store of an int8 would have them loaded again. */
static __attribute__((noinline)) void square_row(const void *context, const int8_t *a, int32_t step_1,
                                                 const int8_t *b, int32_t step_2, int8_t *output,
                                                 int32_t count)
{
    const nn_add_options_t o = *(const nn_add_options_t *)context;
    const int32_t up = o.left_shift + 1;
    int32_t second = 0;
    for (int32_t l = 0; l < count; l++, a += step_1, b += step_2) {
        if (l == 0 || step_2 != 0) second = scaled(*b - o.zero_point_2, up, o.multiplier_2, o.shift_2);
        const int32_t difference = scaled(*a - o.zero_point_1, up, o.multiplier_1, o.shift_1) - second;
        const int32_t square = difference * difference;
        const int32_t value = m33_requantize_bounded(square, o.output_multiplier, o.output_shift);
        output[l] = (int8_t)m33_saturate_int8(value + o.output_zero_point);
    }
}

nn_status_t nn_kernel_squared_difference(const nn_call_t *call)
{
    const nn_add_options_t *o = call->layer->options;
    elementwise_rows(square_row, o, call, o->shape, o->strides_1, o->strides_2);
    return NN_OK;
}
