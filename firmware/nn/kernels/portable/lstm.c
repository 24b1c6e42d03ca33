/* lstm, the definition: lstm.h, with sums tap by tap. */
#include "lstm.h"

#include "weights.h"

static void sum_gates(const int8_t *weights, const int32_t *bias, const int8_t *values, int32_t quads,
                      int32_t sums[LSTM_GATES])
{
    const int32_t taps = 4 * quads, order = nn_weight_order(1, taps);
    for (int32_t gate = 0; gate < LSTM_GATES; gate += 2, weights += 2 * taps) {
        sums[gate] = bias[gate];
        sums[gate + 1] = bias[gate + 1];
        for (int32_t k = 0; k < taps; k++) {
            const nn_weight_pair_t weight = nn_weight_pair(weights, k, 1, order);
            sums[gate] += values[k] * weight.first;
            sums[gate + 1] += values[k] * weight.second;
        }
    }
}

static int32_t to_int16(int32_t x, int32_t multiplier, int32_t shift)
{
    return nn_clamp(nn_requantize(x, multiplier, shift), INT16_MIN, INT16_MAX);
}

nn_status_t nn_kernel_lstm(const nn_call_t *call)
{
    lstm_run(call, sum_gates, to_int16);
    return NN_OK;
}
