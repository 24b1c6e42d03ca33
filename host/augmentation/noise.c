/* Coloured noise, and how loud a signal is. */
#include <math.h>

#include "augmentation.h"
#include "effects.h"
#include "random.h"

#define SECTIONS 5
#define LOWEST_HZ 10.0

/* Nearly normal, of variance 1: a sum of four uniform numbers. */
static float normal(random_t *r) {
  uint32_t a = random_word(r), b = random_word(r);
  int32_t sum = (int32_t)((a & 0xffff) + (a >> 16) + (b & 0xffff) + (b >> 16));
  return (float)(sum - 131070) * (1.7320508f / 65536.0f);
}

/* Poles evenly spread over the octaves from LOWEST_HZ to half the rate, each followed by a zero after
 * `slope` of the way to the next: on average the response falls by that share of 6 dB an octave. */
void augmentation_noise(uint64_t seed, float slope, uint32_t rate, float *out, size_t samples) {
  double ratio = pow(rate / 2 / LOWEST_HZ, 1.0 / SECTIONS), pole[SECTIONS], zero[SECTIONS];
  double x1[SECTIONS] = {0}, y1[SECTIONS] = {0}, frequency = LOWEST_HZ;
  for (int i = 0; i < SECTIONS; ++i, frequency *= ratio) {
    pole[i] = exp(-2 * PI * frequency / rate);
    zero[i] = exp(-2 * PI * frequency * pow(ratio, slope) / rate);
  }
  random_t r = random_start(seed, 0);
  size_t settling = rate / 4;
  double energy = 0;
  for (size_t i = 0; i < samples + settling; ++i) {
    double value = normal(&r);
    for (int k = 0; k < SECTIONS; ++k) {
      y1[k] = value - zero[k] * x1[k] + pole[k] * y1[k];
      x1[k] = value;
      value = y1[k];
    }
    if (i < settling) continue;
    out[i - settling] = (float)value;
    energy += value * value;
  }
  float scale = energy > 0 ? (float)sqrt((double)samples / energy) : 0;
  for (size_t i = 0; i < samples; ++i) out[i] *= scale;
}

float augmentation_energy(const float *signal, size_t samples) {
  float4_t even = {0}, odd = {0};
  size_t i = 0;
  for (; i + 8 <= samples; i += 8) {
    float4_t a = load4(signal + i), b = load4(signal + i + 4);
    even += a * a;
    odd += b * b;
  }
  float sum = sum4(even + odd);
  for (; i < samples; ++i) sum += signal[i] * signal[i];
  return sum;
}

float augmentation_loudness(const float *signal, size_t samples) {
  enum { BLOCKS = 20 };
  size_t block = samples / BLOCKS;
  if (!block) return 0;
  float sorted[BLOCKS];
  for (size_t i = 0; i < BLOCKS; ++i) {
    float energy = augmentation_energy(signal + i * block, block);
    size_t at = i;
    for (; at && sorted[at - 1] > energy; --at) sorted[at] = sorted[at - 1];
    sorted[at] = energy;
  }
  float sum = 0;
  for (size_t i = BLOCKS / 2; i < BLOCKS; ++i) sum += sorted[i];
  return sqrtf(sum / (float)(block * (BLOCKS / 2)));
}
