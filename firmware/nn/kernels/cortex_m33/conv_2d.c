/* conv_2d for the Cortex-M33: four windows at a time become int16 columns (columns.h), which every
 * pair of output channels then passes over (tile.h). */
#include "columns.h"
#include "dot.h"
#include "tile.h"
#include "window.h"

#define WINDOWS M33_TILE_WINDOWS
/* Blocks of four windows that are gathered at once where windows are 3x3x1. */
#define SMALL_BLOCKS 4

/* Where the next window starts in the input, and how many are left. */
typedef struct position {
    int32_t y, x, left;
} position_t;

/* How windows become columns. */
typedef enum gather {
    GATHER_3X3,
    GATHER_QUADS,
    GATHER_IN_ORDER,
} gather_t;

/* What stays the same for the whole layer. */
typedef struct conv {
    const nn_conv_2d_options_t *options;
    const int8_t *input;
    const int8_t *pad_row; /* stands for a kernel row outside the input */
    int8_t *window;        /* room for one window as it is */
    int16_t *columns;
    int32_t steps;    /* words of weights for a pair of channels */
    int32_t row_taps; /* taps of a row of the kernel */
    int32_t pitch;    /* bytes of a row of the input */
    int32_t x_end;    /* one stride past the last window of a row */
    gather_t gather;
} conv_t;

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

/* Row `y` of the input, or padding to stand for it. */
static inline const int8_t *input_row(const conv_t *conv, int32_t y)
{
    const bool inside = (uint32_t)y < (uint32_t)conv->options->input_height;
    return inside ? conv->input + y * conv->pitch : conv->pad_row;
}

/* Any windows. */
static void gather_in_order(const conv_t *conv, position_t *position)
{
    for (int32_t p = 0; p < WINDOWS; p++) {
        m33_window(conv->options, conv->input, position->y, position->x, conv->window);
        m33_column_in_order(conv->columns + 2 * p, conv->window, conv->options->taps);
        advance(conv, position);
    }
}

/* A window that leaves the input at its left or right, of positions of whole groups of four taps. */
static __attribute__((noinline)) void window_at_side(const conv_t *conv, int16_t *column, int32_t y,
                                                     int32_t x)
{
    const nn_conv_2d_options_t *const o = conv->options;
    const m33_part_t part = m33_part(o, x, o->kernel_width);
    for (int32_t r = o->kernel_height; r > 0; r--, y += o->dilation_height) {
        if (y < 0 || y >= o->input_height) {
            column = m33_column_quads(column, conv->pad_row, conv->row_taps >> 2);
            continue;
        }
        column = m33_column_quads(column, conv->pad_row, part.before >> 2);
        column = m33_column_quads(column, conv->input + y * conv->pitch + part.from, part.inside >> 2);
        column = m33_column_quads(column, conv->pad_row, part.after >> 2);
    }
}

/* Windows of rows of whole groups of four taps. */
static __attribute__((noinline)) void gather_quads(const conv_t *conv, position_t *position)
{
    const nn_conv_2d_options_t *const o = conv->options;
    const int32_t quads = conv->row_taps >> 2;
    const int32_t pitch = conv->pitch * o->dilation_height;
    const int32_t last_y = o->input_height - (o->kernel_height - 1) * o->dilation_height - 1;
    const bool contiguous = o->dilation_width == 1 || o->kernel_width == 1;
    const int32_t last_x = contiguous ? o->input_width - o->kernel_width : -1;
    int16_t *column = conv->columns;
    position_t at = *position;
    for (int32_t p = WINDOWS; p > 0; p--, column += 2) {
        const int8_t *from = conv->input + at.y * conv->pitch + at.x * o->input_channels;
        int16_t *to = column;
        if ((at.x < 0 || at.x > last_x) && o->input_channels % 4 == 0 && o->dilation_width == 1) {
            window_at_side(conv, column, at.y, at.x);
        } else if (at.x < 0 || at.x > last_x) {
            m33_window(o, conv->input, at.y, at.x, conv->window);
            m33_column_quads(column, conv->window, o->taps >> 2);
        } else if (at.y >= 0 && at.y <= last_y) {
            for (int32_t r = o->kernel_height; r > 0; r--, from += pitch) {
                to = m33_column_quads(to, from, quads);
            }
        } else {
            for (int32_t r = o->kernel_height, y = at.y; r > 0; r--, y += o->dilation_height, from += pitch) {
                const bool inside = y >= 0 && y < o->input_height;
                to = m33_column_quads(to, inside ? from : conv->pad_row, quads);
            }
        }
        advance(conv, &at);
    }
    *position = at;
}

