/* Spectral subtraction of a running noise estimate, and the detector of activity. */
#include "fixed_point.h"
#include "stages.h"

#define NOISE_BITS 14

static inline void reduce(uint32_t *channel, uint32_t *estimate, uint32_t smoothing,
                          uint32_t min_signal, unsigned bits) {
  uint32_t signal = *channel;
  uint32_t scaled = signal << bits;
  uint32_t noise = (uint32_t)(((uint64_t)scaled * smoothing +
                               (uint64_t)*estimate * ((1u << NOISE_BITS) - smoothing)) >> NOISE_BITS);
  *estimate = noise;
  uint32_t floor = (uint32_t)(((uint64_t)signal * min_signal) >> NOISE_BITS);
  uint32_t rest = noise > scaled ? 0 : (scaled - noise) >> bits;
  *channel = rest > floor ? rest : floor;
}

void frontend_noise_reduction(const frontend_config_t *config, uint32_t *estimate,
                              uint32_t *channels) {
  uint32_t even = config->noise_smoothing_even, odd = config->noise_smoothing_odd;
  uint32_t min_signal = config->noise_min_signal;
  unsigned bits = config->noise_smoothing_bits;
  size_t i = 0, count = config->channels;
  for (; i + 1 < count; i += 2) {
    reduce(channels + i, estimate + i, even, min_signal, bits);
    reduce(channels + i + 1, estimate + i + 1, odd, min_signal, bits);
  }
  if (i < count) reduce(channels + i, estimate + i, even, min_signal, bits);
}

/* out += (1 - k)(in - out) in Q8, rounded. */
static int32_t one_pole(int32_t in, int32_t out, int32_t k) {
  int64_t sum = (int64_t)(256 - k) * in + (int64_t)k * out;
  return (int32_t)(((sum >> 7) + 1) >> 1);
}

void frontend_detect_activity(const frontend_config_t *config, frontend_activity_t *state,
                              const uint32_t *channels) {
  uint32_t level = 0;
  for (size_t i = 0; i < config->channels; ++i) level += channels[i];
  level >>= config->activity_shift;
  state->fast = one_pole((int32_t)level, state->fast, config->activity_alpha_a);
  state->slow = one_pole((int32_t)level, state->slow, config->activity_alpha_b);
  int16_t ratio = state->armed ? config->activity_trip : config->activity_arm;
  int32_t threshold = (int32_t)(((int64_t)state->slow * ratio) >> 12);
  if (!state->armed) {
    state->armed = state->fast < threshold;
  } else if (state->fast > threshold) {
    state->armed = false;
    state->tripped = true;
  }
}
