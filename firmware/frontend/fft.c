/* Real FFT in 16-bit fixed point: the real samples as half as many complex ones, decimation in time
 * with radix 4 (and one radix 2 first), every stage scaled against overflow, then the split into the
 * real spectrum. The values are KissFFT's, rounding by rounding, as the reference uses it; the order
 * of the work is not: a stage runs over its blocks with the twiddle factors held in registers, and
 * the split makes only the bins that the filterbank uses, and at once their energy.
 */
#include "fixed_point.h"
#include "stages.h"
#if FRONTEND_SSE2
#include "fft_sse2.h"
#endif

/* Twiddle factors that are one are left out: after the scaling, values are at most half (a quarter)
 * of full scale, and multiplying those by 32767/32768 rounds to themselves. */

/* Reads samples, shifts them left and scales them. */
#if FRONTEND_DSP
typedef int32_t input_scale_t;

/* Twice the scaled sample is the high part of one long product, whatever the shift; halving rounds
 * it. A shift of 15 means silence, where the factor does not matter (and would not fit). */
static inline input_scale_t input_scale(int k, int shift) { return k << ((shift < 15 ? shift : 14) + 2); }
static inline fx_complex_t load_scaled(fx_complex_t x, input_scale_t scale) {
  uint32_t twice = fx_pack_low(fx_mul_word_low(scale, x.word), fx_mul_word_high(scale, x.word));
  return (fx_complex_t){.word = (uint32_t)__shadd16((int16x2_t)twice, 0x00010001)};
}
#else
typedef struct {
  int k, shift;
} input_scale_t;

static inline input_scale_t input_scale(int k, int shift) { return (input_scale_t){k, shift}; }
static inline fx_complex_t load_scaled(fx_complex_t x, input_scale_t s) {
  fx_complex_t y = {.c = {(int16_t)(x.c.re * (1 << s.shift)), (int16_t)(x.c.im * (1 << s.shift))}};
  return fx_scale(y, s.k);
}
#endif

/* The radix-4 butterfly of scaled and rotated values. */
static inline void butterfly(fx_complex_t *y, size_t m, fx_complex_t x0, fx_complex_t x1,
                             fx_complex_t x2, fx_complex_t x3) {
  fx_complex_t sum02 = fx_add(x0, x2), difference02 = fx_sub(x0, x2);
  fx_complex_t sum13 = fx_add(x1, x3), difference13 = fx_sub(x1, x3);
  y[0] = fx_add(sum02, sum13);
  y[m] = fx_sub_j(difference02, difference13);
  y[2 * m] = fx_sub(sum02, sum13);
  y[3 * m] = fx_add_j(difference02, difference13);
}

/* Joins the transforms of m points at y, y + m, y + 2m and y + 3m, for one j of each. */
static inline void join(fx_complex_t *y, size_t m, fx_complex_t w1, fx_complex_t w2,
                        fx_complex_t w3) {
  butterfly(y, m, fx_scale(y[0], FX_QUARTER), fx_mul(fx_scale(y[m], FX_QUARTER), w1),
            fx_mul(fx_scale(y[2 * m], FX_QUARTER), w2), fx_mul(fx_scale(y[3 * m], FX_QUARTER), w3));
}
static inline void join_unrotated(fx_complex_t *y, size_t m) {
  butterfly(y, m, fx_scale(y[0], FX_QUARTER), fx_scale(y[m], FX_QUARTER),
            fx_scale(y[2 * m], FX_QUARTER), fx_scale(y[3 * m], FX_QUARTER));
}

/* A stage of several blocks: twiddles held over the blocks. Returns those of the next stage. */
static inline const fx_complex_t *middle_stage(fx_complex_t *bins, size_t points, size_t m,
                                        const fx_complex_t *w) {
#if FRONTEND_SSE2
  return v_stage(bins, points, m, w);
#endif
  const fx_complex_t *end = bins + points;
  for (fx_complex_t *y = bins; y < end; y += 4 * m) join_unrotated(y, m);
  for (size_t j = 1; j < m; ++j, w += 3) {
    fx_complex_t w1 = w[0], w2 = w[1], w3 = w[2];
    for (fx_complex_t *y = bins + j; y < end; y += 4 * m) join(y, m, w1, w2, w3);
  }
  return w;
}

