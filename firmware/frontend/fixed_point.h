/* The arithmetic of the front end's inner loops, once in plain C and once with the DSP instructions
 * of Armv8-M (Cortex-M33); both give the same bits, wrap-around included.
 *
 * Products of Q15 numbers are rounded to nearest, ties up. "Scaling" by 1/2 or 1/4 multiplies by
 * 16383/32768 or 8191/32768 and rounds: the reference's way to divide, kept for its bits.
 */
#ifndef TOKAY_FRONTEND_FIXED_POINT_H
#define TOKAY_FRONTEND_FIXED_POINT_H

#include <stdint.h>
#include <string.h>

#include "frontend_config.h"

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP && !defined(FRONTEND_PLAIN_C)
#define FRONTEND_DSP 1
#include <arm_acle.h>
#else
#define FRONTEND_DSP 0
#endif
#if defined(__SSE2__) && !defined(FRONTEND_PLAIN_C)
#define FRONTEND_SSE2 1 /* the PC: only the FFT and the window have code of their own */
#else
#define FRONTEND_SSE2 0
#endif

#define FX_HALF 16383 /* 1/2 and 1/4 as above */
#define FX_QUARTER 8191

typedef frontend_complex_t fx_complex_t;

/* A condition that seldom holds: its code goes out of the way. */
#define FX_RARE(condition) __builtin_expect((condition) != 0, 0)

/* Position of the highest set bit counted from 1; 0 for 0. */
static inline int fx_bits(uint32_t x) { return x ? 32 - __builtin_clz(x) : 0; }

#if FRONTEND_DSP

/* Products of the low and of the high halves: one instruction each. */
static inline int32_t fx_mul_low(uint32_t a, uint32_t b) { return (int16_t)a * (int16_t)b; }
static inline int32_t fx_mul_high(uint32_t a, uint32_t b) {
  return ((int32_t)a >> 16) * ((int32_t)b >> 16);
}

/* The high 32 of 48 bits of a word times the low or the high half of another. */
static inline uint32_t fx_mul_word_low(int32_t a, uint32_t b) {
  uint32_t product;
  __asm__("smulwb %0, %1, %2" : "=r"(product) : "r"(a), "r"(b));
  return product;
}
static inline uint32_t fx_mul_word_high(int32_t a, uint32_t b) {
  uint32_t product;
  __asm__("smulwt %0, %1, %2" : "=r"(product) : "r"(a), "r"(b));
  return product;
}

/* Two halfwords from two words: the low half of `low` >> 15 and the top half of `high`. */
static inline uint32_t fx_pack_q15(int32_t low, int32_t high) {
  uint32_t packed;
  __asm__("pkhtb %0, %1, %2, asr #15" : "=r"(packed) : "r"(high), "r"(low));
  return packed;
}

/* Their low halves. */
static inline uint32_t fx_pack_low(uint32_t low, uint32_t high) {
  uint32_t packed;
  __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(packed) : "r"(low), "r"(high));
  return packed;
}

/* As fx_pack_q15 where `high` has its result 15 bits up too. */
static inline uint32_t fx_pack_q15_both(int32_t low, int32_t high) {
  uint32_t packed;
  __asm__("pkhbt %0, %1, %2, lsl #1" : "=r"(packed) : "r"(low >> 15), "r"(high));
  return packed;
}

/* Scaling constants for both halves: the upper one is doubled, so that its product needs no shift
 * before packing. */
#define FX_SCALE_PAIR(k) ((uint32_t)(k) | (uint32_t)(2 * (k)) << 16)

static inline fx_complex_t fx_scale_pair(fx_complex_t a, uint32_t pair) {
  int32_t re = __smlabb((int32_t)a.word, (int32_t)pair, 1 << 14);
  int32_t im = __smlatt((int32_t)a.word, (int32_t)pair, 1 << 15);
  return (fx_complex_t){.word = fx_pack_q15(re, im)};
}
#define fx_scale(a, k) fx_scale_pair((a), FX_SCALE_PAIR(k))

static inline fx_complex_t fx_mul(fx_complex_t a, fx_complex_t b) {
  int32_t re = __smlsd((int16x2_t)a.word, (int16x2_t)b.word, 1 << 14);
  int32_t im = __smladx((int16x2_t)a.word, (int16x2_t)b.word, 1 << 14);
  return (fx_complex_t){.word = fx_pack_q15_both(re, im)};
}

static inline fx_complex_t fx_add(fx_complex_t a, fx_complex_t b) {
  return (fx_complex_t){.word = (uint32_t)__sadd16((int16x2_t)a.word, (int16x2_t)b.word)};
}
static inline fx_complex_t fx_sub(fx_complex_t a, fx_complex_t b) {
  return (fx_complex_t){.word = (uint32_t)__ssub16((int16x2_t)a.word, (int16x2_t)b.word)};
}
/* a - jb and a + jb */
static inline fx_complex_t fx_sub_j(fx_complex_t a, fx_complex_t b) {
  return (fx_complex_t){.word = (uint32_t)__ssax((int16x2_t)a.word, (int16x2_t)b.word)};
}
static inline fx_complex_t fx_add_j(fx_complex_t a, fx_complex_t b) {
  return (fx_complex_t){.word = (uint32_t)__sasx((int16x2_t)a.word, (int16x2_t)b.word)};
}

#else /* plain C */

static inline int16_t fx_round(int32_t x) { return (int16_t)((x + (1 << 14)) >> 15); }

static inline fx_complex_t fx_scale(fx_complex_t a, int32_t k) {
  return (fx_complex_t){.c = {fx_round(a.c.re * k), fx_round(a.c.im * k)}};
}
static inline fx_complex_t fx_mul(fx_complex_t a, fx_complex_t b) {
  return (fx_complex_t){.c = {fx_round(a.c.re * b.c.re - a.c.im * b.c.im),
                              fx_round(a.c.re * b.c.im + a.c.im * b.c.re)}};
}
static inline fx_complex_t fx_add(fx_complex_t a, fx_complex_t b) {
  return (fx_complex_t){.c = {(int16_t)(a.c.re + b.c.re), (int16_t)(a.c.im + b.c.im)}};
}
static inline fx_complex_t fx_sub(fx_complex_t a, fx_complex_t b) {
  return (fx_complex_t){.c = {(int16_t)(a.c.re - b.c.re), (int16_t)(a.c.im - b.c.im)}};
}
static inline fx_complex_t fx_sub_j(fx_complex_t a, fx_complex_t b) {
  return (fx_complex_t){.c = {(int16_t)(a.c.re + b.c.im), (int16_t)(a.c.im - b.c.re)}};
}
static inline fx_complex_t fx_add_j(fx_complex_t a, fx_complex_t b) {
  return (fx_complex_t){.c = {(int16_t)(a.c.re - b.c.im), (int16_t)(a.c.im + b.c.re)}};
}

#endif
#endif
