/* Speed and pitch: resampling, and a change of tempo that keeps the pitch. */
#include <math.h>

#include "augmentation.h"
#include "effects.h"

/* Interpolation by a windowed sinc: one set of filters for each semitone of speeding up, so that what
 * would fold back is filtered out. A place between two samples is rounded to one of PHASES. The last set is
 * for the most that a specification can ask for: an octave higher and half as fast again. */
enum { TAPS = 16, PHASES = 256, SEMITONES = 21 };
#define PASS 0.95 /* of half the rate */

size_t augmentation_filter_values(void) { return (size_t)SEMITONES * PHASES * TAPS; }

void augmentation_design_filters(float *filters) {
  for (int set = 0; set < SEMITONES; ++set) {
    double cutoff = PASS * pow(2, -set / 12.0);
    for (int phase = 0; phase < PHASES; ++phase, filters += TAPS) {
      double values[TAPS], sum = 0;
      for (int i = 0; i < TAPS; ++i) {
        double x = i - (TAPS / 2 - 1) - (double)phase / PHASES;
        double window = 0.5 + 0.5 * cos(PI * x / (TAPS / 2 + 0.5));
        values[i] = window * (x == 0 ? cutoff : sin(PI * cutoff * x) / (PI * x));
        sum += values[i];
      }
      for (int i = 0; i < TAPS; ++i) filters[i] = (float)(values[i] / sum);
    }
  }
}

static size_t piece_samples(uint32_t rate) { return rate / 40 / 8 * 8 + 8; } /* 25 ms */

size_t speed_padding(uint32_t rate) { return 4 * piece_samples(rate) + TAPS; }

void speed_resample(const float *filters, const float *in, size_t in_samples, double start, double step,
                    float *out, size_t out_samples) {
  int set = step > 1 ? (int)ceil(12 * log2(step) - 1e-6) : 0;
  const float *table = filters + (size_t)(set < SEMITONES ? set : SEMITONES - 1) * PHASES * TAPS;
  double last = (double)in_samples + TAPS / 2.0 - 1;
  for (size_t i = 0; i < out_samples; ++i) {
    double at = start + (double)i * step;
    if (at < -TAPS / 2.0 || at > last) {
      out[i] = 0;
      continue;
    }
    int64_t fine = (int64_t)((at + TAPS) * PHASES + 0.5); /* positive, so that rounding is to nearest */
    const float *x = in + fine / PHASES - TAPS - (TAPS / 2 - 1), *h = table + fine % PHASES * TAPS;
    float4_t sum = load4(x) * load4(h) + load4(x + 4) * load4(h + 4);
    sum += load4(x + 8) * load4(h + 8) + load4(x + 12) * load4(h + 12);
    out[i] = sum4(sum);
  }
}

static float distance(const float *a, const float *b, size_t samples) {
  float4_t first = {0}, second = {0};
  for (size_t i = 0; i < samples; i += 8) {
    float4_t x = load4(a + i) - load4(b + i), y = load4(a + i + 4) - load4(b + i + 4);
    first += x * x;
    second += y * y;
  }
  return sum4(first + second);
}

/* Where, within `reach` of `at`, the signal is most like what follows the piece before. */
static ptrdiff_t most_alike(const float *in, const float *continuation, ptrdiff_t at, ptrdiff_t reach,
                            size_t samples) {
  enum { COARSE = 3 };
  ptrdiff_t best = at;
  float least = distance(continuation, in + at, samples);
  for (ptrdiff_t d = -reach; d <= reach; d += COARSE) {
    float d2 = distance(continuation, in + at + d, samples);
    if (d2 < least) least = d2, best = at + d;
  }
  ptrdiff_t middle = best;
  for (ptrdiff_t d = 1 - COARSE; d < COARSE; ++d) {
    float d2 = distance(continuation, in + middle + d, samples);
    if (d2 < least) least = d2, best = middle + d;
  }
  return best;
}

size_t speed_stretch(const float *in, size_t samples, float factor, uint32_t rate, float *out) {
  size_t hop = piece_samples(rate) / 2 / 8 * 8; /* pieces overlap by half: the next fades in as one fades out */
  size_t length = (size_t)((float)samples * factor);
  ptrdiff_t reach = (ptrdiff_t)hop * 3 / 4, piece = 0;
  for (size_t at = 0; at < length; at += hop) {
    ptrdiff_t wanted = (ptrdiff_t)((float)at / factor);
    if (at > 0) {
      ptrdiff_t next = most_alike(in, in + piece + (ptrdiff_t)hop, wanted, reach, hop);
      for (size_t i = 0; i < hop && at + i < length; ++i) {
        float rising = ((float)i + 0.5f) / (float)hop;
        rising *= rising * (3 - 2 * rising);
        float before = in[piece + (ptrdiff_t)(hop + i)], after = in[next + (ptrdiff_t)i];
        out[at + i] = before + rising * (after - before);
      }
      piece = next;
    } else {
      memcpy(out, in, (hop < length ? hop : length) * sizeof *out);
    }
  }
  return length;
}
