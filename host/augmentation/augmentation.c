/* The chain from a clip to a microphone's PCM and on to the network's features. */
#include "augmentation.h"

#include <math.h>

#include "batch.h"
#include "effects.h"
#include "frontend_config.h"

const uint32_t augmentation_sizes[5] = {
    sizeof(augmentation_settings_t), sizeof(augmentation_job_t), sizeof(augmentation_draw_t),
    sizeof(augmentation_source_t), sizeof(augmentation_perturbation_t)};

/* The most that a shift of pitch by an octave stretches. */
#define MOST_STRETCH 2.0f

size_t augmentation_samples(const augmentation_source_t *source, const augmentation_draw_t *draw) {
  return source->clip_samples + (size_t)draw->lead_in_samples;
}

size_t augmentation_most_samples(const augmentation_source_t *source) {
  const augmentation_settings_t *s = &source->settings;
  float lead_in = s->lead_in_probability > 0 ? s->lead_in_ms[1] * (float)s->sample_rate_hz / 1000 : 0;
  return source->clip_samples + (size_t)lead_in;
}

static size_t columns_of(const frontend_config_t *config, size_t samples) {
  return samples < config->window_samples ? 0 : (samples - config->window_samples) / config->step_samples + 1;
}

/* The scratch memory's parts, each 16-byte aligned: their offsets from the start. */
typedef struct {
  size_t clip;      /* float: the clip between zeros */
  size_t stretched; /* float: ditto, at its new tempo */
  size_t signal;    /* float: the example */
  size_t noise;     /* float: a piece of a recording */
  size_t room;      /* float */
  size_t pcm;       /* int16_t */
  size_t columns;   /* uint16_t: the spectrogram, lead-in included */
  size_t frontend;
  size_t bytes;
} layout_t;

static size_t rounded(size_t bytes) { return (bytes + 15u) & ~(size_t)15u; }

static layout_t layout(const augmentation_source_t *source) {
  size_t padding = 2 * speed_padding(source->settings.sample_rate_hz);
  size_t most = augmentation_most_samples(source), stretched = (size_t)(MOST_STRETCH * (float)source->clip_samples);
  layout_t at = {.clip = 0};
  at.stretched = rounded((source->clip_samples + padding) * sizeof(float));
  at.signal = at.stretched + rounded((stretched + padding) * sizeof(float));
  at.noise = at.signal + rounded(most * sizeof(float));
  at.room = at.noise + rounded(most * sizeof(float));
  at.pcm = at.room + rounded(room_scratch_values(source->settings.sample_rate_hz) * sizeof(float));
  at.columns = at.pcm + rounded(most * sizeof(int16_t));
  at.frontend = at.columns +
                rounded(columns_of(source->frontend, most) * source->frontend->channels * sizeof(uint16_t));
  at.bytes = at.frontend + rounded(frontend_state_bytes(source->frontend));
  return at;
}

size_t augmentation_scratch_bytes(const augmentation_source_t *source) { return layout(source).bytes; }

static float *floats_at(void *scratch, size_t offset) { return (float *)(void *)((uint8_t *)scratch + offset); }

/* Where the clip's energy is centred: what a change of speed leaves in its place. */
static float centre(const float *clip, size_t samples) {
  enum { BLOCK = 64 };
  float sum = 0, moment = 0;
  for (size_t at = 0; at + BLOCK <= samples; at += BLOCK) {
    float energy = augmentation_energy(clip + at, BLOCK);
    sum += energy;
    moment += energy * ((float)at + BLOCK / 2.0f);
  }
  return sum > 0 ? moment / sum : (float)samples / 2;
}

/* The clip at its new speed, pitch and place. */
static void say(const augmentation_source_t *source, const int16_t *pcm, const augmentation_draw_t *draw,
                void *scratch, const layout_t *at, float *out) {
  size_t samples = source->clip_samples, padding = speed_padding(source->settings.sample_rate_hz);
  float *clip = floats_at(scratch, at->clip) + padding;
  memset(clip - padding, 0, padding * sizeof *clip);
  for (size_t i = 0; i < samples; ++i) clip[i] = pcm[i];
  memset(clip + samples, 0, padding * sizeof *clip);
  float middle = centre(clip, samples);
  double place = (double)middle, step = (double)draw->speed;
  size_t length = samples;
  if (draw->pitch_semitones != 0) {
    float factor = powf(2, draw->pitch_semitones / 12);
    float *stretched = floats_at(scratch, at->stretched) + padding;
    length = speed_stretch(clip, samples, factor, source->settings.sample_rate_hz, stretched);
    memset(stretched - padding, 0, padding * sizeof *clip);
    memset(stretched + length, 0, padding * sizeof *clip);
    clip = stretched;
    place *= (double)factor;
    step *= (double)factor;
  }
  if (step != 1) {
    double start = place - ((double)middle + draw->shift_samples) * step;
    speed_resample(source->filters, clip, length, start, step, out, samples);
    return;
  }
  ptrdiff_t shift = draw->shift_samples, count = (ptrdiff_t)samples;
  if (shift > count) shift = count;
  if (shift < -count) shift = -count;
  size_t left = shift > 0 ? (size_t)shift : 0, kept = samples - (size_t)(shift > 0 ? shift : -shift);
  memset(out, 0, samples * sizeof *out);
  memcpy(out + left, clip + (shift < 0 ? -shift : 0), kept * sizeof *out);
}

