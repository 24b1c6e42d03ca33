/* Convolution for the Cortex-M33: four windows at a time become int16 columns, which every pair of
 * output channels then passes over (tile.h). */
#include "columns.h"
#include "requantize.h"
#include "tile.h"

#define WINDOWS M33_TILE_WINDOWS

/* What stays the same for the whole layer. */
typedef struct conv {
    const nn_conv_2d_options_t *options;
    const int8_t *input;
    int8_t *output;
    int16_t *columns;
    m33_channel_t *channels; /* NULL if the layer needs the general requantization */
    int32_t steps;           /* words of weights for a pair */
    m33_tile_entry_t entry;
} conv_t;

/* One row of a window whose first column is `x`, from the input's row `row`. */
static void window_row(const nn_conv_2d_options_t *o, int16_t *column, int32_t tap, const int8_t *row, int32_t x)
{
    const int32_t depth = o->input_channels;
    for (int32_t c = 0; c < o->kernel_width; c++, x += o->dilation_width, tap += depth) {
        if (x >= 0 && x < o->input_width) {
            m33_column_copy(column, tap, row + x * depth, depth);
        } else {
            m33_column_fill(column, tap, o->pad_value, depth);
        }
    }
}

/* Any window: parts of it may lie outside the input. */
static __attribute__((noinline)) void window_at_edge(const nn_conv_2d_options_t *o, int16_t *column, const int8_t *input,
                                                     int32_t y, int32_t x)
{
    const int32_t row_taps = o->kernel_width * o->input_channels;
    for (int32_t r = 0, tap = 0; r < o->kernel_height; r++, y += o->dilation_height, tap += row_taps) {
        if (y >= 0 && y < o->input_height) {
            window_row(o, column, tap, input + y * o->input_width * o->input_channels, x);
        } else {
            m33_column_fill(column, tap, o->pad_value, row_taps);
        }
    }
}

/* A window of three rows of three bytes: the first layer of most keyword spotters. */
static inline void window_3x3(int16_t *column, const int8_t *from, int32_t pitch)
{
    const int8_t *const middle = from + pitch;
    const int8_t *const last = middle + pitch;
    m33_store(column, m33_low_halves((uint32_t)from[0], (uint32_t)from[1]));
    m33_store(column + M33_COLUMN_STRIDE, m33_low_halves((uint32_t)from[2], (uint32_t)middle[0]));
    m33_store(column + 2 * M33_COLUMN_STRIDE, m33_low_halves((uint32_t)middle[1], (uint32_t)middle[2]));
    m33_store(column + 3 * M33_COLUMN_STRIDE, m33_low_halves((uint32_t)last[0], (uint32_t)last[1]));
    column[4 * M33_COLUMN_STRIDE] = last[2];
}

static void window(const nn_conv_2d_options_t *o, int16_t *column, const int8_t *input, int32_t y, int32_t x)
{
    const int32_t bottom = y + (o->kernel_height - 1) * o->dilation_height;
    const int32_t right = x + (o->kernel_width - 1) * o->dilation_width;
    if (y < 0 || x < 0 || bottom >= o->input_height || right >= o->input_width) {
        window_at_edge(o, column, input, y, x);
        return;
    }
    const int32_t pitch = o->input_width * o->input_channels;
    const int8_t *from = input + y * pitch + x * o->input_channels;
    const int32_t rows = o->kernel_height;
    const int32_t row_taps = o->kernel_width * o->input_channels;
    if (o->dilation_width != 1) {
        window_at_edge(o, column, input, y, x);
    } else if (o->taps == 9 && rows == 3 && o->dilation_height == 1) {
        window_3x3(column, from, pitch);
    } else {
        for (int32_t r = 0, tap = 0; r < rows; r++, tap += row_taps, from += pitch * o->dilation_height) {
            m33_column_copy(column, tap, from, row_taps);
        }
    }
}

