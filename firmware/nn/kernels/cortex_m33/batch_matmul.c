/* batch_matmul for the Cortex-M33: four columns of the second matrix at a time, which lie as int16 less their
 * zero point in the scratch, with one row of the first after the other. */
#include "../../nn_kernels.h"
#include "../../quantization.h"
#include "m33.h"

#define COLUMNS 4
#define TAPS 4 /* of a word */

/* So many taps, at most four, as the bytes of a word; those that are left out are `fill`. */
static __attribute__((noinline)) uint32_t load_taps(const int8_t *from, int32_t step, int32_t count, int32_t fill)
{
    uint32_t word = 0;
    for (int32_t k = 0; k < TAPS; k++, from += step) {
        const int32_t tap = k < count ? *from : fill;
        word = word >> 8 | (uint32_t)tap << 24;
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

/* Four columns, for each four taps the even ones of all, then the odd ones. Taps that are left out are 0; columns
 * beyond the last one are its. */
static __attribute__((noinline)) void gather(const nn_batch_matmul_options_t *o, const int8_t *b, int32_t columns,
                                             int16x2_t *to)
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

/* The sums of one row's products with four columns. */
static __attribute__((noinline)) void multiply(const nn_batch_matmul_options_t *o, const int8_t *row,
                                               const int16x2_t *columns, int32_t sums[COLUMNS])
{
    const uint32_t offset = less(o->zero_point_1);
    int32_t left = o->taps, s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    if (o->tap_1 == 1) {
        for (; left >= TAPS; left -= TAPS, row += TAPS, columns += 2 * COLUMNS) {
            const uint32_t word = m33_load(row);
            const int16x2_t even = even_taps(word, offset), odd = odd_taps(word, offset);
            s0 = __smlad(even, columns[0], s0);
            s1 = __smlad(even, columns[1], s1);
            s2 = __smlad(even, columns[2], s2);
            s3 = __smlad(even, columns[3], s3);
            s0 = __smlad(odd, columns[4], s0);
            s1 = __smlad(odd, columns[5], s1);
            s2 = __smlad(odd, columns[6], s2);
            s3 = __smlad(odd, columns[7], s3);
        }
    }
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
    for (; left > 0; left -= TAPS, row += TAPS * o->tap_1, columns += 2 * COLUMNS) {
        const uint32_t word = load_taps(row, o->tap_1, left, 0);
        const int16x2_t even = even_taps(word, offset), odd = odd_taps(word, offset);
        for (int32_t n = 0; n < COLUMNS; n++) {
            sums[n] = __smlad(odd, columns[COLUMNS + n], __smlad(even, columns[n], sums[n]));
        }
    }
}

/* The product of two matrices. */
static void multiply_all(const nn_batch_matmul_options_t *o, const int8_t *a, const int8_t *b, int8_t *output,
                         int16x2_t *scratch)
{
    const int32_t rows = o->shape[2], columns = o->shape[3];
    for (int32_t n = 0; n < columns; n += COLUMNS) {
        const int32_t count = columns - n < COLUMNS ? columns - n : COLUMNS;
        const int8_t *row = a;
        int8_t *to = output + n;
        gather(o, b + n * o->strides_2[3], count, scratch);
        for (int32_t m = 0; m < rows; m++, row += o->strides_1[2], to += columns) {
            int32_t sums[COLUMNS];
            multiply(o, row, scratch, sums);
            for (int32_t i = 0; i < count; i++) {
                const int32_t value = nn_requantize(sums[i], o->output_multiplier, o->output_shift);
                to[i] = (int8_t)m33_saturate_int8(value + o->output_zero_point);
            }
        }
    }
}

nn_status_t nn_kernel_batch_matmul(const nn_call_t *call)
{
    const nn_batch_matmul_options_t *const o = call->layer->options;
    const int8_t *const a = nn_call_input(call, 0), *const b = nn_call_input(call, 1);
    int8_t *output = nn_call_output(call);
    const int32_t *const n = o->shape, *const s = o->strides_1, *const t = o->strides_2;
    for (int32_t i = 0; i < n[0]; i++) {
        for (int32_t j = 0; j < n[1]; j++, output += n[2] * n[3]) {
            multiply_all(o, a + i * s[0] + j * s[1], b + i * t[0] + j * t[1], output, nn_call_scratch(call));
        }
    }
    return NN_OK;
}