/* The end of another clip, before the word. */
static void say_before(const augmentation_source_t *source, const augmentation_draw_t *draw, float level,
                       float *lead_in) {
  size_t length = (size_t)draw->lead_in_samples, samples = source->clip_samples;
  size_t heard = length < samples ? length : samples;
  const int16_t *other = source->clips + (size_t)draw->lead_in_clip * samples + (samples - heard);
  float *to = lead_in + (length - heard);
  for (size_t i = 0; i < heard; ++i) to[i] = other[i];
  float loudness = augmentation_loudness(to, heard);
  float factor = draw->lead_in_level * level / (loudness > 1 ? loudness : 1);
  for (size_t i = 0; i < heard; ++i) to[i] *= factor;
}

/* One of `places` that a Q32 share stands for. */
static size_t place_of(uint32_t share, size_t places) { return (size_t)((uint64_t)share * places >> 32); }

static const float *made_noise(const augmentation_source_t *source, size_t row, uint32_t start, size_t samples) {
  return source->noises + row * source->noise_samples + place_of(start, source->noise_samples - samples);
}

/* A recording, forwards and backwards as often as it takes, from a drawn place. */
static void repeat(const int16_t *recording, size_t length, uint32_t start, float factor, float *out, size_t count) {
  size_t at = place_of(start, length);
  for (size_t i = 0; i < count; ++i) {
    size_t in_turn = at < length ? at : 2 * length - 1 - at;
    out[i] = (float)recording[in_turn] * factor;
    if (++at == 2 * length) at = 0;
  }
}

/* Adds the drawn noise at a loudness. */
static void add_noise(const augmentation_source_t *source, const augmentation_draw_t *draw, float loudness,
                      float *signal, size_t samples, float *scratch) {
  const float *noise = scratch;
  if (draw->noise >= 0) {
    const int16_t *recording = source->recordings[draw->noise];
    size_t length = source->recording_samples[draw->noise];
    if (length > samples) {
      recording += place_of(draw->noise_start, length - samples);
      for (size_t i = 0; i < samples; ++i) scratch[i] = recording[i];
    } else {
      repeat(recording, length, draw->noise_start, 1, scratch, samples);
    }
  } else {
    noise = made_noise(source, (size_t)draw->noise_row, draw->noise_start, samples);
  }
  float own = augmentation_loudness(noise, samples), factor = own > 1e-6f ? loudness / own : 0;
  for (size_t i = 0; i < samples; ++i) signal[i] += noise[i] * factor;
}

/* Rounded and saturated, as a microphone's converter does. */
static void convert(const augmentation_source_t *source, const augmentation_draw_t *draw, const float *signal,
                    size_t samples, int16_t *pcm) {
  const float *floor = made_noise(source, 0, draw->floor_start, samples);
  float gain = draw->gain, rms = draw->floor_rms;
  for (size_t i = 0; i < samples; ++i) {
    float x = signal[i] * gain + floor[i] * rms;
    x = x < -32768 ? -32768 : x;
    x = x > 32767 ? 32767 : x;
    pcm[i] = (int16_t)((int32_t)(x + 32768.5f) - 32768);
  }
}

static void render_word(const augmentation_source_t *source, augmentation_job_t job,
                        const augmentation_draw_t *draw, void *scratch, const layout_t *at, float *signal,
                        size_t samples) {
  uint32_t rate = source->settings.sample_rate_hz;
  float *word = signal + draw->lead_in_samples;
  memset(signal, 0, (size_t)draw->lead_in_samples * sizeof *signal);
  say(source, source->clips + (size_t)job.clip * source->clip_samples, draw, scratch, at, word);
  float level = augmentation_loudness(word, source->clip_samples);
  if (draw->lead_in_clip >= 0 && draw->lead_in_samples) say_before(source, draw, level, signal);
  if (draw->room_rt60_s > 0) {
    float *room = floats_at(scratch, at->room);
    room_respond(draw->room_seed, draw->room_rt60_s, draw->room_direct_db, rate, room, signal, samples);
    level = augmentation_loudness(word, source->clip_samples);
  }
  if (draw->noise != AUGMENTATION_NO_NOISE) {
    float loudness = level * powf(10, -draw->noise_snr_db / 20);
    add_noise(source, draw, loudness, signal, samples, floats_at(scratch, at->noise));
  }
}

