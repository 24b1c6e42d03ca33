/* The inner loop of convolutions: two output channels times four windows of taps.
 *
 * Windows are int16, interleaved: word 4 * i + p of `columns` holds the taps 2i, 2i + 1 of window p.
 * Weights are interleaved by channel pair (see nn_kernels.h): one word, widened by two SXTB16, gives
 * two taps of both channels as SMLAD operands. That is 15 instructions for 16 products, each load at
 * least two instructions ahead of its use. It takes all 14 registers the core has, which is why it is
 * written in assembly and why the loop's end and entry wait in floating-point registers.
 */
#ifndef TOKAY_NN_M33_TILE_H
#define TOKAY_NN_M33_TILE_H

#include <stdint.h>

#define M33_TILE_WINDOWS 4
#define M33_STRING_(x) #x
#define M33_STRING(x) M33_STRING_(x)

/* Sums of channel a and of channel b for the four windows. */
typedef struct m33_tile {
    int32_t a0, a1, a2, a3;
    int32_t b0, b1, b2, b3;
} m33_tile_t;

/* Steps unrolled in the loop; a step is 15 instructions of four bytes. */
#define M33_TILE_UNROLL 16
#define M33_TILE_STEP_BYTES 60

/* One step: two taps. FIRST is `smuad`-like for the step that starts the sums. */
#define M33_TILE_STEP(MAC, A0, A1, A2, A3, B0, B1, B2, B3) \
    "ldr    %[w], [%[weights]], #4\n"                      \
    "ldr    %[x], [%[columns]], #16\n"                     \
    "sxtb16 %[v], %[w]\n"                                  \
    "sxtb16 %[w], %[w], ror #8\n"                          \
    MAC     " %[a0], %[v], %[x]" A0                        \
    "ldr    %[y], [%[columns], #-12]\n"                    \
    MAC     " %[b0], %[w], %[x]" B0                        \
    "ldr    %[x], [%[columns], #-8]\n"                     \
    MAC     " %[a1], %[v], %[y]" A1                        \
    MAC     " %[b1], %[w], %[y]" B1                        \
    "ldr    %[y], [%[columns], #-4]\n"                     \
    MAC     " %[a2], %[v], %[x]" A2                        \
    MAC     " %[b2], %[w], %[x]" B2                        \
    MAC     " %[a3], %[v], %[y]" A3                        \
    MAC     " %[b3], %[w], %[y]" B3

#define M33_TILE_FIRST M33_TILE_STEP("smuad", "\n", "\n", "\n", "\n", "\n", "\n", "\n", "\n")
#define M33_TILE_NEXT                                                                          \
    M33_TILE_STEP("smlad", ", %[a0]\n", ", %[a1]\n", ", %[a2]\n", ", %[a3]\n", ", %[b0]\n", \
                  ", %[b1]\n", ", %[b2]\n", ", %[b3]\n")

/* How a product over `steps` words of weights enters the unrolled loop. */
typedef struct m33_tile_entry {
    uint32_t skip; /* bytes of the loop's body to jump over at first */
} m33_tile_entry_t;

static inline m33_tile_entry_t m33_tile_entry(int32_t steps)
{
    const uint32_t first = (uint32_t)(steps - 1) % M33_TILE_UNROLL;
    const uint32_t skipped = first == 0 ? 0 : M33_TILE_UNROLL - first;
    return (m33_tile_entry_t){skipped * M33_TILE_STEP_BYTES};
}

/* Multiplies steps >= 1 words of weights with the columns that end at `end`. */
static inline __attribute__((always_inline)) m33_tile_t m33_tile(const uint32_t *weights,
                                                                 const uint32_t *columns,
                                                                 const uint32_t *end,
                                                                 m33_tile_entry_t entry)
{
    m33_tile_t sum;
    uint32_t w, v, x, y;
    __asm__ volatile(
        M33_TILE_FIRST
        "vmov   %[w], %[end]\n"
        "vmov   %[v], %[skip]\n"
        "cmp    %[columns], %[w]\n"
        "beq    2f\n"
        ".balign 4\n"
        "add    pc, %[v]\n" /* reads as the address of the second instruction after it */
        "nop\n"
        "1:\n"
        ".rept " M33_STRING(M33_TILE_UNROLL) "\n"
        M33_TILE_NEXT
        ".endr\n"
        "vmov   %[w], %[end]\n"
        "cmp    %[columns], %[w]\n"
        "bne    1b\n"
        "2:\n"
        : [a0] "=&r"(sum.a0), [a1] "=&r"(sum.a1), [a2] "=&r"(sum.a2), [a3] "=&r"(sum.a3),
          [b0] "=&r"(sum.b0), [b1] "=&r"(sum.b1), [b2] "=&r"(sum.b2), [b3] "=&r"(sum.b3),
          [weights] "+&r"(weights), [columns] "+&r"(columns), [w] "=&r"(w), [v] "=&r"(v),
          [x] "=&r"(x), [y] "=&r"(y)
        : [end] "t"(end), [skip] "t"(entry.skip)
        : "cc", "memory");
    return sum;
}

#endif
