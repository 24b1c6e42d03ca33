/* quantize: float to int8, rounded to nearest, halves away from zero. */
#include "nn_kernels.h"
#include "quantization.h"

/* Rounds within [-512, 512], far outside of what any int8 and zero point need; not a number gives the
 * lower bound. */
static int32_t round_bounded(float x)
{
    if (!(x > -512.0f)) return -512;
    if (x > 512.0f) return 512;
    const int32_t whole = (int32_t)x;
    const float rest = x - (float)whole;
    return whole + (rest >= 0.5f) - (rest <= -0.5f);
}

nn_status_t nn_kernel_quantize(const nn_call_t *call)
{
    const nn_quantize_options_t *o = call->layer->options;
    const float *input = nn_call_input(call, 0);
    int8_t *output = nn_call_output(call);
    for (int32_t i = 0; i < o->elements; i++) {
        const int32_t value = round_bounded(input[i] / o->scale) + o->zero_point;
        output[i] = (int8_t)nn_clamp(value, INT8_MIN, INT8_MAX);
    }
    return NN_OK;
}
