/* Sums of int8 in four places side by side, as two pairs of int16. */
#ifndef TOKAY_NN_M33_BYTES_H
#define TOKAY_NN_M33_BYTES_H

#include "m33.h"

/* So many words can be added: 255 * 128 < 2^15. */
#define M33_BYTE_SUMS 255

typedef struct m33_byte_sums {
    uint32_t even, odd; /* of bytes 0 and 2, 1 and 3 */
} m33_byte_sums_t;

static inline void m33_add_bytes(m33_byte_sums_t *sums, uint32_t bytes)
{
    sums->even = (uint32_t)__sxtab16((int16x2_t)sums->even, bytes);
    __asm__("sxtab16 %0, %0, %1, ror #8" : "+r"(sums->odd) : "r"(bytes));
}

/* Of byte `place`. */
static inline int32_t m33_byte_sum(const m33_byte_sums_t *sums, int32_t place)
{
    const uint32_t pair = place & 1 ? sums->odd : sums->even;
    return place & 2 ? (int32_t)pair >> 16 : (int16_t)pair;
}

#endif
