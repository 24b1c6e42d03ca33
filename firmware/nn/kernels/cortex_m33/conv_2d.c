/* conv_2d for the Cortex-M33: four windows at a time become int16 columns (columns.h), which every
 * pair of output channels then passes over (tile.h). */
#include "columns.h"
#include "dot.h"
#include "tile.h"

#define WINDOWS M33_TILE_WINDOWS

typedef struct conv conv_t;

/* Where the next window starts in the input, and how many are left. */
typedef struct position {
    int32_t y, x, left;
} position_t;

/* Writes the next four windows (fewer at the end) and moves on. */
typedef void (*gather_fn)(const conv_t *conv, position_t *position);

/* What stays the same for the whole layer. */
struct conv {
    const nn_conv_2d_options_t *options;
    const int8_t *input;
    const int8_t *pad_row; /* stands for a kernel row outside the input */
    int16_t *columns;
    int32_t steps;    /* words of weights for a pair of channels */
    int32_t row_taps; /* taps of a row of the kernel */
    int32_t pitch;    /* bytes of a row of the input */
    int32_t x_end;    /* one stride past the last window of a row */
    bool reordered;
    gather_fn gather;
};

/* Steps to the next window unless there is none; true if it is on another row. */
static inline bool advance(const conv_t *conv, position_t *position)
{
    if (--position->left <= 0) {
        return false;
    }
    position->x += conv->options->stride_width;
    if (position->x != conv->x_end) {
        return false;
    }
    position->x = -conv->options->pad_left;
    position->y += conv->options->stride_height;
    return true;
}

/* Row `y` of the input from column `x` on, or padding to stand for it. */
static inline const int8_t *input_row(const conv_t *conv, int32_t y, int32_t x)
{
    const nn_conv_2d_options_t *const o = conv->options;
    return (uint32_t)y < (uint32_t)o->input_height ? conv->input + y * conv->pitch + x * o->input_channels
                                                   : conv->pad_row;
}

/* A window whose columns may lie outside the input, one kernel row after the other. */
static __attribute__((noinline)) void window_at_side(const conv_t *conv, int16_t *column, int32_t y, int32_t x)
{
    const nn_conv_2d_options_t *const o = conv->options;
    const int32_t depth = o->input_channels;
    const int32_t width = o->kernel_width;
    const int32_t before = x >= 0 ? 0 : -x < width ? -x : width;
    const int32_t past = x + width - o->input_width;
    const int32_t after = past <= 0 ? 0 : past < width ? past : width;
    const int32_t first = before * depth;
    const int32_t last = (width - after) * depth;
    for (int32_t r = 0, tap = 0; r < o->kernel_height; r++, tap += conv->row_taps, y += o->dilation_height) {
        const int8_t *const row = input_row(conv, y, x);
        if (row == conv->pad_row) {
            m33_column_copy(column, tap, row, conv->row_taps, conv->reordered);
            continue;
        }
        m33_column_copy(column, tap, conv->pad_row, first, conv->reordered);
        m33_column_copy(column, tap + first, row + first, last - first, conv->reordered);
        m33_column_copy(column, tap + last, conv->pad_row, conv->row_taps - last, conv->reordered);
    }
}

/* Any window: tap columns apart from each other. */
static void window_dilated(const conv_t *conv, int16_t *column, int32_t y, int32_t x)
{
    const nn_conv_2d_options_t *const o = conv->options;
    const int32_t depth = o->input_channels;
    for (int32_t r = 0, tap = 0; r < o->kernel_height; r++, y += o->dilation_height) {
        for (int32_t c = 0; c < o->kernel_width; c++, tap += depth) {
            const int32_t at = x + c * o->dilation_width;
            const bool inside = at >= 0 && at < o->input_width;
            m33_column_copy(column, tap, inside ? input_row(conv, y, at) : conv->pad_row, depth, conv->reordered);
        }
    }
}

static void gather_dilated(const conv_t *conv, position_t *position)
{
    for (int32_t p = 0; p < WINDOWS; p++) {
        window_dilated(conv, conv->columns + 2 * p, position->y, position->x);
        advance(conv, position);
    }
}

