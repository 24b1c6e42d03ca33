/* Spectrogram to the network's int8 input, as the vendor's front end does it. */
#include "frontend_config.h"

#define STATIC_RANGE 666 /* the log spectrogram's usual maximum */

static int8_t clamp(int32_t value) {
  return (int8_t)(value < INT8_MIN ? INT8_MIN : value > INT8_MAX ? INT8_MAX : value);
}

void frontend_quantize(const uint16_t *values, size_t count, int8_t *features) {
  for (size_t i = 0; i < count; ++i)
    features[i] = clamp((values[i] * 256 + STATIC_RANGE / 2) / STATIC_RANGE - 128);
}

void frontend_quantize_dynamic(const frontend_config_t *config, const uint16_t *spectrogram,
                               size_t count, int8_t *features) {
  int32_t high = 0;
  for (size_t i = 0; i < count; ++i)
    if (spectrogram[i] > high) high = spectrogram[i];
  int32_t low = high > config->dynamic_range ? high - config->dynamic_range : 0;
  int32_t range = high > low ? high - low : 1;
  for (size_t i = 0; i < count; ++i)
    features[i] = clamp((spectrogram[i] - low) * 255 / range - 128);
}
