/* add for the Cortex-M33: the common case of equal shapes with the scalings' constants in registers. */
#include "requantize.h"

/* An input's scaling by 2^left_shift * multiplier / 2^(31 + bits), left_shift being 20. */
typedef struct scaling {
    int32_t zero_point, multiplier, bits, rounding;
} scaling_t;

#define LEFT_SHIFT 20

/* False if the scaling is not to the right. */
static bool prepare(scaling_t *s, int32_t zero_point, int32_t multiplier, int32_t shift)
{
    *s = (scaling_t){zero_point, multiplier, -shift, shift < 0 ? 1 << (-shift - 1) : 0};
    return shift <= 0 && shift > -31;
}

/* nn_requantize((value - zero_point) << 20): 2^21 * 255 fits an int32, and its high product rounds. */
static inline int32_t scale(const scaling_t *s, int32_t value)
{
    const int32_t doubled = (value - s->zero_point) * (1 << (LEFT_SHIFT + 1));
#if NN_SINGLE_ROUNDING
    const int64_t half = s->bits == 0 ? (int64_t)1 << 31 : (int64_t)s->rounding << 32;
    return (int32_t)(((int64_t)doubled * s->multiplier + half) >> 32) >> s->bits;
#else
    const int32_t product = m33_multiply_high_round_add(doubled, s->multiplier, 0);
    const int32_t away = s->bits == 0 ? 0 : product >> 31;
    return (product + s->rounding + away) >> s->bits;
#endif
}

static int8_t add_general(const nn_add_options_t *o, int32_t a, int32_t b)
{
    const int32_t left = (int32_t)1 << o->left_shift;
    const int32_t first = nn_requantize((a - o->zero_point_1) * left, o->multiplier_1, o->shift_1);
    const int32_t second = nn_requantize((b - o->zero_point_2) * left, o->multiplier_2, o->shift_2);
    const int32_t value = nn_requantize(first + second, o->output_multiplier, o->output_shift);
    return (int8_t)nn_clamp(value + o->output_zero_point, o->clamp_min, o->clamp_max);
}

static void add_broadcast(const nn_add_options_t *o, const int8_t *a, const int8_t *b, int8_t *output)
{
    const int32_t *const s1 = o->strides_1;
    const int32_t *const s2 = o->strides_2;
    for (int32_t i = 0; i < o->shape[0]; i++) {
        for (int32_t j = 0; j < o->shape[1]; j++) {
            for (int32_t k = 0; k < o->shape[2]; k++) {
                const int8_t *first = a + i * s1[0] + j * s1[1] + k * s1[2];
                const int8_t *second = b + i * s2[0] + j * s2[1] + k * s2[2];
                for (int32_t l = 0; l < o->shape[3]; l++, first += s1[3], second += s2[3]) {
                    *output++ = add_general(o, *first, *second);
                }
            }
        }
    }
}

static __attribute__((noinline)) void add_fast(const int8_t *a, const int8_t *b, int8_t *output, int32_t count,
                                               scaling_t first, scaling_t second, m33_channel_t sum)
{
    for (int32_t i = 0; i < count; i++) {
        output[i] = (int8_t)m33_requantize(scale(&first, a[i]) + scale(&second, b[i]), &sum);
    }
}

nn_status_t nn_kernel_add(const nn_call_t *call)
{
    const nn_add_options_t *const o = call->layer->options;
    const int8_t *const a = nn_call_input(call, 0);
    const int8_t *const b = nn_call_input(call, 1);
    int8_t *const output = nn_call_output(call);
    const nn_channel_t sum = {0, o->output_multiplier, o->output_shift};
    scaling_t first, second;
    m33_channel_t prepared;
    if (o->broadcast) {
        add_broadcast(o, a, b, output);
    } else if (o->left_shift == LEFT_SHIFT && o->clamp_min == INT8_MIN && o->clamp_max == INT8_MAX &&
               prepare(&first, o->zero_point_1, o->multiplier_1, o->shift_1) &&
               prepare(&second, o->zero_point_2, o->multiplier_2, o->shift_2) &&
               m33_prepare_channel(&prepared, &sum, (1 << 29) - 1, o->output_zero_point)) {
        add_fast(a, b, output, o->elements, first, second, prepared);
    } else {
        for (int32_t i = 0; i < o->elements; i++) {
            output[i] = add_general(o, a[i], b[i]);
        }
    }
    return NN_OK;
}