/* The stage of a single block. */
static inline void last_stage(fx_complex_t *bins, size_t m, const fx_complex_t *w) {
#if FRONTEND_SSE2
  v_stage(bins, 4 * m, m, w);
  return;
#endif
  const fx_complex_t *end = bins + m;
  join_unrotated(bins, m);
  for (fx_complex_t *y = bins + 1; y < end; ++y, w += 3) join(y, m, w[0], w[1], w[2]);
}

/* First stages: gather the input and make blocks of 4 or 8 points in their final order. */
static void first_blocks_of_4(const frontend_config_t *config, const fx_complex_t *in, int shift,
                              fx_complex_t *out) {
  size_t blocks = config->fft_length / 8u;
#if FRONTEND_SSE2
  if (blocks % 4 == 0) {
    v_first_blocks_of_4(config, in, shift, out);
    return;
  }
#endif
  input_scale_t scale = input_scale(FX_QUARTER, shift);
  for (size_t b = 0; b < blocks; ++b) {
    butterfly(out + 4u * config->fft_order[b], 1, load_scaled(in[b], scale),
              load_scaled(in[b + blocks], scale), load_scaled(in[b + 2 * blocks], scale),
              load_scaled(in[b + 3 * blocks], scale));
  }
}

/* Radix 2, then radix 4 over its sums (not rotated) and over its differences. */
static void first_blocks_of_8(const frontend_config_t *config, const fx_complex_t *in, int shift,
                              fx_complex_t *out) {
  size_t blocks = config->fft_length / 16u;
#if FRONTEND_SSE2
  if (blocks % 4 == 0) {
    v_first_blocks_of_8(config, in, shift, out);
    return;
  }
#endif
  input_scale_t scale = input_scale(FX_HALF, shift);
  fx_complex_t w1 = config->fft_twiddles[0], w2 = config->fft_twiddles[1];
  fx_complex_t w3 = config->fft_twiddles[2];
  for (size_t b = 0; b < blocks; ++b) {
    fx_complex_t sum[4], difference[4];
    const fx_complex_t *x = in + b;
#pragma GCC unroll 4
    for (size_t k = 0; k < 4; ++k, x += blocks) {
      __asm__("" : "+r"(x)); /* one pointer, not one for each k: those would not fit in registers */
      fx_complex_t x0 = load_scaled(x[0], scale);
      fx_complex_t x1 = load_scaled(x[4 * blocks], scale);
      sum[k] = fx_scale(fx_add(x0, x1), FX_QUARTER);
      difference[k] = fx_scale(fx_sub(x0, x1), FX_QUARTER);
    }
    fx_complex_t *y = out + 8u * config->fft_order[b];
    butterfly(y, 2, sum[0], sum[1], sum[2], sum[3]);
    butterfly(y + 1, 2, difference[0], fx_mul(difference[1], w1), fx_mul(difference[2], w2),
              fx_mul(difference[3], w3));
  }
}

/* Scaled conjugate. The conjugate comes first: it wraps for -32768, and ties round up. */
static inline fx_complex_t scaled_conjugate(fx_complex_t z) {
#if FRONTEND_DSP
  int16x2_t swapped = __sasx(0, (int16x2_t)z.word); /* re' = -im, im' = re */
  int32_t re = __smlatb((int32_t)swapped, (int32_t)FX_SCALE_PAIR(FX_HALF), 1 << 14);
  int32_t im = __smlabt((int32_t)swapped, (int32_t)FX_SCALE_PAIR(FX_HALF), 1 << 15);
  return (fx_complex_t){.word = fx_pack_q15(re, im)};
#else
  return fx_scale((fx_complex_t){.c = {z.c.re, (int16_t)-z.c.im}}, FX_HALF);
#endif
}

