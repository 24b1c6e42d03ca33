/* Augmentation that is cheaper on features than on audio. Vocal tract length becomes a warp of the
 * channel axis, loudness an offset, and a few masked bands and frames keep the network from leaning on
 * any one of them. */
#include "augmentation.h"
#include "random.h"

#define LOWEST (-128.0f)
enum { MOST_CHANNELS = 4096 }; /* of the front end */

static float limited(float x) { return x < LOWEST ? LOWEST : x > 127 ? 127 : x; }

static float either_way(random_t *r, float most) { return most * (2 * random_share(r) - 1); }

void augmentation_perturb(const augmentation_perturbation_t *settings, const int8_t *features,
                          size_t count, size_t frames, size_t channels, uint64_t key, uint64_t first,
                          float *out) {
  for (size_t n = 0; n < count; ++n, features += frames * channels, out += frames * channels) {
    random_t r = random_start(key, first + n);
    float stretch = 1 + either_way(&r, settings->warp), level = either_way(&r, settings->level);
    int32_t shift = (int32_t)random_below(&r, 2 * (uint32_t)settings->shift_frames + 1) - settings->shift_frames;
    size_t band = random_below(&r, (uint32_t)channels);
    size_t band_end = band + random_below(&r, (uint32_t)settings->mask_channels + 1);
    size_t span = random_below(&r, (uint32_t)frames);
    size_t span_end = span + random_below(&r, (uint32_t)settings->mask_frames + 1);

    uint16_t left[MOST_CHANNELS], right[MOST_CHANNELS];
    float fraction[MOST_CHANNELS];
    for (size_t c = 0; c < channels && c < MOST_CHANNELS; ++c) {
      float place = (float)c * stretch, last = (float)(channels - 1);
      if (place > last) place = last;
      left[c] = (uint16_t)place;
      right[c] = (uint16_t)(left[c] + 1u < channels ? left[c] + 1u : left[c]);
      fraction[c] = place - (float)left[c];
    }
    for (size_t f = 0; f < frames; ++f) {
      ptrdiff_t from = (ptrdiff_t)f + shift, last = (ptrdiff_t)frames - 1;
      const int8_t *row = features + (size_t)(from < 0 ? 0 : from > last ? last : from) * channels;
      float *to = out + f * channels;
      int masked = f >= span && f < span_end;
      for (size_t c = 0; c < channels; ++c) {
        float below = row[left[c]], x = below + fraction[c] * (row[right[c]] - below);
        if (x > LOWEST) x = limited(x + level);
        to[c] = masked || (c >= band && c < band_end) ? LOWEST : x;
      }
    }
  }
}
