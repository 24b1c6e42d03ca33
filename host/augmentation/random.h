/* Random numbers that are a function of a key: a PCG32 generator (O'Neill 2014) whose start is mixed
 * from the key's numbers, so that examples can be made in any order and by any number of threads. */
#ifndef TOKAY_AUGMENTATION_RANDOM_H
#define TOKAY_AUGMENTATION_RANDOM_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  uint64_t state;
} random_t;

/* The finalizer of SplitMix64: every bit of x reaches every bit of the result. */
static inline uint64_t random_mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

static inline random_t random_start(uint64_t key, uint64_t index) {
  return (random_t){random_mix(random_mix(key) ^ index)};
}

static inline uint32_t random_word(random_t *r) {
  uint64_t old = r->state;
  r->state = old * 6364136223846793005u + 1442695040888963407u;
  uint32_t word = (uint32_t)(((old >> 18) ^ old) >> 27), turn = (uint32_t)(old >> 59);
  return word >> turn | word << (-turn & 31u);
}

/* In [0, 1). */
static inline float random_share(random_t *r) { return (float)(random_word(r) >> 8) * 0x1p-24f; }

static inline float random_between(random_t *r, const float range[2]) {
  return range[0] + (range[1] - range[0]) * random_share(r);
}

/* In [0, count); 0 for a count of 0. */
static inline uint32_t random_below(random_t *r, uint32_t count) {
  return (uint32_t)((uint64_t)random_word(r) * count >> 32);
}

#endif
