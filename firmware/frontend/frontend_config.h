/* The settings and tables of one front end, as codegen.frontend designs them. Constant data: it can
 * lie in flash and be shared by any number of streams.
 *
 * Notation: Qn is fixed point with n bits after the point. A pointer that its stage does not use may
 * be NULL. All arrays are 4-byte aligned.
 */
#ifndef TOKAY_FRONTEND_CONFIG_H
#define TOKAY_FRONTEND_CONFIG_H

#include "frontend.h"

/* A complex number of the FFT, Q15. `word` is how the DSP instructions read it (little-endian: re in
 * the low half). An FFT bin's place later holds its energy, re^2 + im^2. */
typedef union frontend_complex {
  struct {
    int16_t re, im;
  } c;
  uint32_t word;
} frontend_complex_t;

struct frontend_config {
  /* Tables */
  const int16_t *window;                   /* Q12 [window_samples, even] the last is 0 if padded */
  const uint16_t *fft_order;               /* [blocks of 4 or 8 points] place of each first block */
  const frontend_complex_t *fft_twiddles;  /* three for each j > 0 of each radix-4 stage */
  const frontend_complex_t *real_twiddles; /* [fft_length/4] for bins 1, 2, ... */
  const uint16_t *edge_widths;             /* [channels + 1] bins of each rising edge */
  const uint16_t *weights;                 /* Q12 [end_bin - first_bin] share of the edge's channel */
  const uint16_t *tied_bins;               /* [tied_count] bins whose two shares add to 4097 */
  const int16_t *pcan_gains;               /* [125] parabolas by octave; NULL: no PCAN */
  const uint16_t *log_table;               /* Q16 [129] log2(1+x) - x; NULL: linear output */

  /* Shape */
  uint16_t sample_rate_hz;
  uint16_t window_samples; /* a column covers this many samples */
  uint16_t step_samples;   /* and starts this many after the one before, <= window_samples */
  uint16_t fft_length;     /* power of two >= window_samples, >= 8 */
  uint16_t channels;       /* values of a column */
  uint16_t frames;         /* columns that the network classifies */
  uint16_t first_bin;      /* FFT bins that the filterbank uses: [first_bin, end_bin), */
  uint16_t end_bin;        /* 1 <= first_bin, end_bin <= fft_length/2 */
  uint16_t tied_count;

  /* Noise reduction: signal less a smoothed estimate, but never below a share of the signal. */
  uint16_t noise_smoothing_even; /* Q14, channels 0, 2, ... */
  uint16_t noise_smoothing_odd;  /* Q14, channels 1, 3, ... */
  uint16_t noise_min_signal;     /* Q14 */

  /* Quantization to int8: 0 is the static scale 0..666, else the range below the clip's maximum. */
  uint16_t dynamic_range;

  int16_t dc_notch_coefficient; /* Q15 */
  int16_t activity_alpha_a;     /* Q8, the fast filter */
  int16_t activity_alpha_b;     /* Q8, the slow one */
  int16_t activity_arm;         /* Q12 ratio fast/slow below which the detector is armed */
  int16_t activity_trip;        /* Q12 and above which it then trips */

  uint8_t noise_reduction; /* 1: on, as the next ones */
  uint8_t dc_notch;
  uint8_t activity;
  uint8_t noise_smoothing_bits;
  uint8_t activity_shift;
  uint8_t pcan_snr_shift;
  uint8_t log_shift;
  int8_t correction_bits; /* log2(fft_length) - 6: undoes the scaling of FFT and weights */
};

/* Bytes that frontend_state_bytes counts for the state besides its buffers, on any machine. */
#define FRONTEND_STATE_HEADER_BYTES 32u

#endif