static void gather_in_order(const conv_t *conv, position_t *position)
{
    for (int32_t p = 0; p < WINDOWS; p++) {
        const nn_conv_2d_options_t *const o = conv->options;
        int16_t *const column = conv->columns + 2 * p;
        int32_t y = position->y;
        const int32_t x = position->x;
        if (x >= 0 && x + o->kernel_width <= o->input_width) {
            for (int32_t r = 0, tap = 0; r < o->kernel_height; r++, tap += conv->row_taps, y += o->dilation_height) {
                m33_column_copy_in_order(column, tap, input_row(conv, y, x), conv->row_taps);
            }
        } else {
            window_at_side(conv, column, y, x);
        }
        advance(conv, position);
    }
}

/* Rows of whole groups of four taps. */
static void gather_quads(const conv_t *conv, position_t *position)
{
    const nn_conv_2d_options_t *const o = conv->options;
    const int32_t quads = conv->row_taps >> 2;
    for (int32_t p = 0; p < WINDOWS; p++) {
        int16_t *column = conv->columns + 2 * p;
        int32_t y = position->y;
        const int32_t x = position->x;
        if (x >= 0 && x + o->kernel_width <= o->input_width) {
            for (int32_t r = o->kernel_height; r > 0; r--, y += o->dilation_height) {
                column = m33_column_copy_quads(column, input_row(conv, y, x), quads);
            }
        } else {
            window_at_side(conv, column, y, x);
        }
        advance(conv, position);
    }
}

/* Three rows of three bytes: the first layer of most keyword spotters. */
static void gather_3x3(const conv_t *conv, position_t *position)
{
    const nn_conv_2d_options_t *const o = conv->options;
    int16_t *column = conv->columns;
    position_t at = *position;
    const int8_t *rows[3];
    bool moved = true;
    for (int32_t p = 0; p < WINDOWS; p++, column += 2) {
        if (moved) {
            for (int32_t r = 0; r < 3; r++) {
                const int32_t y = at.y + r * o->dilation_height;
                rows[r] = (uint32_t)y < (uint32_t)o->input_height ? conv->input + y * conv->pitch : NULL;
            }
        }
        if (at.x >= 0 && at.x + 3 <= o->input_width) {
            const int8_t *const first = rows[0] != NULL ? rows[0] + at.x : conv->pad_row;
            const int8_t *const middle = rows[1] != NULL ? rows[1] + at.x : conv->pad_row;
            const int8_t *const last = rows[2] != NULL ? rows[2] + at.x : conv->pad_row;
            m33_store(column, m33_low_halves((uint32_t)first[0], (uint32_t)first[1]));
            m33_store(column + M33_COLUMN_STRIDE, m33_low_halves((uint32_t)first[2], (uint32_t)middle[0]));
            m33_store(column + 2 * M33_COLUMN_STRIDE, m33_low_halves((uint32_t)middle[1], (uint32_t)middle[2]));
            m33_store(column + 3 * M33_COLUMN_STRIDE, m33_low_halves((uint32_t)last[0], (uint32_t)last[1]));
            m33_store(column + 4 * M33_COLUMN_STRIDE, (uint32_t)last[2]);
        } else {
            window_at_side(conv, column, at.y, at.x);
        }
        moved = advance(conv, &at);
    }
    *position = at;
}

/* The four windows in the columns by plain weights, or with multipliers that the tile cannot do. */
static __attribute__((noinline)) void multiply_general(const conv_t *conv, const m33_tile_t *tile)
{
    const nn_conv_2d_options_t *const o = conv->options;
    const int32_t offsets[WINDOWS] = {0, tile->output_1, tile->output_2, tile->output_3};
    const uint32_t *weights = (const uint32_t *)o->weights;
    for (int32_t c = 0; c < o->output_channels; c += 2, weights += conv->steps) {
        for (int32_t p = 0; p < WINDOWS; p++) {
            int32_t sums[2];
            m33_dot_pair(weights, tile->columns + p, conv->steps, WINDOWS, o->joined, sums);
            for (int32_t k = 0; k < 2 && c + k < o->output_channels; k++) {
                const nn_channel_t *const channel = &o->channels[c + k];
                const int32_t value =
                    nn_requantize(sums[k] + channel->bias, channel->multiplier, channel->shift) + o->output_zero_point;
                tile->output[offsets[p] + c + k] = (int8_t)nn_clamp(value, o->clamp_min, o->clamp_max);
            }
        }
    }
}

