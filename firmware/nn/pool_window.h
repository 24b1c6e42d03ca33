/* The part of a pooling window that lies inside the input. */
#ifndef TOKAY_NN_POOL_WINDOW_H
#define TOKAY_NN_POOL_WINDOW_H

#include <stdint.h>

/* Cuts the window [origin, origin + size) to [0, limit): *first is inclusive, *end exclusive. */
static inline void pool_window(int32_t origin, int32_t size, int32_t limit, int32_t *first,
                               int32_t *end)
{
    *first = origin < 0 ? 0 : origin;
    *end = origin + size > limit ? limit : origin + size;
}

#endif
