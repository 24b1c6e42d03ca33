/* Lays windows of an int8 image out as columns of int16 for tile.h: four windows, interleaved.
 *
 * Reordered columns hold the taps of each group of four as 0, 2, 1, 3, which is how two SXTB16 leave
 * them; the others hold them in order, which takes two PKH more.
 */
#ifndef TOKAY_NN_M33_COLUMNS_H
#define TOKAY_NN_M33_COLUMNS_H

#include <stdint.h>

#include "m33.h"

#define M33_COLUMN_STRIDE 8 /* int16s from one pair of taps to the next: two for each of four windows */

/* Two groups of four taps: loads are not used by the next instruction. */
#define M33_TWO_QUADS                    \
    "ldr    %[a], [%[from]], #4\n"       \
    "ldr    %[b], [%[from]], #4\n"       \
    "sxtb16 %[c], %[a]\n"                \
    "sxtb16 %[a], %[a], ror #8\n"        \
    "str    %[c], [%[to]], #16\n"        \
    "str    %[a], [%[to]], #16\n"        \
    "sxtb16 %[c], %[b]\n"                \
    "sxtb16 %[b], %[b], ror #8\n"        \
    "str    %[c], [%[to]], #16\n"        \
    "str    %[b], [%[to]], #16\n"

/* Writes groups of four taps, reordered; returns where the column goes on. Rows of 3x3
 * kernels are often six groups, or twelve. */
static inline __attribute__((always_inline)) int16_t *m33_column_quads(int16_t *column, const int8_t *from,
                                                                       int32_t quads)
{
    uint32_t a, b, c;
    while (quads >= 6) {
        __asm__ volatile(M33_TWO_QUADS M33_TWO_QUADS M33_TWO_QUADS
                         : [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c), [from] "+&r"(from), [to] "+&r"(column)
                         :
                         : "memory");
        quads -= 6;
    }
    while (quads >= 2) {
        __asm__ volatile(M33_TWO_QUADS
                         : [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c), [from] "+&r"(from), [to] "+&r"(column)
                         :
                         : "memory");
        quads -= 2;
    }
    if (quads != 0) {
        a = m33_load(from);
        m33_store(column, m33_even_bytes(a));
        m33_store(column + M33_COLUMN_STRIDE, m33_odd_bytes(a));
        column += 2 * M33_COLUMN_STRIDE;
    }
    return column;
}

/* Writes a whole column of `count` taps in order; what an odd count leaves beside its last tap is
 * multiplied by a weight of zero. */
static inline void m33_column_in_order(int16_t *column, const int8_t *from, int32_t count)
{
    for (; count >= 8; count -= 8) {
        const uint32_t first = m33_load(from), second = m33_load(from + 4);
        const uint32_t even_1 = m33_even_bytes(first), odd_1 = m33_odd_bytes(first);
        const uint32_t even_2 = m33_even_bytes(second), odd_2 = m33_odd_bytes(second);
        m33_store(column, m33_low_halves(even_1, odd_1));
        m33_store(column + M33_COLUMN_STRIDE, m33_high_halves(even_1, odd_1));
        m33_store(column + 2 * M33_COLUMN_STRIDE, m33_low_halves(even_2, odd_2));
        m33_store(column + 3 * M33_COLUMN_STRIDE, m33_high_halves(even_2, odd_2));
        from += 8;
        column += 4 * M33_COLUMN_STRIDE;
    }
    for (; count >= 4; count -= 4) {
        const uint32_t bytes = m33_load(from);
        const uint32_t even = m33_even_bytes(bytes);
        const uint32_t odd = m33_odd_bytes(bytes);
        m33_store(column, m33_low_halves(even, odd));
        m33_store(column + M33_COLUMN_STRIDE, m33_high_halves(even, odd));
        from += 4;
        column += 2 * M33_COLUMN_STRIDE;
    }
    if (count >= 2) {
        m33_store(column, m33_low_halves((uint32_t)from[0], (uint32_t)from[1]));
        from += 2;
        column += M33_COLUMN_STRIDE;
        count -= 2;
    }
    if (count != 0) {
        m33_store(column, (uint32_t)*from);
    }
}

#endif
