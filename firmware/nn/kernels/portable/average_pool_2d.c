/* average_pool_2d: the mean of each channel over the positions of the window inside the input,
 * rounded to nearest, halves away from zero. */
#include "nn_kernels.h"
#include "pool_window.h"
#include "quantization.h"

static int32_t add(int32_t a, int32_t b)
{
    return a + b;
}

nn_status_t nn_kernel_average_pool_2d(const nn_call_t *call)
{
    const nn_pool_2d_options_t *o = call->layer->options;
    const int8_t *input = nn_call_input(call, 0);
    int8_t *output = nn_call_output(call);

    for (int32_t y = 0; y < o->output_height; y++) {
        for (int32_t x = 0; x < o->output_width; x++) {
            const pool_window_t window = pool_window(o, input, y, x);
            const int32_t count = window.rows * window.columns;
            for (int32_t c = 0; c < o->channels; c++) {
                const int32_t sum = pool_reduce(add, 0, &window, c);
                const int32_t mean = (sum + (sum > 0 ? count / 2 : -(count / 2))) / count;
                *output++ = (int8_t)nn_clamp(mean, o->clamp_min, o->clamp_max);
            }
        }
    }
    return NN_OK;
}