static void render_silence(const augmentation_source_t *source, augmentation_job_t job,
                           const augmentation_draw_t *draw, void *scratch, const layout_t *at, float *signal,
                           size_t samples) {
  if (job.clip >= 0) {
    const int16_t *clip = source->clips + (size_t)job.clip * source->clip_samples;
    repeat(clip, source->clip_samples, draw->noise_start, draw->noise_loudness, signal, samples);
  } else {
    memset(signal, 0, samples * sizeof *signal);
    add_noise(source, draw, draw->noise_loudness, signal, samples, floats_at(scratch, at->noise));
  }
}

void augmentation_render(const augmentation_source_t *source, augmentation_job_t job,
                         const augmentation_draw_t *draw, void *scratch, int16_t *pcm) {
  layout_t at = layout(source);
  size_t samples = augmentation_samples(source, draw);
  float *signal = floats_at(scratch, at.signal);
  if (job.kind == AUGMENTATION_SILENCE) {
    render_silence(source, job, draw, scratch, &at, signal, samples);
  } else {
    render_word(source, job, draw, scratch, &at, signal, samples);
  }
  if (draw->highpass_hz > 0) {
    microphone_t microphone = {draw->highpass_hz, draw->shelf_hz, draw->shelf_db,
                               draw->peak_hz,     draw->peak_db,  draw->peak_q};
    microphone_respond(&microphone, source->settings.sample_rate_hz, signal, samples);
  }
  if (draw->clipping_db > 0) microphone_clip(draw->clipping_db, draw->clipping_soft, signal, samples);
  convert(source, draw, signal, samples, pcm);
}

/* The share that the noise estimate has of a steady sound's level after so many columns of it. */
static float settled_share(float smoothing, float columns) { return 1 - powf(1 - smoothing, columns); }

/* Brings the noise estimate to where the sound heard so far would have brought it had it lasted longer (or
 * shorter): it starts at zero and takes seconds, more than a lead-in can cost. */
static void settle(frontend_t *fe, size_t heard, float wanted) {
  const frontend_config_t *config = frontend_config_of(fe);
  uint32_t *estimate = frontend_noise_estimate(fe);
  if (!estimate || !heard) return;
  for (size_t i = 0; i < config->channels; ++i) {
    float smoothing = (float)(i % 2 ? config->noise_smoothing_odd : config->noise_smoothing_even) * 0x1p-14f;
    if (smoothing <= 0) continue;
    float factor = settled_share(smoothing, wanted) / settled_share(smoothing, (float)heard);
    float level = (float)estimate[i] * factor;
    estimate[i] = level < 4294967040.0f ? (uint32_t)level : 4294967040u; /* the largest float below 2^32 */
  }
}

/* The columns of a rendered example, those of its lead-in first. */
static void hear(frontend_t *fe, const augmentation_draw_t *draw, const int16_t *pcm, size_t samples,
                 uint16_t *columns, size_t count) {
  size_t before = draw->settled_ms > 0 ? (size_t)draw->lead_in_samples : 0;
  const frontend_config_t *config = frontend_config_of(fe);
  frontend_reset(fe);
  size_t heard = frontend_stream(fe, pcm, before, columns, count);
  float rate = (float)config->sample_rate_hz, step = (float)config->step_samples;
  if (before) settle(fe, heard, draw->settled_ms * rate / 1000 / step);
  frontend_stream(fe, pcm + before, samples - before, columns + heard * config->channels, count - heard);
}

void augmentation_examples(const augmentation_source_t *source, const augmentation_job_t *jobs,
                           size_t count, uint64_t key, uint64_t first, size_t frames, void *scratch,
                           int8_t *features) {
  const frontend_config_t *config = source->frontend;
  layout_t at = layout(source);
  int16_t *pcm = (int16_t *)(void *)((uint8_t *)scratch + at.pcm);
  uint16_t *columns = (uint16_t *)(void *)((uint8_t *)scratch + at.columns);
  size_t values = frames * config->channels;
  frontend_t *fe = frontend_init(config, (uint8_t *)scratch + at.frontend, at.bytes - at.frontend);
  for (size_t i = 0; i < count; ++i, features += values) {
    augmentation_draw_t draw;
    augmentation_draw(source, jobs[i], key, first + i, &draw);
    augmentation_render(source, jobs[i], &draw, scratch, pcm);
    size_t samples = augmentation_samples(source, &draw), heard = columns_of(config, samples);
    hear(fe, &draw, pcm, samples, columns, heard);
    frontend_quantize_clip(config, columns + (heard - frames) * config->channels, values, features);
  }
}
