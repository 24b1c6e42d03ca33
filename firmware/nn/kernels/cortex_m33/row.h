/* Rows of 3x3 depthwise convolutions, four outputs at a time, to int8.
 *
 * The image is int16, so that a word holds two neighbouring taps x0 x1. Of a kernel row k0 k1 k2 the
 * words k0 k1 and k1 k2 are kept: an output at x0 is (x0 x1)(k0 k1) + x2 k2, one at x1 is x1 k0 +
 * (x2 x3)(k1 k2), and no operand ever straddles two words. In assembly because the kernel, the sums and
 * two words leave just the image's pointer and pitch in the registers; the rest waits in the
 * floating-point registers.
 */
#ifndef TOKAY_NN_M33_ROW_H
#define TOKAY_NN_M33_ROW_H

#include <stdint.h>

#include "requantize.h"

typedef struct m33_row {
    uint32_t kernel[6]; /* k0 k1, k1 k2 of each kernel row; loaded into r4..r9 */
    /* Loaded into s0..s15: */
    const int16_t *image;
    int32_t pitch; /* bytes from one image row to the next */
    int8_t *output;
    int32_t step;   /* bytes from one output to the next */
    int32_t groups; /* of four outputs in a row, at least one */
    int32_t rest;   /* as image_back */
    int32_t image_back, output_back; /* bytes back to four more outputs that complete the row; 0 for none */
    m33_channel_t channel;
    int32_t rows;
    int32_t image_next, output_next; /* bytes from behind a row to the next */
    int32_t every_groups;            /* as groups */
} m33_row_t;

/* clang-format off */
/* One kernel row of four outputs. The first row starts the sums. */
#define M33_ROW_STRIDE_1(dual, top, a0, a1, a2, a3, k01, k12) \
    "ldr    r10, [r12]\n"                     \
    "ldr    r11, [r12, #4]\n"                 \
    dual  " r0, r10, " k01 a0 "\n"            \
    top   " r1, r10, " k01 a1 "\n"            \
    "ldr    r10, [r12, #8]\n"                 \
    "smlabt r0, r11, " k12 ", r0\n"           \
    "smlad  r1, r11, " k12 ", r1\n"           \
    dual  " r2, r11, " k01 a2 "\n"            \
    top   " r3, r11, " k01 a3 "\n"            \
    "smlabt r2, r10, " k12 ", r2\n"           \
    "smlad  r3, r10, " k12 ", r3\n"

#define M33_ROW_STRIDE_2(dual, top, a0, a1, a2, a3, k01, k12) \
    "ldr    r10, [r12]\n"                     \
    "ldr    r11, [r12, #4]\n"                 \
    dual  " r0, r10, " k01 a0 "\n"            \
    "ldr    r10, [r12, #8]\n"                 \
    "smlabt r0, r11, " k12 ", r0\n"           \
    dual  " r1, r11, " k01 a1 "\n"            \
    "ldr    r11, [r12, #12]\n"                \
    "smlabt r1, r10, " k12 ", r1\n"           \
    dual  " r2, r10, " k01 a2 "\n"            \
    "ldr    r10, [r12, #16]\n"                \
    "smlabt r2, r11, " k12 ", r2\n"           \
    dual  " r3, r11, " k01 a3 "\n"            \
    "smlabt r3, r10, " k12 ", r3\n"

/* r10 is the multiplier, r11 the rounding; lr is scratch. */
#ifdef NN_SINGLE_ROUNDING
#define M33_ROW_SCALE(s) "smmla " s ", " s ", r10, r11\n"
#else
#define M33_ROW_SCALE(s) "add lr, r11, " s ", asr #31\n" "smmlar " s ", " s ", r10, lr\n"
#endif

