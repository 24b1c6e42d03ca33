/* What a microphone adds: a frequency response that is not flat, and a level that it cannot pass.
 * Biquads by the formulas of the Audio EQ Cookbook (R. Bristow-Johnson). */
#include <math.h>

#include "effects.h"

typedef struct {
  float b0, b1, b2, a1, a2;
} biquad_t;

static biquad_t normalized(double b0, double b1, double b2, double a0, double a1, double a2) {
  return (biquad_t){(float)(b0 / a0), (float)(b1 / a0), (float)(b2 / a0), (float)(a1 / a0), (float)(a2 / a0)};
}

static biquad_t highpass(double w) {
  double c = cos(w), alpha = sin(w) / (2 * 0.70710678);
  return normalized((1 + c) / 2, -(1 + c), (1 + c) / 2, 1 + alpha, -2 * c, 1 - alpha);
}

static biquad_t high_shelf(double w, double db) {
  double a = pow(10, db / 40), c = cos(w), root = 2 * sqrt(a) * sin(w) / (2 * 0.70710678);
  return normalized(a * ((a + 1) + (a - 1) * c + root), -2 * a * ((a - 1) + (a + 1) * c),
                    a * ((a + 1) + (a - 1) * c - root), (a + 1) - (a - 1) * c + root,
                    2 * ((a - 1) - (a + 1) * c), (a + 1) - (a - 1) * c - root);
}

static biquad_t peak(double w, double db, double q) {
  double a = pow(10, db / 40), c = cos(w), alpha = sin(w) / (2 * q);
  return normalized(1 + alpha * a, -2 * c, 1 - alpha * a, 1 + alpha / a, -2 * c, 1 - alpha / a);
}

/* One sample through a biquad, transposed direct form. */
static inline float pass(const biquad_t *f, float s[2], float x) {
  float y = f->b0 * x + s[0];
  s[0] = f->b1 * x - f->a1 * y + s[1];
  s[1] = f->b2 * x - f->a2 * y;
  return y;
}

void microphone_respond(const microphone_t *m, uint32_t rate, float *signal, size_t samples) {
  double turn = 2 * PI / rate;
  biquad_t first = highpass(turn * m->highpass_hz), second = high_shelf(turn * m->shelf_hz, m->shelf_db);
  biquad_t third = peak(turn * m->peak_hz, m->peak_db, m->peak_q);
  float a[2] = {0}, b[2] = {0}, c[2] = {0};
  for (size_t i = 0; i < samples; ++i) /* in one loop: the three overlap in the processor */
    signal[i] = pass(&third, c, pass(&second, b, pass(&first, a, signal[i])));
}

void microphone_clip(float db, int soft, float *signal, size_t samples) {
  float highest = 0;
  for (size_t i = 0; i < samples; ++i) highest = fabsf(signal[i]) > highest ? fabsf(signal[i]) : highest;
  float limit = highest * powf(10, -db / 20);
  if (!(limit > 0)) return;
  for (size_t i = 0; i < samples; ++i) {
    float x = signal[i] / limit;
    /* bent: a cubic that reaches 1 at 1.5 with slope 0 */
    float bound = soft ? 1.5f : 1.0f;
    x = x > bound ? bound : x < -bound ? -bound : x;
    if (soft) x -= 4.0f / 27.0f * x * x * x;
    signal[i] = x * limit;
  }
}
