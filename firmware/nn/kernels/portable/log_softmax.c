/* log_softmax: differences to the largest value, less the logarithm of the sum of their exponentials, which
 * come from a table. */
#include "inverse.h"
#include "nn_kernels.h"

#define SUM_INTEGER_BITS 12
#define LOG_INTEGER_BITS 5
#define OUTPUT_BITS 22 /* that a unit of the output, 1/16, has in a logarithm */

#define ROOT_OF_HALF 1518500250 /* these with 31 fraction bits */
#define FOURTH_ROOT_OF_HALF 1805811301
#define LOG_OF_2 1488522236

/* For what is done once a row, where little code is worth more than the time of a call. */
static __attribute__((noinline)) int32_t times(int32_t a, int32_t b)
{
    return nn_multiply_high(a, b);
}

/* The natural logarithm, with 6 integer bits, of what a mantissa in [2^-0.5, 1) is to the fourth root of a half,
 * about which they lie: a quotient of polynomials, the reference's. */
static int32_t log_of_mantissa(int32_t mantissa)
{
    const int32_t mean = (int32_t)(((int64_t)mantissa + FOURTH_ROOT_OF_HALF + 1) / 2);
    const int32_t q = 2 * (mantissa - FOURTH_ROOT_OF_HALF);
    const int32_t square = times(q, q);
    const int32_t numerator = times(q, mantissa) + times(times(q, square), 117049297);
    const int32_t denominator = times(mean, 1057819769 + q + times(127690142, square)) + times(638450708, q);
    return times(nn_round_shift(numerator, LOG_INTEGER_BITS + 1), nn_inverse_of_one_plus(denominator));
}

/* The natural logarithm, with 5 integer bits, of a number of at least 1 with 12. A power of two, in halves, is
 * taken out that leaves a mantissa in [2^-0.5, 1); both are looked for, as the reference does. */
static int32_t logarithm(int32_t sum)
{
    const int32_t quarter = 1 << (31 - LOG_INTEGER_BITS - 1 - 2);
    const int32_t zeros = __builtin_clz((uint32_t)sum);
    const int32_t scaled = times(sum, ROOT_OF_HALF);
    const int32_t scaled_zeros = __builtin_clz((uint32_t)scaled);
    const int32_t first = nn_shift_left_saturating(times(sum << (zeros - 1), ROOT_OF_HALF), 1);
    const int32_t second = nn_shift_left_saturating(sum, scaled_zeros - 1);
    const int32_t first_power = (SUM_INTEGER_BITS - zeros) * 4 * quarter + quarter;
    const int32_t second_power = (SUM_INTEGER_BITS - scaled_zeros + 1) * 4 * quarter - quarter;
    const int32_t power = first_power > second_power ? first_power : second_power;
    const int32_t mantissa = first < second ? first : second;
    return 2 * (times(power, LOG_OF_2) + log_of_mantissa(mantissa));
}

static void log_softmax_row(const nn_log_softmax_options_t *o, const int8_t *input, int8_t *output)
{
    const int32_t largest = nn_largest(input, o->depth);
    int32_t sum = 0;
    for (int32_t c = 0; c < o->depth; c++) {
        const int32_t below = largest - input[c];
        if (below < o->table_entries) sum += o->exp_table[below];
    }

    const int32_t log = logarithm(sum);
    for (int32_t c = 0; c < o->depth; c++) {
        const int32_t below = largest - input[c];
        int32_t value = INT8_MIN;
        if (below < o->table_entries)
            value = INT8_MAX + nn_round_shift(nn_requantize(-below, o->multiplier, o->shift) - log, OUTPUT_BITS);
        output[c] = (int8_t)nn_clamp(value, INT8_MIN, INT8_MAX);
    }
}

nn_status_t nn_kernel_log_softmax(const nn_call_t *call)
{
    const nn_log_softmax_options_t *o = call->layer->options;
    const int8_t *input = nn_call_input(call, 0);
    int8_t *output = nn_call_output(call);
    for (int32_t row = 0; row < o->rows; row++, input += o->depth, output += o->depth)
        log_softmax_row(o, input, output);
    return NN_OK;
}