/* The odd last channel, whose partner has no place in the output. */
static void multiply_last(const conv_t *conv, const m33_tile_t *whole)
{
    int8_t pairs[2 * WINDOWS] __attribute__((aligned(4)));
    m33_tile_t tile = *whole;
    const int32_t last = conv->options->output_channels - 1;
    tile.weights += (last >> 1) * conv->steps;
    tile.channels = whole->channels + last;
    tile.channels_end = tile.channels + 2;
    tile.output = pairs;
    tile.output_1 = 2;
    tile.output_2 = 4;
    tile.output_3 = 6;
    m33_tile_run(&tile);
    whole->output[last] = pairs[0];
    whole->output[whole->output_1 + last] = pairs[2];
    whole->output[whole->output_2 + last] = pairs[4];
    whole->output[whole->output_3 + last] = pairs[6];
}

static inline void multiply(const conv_t *conv, const m33_tile_t *tile)
{
    if (tile->channels == NULL) {
        multiply_general(conv, tile);
        return;
    }
    if (tile->channels_end != tile->channels) {
        m33_tile_run(tile);
    }
    if ((conv->options->output_channels & 1) != 0) {
        multiply_last(conv, tile);
    }
}

/* Takes output positions four at a time. Past the last position the last one is repeated: computing
 * it again writes the same bytes to the same place. */
static void convolve(const conv_t *conv, m33_tile_t *tile)
{
    const nn_conv_2d_options_t *const o = conv->options;
    position_t position = {-o->pad_top, -o->pad_left, o->output_height * o->output_width};
    tile->output_1 = o->output_channels;
    tile->output_2 = 2 * o->output_channels;
    tile->output_3 = 3 * o->output_channels;
    while (position.left > 0) {
        if (position.left < WINDOWS) {
            const int32_t end = (position.left - 1) * o->output_channels;
            tile->output_1 = tile->output_1 < end ? tile->output_1 : end;
            tile->output_2 = tile->output_2 < end ? tile->output_2 : end;
            tile->output_3 = end;
        }
        conv->gather(conv, &position);
        multiply(conv, tile);
        tile->output += WINDOWS * o->output_channels;
    }
}

static gather_fn choose_gather(const nn_conv_2d_options_t *o, bool reordered)
{
    if (o->dilation_width != 1 && o->kernel_width != 1) {
        return gather_dilated;
    }
    if (reordered) {
        return gather_quads;
    }
    return o->kernel_height == 3 && o->kernel_width == 3 && o->input_channels == 1 ? gather_3x3 : gather_in_order;
}

nn_status_t nn_kernel_conv_2d(const nn_call_t *call)
{
    const nn_conv_2d_options_t *const o = call->layer->options;
    const int32_t steps = (o->taps + 1) / 2;
    int16_t *const columns = nn_call_scratch(call);
    m33_channel_t *const channels = (m33_channel_t *)(void *)(columns + M33_COLUMN_STRIDE * steps);
    const int32_t row_taps = o->kernel_width * o->input_channels;
    int8_t *const pad_row = (int8_t *)(channels + ((o->output_channels + 1) & ~1));
    const bool reordered = o->joined && row_taps % 4 == 0;
    const conv_t conv = {
        .options = o,
        .input = nn_call_input(call, 0),
        .pad_row = pad_row,
        .columns = columns,
        .steps = steps,
        .row_taps = row_taps,
        .pitch = o->input_width * o->input_channels,
        .x_end = o->output_width * o->stride_width - o->pad_left,
        .reordered = reordered,
        .gather = choose_gather(o, reordered),
    };
    memset(pad_row, o->pad_value, (size_t)row_taps);
    m33_tile_t tile = {
        .weights = (const uint32_t *)(const void *)o->weights,
        .columns = (const uint32_t *)(const void *)columns,
        .columns_end = (const uint32_t *)(const void *)(columns + M33_COLUMN_STRIDE * steps),
        .skip = m33_tile_skip(steps),
        .output = nn_call_output(call),
    };
    if (o->joined && m33_prepare_channels(channels, o->channels, o->output_channels, o->taps, o->output_zero_point,
                                          o->clamp_min, o->clamp_max)) {
        tile.channels = channels;
        tile.channels_end = channels + (o->output_channels & ~1);
    }
    convolve(&conv, &tile);
    return NN_OK;
}
