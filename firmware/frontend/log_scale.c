/* Natural logarithm in fixed point: the integer part from the highest bit, the fraction from a table
 * of the curve's distance to its chord. */
#include "fixed_point.h"
#include "stages.h"

#define LN2_Q16 45426
#define SEGMENT_BITS 9 /* Q16 fraction in 128 segments */

static inline uint32_t scaled_log(uint32_t x, const uint16_t *table, unsigned shift) {
  int zeros = __builtin_clz(x);
  uint32_t fraction = (x << zeros << 1) >> 16; /* what follows the highest bit, Q16 */
  const uint16_t *segment = table + (fraction >> SEGMENT_BITS);
  /* The reference divides this product by 2^16 where 2^9 would interpolate: kept for its bits. */
  int32_t rise = ((segment[1] - segment[0]) * (int32_t)(fraction & ((1u << SEGMENT_BITS) - 1))) >> 16;
  uint32_t log2 = ((uint32_t)(31 - zeros) << 16) + fraction + segment[0] + (uint32_t)rise;
  /* log2 * ln 2, rounded: both factors shifted so that the product's high word is the result. The
   * interpolation takes the largest values a little over 32, so log2 is shifted by one less than fits. */
  uint32_t ln = (uint32_t)(((int64_t)(int32_t)(log2 << 9) * (LN2_Q16 << 7) + (1u << 31)) >> 32);
  return ((ln << shift) + (1u << 15)) >> 16;
}

static void log_column(const frontend_config_t *config, const uint32_t *channels, uint16_t *column) {
  const uint16_t *table = config->log_table;
  unsigned shift = config->log_shift;
  int left = config->correction_bits > 0 ? config->correction_bits : 0;
  int right = left - config->correction_bits;
  for (size_t i = 0, count = config->channels; i < count; ++i) {
    uint32_t value = (channels[i] << left) >> right;
    column[i] = (uint16_t)(value > 1 ? scaled_log(value, table, shift) : 0);
  }
}

void frontend_log_scale(const frontend_config_t *config, const uint32_t *channels,
                        uint16_t *column) {
  if (config->log_table) {
    log_column(config, channels, column);
  } else {
    for (size_t i = 0; i < config->channels; ++i)
      column[i] = (uint16_t)(channels[i] < UINT16_MAX ? channels[i] : UINT16_MAX);
  }
}
