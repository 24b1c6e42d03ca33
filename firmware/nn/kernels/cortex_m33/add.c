/* add for the Cortex-M33, in 14 instructions an element.
 *
 * The scalings' common factor is twice the larger input scale, so that the input with that scale is
 * multiplied by exactly a half: (value - zero point) << 19, with no rounding, and its zero point can go
 * into the sum's constant. The other is multiplied as m33_requantize does it.
 */
#include "../../elementwise.h"
#include "requantize.h"

#define LEFT_SHIFT 20

/* The constants of the loop. */
typedef struct scaled_add {
    int32_t offset, multiplier, rounding, bits; /* of the input with the smaller scale */
    m33_channel_t sum;
} scaled_add_t;

static bool is_half(int32_t multiplier, int32_t shift)
{
    return multiplier == 1 << 30 && shift == 0;
}

/* False if the layer is none of the usual ones. */
static bool prepare(scaled_add_t *s, const nn_add_options_t *o, bool swapped)
{
    const int32_t half_zero = swapped ? o->zero_point_2 : o->zero_point_1;
    const int32_t other_zero = swapped ? o->zero_point_1 : o->zero_point_2;
    const int32_t shift = swapped ? o->shift_1 : o->shift_2;
    const nn_channel_t sum = {-half_zero * (1 << (LEFT_SHIFT - 1)), o->output_multiplier, o->output_shift};
    s->offset = -other_zero * (1 << (LEFT_SHIFT + 1));
    s->multiplier = swapped ? o->multiplier_1 : o->multiplier_2;
    s->bits = -shift;
    s->rounding = shift < 0 && shift > -31 ? 1 << (-shift - 1) : 0;
    return o->left_shift == LEFT_SHIFT && o->clamp_min == INT8_MIN && o->clamp_max == INT8_MAX &&
           shift <= 0 && shift > -31 &&
           m33_prepare_channel(&s->sum, &sum, (1 << 29) - 1, o->output_zero_point);
}

/* `rounded`: the smaller input is shifted after its multiplication. The next elements are steps on. */
static inline __attribute__((always_inline)) void add_all(scaled_add_t s, const int8_t *half,
                                                          int32_t half_step, const int8_t *other,
                                                          int32_t other_step, int8_t *output, int32_t count,
                                                          bool rounded)
{
    for (const int8_t *const end = output + count; output != end; half += half_step, other += other_step) {
        const int32_t doubled = s.offset + *other * (1 << (LEFT_SHIFT + 1));
        int32_t scaled;
        if (!rounded) {
            scaled = m33_multiply_high_round_add(doubled, s.multiplier, 0);
        } else {
#ifdef NN_SINGLE_ROUNDING
            scaled = m33_multiply_high_add(doubled, s.multiplier, s.rounding) >> s.bits;
#else
            const int32_t rounding = s.rounding + (doubled >> 31);
            scaled = m33_multiply_high_round_add(doubled, s.multiplier, rounding) >> s.bits;
#endif
        }
        scaled += *half * (1 << (LEFT_SHIFT - 1));
        *output++ = (int8_t)m33_requantize(scaled, &s.sum);
    }
}

typedef struct add_row {
    scaled_add_t scaled;
    bool swapped;
} add_row_t;

static inline __attribute__((always_inline)) void add_in_steps(const add_row_t *row, const int8_t *a,
                                                               int32_t step_1, const int8_t *b,
                                                               int32_t step_2, int8_t *output, int32_t count)
{
    const int8_t *const half = row->swapped ? b : a;
    const int8_t *const other = row->swapped ? a : b;
    const int32_t half_step = row->swapped ? step_2 : step_1;
    const int32_t other_step = row->swapped ? step_1 : step_2;
    if (row->scaled.bits > 0) {
        add_all(row->scaled, half, half_step, other, other_step, output, count, true);
    } else {
        add_all(row->scaled, half, half_step, other, other_step, output, count, false);
    }
}

static __attribute__((noinline)) void add_row(const void *context, const int8_t *a, int32_t step_1,
                                              const int8_t *b, int32_t step_2, int8_t *output, int32_t count)
{
    add_in_steps(context, a, step_1, b, step_2, output, count);
}

/* Where neither input is repeated along a row; for steps that it knows, the compiler has shorter loops. */
static __attribute__((noinline)) void add_alike(const void *context, const int8_t *a, int32_t step_1,
                                                const int8_t *b, int32_t step_2, int8_t *output, int32_t count)
{
    (void)step_1;
    (void)step_2;
    add_in_steps(context, a, 1, b, 1, output, count);
}

nn_status_t nn_kernel_add(const nn_call_t *call)
{
    const nn_add_options_t *const o = call->layer->options;
    const bool swapped = !is_half(o->multiplier_1, o->shift_1);
    const bool half = !swapped || is_half(o->multiplier_2, o->shift_2);
    add_row_t row = {.swapped = swapped};
    if (!half || !prepare(&row.scaled, o, swapped)) {
        elementwise_ones(elementwise_add, call, o->shape, o->strides_1, o->strides_2);
    } else {
        const bool alike = o->strides_1[3] == 1 && o->strides_2[3] == 1;
        elementwise_rows(alike ? add_alike : add_row, &row, call, o->shape, o->strides_1, o->strides_2);
    }
    return NN_OK;
}
