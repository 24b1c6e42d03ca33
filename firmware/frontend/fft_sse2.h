/* The inner loops of fft.c on the PC, four complex numbers at a time: the arithmetic of fixed_point.h,
 * bit for bit, in instructions that every x86-64 has. Internal to fft.c. */
#ifndef TOKAY_FRONTEND_FFT_SSE2_H
#define TOKAY_FRONTEND_FFT_SSE2_H

#include <emmintrin.h>

#include "fixed_point.h"

static inline __m128i v_load(const fx_complex_t *x) { return _mm_loadu_si128((const __m128i *)(const void *)x); }
static inline void v_store(fx_complex_t *x, __m128i v) { _mm_storeu_si128((__m128i *)(void *)x, v); }

/* The sign of the upper halves (imaginary parts) turned. */
static inline __m128i v_conjugate(__m128i a) {
  const __m128i upper = _mm_set1_epi32((int)0xffff0000);
  return _mm_sub_epi16(_mm_xor_si128(a, upper), upper);
}
static inline __m128i v_swap(__m128i a) { return _mm_or_si128(_mm_slli_epi32(a, 16), _mm_srli_epi32(a, 16)); }

/* (a * k + 2^14) >> 15: twice the product's high half, and its low half's top bit, rounded. */
static inline __m128i v_scale(__m128i a, int k) {
  __m128i factor = _mm_set1_epi16((short)k);
  __m128i high = _mm_mulhi_epi16(a, factor), low = _mm_mullo_epi16(a, factor);
  low = _mm_srli_epi16(_mm_add_epi16(_mm_srli_epi16(low, 14), _mm_set1_epi16(1)), 1);
  return _mm_add_epi16(_mm_add_epi16(high, high), low);
}

/* A twiddle factor as the two products take it. */
typedef struct {
  __m128i re, im; /* (re, -im) and (im, re) */
} v_twiddle_t;

static inline v_twiddle_t v_twiddle(__m128i w) { return (v_twiddle_t){v_conjugate(w), v_swap(w)}; }

static inline __m128i v_mul(__m128i a, v_twiddle_t w) {
  const __m128i half = _mm_set1_epi32(1 << 14);
  __m128i re = _mm_add_epi32(_mm_madd_epi16(a, w.re), half);
  __m128i im = _mm_add_epi32(_mm_madd_epi16(a, w.im), half);
  re = _mm_srli_epi32(_mm_slli_epi32(re, 1), 16);
  im = _mm_and_si128(_mm_slli_epi32(im, 1), _mm_set1_epi32((int)0xffff0000));
  return _mm_or_si128(re, im);
}

/* The radix-4 butterfly of four groups at once. */
static inline void v_butterfly(__m128i y[4], __m128i x0, __m128i x1, __m128i x2, __m128i x3) {
  __m128i sum02 = _mm_add_epi16(x0, x2), difference02 = _mm_sub_epi16(x0, x2);
  __m128i sum13 = _mm_add_epi16(x1, x3);
  __m128i turned = v_conjugate(v_swap(_mm_sub_epi16(x1, x3))); /* -j times the difference */
  y[0] = _mm_add_epi16(sum02, sum13);
  y[1] = _mm_add_epi16(difference02, turned);
  y[2] = _mm_sub_epi16(sum02, sum13);
  y[3] = _mm_sub_epi16(difference02, turned);
}

/* Rows to columns: afterwards v[i] holds the i-th of each. */
static inline void v_transpose(__m128i v[4]) {
  __m128i a = _mm_unpacklo_epi32(v[0], v[1]), b = _mm_unpacklo_epi32(v[2], v[3]);
  __m128i c = _mm_unpackhi_epi32(v[0], v[1]), d = _mm_unpackhi_epi32(v[2], v[3]);
  v[0] = _mm_unpacklo_epi64(a, b);
  v[1] = _mm_unpackhi_epi64(a, b);
  v[2] = _mm_unpacklo_epi64(c, d);
  v[3] = _mm_unpackhi_epi64(c, d);
}

static inline __m128i v_load_scaled(const fx_complex_t *x, int k, int shift) {
  return v_scale(_mm_sll_epi16(v_load(x), _mm_cvtsi32_si128(shift)), k);
}

/* The first stages, for a number of blocks that four divides. */
static inline void v_first_blocks_of_4(const frontend_config_t *config, const fx_complex_t *in, int shift,
                                       fx_complex_t *out) {
  size_t blocks = config->fft_length / 8u;
  for (size_t b = 0; b < blocks; b += 4) {
    __m128i y[4];
    v_butterfly(y, v_load_scaled(in + b, FX_QUARTER, shift), v_load_scaled(in + b + blocks, FX_QUARTER, shift),
                v_load_scaled(in + b + 2 * blocks, FX_QUARTER, shift),
                v_load_scaled(in + b + 3 * blocks, FX_QUARTER, shift));
    v_transpose(y);
    for (size_t i = 0; i < 4; ++i) v_store(out + 4u * config->fft_order[b + i], y[i]);
  }
}

