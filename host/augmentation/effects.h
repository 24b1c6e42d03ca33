/* The single effects, on float samples in units of int16. Internal: the interface is augmentation.h. */
#ifndef TOKAY_AUGMENTATION_EFFECTS_H
#define TOKAY_AUGMENTATION_EFFECTS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PI 3.14159265358979323846

/* Four samples at a time: additions of a sum are in a fixed order, whatever the machine. */
typedef float float4_t __attribute__((vector_size(16)));

static inline float4_t load4(const float *p) {
  float4_t v;
  memcpy(&v, p, sizeof v);
  return v;
}
static inline void store4(float *p, float4_t v) { memcpy(p, &v, sizeof v); }
static inline float sum4(float4_t v) { return (v[0] + v[1]) + (v[2] + v[3]); }

/* Sum of squares. */
float augmentation_energy(const float *signal, size_t samples);

/* Zeros that must lie on both sides of the input of the next two. */
size_t speed_padding(uint32_t rate);

/* Plays in[0..samples) `factor` times as slow with the pitch it has, by overlap-add of similar pieces
 * (WSOLA, Verhelst and Roelands 1993). Writes samples * factor samples and returns their number. */
size_t speed_stretch(const float *in, size_t samples, float factor, uint32_t rate, float *out);

/* out[i] = in at `start` + i * step, which may lie outside (silence); low-passed where step > 1. */
void speed_resample(const float *filters, const float *in, size_t in_samples, double start, double step,
                    float *out, size_t out_samples);

/* Adds early reflections and a tail that falls by 60 dB in rt60_s: the direct sound keeps its level,
 * and all the rest is direct_db below it. */
size_t room_scratch_values(uint32_t rate);
void room_respond(uint32_t seed, float rt60_s, float direct_db, uint32_t rate, float *scratch,
                  float *signal, size_t samples);

/* The frequency response of a microphone in its casing: high-pass, high shelf, one resonance. */
typedef struct {
  float highpass_hz, shelf_hz, shelf_db, peak_hz, peak_db, peak_q;
} microphone_t;
void microphone_respond(const microphone_t *microphone, uint32_t rate, float *signal, size_t samples);

/* Limits the signal `db` below its peak, bent or cut off. */
void microphone_clip(float db, int soft, float *signal, size_t samples);

#endif
