/* What a clip goes through on its way to a microphone and through the front end, as training needs it:
 * millions of examples, each a function of its key alone.
 *
 * Two steps: augmentation_draw draws what is to be done to an example, augmentation_render does it.
 * augmentation_examples does both for many and runs the front end on the result. All memory is the
 * caller's; nothing is written but outputs and scratch, so any number of threads may share a source.
 */
#ifndef TOKAY_AUGMENTATION_H
#define TOKAY_AUGMENTATION_H

#include <stddef.h>
#include <stdint.h>

#include "frontend.h"

/* Ranges are {least, most}; a probability of 0 turns its effect off. */
typedef struct {
  float speed[2];
  float gain[2];
  float pitch_probability, pitch_semitones[2];
  float noise_probability, noise_snr_db[2];
  float lead_in_probability, lead_in_ms[2], settled_ms[2];
  float room_probability, room_rt60_s[2], room_direct_db[2];
  float microphone_probability;
  float clipping_probability, clipping_db[2];
  float shift_ms, unknown_shift_ms; /* either way */
  uint32_t sample_rate_hz;
} augmentation_settings_t;

typedef enum { AUGMENTATION_KEYWORD, AUGMENTATION_UNKNOWN, AUGMENTATION_SILENCE } augmentation_kind_t;

/* An example to make. `clip` is an index, or -1: noise alone (silence only). */
typedef struct {
  int32_t clip;
  int32_t kind;
} augmentation_job_t;

enum { AUGMENTATION_NO_NOISE = -2, AUGMENTATION_MADE_NOISE = -1 };

/* What was drawn for one example. An effect that is off has the value that changes nothing. */
typedef struct {
  float speed;
  float pitch_semitones;   /* 0: off */
  int32_t shift_samples;   /* later if positive */
  int32_t lead_in_samples; /* heard before the clip; whole steps of the front end */
  int32_t lead_in_clip;    /* whose end is heard there, or -1 */
  float lead_in_level;     /* its loudness by the clip's */
  float settled_ms;        /* as long as that the noise estimate takes the lead-in to have lasted; 0: as it is */
  float room_rt60_s;       /* seconds to fall by 60 dB; 0: off */
  float room_direct_db;    /* direct sound by all of the reverberation */
  uint32_t room_seed;
  int32_t noise; /* index of a recording, or one of the enum above */
  int32_t noise_row;      /* of the made noises */
  uint32_t noise_start;   /* share of the possible starts, Q32; of a silent clip's too */
  float noise_snr_db;     /* clips: loudness of the word by that of the noise */
  float noise_loudness;   /* silence: of the noise, or the factor on the recorded silence */
  float highpass_hz;      /* of the microphone; 0: off, with the next five */
  float shelf_hz, shelf_db;
  float peak_hz, peak_db, peak_q;
  float clipping_db;     /* how far the peak would go beyond the limit; 0: off */
  int32_t clipping_soft; /* 1: bends towards the limit, 0: cut off there */
  float gain;
  float floor_rms; /* of the quiet white noise under everything, in units of int16 */
  uint32_t floor_start;
} augmentation_draw_t;

/* Everything examples are made from. */
typedef struct {
  augmentation_settings_t settings;
  uint32_t clip_samples;
  const frontend_config_t *frontend;
  const int16_t *clips; /* [clip_count][clip_samples] */
  size_t clip_count;
  const int16_t *const *recordings; /* background; one shorter than an example is repeated */
  const size_t *recording_samples;
  size_t recording_count;
  const float *noises; /* [noise_rows][noise_samples], see augmentation_noise; row 0 is white */
  size_t noise_rows;
  size_t noise_samples; /* more than any example has */
  const float *filters; /* augmentation_filter_values() of augmentation_design_filters */
} augmentation_source_t;

/* The draw of the example `index` under `key`. */
void augmentation_draw(const augmentation_source_t *source, augmentation_job_t job, uint64_t key,
                       uint64_t index, augmentation_draw_t *draw);

/* Samples that a draw makes, and the most that any draw of the source makes. */
size_t augmentation_samples(const augmentation_source_t *source, const augmentation_draw_t *draw);
size_t augmentation_most_samples(const augmentation_source_t *source);

/* Scratch of the next two, in bytes; 16-byte aligned memory. */
size_t augmentation_scratch_bytes(const augmentation_source_t *source);

/* The PCM of a draw. */
void augmentation_render(const augmentation_source_t *source, augmentation_job_t job,
                         const augmentation_draw_t *draw, void *scratch, int16_t *pcm);

/* Features of jobs[0..count), whose indices under the key begin with `first`: [count][frames][channels],
 * the front end's last columns of each. */
void augmentation_examples(const augmentation_source_t *source, const augmentation_job_t *jobs,
                           size_t count, uint64_t key, uint64_t first, size_t frames, void *scratch,
                           int8_t *features);

/* Noise that falls by slope * 6 dB an octave from 10 Hz up, of loudness near 1. */
void augmentation_noise(uint64_t seed, float slope, uint32_t rate, float *out, size_t samples);

/* Root mean square of the louder half, in 20 blocks, so that a short word is not diluted. 0 for fewer
 * than 20 samples. */
float augmentation_loudness(const float *signal, size_t samples);

/* The interpolation filters of augmentation_speed. */
size_t augmentation_filter_values(void);
void augmentation_design_filters(float *filters);

/* How far features are perturbed, either way or at most. */
typedef struct {
  float warp;  /* share of the channel axis */
  float level; /* in units of the features; what is at the floor stays there */
  int32_t shift_frames;
  int32_t mask_channels, mask_frames;
} augmentation_perturbation_t;

/* Perturbs int8 features [count][frames][channels], drawn under the key for the indices from `first`. */
void augmentation_perturb(const augmentation_perturbation_t *settings, const int8_t *features,
                          size_t count, size_t frames, size_t channels, uint64_t key, uint64_t first,
                          float *out);

/* Sizes of settings, job, draw, source and perturbation, for those that lay them out themselves. */
extern const uint32_t augmentation_sizes[5];

#endif
