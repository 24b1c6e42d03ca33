/* div: the dividend, shifted up as far as it goes, times the divisor's inverse, requantized. */
#include "elementwise.h"

static __attribute__((noinline)) int8_t div_one(const void *options, int32_t a, int32_t b)
{
    const nn_div_options_t *o = options;
    const int32_t sign = b < o->zero_point_2 ? -1 : 1;
    const int32_t divisor = sign * (b - o->zero_point_2);
    const int32_t dividend = sign * (a - o->zero_point_1);
    const int32_t up = __builtin_clz((uint32_t)(dividend ^ (dividend >> 31)) << 1 | 1);
    const int32_t down = 31 - __builtin_clz((uint32_t)divisor | 1);
    const int32_t quotient = nn_multiply_high((int32_t)((uint32_t)dividend << up), o->inverses[divisor]);
    const int32_t shift = o->output_shift - down - up;
    const int32_t value = shift < -31 ? 0 : nn_requantize(quotient, o->output_multiplier, shift);
    return (int8_t)nn_clamp(value + o->output_zero_point, o->clamp_min, o->clamp_max);
}

nn_status_t nn_kernel_div(const nn_call_t *call)
{
    const nn_div_options_t *o = call->layer->options;
    elementwise_ones(div_one, call, o->shape, o->strides_1, o->strides_2);
    return NN_OK;
}