/* The general epilogue of a tile. */
static __attribute__((noinline)) void store_general(const nn_conv_2d_options_t *o, const m33_tile_t *sum, int32_t channel,
                          int8_t *const to[WINDOWS])
{
    const int32_t sums[2][WINDOWS] = {{sum->a0, sum->a1, sum->a2, sum->a3}, {sum->b0, sum->b1, sum->b2, sum->b3}};
    for (int32_t k = 0; k < 2 && channel + k < o->output_channels; k++) {
        const nn_channel_t *c = &o->channels[channel + k];
        for (int32_t p = 0; p < WINDOWS; p++) {
            const int32_t value = nn_requantize(sums[k][p] + c->bias, c->multiplier, c->shift) + o->output_zero_point;
            to[p][channel + k] = (int8_t)nn_clamp(value, o->clamp_min, o->clamp_max);
        }
    }
}

/* All output channels of the four windows in the columns; window p's go to to[p]. */
static void multiply(const conv_t *conv, int8_t *const to[WINDOWS])
{
    const nn_conv_2d_options_t *const o = conv->options;
    const uint32_t *const columns = (const uint32_t *)conv->columns;
    const uint32_t *const end = columns + conv->steps * WINDOWS;
    const uint32_t *weights = (const uint32_t *)o->weights;
    const m33_channel_t *channel = conv->channels;
    int8_t *const to0 = to[0];
    int8_t *const to1 = to[1];
    int8_t *const to2 = to[2];
    int8_t *const to3 = to[3];
    const int32_t count = o->output_channels;
    for (int32_t c = 0; c < count; c += 2, weights += conv->steps) {
        const m33_tile_t sum = m33_tile(weights, columns, end, conv->entry);
        if (channel == NULL) {
            const m33_tile_t copy = sum; /* so that the usual path keeps `sum` in registers */
            store_general(o, &copy, c, to);
            continue;
        }
        to0[c] = (int8_t)m33_requantize(sum.a0, channel);
        to1[c] = (int8_t)m33_requantize(sum.a1, channel);
        to2[c] = (int8_t)m33_requantize(sum.a2, channel);
        to3[c] = (int8_t)m33_requantize(sum.a3, channel);
        if (c + 1 < count) {
            to0[c + 1] = (int8_t)m33_requantize(sum.b0, channel + 1);
            to1[c + 1] = (int8_t)m33_requantize(sum.b1, channel + 1);
            to2[c + 1] = (int8_t)m33_requantize(sum.b2, channel + 1);
            to3[c + 1] = (int8_t)m33_requantize(sum.b3, channel + 1);
        }
        channel += 2;
    }
}

/* Puts four consecutive output positions into the columns. Past the last position the last one is
 * repeated: computing it again writes the same bytes to the same place. */
static void convolve(const conv_t *conv)
{
    const nn_conv_2d_options_t *const o = conv->options;
    const int32_t positions = o->output_height * o->output_width;
    int32_t row = 0;
    int32_t column = 0;
    for (int32_t first = 0; first < positions; first += WINDOWS) {
        int8_t *to[WINDOWS];
        for (int32_t p = 0; p < WINDOWS; p++) {
            window(o, conv->columns + 2 * p, conv->input, row * o->stride_height - o->pad_top,
                   column * o->stride_width - o->pad_left);
            to[p] = conv->output + (row * o->output_width + column) * o->output_channels;
            if (first + p + 1 < positions && ++column == o->output_width) {
                column = 0;
                row++;
            }
        }
        multiply(conv, to);
    }
}

nn_status_t nn_kernel_conv_2d(const nn_call_t *call)
{
    const nn_conv_2d_options_t *const o = call->layer->options;
    conv_t conv = {
        .options = o,
        .input = nn_call_input(call, 0),
        .output = nn_call_output(call),
        .columns = nn_call_scratch(call),
        .steps = (o->taps + 1) / 2,
    };
    conv.entry = m33_tile_entry(conv.steps);
    conv.channels = (m33_channel_t *)(conv.columns + 2 * WINDOWS * conv.steps);
    if (!m33_prepare_channels(conv.channels, o->channels, o->output_channels, o->taps, o->output_zero_point,
                              o->clamp_min, o->clamp_max)) {
        conv.channels = NULL;
    }
    convolve(&conv);
    return NN_OK;
}
