/* strided_slice: elements picked by strides, which may be negative; also a transposition or, by strides of 0, a
 * repetition. */
#include <string.h>

#include "nn_kernels.h"

#define WORTH_A_CALL 8 /* elements; fewer are sooner copied than memcpy is called */

/* `rows` rows of `count` elements; elements that lie side by side at once. Returns where the output ends. */
static int8_t *pick(int8_t *output, const int8_t *input, int32_t rows, int32_t row_stride, int32_t count,
                    int32_t stride)
{
    const int runs = stride == 1 && count >= WORTH_A_CALL;
    for (int32_t row = 0; row < rows; row++, output += count) {
        const int8_t *from = input + row * row_stride;
        if (runs)
            memcpy(output, from, (size_t)count);
        else
            for (int32_t k = 0; k < count; k++) output[k] = from[k * stride];
    }
    return output;
}

nn_status_t nn_kernel_strided_slice(const nn_call_t *call)
{
    const nn_strided_slice_options_t *o = call->layer->options;
    const int8_t *input = (const int8_t *)nn_call_input(call, 0) + o->start;
    int8_t *output = nn_call_output(call);
    const int32_t *n = o->shape, *s = o->strides;

    for (int32_t i = 0; i < n[0]; i++)
        for (int32_t j = 0; j < n[1]; j++)
            output = pick(output, input + i * s[0] + j * s[1], n[2], s[2], n[3], s[3]);
    return NN_OK;
}
