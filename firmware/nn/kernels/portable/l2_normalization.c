/* l2_normalization: values times the inverse root of the sum of their squares, by Newton's method in fixed
 * point, as the reference has it. */
#include "inverse.h"
#include "nn_kernels.h"

#define OUTPUT_BITS 7 /* of fraction */
#define ROOT_OF_HALF 1518500250 /* with 31 fraction bits */

/* 1 / sqrt(x) as a multiplier and its shift; that of 0 is that of 1. */
static int32_t inverse_root(int32_t x, int32_t *shift)
{
    int32_t right = 11;
    if (x <= 1) {
        *shift = 0;
        return INT32_MAX;
    }
    for (; x >= 1 << 29; right++) x /= 4;
    const int32_t pairs = (__builtin_clz((uint32_t)x) - 1) / 2 - 1; /* of bits, to [2^27, 2^29) */
    const int32_t half = nn_round_shift((x << 2 * pairs) >> 1, 1);
    int32_t root = 1 << 28; /* with 3 integer bits */
    for (int i = 0; i < 5; i++) {
        const int32_t cube =
            nn_shift_left_saturating(nn_multiply_high(nn_multiply_high(root, root), root), 6);
        const int32_t more = nn_multiply_high(3 << 27, root) - nn_multiply_high(half, cube);
        root = nn_shift_left_saturating(more, 3);
    }
    root = nn_multiply_high(root, ROOT_OF_HALF);
    right -= pairs;
    *shift = right < 0 ? 0 : -right;
    return right < 0 ? root << -right : root;
}

nn_status_t nn_kernel_l2_normalization(const nn_call_t *call)
{
    const nn_l2_normalization_options_t *o = call->layer->options;
    const int8_t *input = nn_call_input(call, 0);
    int8_t *output = nn_call_output(call);
    for (int32_t row = 0; row < o->rows; row++, input += o->depth, output += o->depth) {
        int32_t sum = 0, shift;
        for (int32_t c = 0; c < o->depth; c++) sum += (input[c] - o->zero_point) * (input[c] - o->zero_point);
        const int32_t multiplier = inverse_root(sum, &shift);
        for (int32_t c = 0; c < o->depth; c++) {
            const int32_t value = nn_requantize(input[c] - o->zero_point, multiplier, shift + OUTPUT_BITS);
            output[c] = (int8_t)nn_clamp(value, INT8_MIN, INT8_MAX);
        }
    }
    return NN_OK;
}