/* Four windows of three rows of three bytes with stride 2, side by side, in 66 instructions. Of a row's
 * nine bytes c0..c8 the even ones are c0 c2 and c4 c6 as halves of two words, the odd ones c1 c3 and c5
 * c7; every pair of taps takes one or two instructions from those. The ninth bytes are given apart, as
 * they may lie outside the input. */
static inline void windows_3x3_stride_2(uint32_t *column, const int8_t *const rows[3], int32_t x,
                                        const int32_t ninth[3])
{
    const int8_t *const first = rows[0] + x;
    const int8_t *const middle = rows[1] + x;
    const int8_t *const last = rows[2] + x;
    const uint32_t m8 = (uint32_t)ninth[1];
    const uint32_t f03 = m33_load(first), f47 = m33_load(first + 4);
    const uint32_t f02 = m33_even_bytes(f03), f13 = m33_odd_bytes(f03);
    const uint32_t f46 = m33_even_bytes(f47), f57 = m33_odd_bytes(f47);
    column[0] = m33_low_halves(f02, f13);
    column[1] = m33_high_halves(f02, f13);
    column[2] = m33_low_halves(f46, f57);
    column[3] = m33_high_halves(f46, f57);
    const uint32_t m03 = m33_load(middle), m47 = m33_load(middle + 4);
    const uint32_t m02 = m33_even_bytes(m03), m46 = m33_even_bytes(m47);
    column[4] = m33_low_halves(f02 >> 16, m02);
    column[5] = m33_low_and_high(f46, m02);
    column[6] = m33_low_halves(f46 >> 16, m46);
    column[7] = m33_low_and_high((uint32_t)ninth[0], m46);
    const uint32_t m13 = m33_odd_bytes(m03), m57 = m33_odd_bytes(m47);
    column[8] = m33_low_and_high(m13, m02);
    column[9] = m33_low_halves(m13 >> 16, m46);
    column[10] = m33_low_and_high(m57, m46);
    column[11] = m33_low_halves(m57 >> 16, m8);
    const uint32_t l03 = m33_load(last), l47 = m33_load(last + 4);
    const uint32_t l02 = m33_even_bytes(l03), l13 = m33_odd_bytes(l03);
    const uint32_t l46 = m33_even_bytes(l47), l57 = m33_odd_bytes(l47);
    column[12] = m33_low_halves(l02, l13);
    column[13] = m33_high_halves(l02, l13);
    column[14] = m33_low_halves(l46, l57);
    column[15] = m33_high_halves(l46, l57);
    /* The other halves of these meet weights of zero. */
    column[16] = l02 >> 16;
    column[17] = l46;
    column[18] = l46 >> 16;
    column[19] = (uint32_t)ninth[2];
}

static inline void window_3x3(uint32_t *column, const int8_t *first, const int8_t *middle, const int8_t *last)
{
    column[0] = m33_low_halves((uint32_t)first[0], (uint32_t)first[1]);
    column[WINDOWS] = m33_low_halves((uint32_t)first[2], (uint32_t)middle[0]);
    column[2 * WINDOWS] = m33_low_halves((uint32_t)middle[1], (uint32_t)middle[2]);
    column[3 * WINDOWS] = m33_low_halves((uint32_t)last[0], (uint32_t)last[1]);
    column[4 * WINDOWS] = (uint32_t)last[2];
}

