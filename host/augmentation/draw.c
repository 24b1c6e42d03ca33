/* What is to be done to an example. Everything is drawn in one order whether it is used or not, so that
 * switching one effect off leaves the draws of the others as they were. */
#include <math.h>

#include "augmentation.h"
#include "frontend_config.h"
#include "random.h"

static int happens(random_t *r, float probability) { return random_share(r) < probability; }

static int32_t draw_lead_in(const augmentation_source_t *source, random_t *r) {
  const augmentation_settings_t *s = &source->settings;
  float ms = random_between(r, s->lead_in_ms);
  uint32_t step = source->frontend->step_samples;
  uint32_t samples = (uint32_t)(ms * (float)s->sample_rate_hz / 1000);
  return happens(r, s->lead_in_probability) ? (int32_t)(samples / step * step) : 0;
}

/* Each octave of times is as likely; 0: off. */
static float draw_settled(const augmentation_settings_t *s, random_t *r) {
  if (s->settled_ms[0] <= 0) return 0;
  const float octaves[] = {log2f(s->settled_ms[0]), log2f(s->settled_ms[1])};
  return exp2f(random_between(r, octaves));
}

/* A recording, or noise made: the latter as likely as two recordings. */
static int32_t draw_noise(const augmentation_source_t *source, random_t *r) {
  uint32_t choice = random_below(r, (uint32_t)source->recording_count + 2);
  if (choice < 2) return AUGMENTATION_MADE_NOISE;
  return source->recording_samples[choice - 2] ? (int32_t)choice - 2 : AUGMENTATION_MADE_NOISE;
}

static void draw_room(const augmentation_settings_t *s, random_t *r, augmentation_draw_t *d) {
  float rt60 = random_between(r, s->room_rt60_s);
  d->room_direct_db = random_between(r, s->room_direct_db);
  d->room_seed = random_word(r);
  d->room_rt60_s = happens(r, s->room_probability) ? rt60 : 0;
}

static void draw_microphone(const augmentation_settings_t *s, random_t *r, augmentation_draw_t *d) {
  float rate = (float)s->sample_rate_hz;
  float highpass = random_between(r, (const float[]){40, 250});
  d->shelf_hz = rate * random_between(r, (const float[]){0.1f, 0.3f});
  d->shelf_db = random_between(r, (const float[]){-6, 6});
  d->peak_hz = rate * random_between(r, (const float[]){0.05f, 0.4f});
  d->peak_db = random_between(r, (const float[]){-6, 6});
  d->peak_q = random_between(r, (const float[]){0.7f, 2.5f});
  d->highpass_hz = happens(r, s->microphone_probability) ? highpass : 0;
}

static void draw_word(const augmentation_source_t *source, augmentation_job_t job, random_t *r,
                      augmentation_draw_t *d) {
  const augmentation_settings_t *s = &source->settings;
  float most = (job.kind == AUGMENTATION_UNKNOWN ? s->unknown_shift_ms : s->shift_ms);
  uint32_t reach = (uint32_t)(most * (float)s->sample_rate_hz / 1000);
  d->speed = random_between(r, s->speed);
  float semitones = random_between(r, s->pitch_semitones);
  d->pitch_semitones = happens(r, s->pitch_probability) ? semitones : 0;
  d->shift_samples = (int32_t)random_below(r, 2 * reach + 1) - (int32_t)reach;
  int32_t other = (int32_t)random_below(r, (uint32_t)source->clip_count);
  d->lead_in_clip = happens(r, 0.5f) && d->lead_in_samples ? other : -1;
  d->lead_in_level = random_between(r, (const float[]){0.3f, 1.2f});
  draw_room(s, r, d);
  d->noise_snr_db = random_between(r, s->noise_snr_db);
  if (!happens(r, s->noise_probability)) d->noise = AUGMENTATION_NO_NOISE;
  float clipping = random_between(r, s->clipping_db);
  d->clipping_soft = random_word(r) >> 31;
  d->clipping_db = happens(r, s->clipping_probability) ? clipping : 0;
  d->gain = random_between(r, s->gain);
}

static void draw_silence(augmentation_job_t job, random_t *r, augmentation_draw_t *d) {
  float share = random_share(r);
  if (job.clip >= 0) { /* a recorded silence, softer or louder */
    d->noise = AUGMENTATION_NO_NOISE;
    d->noise_loudness = powf(10, -0.7f + 1.2f * share);
  } else { /* from 1 to 4000 */
    d->noise_loudness = powf(10, 3.6f * share);
  }
}

void augmentation_draw(const augmentation_source_t *source, augmentation_job_t job, uint64_t key,
                       uint64_t index, augmentation_draw_t *draw) {
  random_t r = random_start(key, index);
  augmentation_draw_t d = {.speed = 1, .gain = 1, .lead_in_clip = -1};
  d.lead_in_samples = draw_lead_in(source, &r);
  d.noise = draw_noise(source, &r);
  d.noise_row = (int32_t)random_below(&r, (uint32_t)source->noise_rows);
  d.noise_start = random_word(&r);
  d.floor_rms = 2 * random_share(&r); /* a microphone is never digitally silent */
  d.floor_start = random_word(&r);
  draw_microphone(&source->settings, &r, &d);
  if (job.kind == AUGMENTATION_SILENCE) {
    draw_silence(job, &r, &d);
  } else {
    draw_word(source, job, &r, &d);
  }
  if (d.lead_in_samples) d.settled_ms = draw_settled(&source->settings, &r);
  *draw = d;
}
