/* mul for the Cortex-M33: products requantized in a few instructions where that is exact. */
#include "../../elementwise.h"
#include "requantize.h"

/* The constants of the loop. */
typedef struct scaled_mul {
    int32_t zero_point_1, zero_point_2;
    m33_channel_t product;
} scaled_mul_t;

static bool prepare(scaled_mul_t *s, const nn_mul_options_t *o)
{
    const nn_channel_t product = {0, o->output_multiplier, o->output_shift};
    s->zero_point_1 = o->zero_point_1;
    s->zero_point_2 = o->zero_point_2;
    return o->clamp_min == INT8_MIN && o->clamp_max == INT8_MAX &&
           m33_prepare_channel(&s->product, &product, 255 * 255, o->output_zero_point);
}

/* A copy of the constants, or each store of an int8 would have them loaded again. */
static __attribute__((noinline)) void multiply_row(const void *context, const int8_t *a, int32_t step_1,
                                                   const int8_t *b, int32_t step_2, int8_t *output,
                                                   int32_t count)
{
    const scaled_mul_t s = *(const scaled_mul_t *)context;
    for (const int8_t *const end = output + count; output != end; a += step_1, b += step_2) {
        *output++ = (int8_t)m33_requantize((*a - s.zero_point_1) * (*b - s.zero_point_2), &s.product);
    }
}

nn_status_t nn_kernel_mul(const nn_call_t *call)
{
    const nn_mul_options_t *const o = call->layer->options;
    scaled_mul_t scaled;
    if (prepare(&scaled, o)) {
        elementwise_rows(multiply_row, &scaled, call, o->shape, o->strides_1, o->strides_2);
    } else {
        elementwise_ones(elementwise_mul, call, o->shape, o->strides_1, o->strides_2);
    }
    return NN_OK;
}
