/* Lays windows of an int8 image out as columns of int16 for tile.h: four windows, interleaved. */
#ifndef TOKAY_NN_M33_COLUMNS_H
#define TOKAY_NN_M33_COLUMNS_H

#include <stdint.h>

#include "../../nn_kernels.h"
#include "m33.h"
#include "tile.h"

#define M33_COLUMN_STRIDE (2 * M33_TILE_WINDOWS) /* int16s from one pair of taps to the next */

/* Where tap number `tap` of a column goes. */
static inline int16_t *m33_column_tap(int16_t *column, int32_t tap)
{
    return column + (tap >> 1) * M33_COLUMN_STRIDE + (tap & 1);
}

/* Writes `count` taps from `from` on at tap number `tap` of the column. */
static inline void m33_column_copy(int16_t *column, int32_t tap, const int8_t *from, int32_t count)
{
    int16_t *to = m33_column_tap(column, tap & ~1);
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

static inline void m33_column_fill(int16_t *column, int32_t tap, int32_t value, int32_t count)
{
    for (int32_t k = tap; k < tap + count; k++) {
        *m33_column_tap(column, k) = (int16_t)value;
    }
}

#endif