static inline void v_first_blocks_of_8(const frontend_config_t *config, const fx_complex_t *in, int shift,
                                       fx_complex_t *out) {
  size_t blocks = config->fft_length / 16u;
  v_twiddle_t w[3];
  for (int i = 0; i < 3; ++i) w[i] = v_twiddle(_mm_set1_epi32((int)config->fft_twiddles[i].word));
  for (size_t b = 0; b < blocks; b += 4) {
    __m128i sum[4], difference[4], of_sums[4], of_differences[4];
    for (size_t k = 0; k < 4; ++k) {
      __m128i x0 = v_load_scaled(in + b + k * blocks, FX_HALF, shift);
      __m128i x1 = v_load_scaled(in + b + (k + 4) * blocks, FX_HALF, shift);
      sum[k] = v_scale(_mm_add_epi16(x0, x1), FX_QUARTER);
      difference[k] = v_scale(_mm_sub_epi16(x0, x1), FX_QUARTER);
    }
    v_butterfly(of_sums, sum[0], sum[1], sum[2], sum[3]);
    v_butterfly(of_differences, difference[0], v_mul(difference[1], w[0]), v_mul(difference[2], w[1]),
                v_mul(difference[3], w[2]));
    v_transpose(of_sums);
    v_transpose(of_differences);
    for (size_t i = 0; i < 4; ++i) { /* sums and differences alternate */
      fx_complex_t *y = out + 8u * config->fft_order[b + i];
      v_store(y, _mm_unpacklo_epi32(of_sums[i], of_differences[i]));
      v_store(y + 4, _mm_unpackhi_epi32(of_sums[i], of_differences[i]));
    }
  }
}

/* A later stage, of m points that four divides: for each four j, over all blocks. The first j is not
 * rotated, but 1 - 2^-15 rotates no scaled value. Returns the twiddles of the next stage. */
static inline const fx_complex_t *v_stage(fx_complex_t *bins, size_t points, size_t m, const fx_complex_t *w) {
  const fx_complex_t *end = bins + points, *first = w - 3; /* where those of j = 0 would be */
  for (size_t j = 0; j < m; j += 4) {
    v_twiddle_t twiddles[3];
    for (size_t k = 0; k < 3; ++k) {
      const fx_complex_t *of_j = first + 3 * j + k;
      int at_0 = j ? (int)of_j[0].word : 32767;
      twiddles[k] = v_twiddle(_mm_set_epi32((int)of_j[9].word, (int)of_j[6].word, (int)of_j[3].word, at_0));
    }
    for (fx_complex_t *x = bins + j; x < end; x += 4 * m) {
      __m128i y[4];
      v_butterfly(y, v_scale(v_load(x), FX_QUARTER), v_mul(v_scale(v_load(x + m), FX_QUARTER), twiddles[0]),
                  v_mul(v_scale(v_load(x + 2 * m), FX_QUARTER), twiddles[1]),
                  v_mul(v_scale(v_load(x + 3 * m), FX_QUARTER), twiddles[2]));
      for (size_t i = 0; i < 4; ++i) v_store(x + i * m, y[i]);
    }
  }
  return w + 3 * (m - 1);
}

/* Bins k..k+3 and their mirrors, as split_range does them; these must not meet. */
static inline void v_split(const fx_complex_t *twiddle, fx_complex_t *low, fx_complex_t *high, bool mirrored) {
  const __m128i upper = _mm_set1_epi32((int)0xffff0000);
  __m128i p = v_scale(v_load(low), FX_HALF);
  __m128i q = v_scale(v_conjugate(_mm_shuffle_epi32(v_load(high - 3), 0x1b)), FX_HALF);
  __m128i a = _mm_add_epi16(p, q), b = v_mul(_mm_sub_epi16(p, q), v_twiddle(v_load(twiddle)));
  __m128i differing = _mm_xor_si128(a, b), halved = _mm_srai_epi16(differing, 1);
  __m128i sum = _mm_add_epi16(_mm_and_si128(a, b), halved); /* (a + b) >> 1 without leaving 16 bits */
  v_store(low, _mm_madd_epi16(sum, sum));
  if (!mirrored) return;
  /* (a - b) >> 1 below, (b - a) >> 1 above */
  __m128i turned = _mm_and_si128(differing, upper);
  __m128i minuend = _mm_xor_si128(a, turned), subtrahend = _mm_xor_si128(b, turned);
  __m128i difference = _mm_sub_epi16(halved, _mm_andnot_si128(minuend, subtrahend));
  v_store(high - 3, _mm_shuffle_epi32(_mm_madd_epi16(difference, difference), 0x1b));
}

#endif
