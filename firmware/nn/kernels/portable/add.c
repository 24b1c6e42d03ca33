/* add: both inputs are brought to a common scale with 20 more bits, added, and requantized. */
#include "nn_kernels.h"
#include "quantization.h"

static int8_t add_one(const nn_add_options_t *o, int32_t a, int32_t b)
{
    const int32_t scale = (int32_t)1 << o->left_shift;
    const int32_t scaled_1 =
        nn_requantize((a - o->zero_point_1) * scale, o->multiplier_1, o->shift_1);
    const int32_t scaled_2 =
        nn_requantize((b - o->zero_point_2) * scale, o->multiplier_2, o->shift_2);
    const int32_t value =
        nn_requantize(scaled_1 + scaled_2, o->output_multiplier, o->output_shift) +
        o->output_zero_point;
    return (int8_t)nn_clamp(value, o->clamp_min, o->clamp_max);
}

nn_status_t nn_kernel_add(const nn_call_t *call)
{
    const nn_add_options_t *o = call->layer->options;
    const int8_t *a = nn_call_input(call, 0);
    const int8_t *b = nn_call_input(call, 1);
    int8_t *output = nn_call_output(call);

    if (!o->broadcast) {
        for (int32_t i = 0; i < o->elements; i++) output[i] = add_one(o, a[i], b[i]);
        return NN_OK;
    }
    const int32_t *s1 = o->strides_1, *s2 = o->strides_2;
    for (int32_t i = 0; i < o->shape[0]; i++)
        for (int32_t j = 0; j < o->shape[1]; j++)
            for (int32_t k = 0; k < o->shape[2]; k++)
                for (int32_t l = 0; l < o->shape[3]; l++)
                    *output++ = add_one(o, a[i * s1[0] + j * s1[1] + k * s1[2] + l * s1[3]],
                                        b[i * s2[0] + j * s2[1] + k * s2[2] + l * s2[3]]);
    return NN_OK;
}
