/* svdf for the Cortex-M33: the products of two filters at a time, and a filter's past summed while it moves on. */
#include "m33.h"
#include "nn_kernels.h"
#include "quantization.h"

/* Products of four int8 at any address, added. */
static inline int32_t add_products(uint32_t a, uint32_t b, int32_t sum)
{
    sum = __smlad((int16x2_t)m33_even_bytes(a), (int16x2_t)m33_even_bytes(b), sum);
    return __smlad((int16x2_t)m33_odd_bytes(a), (int16x2_t)m33_odd_bytes(b), sum);
}

static int32_t rescaled(const nn_svdf_options_t *o, int32_t sum)
{
    return nn_requantize(sum, o->state_multiplier, o->state_shift);
}

/* The new values of `filter` and, if `count` is 2, of the next. */
static void features(const nn_svdf_options_t *o, const int8_t *input, int32_t filter, int32_t count,
                     int32_t values[2])
{
    const int8_t *first = o->feature_weights + filter * o->inputs;
    const int8_t *second = count == 2 ? first + o->inputs : first;
    int32_t a = o->feature_biases[filter];
    int32_t b = o->feature_biases[filter + count - 1];
    int32_t k = 0;
    for (; k <= o->inputs - 4; k += 4) {
        const uint32_t taps = m33_load(input + k);
        a = add_products(taps, m33_load(first + k), a);
        b = add_products(taps, m33_load(second + k), b);
    }
    for (; k < o->inputs; k++) {
        a += input[k] * first[k];
        b += input[k] * second[k];
    }
    values[0] = rescaled(o, a);
    values[1] = rescaled(o, b);
}

static int32_t past_int8(const nn_svdf_options_t *o, int8_t *row, int32_t value, int32_t filter)
{
    const int8_t *weights = o->time_weights + filter * o->memory;
    const int32_t last = o->memory - 1;
    int32_t sum = 0, k = 0;
    for (; k <= last - 4; k += 4) {
        const uint32_t values = m33_load(row + k + 1);
        m33_store(row + k, values);
        sum = add_products(values, m33_load(weights + k), sum);
    }
    for (; k < last; k++) {
        row[k] = row[k + 1];
        sum += row[k] * weights[k];
    }
    row[last] = (int8_t)(uint8_t)(o->state_zero_point + m33_saturate_int8(value));
    return sum + row[last] * weights[last];
}

/* The sum wraps, which __smlad does. */
static int32_t past_int16(const nn_svdf_options_t *o, int16_t *row, int32_t value, int32_t filter)
{
    const int16_t *weights = (const int16_t *)(const void *)o->time_weights + filter * o->memory;
    const int32_t last = o->memory - 1;
    int32_t sum = 0, k = 0;
    for (; k <= last - 2; k += 2) {
        const uint32_t values = m33_load(row + k + 1);
        m33_store(row + k, values);
        sum = __smlad((int16x2_t)values, (int16x2_t)m33_load(weights + k), sum);
    }
    if (k < last) {
        row[k] = row[k + 1];
        sum = (int32_t)((uint32_t)sum + (uint32_t)(row[k] * weights[k]));
    }
    row[last] = (int16_t)__ssat(value, 16);
    return (int32_t)((uint32_t)sum + (uint32_t)(row[last] * weights[last]));
}

static int32_t past(const nn_svdf_options_t *o, void *state, int32_t value, int32_t filter)
{
    const int32_t first = filter * o->memory;
    if (o->state_bytes == 1) return past_int8(o, (int8_t *)state + first, value, filter);
    return past_int16(o, (int16_t *)state + first, value, filter);
}

nn_status_t nn_kernel_svdf(const nn_call_t *call)
{
    const nn_svdf_options_t *o = call->layer->options;
    const int8_t *input = nn_call_input(call, 0);
    void *state = nn_tensor_data(call->plan, call->arena, call->layer->inputs[1]);
    int8_t *output = nn_call_output(call);
    const int32_t filters = o->units * o->rank;
    int32_t values[2];

    for (int32_t unit = 0, filter = 0; unit < o->units; unit++) {
        uint32_t sum = (uint32_t)o->biases[unit];
        for (int32_t end = filter + o->rank; filter < end; filter++) {
            if (filter % 2 == 0) features(o, input, filter, filter + 1 < filters ? 2 : 1, values);
            sum += (uint32_t)past(o, state, values[filter % 2], filter);
        }
        const int32_t scaled =
            nn_requantize((int32_t)sum, o->output_multiplier, o->output_shift) + o->output_zero_point;
        output[unit] = (int8_t)nn_clamp(scaled, INT8_MIN, INT8_MAX);
    }
    return NN_OK;
}
