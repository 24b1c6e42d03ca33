/* The DC notch filter and the analysis window. */
#include "fixed_point.h"
#include "stages.h"
#if FRONTEND_SSE2
#include <emmintrin.h>
#endif

#define WINDOW_BITS 12

void frontend_dc_notch(const frontend_config_t *config, frontend_dc_notch_t *state,
                       const int16_t *in, int16_t *out, size_t count) {
  int32_t x = state->last_in, y = state->last_out;
  for (size_t i = 0; i < count; ++i) {
    int16_t difference = (int16_t)(in[i] - x);
    x = in[i];
    y = (int16_t)(difference + ((((config->dc_notch_coefficient * y) >> 14) + 1) >> 1));
    out[i] = (int16_t)y;
  }
  state->last_in = (int16_t)x;
  state->last_out = (int16_t)y;
}

/* -32768 has no 16-bit magnitude, so it does not count towards the maximum; the reference's shift
 * then pushes it out of the word. */
static void clear_minimum(frontend_complex_t *samples, size_t pairs) {
  for (size_t i = 0; i < pairs; ++i) {
    if (samples[i].c.re == INT16_MIN) samples[i].c.re = 0;
    if (samples[i].c.im == INT16_MIN) samples[i].c.im = 0;
  }
}

int frontend_window(const frontend_config_t *config, const int16_t *in,
                    frontend_complex_t *out) {
  const int16_t *window = config->window;
  size_t pairs = (config->window_samples + 1u) / 2;
  uint32_t magnitudes = 0; /* the OR of all has the maximum's highest bit */
#if FRONTEND_DSP
#pragma GCC unroll 4
  for (size_t i = 0; i < pairs; ++i) {
    uint32_t x, w, y;
    memcpy(&x, in + 2 * i, sizeof x);
    memcpy(&w, window + 2 * i, sizeof w);
    int32_t first = fx_mul_low(x, w) >> WINDOW_BITS;
    int32_t second = fx_mul_high(x, w);
    __asm__("pkhbt %0, %1, %2, lsl #4" : "=r"(y) : "r"(first), "r"(second)); /* 16 - WINDOW_BITS */
    out[i].word = y;
    uint32_t negated = (uint32_t)__ssub16(0, (int16x2_t)y);
    magnitudes |= (uint32_t)__sel((uint8x4_t)negated, (uint8x4_t)y);
  }
  magnitudes |= magnitudes >> 16;
#else
  size_t i = 0;
#if FRONTEND_SSE2
  __m128i all = _mm_setzero_si128();
  for (; i + 4 <= pairs; i += 4) {
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(in + 2 * i));
    __m128i w = _mm_loadu_si128((const __m128i *)(const void *)(window + 2 * i));
    __m128i y = _mm_or_si128(_mm_slli_epi16(_mm_mulhi_epi16(x, w), 16 - WINDOW_BITS),
                             _mm_srli_epi16(_mm_mullo_epi16(x, w), WINDOW_BITS));
    _mm_storeu_si128((__m128i *)(void *)(out + i), y);
    __m128i sign = _mm_srai_epi16(y, 15);
    all = _mm_or_si128(all, _mm_sub_epi16(_mm_xor_si128(y, sign), sign));
  }
  uint16_t lanes[8];
  _mm_storeu_si128((__m128i *)(void *)lanes, all);
  for (size_t k = 0; k < 8; ++k) magnitudes |= lanes[k];
#endif
  for (; i < pairs; ++i) {
    int32_t first = (in[2 * i] * window[2 * i]) >> WINDOW_BITS;
    int32_t second = (in[2 * i + 1] * window[2 * i + 1]) >> WINDOW_BITS;
    out[i].c.re = (int16_t)first;
    out[i].c.im = (int16_t)second;
    magnitudes |= (uint32_t)(first < 0 ? -first : first) | (uint32_t)(second < 0 ? -second : second);
  }
#endif
  int shift = 15 - fx_bits(magnitudes & 0x7fff);
  if (shift > 0 && (magnitudes & 0x8000)) clear_minimum(out, pairs);
  return shift;
}
