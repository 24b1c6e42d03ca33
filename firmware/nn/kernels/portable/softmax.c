/* softmax: exponentials from a table, their sum inverted by Newton's method in fixed point. */
#include "nn_kernels.h"
#include "quantization.h"

#define SUM_INTEGER_BITS 12

static int32_t shift_left_saturating(int32_t x, int32_t bits)
{
    const int32_t limit = INT32_MAX >> bits;
    if (x > limit) return INT32_MAX;
    if (x < -limit) return INT32_MIN;
    return x * ((int32_t)1 << bits);
}

/* 1 / (1 + a) for a in [0, 1), both with 31 fraction bits. The iteration works on half the
 * denominator d = (1 + a) / 2 in [0.5, 1), with x -> 1/d in 29 fraction bits, from the usual linear
 * start 48/17 - 32/17 d. */
static int32_t inverse_of_one_plus(int32_t a)
{
    const int32_t half_denominator = (int32_t)(((int64_t)a + INT32_MAX + 1) / 2);
    int32_t x = 1515870810 + nn_multiply_high(half_denominator, -1010580540);
    for (int i = 0; i < 3; i++) {
        const int32_t error = (1 << 29) - nn_multiply_high(half_denominator, x);
        x += shift_left_saturating(nn_multiply_high(x, error), 2);
    }
    return shift_left_saturating(x, 1);
}

/* The same for any positive number with 12 integer bits: returns the inverse of it divided by
 * 2^*bits_over_unit, which lies in [1, 2). */
static int32_t inverse(int32_t sum, int32_t *bits_over_unit)
{
    int32_t leading_zeros = 0;
    while (!(((uint32_t)sum << leading_zeros) & 0x80000000u)) leading_zeros++;
    *bits_over_unit = SUM_INTEGER_BITS - leading_zeros;
    return inverse_of_one_plus((int32_t)(((uint32_t)sum << leading_zeros) - 0x80000000u));
}

static void softmax_row(const nn_softmax_options_t *o, const int8_t *input, int8_t *output)
{
    int32_t largest = INT8_MIN;
    for (int32_t c = 0; c < o->depth; c++)
        if (input[c] > largest) largest = input[c];

    int32_t sum = 0;
    for (int32_t c = 0; c < o->depth; c++) {
        const int32_t below = largest - input[c];
        if (below < o->table_entries) sum += nn_round_shift(o->exp_table[below], SUM_INTEGER_BITS);
    }

    int32_t bits_over_unit;
    const int32_t scale = inverse(sum, &bits_over_unit);
    for (int32_t c = 0; c < o->depth; c++) {
        const int32_t below = largest - input[c];
        int32_t value = INT8_MIN;
        if (below < o->table_entries)
            value += nn_round_shift(nn_multiply_high(o->exp_table[below], scale),
                                    bits_over_unit + 31 - 8);
        output[c] = (int8_t)nn_clamp(value, INT8_MIN, INT8_MAX);
    }
}

nn_status_t nn_kernel_softmax(const nn_call_t *call)
{
    const nn_softmax_options_t *o = call->layer->options;
    const int8_t *input = nn_call_input(call, 0);
    int8_t *output = nn_call_output(call);
    for (int32_t row = 0; row < o->rows; row++, input += o->depth, output += o->depth)
        softmax_row(o, input, output);
    return NN_OK;
}
