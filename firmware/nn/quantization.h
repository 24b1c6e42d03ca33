/* Fixed-point arithmetic shared by the kernels, rounding as TensorFlow Lite Micro's reference does. */
#ifndef TOKAY_NN_QUANTIZATION_H
#define TOKAY_NN_QUANTIZATION_H

#include <stdint.h>

/* x * m / 2^31 rounded to nearest, halves up; x and m not both INT32_MIN. */
static inline int32_t nn_multiply_high(int32_t x, int32_t m)
{
    return (int32_t)(((int64_t)x * m + ((int64_t)1 << 30)) >> 31);
}

/* x / 2^bits rounded to nearest, halves away from zero; bits in [0, 31]. */
static inline int32_t nn_round_shift(int32_t x, int32_t bits)
{
    const int32_t mask = (int32_t)((1u << bits) - 1u);
    const int32_t threshold = (mask >> 1) + (x < 0);
    return (x >> bits) + ((x & mask) > threshold);
}

#ifdef NN_SINGLE_ROUNDING
/* x times a quantized multiplier, rounded once: the reference as the vendor builds it (with its
 * TFLITE_SINGLE_ROUNDING). Only for comparing with what was recorded that way: codegen has tables that
 * depend on the rounding. The Cortex-M33 kernels follow this definition too. */
static inline int32_t nn_requantize(int32_t x, int32_t multiplier, int32_t shift)
{
    const int32_t right = 31 - shift;
    return (int32_t)(((int64_t)x * multiplier + ((int64_t)1 << (right - 1))) >> right);
}
#else
/* x times a quantized multiplier. The reference rounds twice, in the multiplication and in the shift,
 * and lets a left shift wrap; so do we. */
static inline int32_t nn_requantize(int32_t x, int32_t multiplier, int32_t shift)
{
    const int32_t left = shift > 0 ? shift : 0;
    const int32_t right = shift > 0 ? 0 : -shift;
    return nn_round_shift(nn_multiply_high((int32_t)((uint32_t)x << left), multiplier), right);
}
#endif

static inline int32_t nn_clamp(int32_t x, int32_t low, int32_t high)
{
    return x < low ? low : x > high ? high : x;
}

#endif
