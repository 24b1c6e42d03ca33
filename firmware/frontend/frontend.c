/* The streaming front end: collects windows of samples and runs the stages on each. */
#include "frontend.h"

#include <string.h>

#include "fixed_point.h"
#include "stages.h"

struct frontend {
  const frontend_config_t *config;
  frontend_activity_t activity;
  frontend_dc_notch_t notch;
  uint16_t used; /* samples in `input` */
};
_Static_assert(sizeof(struct frontend) <= FRONTEND_STATE_HEADER_BYTES, "the header has outgrown its size");

/* Behind the header lie the buffers, each 8-byte aligned: their offsets from the start. */
typedef struct {
  size_t input;    /* int16_t: the window being filled */
  size_t window;   /* frontend_complex_t: windowed samples, zero up to the FFT's length */
  size_t bins;     /* frontend_complex_t: FFT, then energies */
  size_t channels; /* uint32_t: then, over it, the column */
  size_t estimate; /* uint32_t: noise by channel */
  size_t bytes;    /* of all, with the header */
} layout_t;

static size_t rounded(size_t bytes) { return (bytes + 7u) & ~(size_t)7u; }

static layout_t layout(const frontend_config_t *config) {
  /* Rounded up, an odd last sample has a partner too: samples are windowed in pairs. */
  size_t input_bytes = rounded(config->window_samples * sizeof(int16_t));
  size_t fft_bytes = rounded(config->fft_length * sizeof(int16_t));
  size_t channel_bytes = rounded(config->channels * sizeof(uint32_t));
  layout_t at = {.input = FRONTEND_STATE_HEADER_BYTES};
  at.window = at.input + input_bytes;
  at.bins = at.window + fft_bytes;
  at.channels = at.bins + fft_bytes;
  at.estimate = at.channels + channel_bytes;
  at.bytes = at.estimate + (config->noise_reduction ? channel_bytes : 0);
  return at;
}

static void *at_offset(frontend_t *fe, size_t offset) { return (uint8_t *)fe + offset; }

size_t frontend_state_bytes(const frontend_config_t *config) { return layout(config).bytes; }

frontend_t *frontend_init(const frontend_config_t *config, void *memory, size_t bytes) {
  if (!memory || (uintptr_t)memory % 8 || bytes < layout(config).bytes) return NULL;
  frontend_t *fe = memory;
  fe->config = config;
  frontend_reset(fe);
  return fe;
}

void frontend_reset(frontend_t *fe) {
  const frontend_config_t *config = fe->config;
  memset(fe, 0, layout(config).bytes);
  fe->config = config;
}

const frontend_config_t *frontend_config_of(const frontend_t *fe) { return fe->config; }

static const uint16_t *process_window(frontend_t *fe, const layout_t *at) {
  const frontend_config_t *config = fe->config;
  frontend_complex_t *window = at_offset(fe, at->window);
  frontend_complex_t *bins = at_offset(fe, at->bins);
  uint32_t *channels = at_offset(fe, at->channels);
  uint32_t *estimate = at_offset(fe, at->estimate);
  uint16_t *column = at_offset(fe, at->channels);

  int shift = frontend_window(config, at_offset(fe, at->input), window);
  frontend_spectrum(config, window, shift, bins);
  frontend_filterbank(config, bins, shift, channels);
  if (config->activity) frontend_detect_activity(config, &fe->activity, channels);
  if (config->noise_reduction) frontend_noise_reduction(config, estimate, channels);
  if (config->pcan_gains) frontend_pcan(config, estimate, channels);
  frontend_log_scale(config, channels, column);
  return column;
}

size_t frontend_process(frontend_t *fe, const int16_t *samples, size_t count,
                        const uint16_t **column) {
  const frontend_config_t *config = fe->config;
  layout_t at = layout(config);
  int16_t *input = at_offset(fe, at.input);
  size_t taken = config->window_samples - fe->used;
  if (taken > count) taken = count;
  *column = NULL;
  if (taken) {
    if (config->dc_notch) {
      frontend_dc_notch(config, &fe->notch, samples, input + fe->used, taken);
    } else {
      memcpy(input + fe->used, samples, taken * sizeof *samples);
    }
    fe->used = (uint16_t)(fe->used + taken);
  }
  if (fe->used < config->window_samples) return taken;

  *column = process_window(fe, &at);
  size_t kept = config->window_samples - config->step_samples;
  memmove(input, input + config->step_samples, kept * sizeof *input);
  fe->used = (uint16_t)kept;
  return taken;
}

uint32_t *frontend_noise_estimate(frontend_t *fe) {
  if (!fe->config->noise_reduction) return NULL;
  layout_t at = layout(fe->config);
  return at_offset(fe, at.estimate);
}

bool frontend_activity(frontend_t *fe) {
  bool tripped = fe->activity.tripped;
  fe->activity.tripped = false;
  return tripped;
}
