/* lstm but for its sums of products: from the sums of a unit's four gates to its new states, unit by unit and
 * step by step. Numbers have 16 bits as in the reference: gates before their activation 12 of them fraction
 * bits, after it 15. */
#ifndef TOKAY_NN_LSTM_H
#define TOKAY_NN_LSTM_H

#include <string.h>

#include "nn_kernels.h"
#include "quantization.h"

enum { LSTM_INPUT, LSTM_FORGET, LSTM_CANDIDATE, LSTM_OUTPUT, LSTM_GATES };

#define LSTM_LAST 255 /* entry of the sigmoid's table from which on it is flat */

/* Sums of a unit's gates over groups of four values, from its biases. */
typedef void (*lstm_sum_t)(const int8_t *weights, const int32_t *bias, const int8_t *values, int32_t quads,
                           int32_t sums[LSTM_GATES]);

/* nn_requantize to int16, which it saturates to, of what stays below 2^30 when it is shifted left. */
typedef int32_t (*lstm_scale_t)(int32_t x, int32_t multiplier, int32_t shift);

/* sigmoid(x) for x >= 0, whose `bits` lowest bits lie between two entries of the table; 16 + bits fraction
 * bits. */
static inline int32_t lstm_sigmoid_of_positive(const uint16_t *table, int32_t x, int32_t bits)
{
    const int32_t entry = x >> bits;
    if (entry >= LSTM_LAST) return table[LSTM_LAST] * (1 << bits);
    return table[entry] * (1 << bits) + (x & ((1 << bits) - 1)) * (table[entry + 1] - table[entry]);
}

/* Of a gate. The table has 24 entries for a step of 1: three times the gate is in them, with 9 bits. */
static inline int32_t lstm_sigmoid(const uint16_t *table, int32_t gate)
{
    const int32_t x = 3 * gate;
    if (x >= 0) return (lstm_sigmoid_of_positive(table, x, 9) + (1 << 9)) >> 10;
    return ((1 << 25) - lstm_sigmoid_of_positive(table, -x, 9) + (1 << 9) - 1) >> 10;
}

/* tanh = 2 sigmoid(2 x) - 1, of three times a number with 12 fraction bits. */
static inline int32_t lstm_tanh(const uint16_t *table, int32_t x)
{
    if (x >= 0) return (lstm_sigmoid_of_positive(table, x, 8) - (1 << 23) + (1 << 7)) >> 8;
    return ((1 << 23) - lstm_sigmoid_of_positive(table, -x, 8) + (1 << 7) - 1) >> 8;
}

/* A unit's new hidden state, of its gates' sums over inputs and hidden states; leaves its new cell state. */
static inline int8_t lstm_unit(const nn_lstm_options_t *o, lstm_scale_t scale, const int32_t *inputs,
                               const int32_t *hidden, int16_t *cell)
{
    int32_t gates[LSTM_GATES];
    for (int32_t g = 0; g < LSTM_GATES; g++) {
        const int32_t a = scale(inputs[g], o->input_multiplier[g], o->input_shift[g]);
        const int32_t b = scale(hidden[g], o->hidden_multiplier[g], o->hidden_shift[g]);
        const int32_t gate = nn_clamp(a + b, INT16_MIN, INT16_MAX);
        gates[g] = g == LSTM_CANDIDATE ? lstm_tanh(o->sigmoid, 3 * gate) : lstm_sigmoid(o->sigmoid, gate);
    }
    const int32_t kept = scale(gates[LSTM_FORGET] * *cell, 1 << 30, -14); /* by 2^15 */
    const int32_t added = scale(gates[LSTM_INPUT] * gates[LSTM_CANDIDATE], 1 << 30, o->cell_shift);
    *cell = (int16_t)nn_clamp(kept + added, o->cell_min, o->cell_max);

    const int32_t half = 1 << o->tanh_shift >> 1;
    const int32_t bounded = lstm_tanh(o->sigmoid, (*cell * o->tanh_multiplier + half) >> o->tanh_shift);
    const int32_t value = scale(bounded * gates[LSTM_OUTPUT], o->output_multiplier, o->output_shift);
    return (int8_t)nn_clamp(value + o->output_zero_point, INT8_MIN, INT8_MAX);
}

/* The whole layer. Values are multiplied where they lie in the scratch, up to a whole group of four. */
static inline void lstm_run(const nn_call_t *call, lstm_sum_t sum, lstm_scale_t scale)
{
    const nn_lstm_options_t *const o = call->layer->options;
    const int8_t *input = nn_call_input(call, 0);
    int8_t *output = nn_call_output(call);
    const int32_t input_quads = (o->inputs + 3) / 4, hidden_quads = (o->units + 3) / 4;
    int8_t *const values = nn_call_scratch(call), *const hidden = values + 4 * input_quads;
    int16_t *const cells = (int16_t *)(void *)(hidden + 4 * hidden_quads);

    memset(hidden, o->output_zero_point, (size_t)o->units);
    memset(cells, 0, (size_t)o->units * sizeof *cells);
    for (int32_t step = 0; step < o->steps; step++, input += o->inputs, output += o->units) {
        const int8_t *input_weights = o->input_weights, *hidden_weights = o->hidden_weights;
        memcpy(values, input, (size_t)o->inputs);
        for (int32_t u = 0; u < o->units; u++) {
            int32_t of_input[LSTM_GATES], of_hidden[LSTM_GATES];
            sum(input_weights, o->input_bias + LSTM_GATES * u, values, input_quads, of_input);
            sum(hidden_weights, o->hidden_bias + LSTM_GATES * u, hidden, hidden_quads, of_hidden);
            output[u] = lstm_unit(o, scale, of_input, of_hidden, &cells[u]);
            input_weights += 4 * LSTM_GATES * input_quads;
            hidden_weights += 4 * LSTM_GATES * hidden_quads;
        }
        memcpy(hidden, output, (size_t)o->units);
    }
}

#endif
