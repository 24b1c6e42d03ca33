/* IEEE binary16 arithmetic in float32, portable and exact.
 *
 * A binary16 value is held as the float32 of the same value. A float32 sum or product of two of
 * them has more than 2 * 11 + 2 bits, so rounding it once more to binary16 gives the correctly
 * rounded result. Needs float32 evaluated as float32 (FLT_EVAL_METHOD 0).
 */
#ifndef TOKAY_MVP_HALF_H
#define TOKAY_MVP_HALF_H

#include <float.h>
#include <stdint.h>
#include <string.h>

#if FLT_EVAL_METHOD != 0
#error "half.h needs float arithmetic without excess precision"
#endif

#define HALF_MAX_BITS 0x477FE000u      /* 65504 */
#define HALF_OVERFLOW_BITS 0x477FF000u /* 65520: from here rounding gives infinity */
#define HALF_NORMAL_BITS 0x38800000u   /* 2^-14, the smallest normal number */
#define HALF_INFINITY_BITS 0x7F800000u
#define HALF_NAN_BITS 0x7FFFE000u      /* what 0x7FFF widens to: the result of an invalid operation */

/* Events of an arithmetic operation, ORed into a caller's word. */
#define HALF_NAN 1u
#define HALF_OVERFLOW 2u
#define HALF_UNDERFLOW 4u

static inline uint32_t half_float_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline int half_is_nan(float x)
{
    return (half_float_bits(x) & 0x7FFFFFFFu) > HALF_INFINITY_BITS;
}

static inline float half_from_float_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Widens the 16 bits of a binary16; payloads of NaN are kept. */
static inline float half_widen(uint32_t h)
{
    uint32_t magnitude = (h & 0x7FFFu) << 13;
    uint32_t sign = (h & 0x8000u) << 16;
    if ((h & 0x7C00u) == 0x7C00u)
        return half_from_float_bits(sign | HALF_INFINITY_BITS | magnitude);
    return half_from_float_bits(sign | half_float_bits(half_from_float_bits(magnitude) * 0x1p112f));
}

/* The 16 bits of a float32 that holds a binary16 value exactly. */
static inline uint32_t half_narrow(float x)
{
    uint32_t bits = half_float_bits(x);
    uint32_t magnitude = bits & 0x7FFFFFFFu;
    uint32_t sign = (bits >> 16) & 0x8000u;
    if (magnitude >= HALF_INFINITY_BITS)
        return sign | 0x7C00u | ((magnitude >> 13) & 0x3FFu);
    return sign | (half_float_bits(half_from_float_bits(magnitude) * 0x1p-112f) >> 13);
}

/* Rounding outside the normal range: zero, subnormal, infinite. */
float half_round_special(float x, uint32_t *events);

/* Rounds to the nearest binary16, ties to even. */
static inline float half_round(float x, uint32_t *events)
{
    uint32_t bits = half_float_bits(x);
    if ((bits & 0x7FFFFFFFu) - HALF_NORMAL_BITS < HALF_OVERFLOW_BITS - HALF_NORMAL_BITS) {
        bits += 0xFFFu + ((bits >> 13) & 1u);
        return half_from_float_bits(bits & ~0x1FFFu);
    }
    return x == 0.0f ? x : half_round_special(x, events);
}

/* The result of an operation that produced a NaN: the first operand that was one, made quiet, or
 * HALF_NAN_BITS if none was. */
float half_propagate_nan(float x, float y, uint32_t *events);

static inline float half_add(float x, float y, uint32_t *events)
{
    float sum = x + y;
    return sum != sum ? half_propagate_nan(x, y, events) : half_round(sum, events);
}

static inline float half_multiply(float x, float y, uint32_t *events)
{
    float product = x * y;
    return product != product ? half_propagate_nan(x, y, events) : half_round(product, events);
}

#endif
