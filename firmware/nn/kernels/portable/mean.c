/* mean: sums over the reduced dimensions, requantized by a multiplier that holds 1 / count. */
#include "mean.h"

nn_status_t nn_kernel_mean(const nn_call_t *call)
{
    const nn_mean_options_t *o = call->layer->options;
    const int8_t *input = nn_call_input(call, 0);
    int8_t *output = nn_call_output(call);
    const int32_t *n = o->kept_shape, *s = o->kept_strides;

    for (int32_t i = 0; i < n[0]; i++)
        for (int32_t j = 0; j < n[1]; j++)
            for (int32_t k = 0; k < n[2]; k++)
                for (int32_t l = 0; l < n[3]; l++) {
                    const int8_t *first = input + i * s[0] + j * s[1] + k * s[2] + l * s[3];
                    *output++ = mean_scaled(o, mean_sum(o, first));
                }
    return NN_OK;
}
