/* quantize for the Cortex-M33, in arithmetic without a choice. So its time does not depend on the values: a
 * profile runs layers on whatever is in the arena, and this one, whose output may lie where its input did, on
 * its own output too. */
#include "../../nn_kernels.h"
#include "m33.h"

/* x rounded to nearest, halves away from zero, within [-512, 512], far outside of what any int8 and zero point
 * need; not a number gives the lower bound. */
static inline int32_t round_bounded(float x)
{
    const int32_t not_a_number = (0x7f800000 - (int32_t)(m33_load(&x) & 0x7fffffffu)) >> 31; /* -1, or 0 */
    const int32_t halves = __ssat(m33_truncate(x + x) | (int32_t)((uint32_t)not_a_number << 31), 11);
    return (halves + 1 + (halves >> 31)) >> 1;
}

nn_status_t nn_kernel_quantize(const nn_call_t *call)
{
    const nn_quantize_options_t *const o = call->layer->options;
    const float *input = nn_call_input(call, 0);
    int8_t *output = nn_call_output(call);
    const float scale = o->scale;
    const int32_t zero_point = o->zero_point;
    for (const float *const end = input + o->elements; input != end; input++) {
        *output++ = (int8_t)m33_saturate_int8(round_bounded(*input / scale) + zero_point);
    }
    return NN_OK;
}
