/* A room: a few early reflections, then a feedback delay network (Stautner and Puckette 1982; Jot 1991)
 * whose echoes soon are as dense as noise and fall exponentially. It costs a few additions a sample
 * where a convolution with a noise tail would cost thousands. */
#include <math.h>

#include "effects.h"
#include "random.h"

enum { LINES = 8, REFLECTIONS = 6, SEGMENT = 1024, BLOCK = 16 };
#define LONGEST_S 0.045f

static size_t longest(uint32_t rate) { return (size_t)(LONGEST_S * (float)rate) + BLOCK; }

/* Each line: what it will give (its delay in samples), then room for a segment's input. */
static size_t line_values(uint32_t rate) { return longest(rate) + SEGMENT; }

size_t room_scratch_values(uint32_t rate) {
  return LINES * line_values(rate) + longest(rate) + 2 * SEGMENT;
}

typedef struct {
  float *lines[LINES];
  size_t delays[LINES];
  float decays[LINES];
  size_t reflection_delays[REFLECTIONS];
  float reflections[REFLECTIONS];
} room_t;

/* Delays between 3 ms and a bound that grows with the room; a line's echoes fall with its delay. */
static void design(room_t *room, random_t *r, float rt60_s, uint32_t rate) {
  float most_s = 0.012f + 0.06f * rt60_s;
  if (most_s > LONGEST_S) most_s = LONGEST_S;
  const float range[2] = {0.003f * (float)rate, most_s * (float)rate};
  for (int i = 0; i < LINES; ++i) {
    /* one in each part of the range, so that no two are alike */
    float share = ((float)i + random_share(r)) / LINES;
    size_t delay = (size_t)(range[0] + (range[1] - range[0]) * share);
    room->delays[i] = delay > BLOCK ? delay : BLOCK;
    room->decays[i] = powf(10, -3 * (float)room->delays[i] / ((float)rate * rt60_s));
    room->decays[i] *= 0.35355339f; /* the mixing below, made orthonormal */
  }
  for (int i = 0; i < REFLECTIONS; ++i) {
    room->reflection_delays[i] = (size_t)(range[0] * 0.3f + (range[1] - range[0] * 0.3f) * random_share(r));
    float fall = powf(10, -3 * (float)room->reflection_delays[i] / ((float)rate * rt60_s));
    room->reflections[i] = fall * (random_word(r) & 1 ? 1.0f : -1.0f) * (0.5f + 0.5f * random_share(r));
  }
}

/* Four samples of the network: reads the lines' ends, mixes them (a Hadamard matrix), feeds them back
 * with the input. Returns the sum of the ends with alternating signs. */
static inline float4_t step(const room_t *room, size_t at, float4_t input) {
  float4_t v[LINES];
  for (int i = 0; i < LINES; ++i) v[i] = load4(room->lines[i] + at);
  float4_t output = (v[0] - v[1]) + (v[2] - v[3]) + (v[4] - v[5]) + (v[6] - v[7]);
  for (int half = 1; half < LINES; half *= 2) {
    for (int i = 0; i < LINES; ++i) {
      if (i & half) continue;
      float4_t a = v[i], b = v[i + half];
      v[i] = a + b;
      v[i + half] = a - b;
    }
  }
  for (int i = 0; i < LINES; ++i) {
    float4_t fed = (v[i] + input) * room->decays[i];
    store4(room->lines[i] + at + room->delays[i], fed);
  }
  return output;
}

/* The reverberation of in[0..count), with in[-longest..0) the samples before. count <= SEGMENT. */
static void segment(const room_t *room, const float *in, float *out, size_t count) {
  for (size_t at = 0; at < count; at += 4) {
    float4_t sum = step(room, at, load4(in + at));
    for (int i = 0; i < REFLECTIONS; ++i)
      sum += load4(in + at - room->reflection_delays[i]) * room->reflections[i];
    store4(out + at, sum);
  }
  for (int i = 0; i < LINES; ++i)
    memmove(room->lines[i], room->lines[i] + count, room->delays[i] * sizeof(float));
}

/* The energy of the room's response to an impulse, by the network's own decay: the response is run
 * once for its first SEGMENT samples, and the rest follows from the decay. */
static float response_energy(const room_t *room, float *in, float *out, float rt60_s, uint32_t rate) {
  memset(in, 0, SEGMENT * sizeof *in);
  in[0] = 1;
  segment(room, in, out, SEGMENT);
  float energy = augmentation_energy(out, SEGMENT);
  float rest = powf(10, -6.0f * SEGMENT / ((float)rate * rt60_s)); /* share that comes after */
  return energy / (1 - rest);
}

void room_respond(uint32_t seed, float rt60_s, float direct_db, uint32_t rate, float *scratch,
                  float *signal, size_t samples) {
  room_t room;
  random_t r = random_start(seed, 1);
  design(&room, &r, rt60_s, rate);
  memset(scratch, 0, room_scratch_values(rate) * sizeof *scratch);
  for (int i = 0; i < LINES; ++i) room.lines[i] = scratch + (size_t)i * line_values(rate);
  float *in = scratch + LINES * line_values(rate) + longest(rate), *out = in + SEGMENT;
  float energy = response_energy(&room, in, out, rt60_s, rate);
  memset(scratch, 0, room_scratch_values(rate) * sizeof *scratch);

  float wet = energy > 0 ? powf(10, -direct_db / 20) / sqrtf(energy) : 0;
  for (size_t done = 0; done < samples; done += SEGMENT) {
    size_t count = samples - done < SEGMENT ? samples - done : SEGMENT;
    memset(in, 0, SEGMENT * sizeof *in);
    memcpy(in, signal + done, count * sizeof *in);
    segment(&room, in, out, SEGMENT);
    for (size_t i = 0; i < count; ++i) signal[done + i] += wet * out[i];
    memmove(in - longest(rate), in + SEGMENT - longest(rate), longest(rate) * sizeof *in);
  }
}
