/* mean for the Cortex-M33: four channels at a time as pairs of int16 sums, where channels are kept. */
#include "../../mean.h"
#include "bytes.h"
#include "m33.h"

static void add_to(int32_t sums[4], const m33_byte_sums_t *s)
{
    for (int32_t c = 0; c < 4; c++) {
        sums[c] += m33_byte_sum(s, c);
    }
}

/* The sums of four channels side by side. */
static void sum_4(const nn_mean_options_t *o, const int8_t *first, int32_t sums[4])
{
    const int32_t *const n = o->reduced_shape, *const step = o->reduced_strides;
    m33_byte_sums_t part = {0, 0};
    int32_t room = M33_BYTE_SUMS;
    for (int32_t i = 0; i < n[0]; i++) {
        for (int32_t j = 0; j < n[1]; j++) {
            const int8_t *from = first + i * step[0] + j * step[1];
            for (int32_t left = n[2], run; left > 0; left -= run) {
                run = left < room ? left : room;
                room -= run;
                for (int32_t k = run; k > 0; k--, from += step[2]) {
                    m33_add_bytes(&part, m33_load(from));
                }
                if (room == 0) {
                    add_to(sums, &part);
                    part = (m33_byte_sums_t){0, 0};
                    room = M33_BYTE_SUMS;
                }
            }
        }
    }
    add_to(sums, &part);
}

nn_status_t nn_kernel_mean(const nn_call_t *call)
{
    const nn_mean_options_t *const o = call->layer->options;
    const int8_t *const input = nn_call_input(call, 0);
    int8_t *output = nn_call_output(call);
    const int32_t *const n = o->kept_shape, *const s = o->kept_strides;
    const int32_t in_fours = o->reduced_shape[3] == 1 ? n[3] & ~3 : 0;
    for (int32_t i = 0; i < n[0]; i++) {
        for (int32_t j = 0; j < n[1]; j++) {
            for (int32_t k = 0; k < n[2]; k++) {
                const int8_t *const first = input + i * s[0] + j * s[1] + k * s[2];
                int32_t l = 0;
                for (; l < in_fours; l += 4) {
                    int32_t sums[4] = {0, 0, 0, 0};
                    sum_4(o, first + l, sums);
                    for (int32_t c = 0; c < 4; c++) {
                        *output++ = mean_scaled(o, sums[c]);
                    }
                }
                for (; l < n[3]; l++) {
                    *output++ = mean_scaled(o, mean_sum(o, first + l * s[3]));
                }
            }
        }
    }
    return NN_OK;
}