/* Energies of (a + b)/2 and of the conjugate of (a - b)/2. */
static inline uint32_t energy_sum(fx_complex_t a, fx_complex_t b) {
#if FRONTEND_DSP
  int16x2_t half = __shadd16((int16x2_t)a.word, (int16x2_t)b.word);
  return (uint32_t)__smuad(half, half);
#else
  int32_t re = (a.c.re + b.c.re) >> 1, im = (a.c.im + b.c.im) >> 1;
  return (uint32_t)(re * re) + (uint32_t)(im * im);
#endif
}
static inline uint32_t energy_difference(fx_complex_t a, fx_complex_t b) {
#if FRONTEND_DSP
  uint32_t re = (uint32_t)__shsub16((int16x2_t)a.word, (int16x2_t)b.word); /* in the low half */
  uint32_t im = (uint32_t)__shsub16((int16x2_t)b.word, (int16x2_t)a.word); /* in the high half */
  return (uint32_t)__smlabb((int32_t)re, (int32_t)re, fx_mul_high(im, im));
#else
  int32_t re = (a.c.re - b.c.re) >> 1, im = (b.c.im - a.c.im) >> 1;
  return (uint32_t)(re * re) + (uint32_t)(im * im);
#endif
}

/* Splits bins k and points-k of the complex spectrum into those of the real one, for k = first..last:
 * in place, as energies. */
static inline void split_range(const frontend_config_t *config, fx_complex_t *bins, size_t first,
                               size_t last, bool mirrored) {
  const fx_complex_t *twiddle = config->real_twiddles + first - 1;
  fx_complex_t *low = bins + first, *high = bins + config->fft_length / 2u - first;
  const fx_complex_t *end = bins + last;
#if FRONTEND_SSE2
  for (; low + 3 <= end && low + 3 < high - 3; low += 4, high -= 4, twiddle += 4)
    v_split(twiddle, low, high, mirrored);
#endif
  for (; low <= end; ++low, --high) {
    fx_complex_t p = fx_scale(*low, FX_HALF);
    fx_complex_t q = scaled_conjugate(*high);
    fx_complex_t even = fx_add(p, q);
    fx_complex_t odd = fx_mul(fx_sub(p, q), *twiddle++);
    low->word = energy_sum(even, odd);
    if (mirrored) high->word = energy_difference(even, odd); /* the middle bin keeps this one */
  }
}

static void split(const frontend_config_t *config, fx_complex_t *bins) {
  size_t points = config->fft_length / 2u;
  size_t first = config->first_bin, last = config->end_bin - 1u;
  if (last < points / 2) {
    split_range(config, bins, first, last, false);
  } else {
    size_t mirror = points - last;
    split_range(config, bins, first < mirror ? first : mirror, points / 2, true);
  }
}

/* The stages after the first blocks of m points. Sizes that are known to the compiler leave it enough
 * registers, so the usual lengths have stages of their own (a tenth of all cycles). */
static void later_stages(fx_complex_t *bins, size_t points, size_t m, const fx_complex_t *w) {
  switch (points) {
  case 128: /* 30 ms at 8 kHz */
    w = middle_stage(bins, 128, 8, w);
    last_stage(bins, 32, w);
    break;
  case 256: /* 30 ms at 16 kHz */
    w = middle_stage(bins, 256, 4, w);
    w = middle_stage(bins, 256, 16, w);
    last_stage(bins, 64, w);
    break;
  default:
    for (; m < points / 4; m *= 4) w = middle_stage(bins, points, m, w);
    if (m < points) last_stage(bins, m, w);
  }
}

void frontend_spectrum(const frontend_config_t *config, const frontend_complex_t *in, int shift,
                       frontend_complex_t *bins) {
  size_t points = config->fft_length / 2u;
  if (__builtin_ctz((unsigned)points) & 1) {
    first_blocks_of_8(config, in, shift, bins);
    later_stages(bins, points, 8, config->fft_twiddles + 3);
  } else {
    first_blocks_of_4(config, in, shift, bins);
    later_stages(bins, points, 4, config->fft_twiddles);
  }
  split(config, bins);
}
