/* softmax: exponentials from a table, their sum inverted by Newton's method in fixed point. */
#include "inverse.h"
#include "nn_kernels.h"

#define SUM_INTEGER_BITS 12

/* Of any positive number with 12 integer bits: returns the inverse of it divided by 2^*bits_over_unit, which
 * lies in [1, 2). */
static int32_t inverse(int32_t sum, int32_t *bits_over_unit)
{
    int32_t leading_zeros = 0;
    while (!(((uint32_t)sum << leading_zeros) & 0x80000000u)) leading_zeros++;
    *bits_over_unit = SUM_INTEGER_BITS - leading_zeros;
    return nn_inverse_of_one_plus((int32_t)(((uint32_t)sum << leading_zeros) - 0x80000000u));
}

static void softmax_row(const nn_softmax_options_t *o, const int8_t *input, int8_t *output)
{
    const int32_t largest = nn_largest(input, o->depth);
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
