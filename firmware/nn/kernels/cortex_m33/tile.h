/* The heart of convolutions: pairs of output channels times four windows of taps, to int8.
 *
 * Windows are int16, interleaved: word 4 * i + p of `columns` holds the taps 2i, 2i + 1 of window p.
 * A word of joined weights (see nn_kernels.h) holds two taps as two int16 of a + 256 b, for the
 * channels a and b of a pair. Multiplying by it sums A + 256 B; multiplying by its low bytes, widened
 * by one SXTB16, sums A; B is the difference over 256. Two taps of both channels for four windows thus
 * take 14 instructions for 16 products, and no load is used by the instruction after it.
 *
 * This takes every register of the core, so it is a function in assembly: sums of A in r0-r3, of
 * A + 256 B in r4-r7, weights r8 and r9, taps r10 and r11, pointers r12 and lr. What the loops need only
 * at their ends waits in floating-point registers, where a compiler would spill to the stack.
 */
#ifndef TOKAY_NN_M33_TILE_H
#define TOKAY_NN_M33_TILE_H

#include <stdint.h>

#include "requantize.h"

#define M33_TILE_WINDOWS 4

/* Loaded into s0..s9 as it stands. */
typedef struct m33_tile {
    const uint32_t *weights;
    const uint32_t *columns;
    const uint32_t *columns_end;
    uint32_t skip; /* m33_tile_skip(words of weights for a pair) */
    const m33_channel_t *channels; /* two for each pair */
    const m33_channel_t *channels_end;
    int8_t *output; /* of window 0, first channel; a pair of channels is stored as two bytes */
    int32_t output_1, output_2, output_3; /* bytes from there to the other windows' outputs */
} m33_tile_t;

/* Steps (words of weights) unrolled in the loop, 14 instructions of four bytes each. 36 steps are 72
 * taps: a 3x3 kernel of eight channels goes once through the loop, one of sixteen twice. */
#define M33_TILE_UNROLL 36
#define M33_TILE_STEP_BYTES 56

/* The first step starts the sums; the others run in whole rounds of the unrolled loop, the first of
 * which is entered this many bytes from its start: at its end if there are none. */
static inline uint32_t m33_tile_skip(int32_t steps)
{
    const uint32_t partial = (uint32_t)(steps - 1) % M33_TILE_UNROLL;
    const uint32_t first = partial == 0 && steps > 1 ? M33_TILE_UNROLL : partial;
    return (M33_TILE_UNROLL - first) * M33_TILE_STEP_BYTES;
}

/* clang-format off */
#define M33_TILE_STEP(mac, a0, a1, a2, a3, b0, b1, b2, b3) \
    "ldr    r8, [r12], #4\n"       \
    "ldr    r10, [lr], #16\n"      \
    "sxtb16 r9, r8\n"              \
    mac    " r4, r8, r10" b0 "\n"  \
    "ldr    r11, [lr, #-12]\n"     \
    mac    " r0, r9, r10" a0 "\n"  \
    mac    " r5, r8, r11" b1 "\n"  \
    "ldr    r10, [lr, #-8]\n"      \
    mac    " r1, r9, r11" a1 "\n"  \
    mac    " r6, r8, r10" b2 "\n"  \
    "ldr    r11, [lr, #-4]\n"      \
    mac    " r2, r9, r10" a2 "\n"  \
    mac    " r7, r8, r11" b3 "\n"  \
    mac    " r3, r9, r11" a3 "\n"

/* r8 is scratch, r9 the multiplier, r10 the rounding. */
#ifdef NN_SINGLE_ROUNDING
#define M33_TILE_SCALE(s) "smmla  " s ", " s ", r9, r10\n"
#else
#define M33_TILE_SCALE(s) "add    r8, r10, " s ", asr #31\n" "smmlar " s ", " s ", r9, r8\n"
#endif

