/* batch_matmul, the definition: sums of products along the taps, whichever way round the matrices lie. */
#include "nn_kernels.h"
#include "quantization.h"

static int8_t element(const nn_batch_matmul_options_t *o, const int8_t *a, const int8_t *b)
{
    int32_t sum = 0;
    for (int32_t k = 0; k < o->taps; k++)
        sum += (a[k * o->tap_1] - o->zero_point_1) * (b[k * o->tap_2] - o->zero_point_2);
    const int32_t value = nn_requantize(sum, o->output_multiplier, o->output_shift) + o->output_zero_point;
    return (int8_t)nn_clamp(value, INT8_MIN, INT8_MAX);
}

nn_status_t nn_kernel_batch_matmul(const nn_call_t *call)
{
    const nn_batch_matmul_options_t *o = call->layer->options;
    const int8_t *a = nn_call_input(call, 0), *b = nn_call_input(call, 1);
    int8_t *output = nn_call_output(call);
    const int32_t *n = o->shape, *s = o->strides_1, *t = o->strides_2;

    for (int32_t i = 0; i < n[0]; i++)
        for (int32_t j = 0; j < n[1]; j++)
            for (int32_t k = 0; k < n[2]; k++)
                for (int32_t l = 0; l < n[3]; l++) {
                    const int8_t *row = a + i * s[0] + j * s[1] + k * s[2];
                    *output++ = element(o, row, b + i * t[0] + j * t[1] + l * t[3]);
                }
    return NN_OK;
}