#define M33_ROW_BODY(row, advance)                                        \
    __asm__ volatile(                                                     \
        "ldm    r0!, {r4-r9}\n"                                           \
        "vldmia r0, {s0-s15}\n"                                           \
        "vmov   r12, s0\n"                                                \
        "0:\n"                                                            \
        "vmov   lr, s1\n"                                                 \
        row("smuad", "smultb", "", "", "", "", "r4", "r5")                \
        "add    r12, r12, lr\n"                                           \
        row("smlad", "smlatb", ", r0", ", r1", ", r2", ", r3", "r6", "r7") \
        "add    r12, r12, lr\n"                                           \
        row("smlad", "smlatb", ", r0", ", r1", ", r2", ", r3", "r8", "r9") \
        "sub    r12, r12, lr, lsl #1\n"                                   \
        "vmov   r10, s8\n"                                                \
        "add    r12, r12, #" advance "\n"                                 \
        "add    r0, r10, r0, lsl #1\n"                                    \
        "add    r1, r10, r1, lsl #1\n"                                    \
        "add    r2, r10, r2, lsl #1\n"                                    \
        "add    r3, r10, r3, lsl #1\n"                                    \
        "vmov   r10, s9\n"                                                \
        "vmov   r11, s10\n"                                               \
        M33_ROW_SCALE("r0")                                               \
        M33_ROW_SCALE("r1")                                               \
        M33_ROW_SCALE("r2")                                               \
        M33_ROW_SCALE("r3")                                               \
        "vmov   r11, s11\n"                                               \
        "vmov   r10, s2\n"                                                \
        "asr    r0, r0, r11\n"                                            \
        "asr    r1, r1, r11\n"                                            \
        "asr    r2, r2, r11\n"                                            \
        "asr    r3, r3, r11\n"                                            \
        "vmov   r11, s3\n"                                                \
        "ssat   r0, #8, r0\n"                                             \
        "ssat   r1, #8, r1\n"                                             \
        "ssat   r2, #8, r2\n"                                             \
        "ssat   r3, #8, r3\n"                                             \
        "strb   r0, [r10]\n"                                              \
        "strb   r1, [r10, r11]\n"                                         \
        "strb   r2, [r10, r11, lsl #1]\n"                                 \
        "add    r10, r10, r11\n"                                          \
        "strb   r3, [r10, r11, lsl #1]\n"                                 \
        "add    r10, r10, r11\n"                                          \
        "add    r10, r10, r11, lsl #1\n"                                  \
        "vmov   r11, s4\n"                                                \
        "vmov   s2, r10\n"                                                \
        "subs   r11, r11, #1\n"                                           \
        "vmov   s4, r11\n"                                                \
        "bne.w  0b\n"                                                     \
        "vmov   r0, s5\n"                                                 \
        "cbz    r0, 1f\n"                                                 \
        "vmov   r2, s7\n"                                                 \
        "movs   r1, #1\n"                                                 \
        "vmov   s4, r1\n"                                                 \
        "sub    r12, r12, r0\n"                                           \
        "sub    r10, r10, r2\n"                                           \
        "movs   r0, #0\n"                                                 \
        "vmov   s2, r10\n"                                                \
        "vmov   s5, r0\n"                                                 \
        "b.w    0b\n"                                                     \
        "1:\n"                                                            \
        "vmov   r0, s12\n"                                                \
        "vmov   r1, s13\n"                                                \
        "subs   r0, r0, #1\n"                                             \
        "beq    2f\n"                                                     \
        "vmov   r2, s14\n"                                                \
        "vmov   s12, r0\n"                                                \
        "add    r12, r12, r1\n"                                           \
        "add    r10, r10, r2\n"                                           \
        "vmov   s2, r10\n"                                                \
        "vmov.f32 s4, s15\n"                                              \
        "vmov.f32 s5, s6\n"                                               \
        "b.w    0b\n"                                                     \
        "2:\n"                                                            \
        : "+r"(fields)                                                    \
        :                                                                 \
        : "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr", \
          "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", \
          "s12", "s13", "s14", "s15", "cc", "memory")

static M33_EVERY_REGISTER void m33_row_3x3(const m33_row_t *row)
{
    register const m33_row_t *fields __asm__("r0") = row;
    M33_ROW_BODY(M33_ROW_STRIDE_1, "8");
}

static M33_EVERY_REGISTER void m33_row_3x3_stride_2(const m33_row_t *row)
{
    register const m33_row_t *fields __asm__("r0") = row;
    M33_ROW_BODY(M33_ROW_STRIDE_2, "16");
}
/* clang-format on */

#endif
