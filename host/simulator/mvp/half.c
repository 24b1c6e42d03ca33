/* The rare paths of half.h. */
#include "half.h"

float half_propagate_nan(float x, float y, uint32_t *events)
{
    *events |= HALF_NAN;
    if (half_is_nan(x))
        return half_from_float_bits(half_float_bits(x) | 0x00400000u);
    if (half_is_nan(y))
        return half_from_float_bits(half_float_bits(y) | 0x00400000u);
    return half_from_float_bits(HALF_NAN_BITS);
}

float half_round_special(float x, uint32_t *events)
{
    uint32_t bits = half_float_bits(x);
    uint32_t magnitude = bits & 0x7FFFFFFFu;

    if (magnitude >= HALF_OVERFLOW_BITS) {
        if (magnitude < HALF_INFINITY_BITS)
            *events |= HALF_OVERFLOW;
        return half_from_float_bits((bits & 0x80000000u) | HALF_INFINITY_BITS);
    }
    /* Below 2^-14 the grid is 2^-24: adding 0.5 puts a float32's last bit there (2^-1 has an ulp of
     * 2^-24), so the addition rounds and the subtraction is exact. */
    float rounded = (half_from_float_bits(magnitude) + 0.5f) - 0.5f;
    if (half_float_bits(rounded) != magnitude)
        *events |= HALF_UNDERFLOW;
    return half_from_float_bits(half_float_bits(rounded) | (bits & 0x80000000u));
}
