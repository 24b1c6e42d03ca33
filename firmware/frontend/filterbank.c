/* Triangular filters over the energy spectrum, and the square root of what they collect. */
#include <math.h>

#include "fixed_point.h"
#include "stages.h"

#define WEIGHT_BITS 12

/* Square root rounded to nearest, except that below 2^32 the result stays within 16 bits. */
#if FRONTEND_DSP && defined(__ARM_FP) && (__ARM_FP & 4)
/* x < 2^44: the float root is off by less than 0.4, so that rounded down it is the integer before or
 * the right one, and the remainder tells which. */
static inline uint32_t square_root(uint64_t x) {
  float root, value = (float)(uint32_t)(x >> 32) * 4294967296.0f + (float)(uint32_t)x;
  __asm__("vsqrt.f32 %0, %1" : "=t"(root) : "t"(value));
  uint32_t r = (uint32_t)root;
  int32_t remainder = (int32_t)((uint32_t)x - r * r); /* fits: within 3r of 0 */
  r += remainder > (int32_t)r;
  return FX_RARE(r == 0x10000 && x >> 32 == 0) ? 0xffff : r;
}
#elif defined(__x86_64__) || defined(__aarch64__)
static inline uint32_t square_root(uint64_t x) { /* x < 2^52: exact but for the rounding down */
  uint64_t r = (uint64_t)sqrt((double)x);
  r += x - r * r > r;
  return (r == 0x10000 && x >> 32 == 0) ? 0xffff : (uint32_t)r;
}
#else
/* Bit by bit, in 32 bits where they do. */
#define SQUARE_ROOT_BITS(type, x, highest)                                \
  do {                                                                    \
    type rest = (type)(x), r = 0;                                         \
    for (type bit = (type)1 << ((highest) & ~1); bit; bit >>= 2) {        \
      if (rest >= r + bit) {                                              \
        rest -= r + bit;                                                  \
        r = (r >> 1) + bit;                                               \
      } else {                                                            \
        r >>= 1;                                                          \
      }                                                                   \
    }                                                                     \
    return (uint32_t)(r + (rest > r));                                    \
  } while (0)

static uint32_t square_root_32(uint32_t x) { SQUARE_ROOT_BITS(uint32_t, x, 31 - __builtin_clz(x)); }
static uint32_t square_root_64(uint64_t x) { SQUARE_ROOT_BITS(uint64_t, x, 63 - __builtin_clzll(x)); }

static uint32_t square_root(uint64_t x) {
  if (x == 0) return 0;
  if (x >> 32) return square_root_64(x);
  uint32_t r = square_root_32((uint32_t)x);
  return r == 0x10000 ? 0xffff : r;
}
#endif

/* The i-th bin whose two parts add to 4097, or the end. */
static inline const frontend_complex_t *tied_bin(const frontend_config_t *config,
                                                 const frontend_complex_t *bins, size_t i) {
  return bins + (i < config->tied_count ? config->tied_bins[i] : config->end_bin);
}

/* A bin gives w/4096 of its energy to the channel of its rising edge and the rest to the channel
 * before, which is 4096 times its energy less the first part: one long multiplication a bin. The
 * plain sum of energies stays in 32 bits, because the FFT's scaling bounds the energy of a whole
 * spectrum by a quarter of 2^31 and a little rounding. */
void frontend_filterbank(const frontend_config_t *config, const frontend_complex_t *bins, int shift,
                         uint32_t *channels) {
  const frontend_complex_t *bin = bins + config->first_bin;
  const uint16_t *weight = config->weights;
  size_t tied = 0;
  const frontend_complex_t *next_tied = tied_bin(config, bins, tied);
  uint64_t falling = 0;
  for (size_t edge = 0; edge <= config->channels; ++edge) {
    uint64_t rising = 0;
    uint32_t sum = 0;
    for (size_t left = config->edge_widths[edge]; left; --left) {
      uint32_t energy = (bin++)->word;
      rising += (uint64_t)energy * *weight++;
      sum += energy;
    }
    if (edge > 0) channels[edge - 1] = square_root(rising + falling) >> shift;
    falling = ((uint64_t)sum << WEIGHT_BITS) - rising;
    while (FX_RARE(next_tied < bin)) {
      falling += next_tied->word;
      next_tied = tied_bin(config, bins, ++tied);
    }
  }
}
