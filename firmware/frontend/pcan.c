/* Per-channel automatic gain control: each channel is divided by a power of its noise estimate and
 * compressed. */
#include "fixed_point.h"
#include "stages.h"

#define SNR_BITS 12
#define OUTPUT_BITS 6

/* The gain at a noise estimate: a parabola in the position within the estimate's octave. */
static int16_t gain_at(uint32_t x, const int16_t *gains) {
  if (x <= 2) return gains[x];
  int octave = fx_bits(x);
  const int16_t *parabola = gains + 4 * octave - 6;
  int32_t position = (int32_t)((octave < 11 ? x << (11 - octave) : x >> (octave - 11)) & 0x3ff); /* Q10 */
  int32_t slope = ((parabola[2] * position) >> 5) + parabola[1] * 32;
  int32_t rise = (int32_t)((uint32_t)slope * (uint32_t)position + (1u << 14)) >> 15;
  return (int16_t)(parabola[0] + rise);
}

/* Square below 2, x - 1 above: the two meet with the same slope. */
static uint32_t compress(uint32_t x) {
  if (x < 2u << SNR_BITS) return (x * x) >> (2 + 2 * SNR_BITS - OUTPUT_BITS);
  return (x >> (SNR_BITS - OUTPUT_BITS)) - (1u << OUTPUT_BITS);
}

void frontend_pcan(const frontend_config_t *config, const uint32_t *estimate, uint32_t *channels) {
  for (size_t i = 0; i < config->channels; ++i) {
    uint32_t gain = (uint32_t)(int32_t)gain_at(estimate[i], config->pcan_gains);
    channels[i] = compress((uint32_t)(((uint64_t)channels[i] * gain) >> config->pcan_snr_shift));
  }
}
