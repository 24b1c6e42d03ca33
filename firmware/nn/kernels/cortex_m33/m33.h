/* The DSP instructions of the Cortex-M33 that the kernels are built from, and what C lacks for them. */
#ifndef TOKAY_NN_M33_H
#define TOKAY_NN_M33_H

/* The inner loops keep sums in registers of the FPU. */
#if !defined(__ARM_FEATURE_DSP) || !defined(__ARM_FP)
#error "these kernels need the DSP instructions and the FPU: compile with both, or kernels/portable instead"
#endif

#include <arm_acle.h>
#include <stdint.h>
#include <string.h>

/* Of a function in assembly that takes every register: also the one that GCC keeps for the frame where nothing
 * is optimized or a build asks for frames. */
#if defined(__GNUC__) && !defined(__clang__)
#define M33_EVERY_REGISTER __attribute__((noinline, optimize("omit-frame-pointer")))
#else
#define M33_EVERY_REGISTER __attribute__((noinline))
#endif

/* Bytes 0 and 2, or 1 and 3, as two int16. */
static inline uint32_t m33_even_bytes(uint32_t bytes)
{
    return (uint32_t)__sxtb16(bytes);
}

static inline uint32_t m33_odd_bytes(uint32_t bytes)
{
    uint32_t halves;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(halves) : "r"(bytes));
    return halves;
}

/* The low halves (or the high halves) of two words side by side; the first argument ends up low. */
static inline uint32_t m33_low_halves(uint32_t a, uint32_t b)
{
    uint32_t pair;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(pair) : "r"(a), "r"(b));
    return pair;
}

static inline uint32_t m33_high_halves(uint32_t a, uint32_t b)
{
    uint32_t pair;
    __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(pair) : "r"(b), "r"(a));
    return pair;
}

/* The low half of the first beside the high half of the second. */
static inline uint32_t m33_low_and_high(uint32_t a, uint32_t b)
{
    uint32_t pair;
    __asm__("pkhbt %0, %1, %2" : "=r"(pair) : "r"(a), "r"(b));
    return pair;
}

/* c + x * m / 2^32, rounded down. */
static inline int32_t m33_multiply_high_add(int32_t x, int32_t m, int32_t c)
{
    int32_t sum;
    __asm__("smmla %0, %1, %2, %3" : "=r"(sum) : "r"(x), "r"(m), "r"(c));
    return sum;
}

/* c + x * m / 2^32, the product rounded to nearest, halves up. */
static inline int32_t m33_multiply_high_round_add(int32_t x, int32_t m, int32_t c)
{
    int32_t sum;
    __asm__("smmlar %0, %1, %2, %3" : "=r"(sum) : "r"(x), "r"(m), "r"(c));
    return sum;
}

static inline int32_t m33_saturate_int8(int32_t x)
{
    return __ssat(x, 8);
}

/* x without its fraction, as far as an int32 goes; not a number is 0. */
static inline int32_t m33_truncate(float x)
{
    int32_t whole;
    __asm__("vcvt.s32.f32 %0, %1" : "=t"(whole) : "t"(x));
    return whole;
}

/* A word of four times the same int8. */
static inline uint32_t m33_four_times(int32_t value)
{
    return ((uint32_t)value & 0xffu) * 0x01010101u;
}

/* Words at any address: the core does unaligned loads and stores by itself. */
static inline uint32_t m33_load(const void *address)
{
    uint32_t word;
    memcpy(&word, address, sizeof word);
    return word;
}

static inline void m33_store(void *address, uint32_t word)
{
    memcpy(address, &word, sizeof word);
}

#endif
