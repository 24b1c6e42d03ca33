/* average_pool_2d: the mean of each channel over the positions of the window inside the input. */
#include "nn_kernels.h"
#include "pool_window.h"

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
                *output++ = pool_mean(o, pool_reduce(add, 0, &window, c), count);
            }
        }
    }
    return NN_OK;
}
