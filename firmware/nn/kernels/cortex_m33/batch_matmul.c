/* batch_matmul for the Cortex-M33: four columns of the second matrix at a time, which lie as int16 less their
 * zero point in the scratch, with one row of the first after the other. */
#include "requantize.h"

#define COLUMNS 4
#define TAPS 4 /* of a word */

/* So many taps, four at most, as the bytes of a word; those that are left out are `fill`. */
static __attribute__((noinline)) uint32_t load_taps(const int8_t *from, int32_t step, int32_t count,
                                                    int32_t fill)
{
    const uint8_t *const taps = (const uint8_t *)from;
    if (count >= TAPS) {
        const uint32_t low = taps[0] | (uint32_t)taps[step] << 8;
        return low | (taps[2 * step] | (uint32_t)taps[3 * step] << 8) << 16;
    }
    uint32_t word = m33_four_times(fill);
    while (count-- > 0) {
        word = word << 8 | taps[count * step];
    }
    return word;
}

/* Two int16 that take the zero point from two which they are added to. */
static uint32_t less(int32_t zero_point)
{
    return ((uint32_t)-zero_point & 0xffffu) * 0x10001u;
}

/* Bytes 0 and 2, or 1 and 3, plus two int16. */
static int16x2_t even_taps(uint32_t word, uint32_t offset)
{
    return __sxtab16((int16x2_t)offset, word);
}

static int16x2_t odd_taps(uint32_t word, uint32_t offset)
{
    uint32_t pair;
    __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(pair) : "r"(offset), "r"(word));
    return (int16x2_t)pair;
}

/* Four columns, for each four taps the even ones of all, then the odd ones. Taps that are left out are 0;
 * columns beyond the last one are its. */
static __attribute__((noinline)) void gather(const nn_batch_matmul_options_t *o, const int8_t *b,
                                             int32_t columns, int16x2_t *to)
{
    const uint32_t offset = less(o->zero_point_2);
    for (int32_t left = o->taps; left > 0; left -= TAPS, b += TAPS * o->tap_2, to += COLUMNS) {
        const int8_t *column = b;
        for (int32_t n = 1; n <= COLUMNS; n++, to++) {
            const uint32_t word = load_taps(column, o->tap_2, left, o->zero_point_2);
            to[0] = even_taps(word, offset);
            to[COLUMNS] = odd_taps(word, offset);
            column += n < columns ? o->strides_2[3] : 0;
        }
    }
}

/* The sums of products of whole groups of taps, up to the end of a row. No load is used by the next
 * instruction. */
static inline __attribute__((always_inline)) void add_groups(const int8_t *row, const int8_t *end,
                                                             uint32_t offset, const int16x2_t *columns,
                                                             int32_t sums[COLUMNS])
{
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (; row != end; row += TAPS) {
        uint32_t odd = m33_load(row), even, x, y;
        __asm__("ldr     %[x], [%[columns]], #32\n"
                "ldr     %[y], [%[columns], #-28]\n"
                "sxtab16 %[even], %[offset], %[odd]\n"
                "smlad   %[s0], %[even], %[x], %[s0]\n"
                "ldr     %[x], [%[columns], #-24]\n"
                "smlad   %[s1], %[even], %[y], %[s1]\n"
                "ldr     %[y], [%[columns], #-20]\n"
                "smlad   %[s2], %[even], %[x], %[s2]\n"
                "ldr     %[x], [%[columns], #-16]\n"
                "smlad   %[s3], %[even], %[y], %[s3]\n"
                "ldr     %[y], [%[columns], #-12]\n"
                "sxtab16 %[odd], %[offset], %[odd], ror #8\n"
                "smlad   %[s0], %[odd], %[x], %[s0]\n"
                "ldr     %[x], [%[columns], #-8]\n"
                "smlad   %[s1], %[odd], %[y], %[s1]\n"
                "ldr     %[y], [%[columns], #-4]\n"
                "smlad   %[s2], %[odd], %[x], %[s2]\n"
                "smlad   %[s3], %[odd], %[y], %[s3]\n"
                : [s0] "+r"(s0), [s1] "+r"(s1), [s2] "+r"(s2), [s3] "+r"(s3), [columns] "+r"(columns),
                  [odd] "+r"(odd), [even] "=&r"(even), [x] "=&r"(x), [y] "=&r"(y)
                : [offset] "r"(offset)
                : "memory");
    }
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
}

/* Every row of a matrix times so many of four columns. */
static __attribute__((noinline)) void multiply(const nn_batch_matmul_options_t *o, const int8_t *a,
                                               const int16x2_t *columns, int32_t count, int8_t *output)
{
    const uint32_t offset = less(o->zero_point_1);
    const int32_t multiplier = o->output_multiplier, shift = o->output_shift;
    const int32_t zero_point = o->output_zero_point;
    const int32_t grouped = o->tap_1 == 1 ? o->taps & ~(TAPS - 1) : 0;
    for (int32_t m = 0; m < o->shape[2]; m++, a += o->strides_1[2], output += o->shape[3]) {
        int32_t sums[COLUMNS];
        add_groups(a, a + grouped, offset, columns, sums);
        for (int32_t k = grouped; k < o->taps; k += TAPS) {
            const uint32_t word = load_taps(a + k * o->tap_1, o->tap_1, o->taps - k, 0);
            for (int32_t n = 0; n < COLUMNS; n++) {
                const int16x2_t *const column = columns + 2 * k + n;
                sums[n] = __smlad(even_taps(word, offset), column[0], sums[n]);
                sums[n] = __smlad(odd_taps(word, offset), column[COLUMNS], sums[n]);
            }
        }
        for (int32_t n = 0; n < count; n++) {
            const int32_t value = m33_requantize_bounded(sums[n], multiplier, shift);
            output[n] = (int8_t)m33_saturate_int8(value + zero_point);
        }
    }
}

nn_status_t nn_kernel_batch_matmul(const nn_call_t *call)
{
    const nn_batch_matmul_options_t *const o = call->layer->options;
    const int8_t *const a = nn_call_input(call, 0), *const b = nn_call_input(call, 1);
    int16x2_t *const scratch = nn_call_scratch(call);
    int8_t *output = nn_call_output(call);
    const int32_t *const n = o->shape, *const s = o->strides_1, *const t = o->strides_2;
    for (int32_t i = 0; i < n[0]; i++) {
        for (int32_t j = 0; j < n[1]; j++, output += (n[2] - 1) * n[3]) {
            const int8_t *column = b + i * t[0] + j * t[1];
            for (int32_t left = n[3]; left > 0; left -= COLUMNS, column += COLUMNS * t[3]) {
                const int32_t count = left < COLUMNS ? left : COLUMNS;
                gather(o, column, count, scratch);
                multiply(o, a + i * s[0] + j * s[1], scratch, count, output);
                output += count;
            }
        }
    }
    return NN_OK;
}
