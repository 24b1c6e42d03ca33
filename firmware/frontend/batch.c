/* Whole clips at a time, for the PC's tools: not part of board images. */
#include "batch.h"

#include <string.h>

#include "frontend_config.h"

size_t frontend_stream(frontend_t *fe, const int16_t *samples, size_t count, uint16_t *out,
                       size_t columns) {
  size_t channels = frontend_config_of(fe)->channels, written = 0;
  while (count) {
    const uint16_t *column;
    size_t taken = frontend_process(fe, samples, count, &column);
    samples += taken;
    count -= taken;
    if (column && written < columns) memcpy(out + written++ * channels, column, channels * sizeof *out);
  }
  return written;
}

void frontend_quantize_clip(const frontend_config_t *config, const uint16_t *spectrogram, size_t values,
                            int8_t *features) {
  if (config->dynamic_range) {
    frontend_quantize_dynamic(config, spectrogram, values, features);
  } else {
    frontend_quantize(spectrogram, values, features);
  }
}

void frontend_clips(frontend_t *fe, const int16_t *audio, size_t clips, size_t samples,
                    size_t frames, uint16_t *scratch, int8_t *features) {
  const frontend_config_t *config = frontend_config_of(fe);
  size_t values = frames * config->channels;
  for (size_t clip = 0; clip < clips; ++clip) {
    frontend_reset(fe);
    frontend_stream(fe, audio + clip * samples, samples, scratch, frames);
    frontend_quantize_clip(config, scratch, values, features + clip * values);
  }
}

size_t frontend_config_bytes(void) { return sizeof(frontend_config_t); }
