/* Lays windows of an int8 image out as columns of int16 for tile.h: four windows, interleaved.
 *
 * Reordered columns hold the taps of each group of four as 0, 2, 1, 3, which is how two SXTB16 leave
 * them; the others hold them in order, which takes two PKH more.
 */
#ifndef TOKAY_NN_M33_COLUMNS_H
#define TOKAY_NN_M33_COLUMNS_H

#include <stdbool.h>
#include <stdint.h>

#include "m33.h"

#define M33_COLUMN_STRIDE 8 /* int16s from one pair of taps to the next: two for each of four windows */

/* Where tap number `tap` of a column goes. */
static inline int16_t *m33_column_tap(int16_t *column, int32_t tap, bool reordered)
{
    const int32_t place = reordered ? (tap & ~3) | (tap & 1) << 1 | (tap & 2) >> 1 : tap;
    return column + (place >> 1) * M33_COLUMN_STRIDE + (place & 1);
}

/* Writes groups of four taps, reordered; returns where the column goes on. */
static inline int16_t *m33_column_copy_quads(int16_t *column, const int8_t *from, int32_t quads)
{
    uint32_t a, b, c;
    for (; quads >= 4; quads -= 4) {
        /* The compiler would spend two additions a round on the pointers and wait for the loads. */
        __asm__ volatile("ldr    %[a], [%[from]], #4\n"
                         "ldr    %[b], [%[from]], #4\n"
                         "sxtb16 %[c], %[a]\n"
                         "sxtb16 %[a], %[a], ror #8\n"
                         "str    %[c], [%[to]], #16\n"
                         "sxtb16 %[c], %[b]\n"
                         "str    %[a], [%[to]], #16\n"
                         "ldr    %[a], [%[from]], #4\n"
                         "sxtb16 %[b], %[b], ror #8\n"
                         "str    %[c], [%[to]], #16\n"
                         "sxtb16 %[c], %[a]\n"
                         "str    %[b], [%[to]], #16\n"
                         "ldr    %[b], [%[from]], #4\n"
                         "sxtb16 %[a], %[a], ror #8\n"
                         "str    %[c], [%[to]], #16\n"
                         "sxtb16 %[c], %[b]\n"
                         "str    %[a], [%[to]], #16\n"
                         "sxtb16 %[b], %[b], ror #8\n"
                         "str    %[c], [%[to]], #16\n"
                         "str    %[b], [%[to]], #16\n"
                         : [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c), [from] "+&r"(from), [to] "+&r"(column)
                         :
                         : "memory");
    }
    if ((quads & 2) != 0) {
        a = m33_load(from);
        b = m33_load(from + 4);
        m33_store(column, m33_even_bytes(a));
        m33_store(column + M33_COLUMN_STRIDE, m33_odd_bytes(a));
        m33_store(column + 2 * M33_COLUMN_STRIDE, m33_even_bytes(b));
        m33_store(column + 3 * M33_COLUMN_STRIDE, m33_odd_bytes(b));
        from += 8;
        column += 4 * M33_COLUMN_STRIDE;
    }
    if ((quads & 1) != 0) {
        a = m33_load(from);
        m33_store(column, m33_even_bytes(a));
        m33_store(column + M33_COLUMN_STRIDE, m33_odd_bytes(a));
        column += 2 * M33_COLUMN_STRIDE;
    }
    return column;
}

/* Writes `count` taps in order from tap number `tap` of the column on. */
static inline void m33_column_copy_in_order(int16_t *column, int32_t tap, const int8_t *from, int32_t count)
{
    int16_t *to = m33_column_tap(column, tap & ~1, false);
    if ((tap & 1) != 0 && count > 0) {
        to[1] = *from++;
        to += M33_COLUMN_STRIDE;
        count--;
    }
    for (; count >= 4; count -= 4) {
        const uint32_t bytes = m33_load(from);
        const uint32_t even = m33_even_bytes(bytes);
        const uint32_t odd = m33_odd_bytes(bytes);
        m33_store(to, m33_low_halves(even, odd));
        m33_store(to + M33_COLUMN_STRIDE, m33_high_halves(even, odd));
        from += 4;
        to += 2 * M33_COLUMN_STRIDE;
    }
    if (count >= 2) {
        m33_store(to, m33_low_halves((uint32_t)from[0], (uint32_t)from[1]));
        from += 2;
        to += M33_COLUMN_STRIDE;
        count -= 2;
    }
    if (count != 0) {
        to[0] = *from;
    }
}

/* Writes `count` taps from tap number `tap` of the column on. */
static inline void m33_column_copy(int16_t *column, int32_t tap, const int8_t *from, int32_t count, bool reordered)
{
    if (!reordered) {
        m33_column_copy_in_order(column, tap, from, count);
    } else if (((tap | count) & 3) == 0) {
        m33_column_copy_quads(m33_column_tap(column, tap, true), from, count >> 2);
    } else {
        for (int32_t k = 0; k < count; k++) {
            *m33_column_tap(column, tap + k, true) = from[k];
        }
    }
}

static inline void m33_column_fill(int16_t *column, int32_t tap, int32_t value, int32_t count, bool reordered)
{
    if (((tap | count) & 3) == 0) {
        const uint32_t pair = m33_low_halves((uint32_t)value, (uint32_t)value);
        int16_t *to = m33_column_tap(column, tap, false);
        for (; count > 0; count -= 4, to += 2 * M33_COLUMN_STRIDE) {
            m33_store(to, pair);
            m33_store(to + M33_COLUMN_STRIDE, pair);
        }
    } else {
        for (int32_t k = tap; k < tap + count; k++) {
            *m33_column_tap(column, k, reordered) = (int16_t)value;
        }
    }
}

#endif