/* Three rows of three bytes, the first layer of most keyword spotters: `blocks` times four windows. */
static __attribute__((noinline)) void gather_3x3(const conv_t *conv, position_t *position, int32_t blocks)
{
    const nn_conv_2d_options_t *const o = conv->options;
    const int32_t width = o->input_width;
    const int32_t x_end = conv->x_end;
    uint32_t *column = (uint32_t *)(void *)conv->columns;
    position_t at = *position;
    const int8_t *rows[3] = {NULL, NULL, NULL};
    bool moved = true;
    for (; blocks > 0; blocks--, column += 5 * WINDOWS) {
        for (int32_t p = 0; p < WINDOWS; p++) {
            if (moved) {
                for (int32_t r = 0; r < 3; r++) {
                    rows[r] = input_row(conv, at.y + r * o->dilation_height);
                }
                moved = false;
            }
            if (p == 0 && o->stride_width == 2 && at.x >= 0 && at.x + 8 <= width && at.x + 8 <= x_end) {
                const bool inside = at.x + 8 < width;
                const int32_t pad = o->pad_value;
                const int32_t ninth[3] = {inside ? rows[0][at.x + 8] : pad, inside ? rows[1][at.x + 8] : pad,
                                          inside ? rows[2][at.x + 8] : pad};
                windows_3x3_stride_2(column, rows, at.x, ninth);
                at.left -= WINDOWS - 1;
                at.x += 2 * (WINDOWS - 1);
                moved = advance(conv, &at);
                break;
            }
            if (at.x >= 0 && at.x + 3 <= width) {
                window_3x3(column + p, rows[0] + at.x, rows[1] + at.x, rows[2] + at.x);
            } else {
                int8_t side[9];
                for (int32_t c = 0; c < 3; c++) {
                    const int32_t x = at.x + c;
                    const bool inside = x >= 0 && x < width;
                    side[c] = inside ? rows[0][x] : *conv->pad_row;
                    side[c + 3] = inside ? rows[1][x] : *conv->pad_row;
                    side[c + 6] = inside ? rows[2][x] : *conv->pad_row;
                }
                window_3x3(column + p, side, side + 3, side + 6);
            }
            moved = advance(conv, &at);
        }
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
                    nn_requantize(sums[k] + channel->bias, channel->multiplier, channel->shift) +
                    o->output_zero_point;
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

/* Takes output positions four at a time, small windows several times four. Past the last position the
 * last one is repeated: computing it again writes the same bytes to the same place. */
static void convolve(const conv_t *conv, m33_tile_t *tile)
{
    const nn_conv_2d_options_t *const o = conv->options;
    position_t position = {-o->pad_top, -o->pad_left, o->output_height * o->output_width};
    const int32_t words = conv->steps * WINDOWS;
    tile->output_1 = o->output_channels;
    tile->output_2 = 2 * o->output_channels;
    tile->output_3 = 3 * o->output_channels;
    for (int32_t left = position.left; left > 0;) {
        int32_t blocks = 1;
        if (conv->gather == GATHER_3X3) {
            const int32_t most = (left + WINDOWS - 1) / WINDOWS;
            blocks = most < SMALL_BLOCKS ? most : SMALL_BLOCKS;
            gather_3x3(conv, &position, blocks);
        } else if (conv->gather == GATHER_QUADS) {
            gather_quads(conv, &position);
        } else {
            gather_in_order(conv, &position);
        }
        tile->columns = (const uint32_t *)(const void *)conv->columns;
        for (; blocks > 0; blocks--, left -= WINDOWS) {
            tile->columns_end = tile->columns + words;
            if (left < WINDOWS) {
                const int32_t end = (left - 1) * o->output_channels;
                tile->output_1 = tile->output_1 < end ? tile->output_1 : end;
                tile->output_2 = tile->output_2 < end ? tile->output_2 : end;
                tile->output_3 = end;
            }
            multiply(conv, tile);
            tile->output += WINDOWS * o->output_channels;
            tile->columns += words;
        }
    }
}

static gather_t choose_gather(const nn_conv_2d_options_t *o)
{
    if (o->joined && o->kernel_width * o->input_channels % 4 == 0) {
        return GATHER_QUADS;
    }
    return o->kernel_height == 3 && o->kernel_width == 3 && o->input_channels == 1 && o->dilation_width == 1
               ? GATHER_3X3
               : GATHER_IN_ORDER;
}

nn_status_t nn_kernel_conv_2d(const nn_call_t *call)
{
    const nn_conv_2d_options_t *const o = call->layer->options;
    const int32_t steps = (o->taps + 1) / 2;
    const gather_t gather = choose_gather(o);
    int16_t *const columns = nn_call_scratch(call);
    const int32_t blocks = gather == GATHER_3X3 ? SMALL_BLOCKS : 1;
    m33_channel_t *const channels = (m33_channel_t *)(void *)(columns + M33_COLUMN_STRIDE * steps * blocks);
    const int32_t row_taps = o->kernel_width * o->input_channels;
    const int32_t pad_bytes = row_taps > o->input_width ? row_taps : o->input_width;
    int8_t *const pad_row = (int8_t *)(channels + ((o->output_channels + 1) & ~1));
    const conv_t conv = {
        .options = o,
        .input = nn_call_input(call, 0),
        .pad_row = pad_row,
        .window = pad_row + pad_bytes,
        .columns = columns,
        .steps = steps,
        .row_taps = row_taps,
        .pitch = o->input_width * o->input_channels,
        .x_end = o->output_width * o->stride_width - o->pad_left,
        .gather = gather,
    };
    memset(pad_row, o->pad_value, (size_t)pad_bytes);
    m33_tile_t tile = {
        .weights = (const uint32_t *)(const void *)o->weights,
        .skip = m33_tile_skip(steps),
        .output = nn_call_output(call),
    };
    if (o->joined && m33_prepare_channels(channels, o->channels, o->output_channels, o->taps,
                                          o->output_zero_point, o->clamp_min, o->clamp_max)) {
        tile.channels = channels;
        tile.channels_end = channels + (o->output_channels & ~1);
    }
    convolve(&conv, &tile);
    return NN_OK;
}
