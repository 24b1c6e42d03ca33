/* The stages of the front end, in the order they run on each window. Internal: the interface is
 * frontend.h. Spectrum bins and channel values are worked on in place. */
#ifndef TOKAY_FRONTEND_STAGES_H
#define TOKAY_FRONTEND_STAGES_H

#include "frontend_config.h"

/* H(z) = (1 - z^-1) / (1 - k z^-1), across calls. */
typedef struct {
  int16_t last_in, last_out;
} frontend_dc_notch_t;

/* Two one-pole filters of the column's level, and the detector that compares them. */
typedef struct {
  int32_t fast, slow;
  bool armed, tripped;
} frontend_activity_t;

void frontend_dc_notch(const frontend_config_t *config, frontend_dc_notch_t *state,
                       const int16_t *in, int16_t *out, size_t count);

/* Multiplies by the window. Returns the left shift that brings the largest value to full scale;
 * every value of `out` shifted by it fits in 16 bits. */
int frontend_window(const frontend_config_t *config, const int16_t *in,
                    frontend_complex_t *out);

/* FFT of `in` << shift ([fft_length] as fft_length/2 even-odd pairs), then the energy of each bin
 * that the filterbank uses, in bins[first_bin..end_bin). */
void frontend_spectrum(const frontend_config_t *config, const frontend_complex_t *in, int shift,
                       frontend_complex_t *bins);

/* Square root of each channel's weighted energy, with the shift undone. */
void frontend_filterbank(const frontend_config_t *config, const frontend_complex_t *bins, int shift,
                         uint32_t *channels);

void frontend_detect_activity(const frontend_config_t *config, frontend_activity_t *state,
                              const uint32_t *channels);
void frontend_noise_reduction(const frontend_config_t *config, uint32_t *estimate,
                              uint32_t *channels);
void frontend_pcan(const frontend_config_t *config, const uint32_t *estimate, uint32_t *channels);

/* Logarithm or identity, saturated to 16 bits; column may lie over channels. */
void frontend_log_scale(const frontend_config_t *config, const uint32_t *channels,
                        uint16_t *column);

#endif
