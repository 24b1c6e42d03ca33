/* Reads the weights of conv_2d, fully_connected and lstm, interleaved by pairs of output channels (lstm: of
 * gates) and, where codegen could, joined for the DSP instructions (see nn_kernels.h). */
#ifndef TOKAY_NN_WEIGHTS_H
#define TOKAY_NN_WEIGHTS_H

#include <stdint.h>

typedef struct nn_weight_pair {
    int32_t first, second;
} nn_weight_pair_t;

/* Where tap k is stored, given nn_weight_order: taps 1 and 2 of each group of four change places. */
static inline int32_t nn_weight_place(int32_t k, int32_t order)
{
    return k ^ (-((k ^ (k >> 1)) & 1) & order);
}

/* 3 if groups of four taps are reordered, 0 if not. `row_taps` is kernel_width * input_channels. */
static inline int32_t nn_weight_order(int32_t joined, int32_t row_taps)
{
    return joined && row_taps % 4 == 0 ? 3 : 0;
}

/* The weights of tap k in the pair that starts at `pair`. */
static inline nn_weight_pair_t nn_weight_pair(const int8_t *pair, int32_t k, int32_t joined, int32_t order)
{
    const int8_t *const bytes = pair + 2 * nn_weight_place(k, order);
    return (nn_weight_pair_t){bytes[0], bytes[1] + (bytes[0] < 0 ? joined : 0)};
}

#endif
