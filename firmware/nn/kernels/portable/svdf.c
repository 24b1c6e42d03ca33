/* svdf, the definition: filter by filter, the new value goes to the end of its past, and the past is summed. */
#include <string.h>

#include "nn_kernels.h"
#include "quantization.h"

static int32_t feature(const nn_svdf_options_t *o, const int8_t *input, int32_t filter)
{
    const int8_t *weights = o->feature_weights + filter * o->inputs;
    int32_t sum = o->feature_biases[filter];
    for (int32_t k = 0; k < o->inputs; k++) sum += input[k] * weights[k];
    return nn_requantize(sum, o->state_multiplier, o->state_shift);
}

/* Sums of int16 may leave 32 bits: they wrap, so they are unsigned. */
static uint32_t past_int8(const nn_svdf_options_t *o, int8_t *state, int32_t value, int32_t filter)
{
    const int32_t last = o->memory - 1;
    int8_t *row = state + filter * o->memory;
    memmove(row, row + 1, (size_t)last);
    row[last] = (int8_t)(uint8_t)(o->state_zero_point + nn_clamp(value, INT8_MIN, INT8_MAX));

    const int8_t *weights = o->time_weights + filter * o->memory;
    int32_t sum = 0;
    for (int32_t k = 0; k <= last; k++) sum += row[k] * weights[k];
    return (uint32_t)sum;
}

static uint32_t past_int16(const nn_svdf_options_t *o, int16_t *state, int32_t value, int32_t filter)
{
    const int32_t last = o->memory - 1;
    int16_t *row = state + filter * o->memory;
    memmove(row, row + 1, (size_t)last * sizeof *row);
    row[last] = (int16_t)nn_clamp(value, INT16_MIN, INT16_MAX);

    const int16_t *weights = (const int16_t *)(const void *)o->time_weights + filter * o->memory;
    uint32_t sum = 0;
    for (int32_t k = 0; k <= last; k++) sum += (uint32_t)(row[k] * weights[k]);
    return sum;
}

nn_status_t nn_kernel_svdf(const nn_call_t *call)
{
    const nn_svdf_options_t *o = call->layer->options;
    const int8_t *input = nn_call_input(call, 0);
    void *state = nn_tensor_data(call->plan, call->arena, call->layer->inputs[1]);
    int8_t *output = nn_call_output(call);

    for (int32_t unit = 0, filter = 0; unit < o->units; unit++) {
        uint32_t sum = (uint32_t)o->biases[unit];
        for (int32_t end = filter + o->rank; filter < end; filter++) {
            const int32_t value = feature(o, input, filter);
            sum += o->state_bytes == 1 ? past_int8(o, state, value, filter) : past_int16(o, state, value, filter);
        }
        const int32_t scaled =
            nn_requantize((int32_t)sum, o->output_multiplier, o->output_shift) + o->output_zero_point;
        output[unit] = (int8_t)nn_clamp(scaled, INT8_MIN, INT8_MAX);
    }
    return NN_OK;
}