/* m33_requantize of four sums: shift is how often they are to be doubled, or halved. */
#define M33_TILE_REQUANTIZE(s0, s1, s2, s3, offset, shift) \
    "ldr    r8, [lr, #" offset "]\n"       \
    "ldr    r9, [lr, #" offset " + 4]\n"   \
    "ldr    r10, [lr, #" offset " + 8]\n"  \
    "ldr    r11, [lr, #" offset " + 12]\n" \
    "add    " s0 ", r8, " s0 ", " shift "\n" \
    "add    " s1 ", r8, " s1 ", " shift "\n" \
    "add    " s2 ", r8, " s2 ", " shift "\n" \
    "add    " s3 ", r8, " s3 ", " shift "\n" \
    M33_TILE_SCALE(s0)                        \
    M33_TILE_SCALE(s1)                        \
    M33_TILE_SCALE(s2)                        \
    M33_TILE_SCALE(s3)                        \
    "asr    " s0 ", " s0 ", r11\n"           \
    "asr    " s1 ", " s1 ", r11\n"           \
    "asr    " s2 ", " s2 ", r11\n"           \
    "asr    " s3 ", " s3 ", r11\n"           \
    "ssat   " s0 ", #8, " s0 "\n"            \
    "ssat   " s1 ", #8, " s1 "\n"            \
    "ssat   " s2 ", #8, " s2 "\n"            \
    "ssat   " s3 ", #8, " s3 "\n"

#define M33_STRING_(x) #x
#define M33_STRING(x) M33_STRING_(x)

/* Computes all the pairs between channels and channels_end (at least one). */
static M33_EVERY_REGISTER void m33_tile_run(const m33_tile_t *tile)
{
    register const m33_tile_t *fields __asm__("r0") = tile;
    __asm__ volatile(
        "vldmia r0, {s0-s9}\n"
        "vmov   r12, s0\n"
        "0:\n" /* a pair of channels */
        "vmov   lr, s1\n"
        M33_TILE_STEP("smuad", "", "", "", "", "", "", "", "")
        "vmov   r9, s3\n"
        "add    pc, r9\n" /* pc reads as the address of 1 */
        "nop\n"
        "1:\n"
        ".rept  " M33_STRING(M33_TILE_UNROLL) "\n"
        M33_TILE_STEP("smlad", ", r0", ", r1", ", r2", ", r3", ", r4", ", r5", ", r6", ", r7")
        ".endr\n"
        "vmov   r8, s2\n"
        "cmp    lr, r8\n"
        "bne.w  1b\n"
        "vmov   lr, s4\n"
        "sub    r4, r4, r0\n"
        "sub    r5, r5, r1\n"
        "sub    r6, r6, r2\n"
        "sub    r7, r7, r3\n"
        M33_TILE_REQUANTIZE("r0", "r1", "r2", "r3", "0", "lsl #1")
        M33_TILE_REQUANTIZE("r4", "r5", "r6", "r7", "16", "asr #7") /* of 256 B: twice B */
        "add    lr, lr, #32\n"
        "vmov   r8, s6\n"
        "vmov   r9, s7\n"
        "vmov   r10, s8\n"
        "vmov   r11, s9\n"
        "bfi    r0, r4, #8, #8\n"
        "bfi    r1, r5, #8, #8\n"
        "bfi    r2, r6, #8, #8\n"
        "bfi    r3, r7, #8, #8\n"
        "strh   r0, [r8]\n"
        "strh   r1, [r8, r9]\n"
        "strh   r2, [r8, r10]\n"
        "strh   r3, [r8, r11]\n"
        "add    r8, r8, #2\n"
        "vmov   r9, s5\n"
        "vmov   s4, lr\n"
        "vmov   s6, r8\n"
        "cmp    lr, r9\n"
        "bne.w  0b\n"
        : "+r"(fields)
        :
        : "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr",
          "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "cc", "memory");
}
/* clang-format on */

#endif
