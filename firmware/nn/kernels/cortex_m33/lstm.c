/* lstm for the Cortex-M33: lstm.h, with sums of four taps at a time for all gates of a unit. */
#include "lstm.h"

#include "dense.h"
#include "requantize.h"

static void sum_gates(const int8_t *weights, const int32_t *bias, const int8_t *values, int32_t quads,
                      int32_t sums[LSTM_GATES])
{
    m33_sum_joined((const uint32_t *)(const void *)weights, 2 * quads, values, quads, LSTM_GATES / 2, sums);
    for (int32_t gate = 0; gate < LSTM_GATES; gate++) {
        sums[gate] += bias[gate];
    }
}

static inline int32_t to_int16(int32_t x, int32_t multiplier, int32_t shift)
{
    return __ssat(m33_requantize_bounded(x, multiplier, shift), 16);
}

nn_status_t nn_kernel_lstm(const nn_call_t *call)
{
    lstm_run(call, sum_gates, to_int16);
    return NN_OK;
}
