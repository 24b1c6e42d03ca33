/* depthwise_conv_2d for the Cortex-M33: each input channel in turn becomes an int16 image with its
 * padding, where neighbouring taps are SMLAD operands; 3x3 kernels of stride 1 and 2 have their own
 * loops over four outputs. */
#include "requantize.h"

typedef struct depthwise depthwise_t;

/* One output channel. */
typedef struct filter {
    const m33_channel_t *prepared; /* NULL if the channel needs nn_requantize */
    const nn_channel_t *channel;
    const int8_t *weights;
    uint32_t first[3];  /* 3x3: taps 0, 1 of each row as int16 */
    uint32_t second[3]; /* 3x3: taps 1, 2 of each row */
} filter_t;

struct depthwise {
    const nn_depthwise_conv_2d_options_t *options;
    const int8_t *input;
    int16_t *image;
    int32_t height, width; /* of the image */
};

static inline int8_t finish(const depthwise_t *d, const filter_t *f, int32_t sum)
{
    const nn_depthwise_conv_2d_options_t *const o = d->options;
    const int32_t value = f->prepared != NULL
                              ? m33_requantize(sum, f->prepared)
                              : nn_requantize(sum + f->channel->bias, f->channel->multiplier, f->channel->shift) +
                                    o->output_zero_point;
    return (int8_t)nn_clamp(value, o->clamp_min, o->clamp_max);
}

/* Stores up to four outputs of neighbouring positions. */
static inline __attribute__((always_inline)) void store(const depthwise_t *d, const filter_t *f, int8_t *output,
                                                        const int32_t sums[4], int32_t count)
{
    const int32_t step = d->options->output_channels;
    output[0] = finish(d, f, sums[0]);
    if (count > 1) {
        output[step] = finish(d, f, sums[1]);
    }
    if (count > 2) {
        output[2 * step] = finish(d, f, sums[2]);
    }
    if (count > 3) {
        output[3 * step] = finish(d, f, sums[3]);
    }
}

static inline uint32_t pair(const int16_t *from)
{
    return *(const uint32_t *)(const void *)from;
}

/* One row of outputs of a 3x3 kernel with stride 1. Outputs go in twos, each from its own half of the
 * words x0 x1 and x2 x3, so that no operand straddles two words. */
static void row_3x3(const depthwise_t *d, const filter_t *f, const int16_t *from, int8_t *output)
{
    const int32_t step = d->options->output_channels;
    const int32_t width = d->width;
    for (int32_t left = d->options->output_width; left > 0; left -= 4, from += 4, output += 4 * step) {
        int32_t sums[4] = {0};
        const int16_t *row = from;
        for (int32_t r = 0; r < 3; r++, row += width) {
            const uint32_t w0 = pair(row), w1 = pair(row + 2);
            const uint32_t k01 = f->first[r], k12 = f->second[r];
            sums[0] = __smlad((int16x2_t)w0, (int16x2_t)k01, sums[0]);
            sums[0] = __smlabt((int32_t)w1, (int32_t)k12, sums[0]);
            sums[1] = __smlatb((int32_t)w0, (int32_t)k01, sums[1]);
            sums[1] = __smlad((int16x2_t)w1, (int16x2_t)k12, sums[1]);
            if (left > 2) {
                const uint32_t w2 = pair(row + 4);
                sums[2] = __smlad((int16x2_t)w1, (int16x2_t)k01, sums[2]);
                sums[2] = __smlabt((int32_t)w2, (int32_t)k12, sums[2]);
                sums[3] = __smlatb((int32_t)w1, (int32_t)k01, sums[3]);
                sums[3] = __smlad((int16x2_t)w2, (int16x2_t)k12, sums[3]);
            }
        }
        store(d, f, output, sums, left);
    }
}

/* The same with stride 2. */
static void row_3x3_stride_2(const depthwise_t *d, const filter_t *f, const int16_t *from, int8_t *output)
{
    const int32_t step = d->options->output_channels;
    const int32_t width = d->width;
    for (int32_t left = d->options->output_width; left > 0; left -= 4, from += 8, output += 4 * step) {
        int32_t sums[4] = {0};
        const int16_t *row = from;
        for (int32_t r = 0; r < 3; r++, row += width) {
            const uint32_t k01 = f->first[r], k12 = f->second[r];
            const uint32_t w0 = pair(row), w1 = pair(row + 2), w2 = pair(row + 4);
            sums[0] = __smlad((int16x2_t)w0, (int16x2_t)k01, sums[0]);
            sums[0] = __smlabt((int32_t)w1, (int32_t)k12, sums[0]);
            sums[1] = __smlad((int16x2_t)w1, (int16x2_t)k01, sums[1]);
            sums[1] = __smlabt((int32_t)w2, (int32_t)k12, sums[1]);
            if (left > 2) {
                const uint32_t w3 = pair(row + 6), w4 = pair(row + 8);
                sums[2] = __smlad((int16x2_t)w2, (int16x2_t)k01, sums[2]);
                sums[2] = __smlabt((int32_t)w3, (int32_t)k12, sums[2]);
                sums[3] = __smlad((int16x2_t)w3, (int16x2_t)k01, sums[3]);
                sums[3] = __smlabt((int32_t)w4, (int32_t)k12, sums[3]);
            }
        }
        store(d, f, output, sums, left);
    }
}

/* One row of outputs of any kernel. */
static void row_general(const depthwise_t *d, const filter_t *f, const int16_t *from, int8_t *output)
{
    const nn_depthwise_conv_2d_options_t *const o = d->options;
    const int32_t stride = o->stride_width;
    int32_t left = o->output_width;
    while (left > 0) {
        const int32_t count = left >= 4 ? 4 : 1;
        const int8_t *weight = f->weights;
        const int16_t *row = from;
        int32_t sums[4] = {0};
        for (int32_t r = 0; r < o->kernel_height; r++, row += o->dilation_height * d->width) {
            const int16_t *tap = row;
            for (int32_t c = 0; c < o->kernel_width; c++, tap += o->dilation_width) {
                const int32_t w = *weight++;
                sums[0] += w * tap[0];
                if (count == 4) {
                    sums[1] += w * tap[stride];
                    sums[2] += w * tap[2 * stride];
                    sums[3] += w * tap[3 * stride];
                }
            }
        }
        store(d, f, output, sums, count);
        left -= count;
        from += count * stride;
        output += count * o->output_channels;
    }
}

/* Writes one channel of the input into the image, whose padding is there already. */
static void load_image(const depthwise_t *d, int32_t channel)
{
    const nn_depthwise_conv_2d_options_t *const o = d->options;
    const int32_t rows = o->input_height < d->height - o->pad_top ? o->input_height : d->height - o->pad_top;
    const int32_t columns = o->input_width < d->width - o->pad_left ? o->input_width : d->width - o->pad_left;
    const int32_t depth = o->input_channels;
    const int8_t *from = d->input + channel;
    int16_t *to = d->image + o->pad_top * d->width + o->pad_left;
    for (int32_t y = 0; y < rows; y++, from += o->input_width * depth, to += d->width) {
        const int8_t *in = from;
        int16_t *out = to;
        int32_t left = columns;
        for (; left >= 4; left -= 4, in += 4 * depth, out += 4) {
            const int16_t a = in[0], b = in[depth], c = in[2 * depth], e = in[3 * depth];
            out[0] = a;
            out[1] = b;
            out[2] = c;
            out[3] = e;
        }
        for (; left > 0; left--, in += depth) {
            *out++ = *in;
        }
    }
}

static void make_filter(const depthwise_t *d, filter_t *f, int32_t channel)
{
    const nn_depthwise_conv_2d_options_t *const o = d->options;
    f->channel = &o->channels[channel];
    f->weights = o->weights + channel * o->kernel_height * o->kernel_width;
    for (int32_t r = 0; r < 3 && o->kernel_height == 3 && o->kernel_width == 3; r++) {
        const int8_t *const w = f->weights + 3 * r;
        f->first[r] = m33_low_halves((uint32_t)w[0], (uint32_t)w[1]);
        f->second[r] = m33_low_halves((uint32_t)w[1], (uint32_t)w[2]);
    }
}

nn_status_t nn_kernel_depthwise_conv_2d(const nn_call_t *call)
{
    const nn_depthwise_conv_2d_options_t *const o = call->layer->options;
    const int32_t taps = o->kernel_height * o->kernel_width;
    const int32_t even_width = (o->output_width + 1) & ~1;
    const depthwise_t d = {
        .options = o,
        .input = nn_call_input(call, 0),
        .image = nn_call_scratch(call),
        .height = (o->output_height - 1) * o->stride_height + (o->kernel_height - 1) * o->dilation_height + 1,
        .width = ((even_width - 1) * o->stride_width + (o->kernel_width - 1) * o->dilation_width + 3) & ~1,
    };
    const bool three = o->kernel_height == 3 && o->kernel_width == 3 && o->dilation_height == 1 &&
                       o->dilation_width == 1 && o->stride_width <= 2;
    int8_t *const output = nn_call_output(call);
    for (int32_t k = 0; k < d.height * d.width; k++) {
        d.image[k] = (int16_t)o->pad_value;
    }
    for (int32_t c = 0; c < o->output_channels; c++) {
        m33_channel_t prepared;
        filter_t f;
        if (c % o->depth_multiplier == 0) {
            load_image(&d, c / o->depth_multiplier);
        }
        make_filter(&d, &f, c);
        f.prepared = taps < 1 << 15 && m33_prepare_channel(&prepared, f.channel, taps << 14, o->output_zero_point)
                         ? &prepared
                         : NULL;
        const int16_t *from = d.image;
        int8_t *to = output + c;
        for (int32_t y = 0; y < o->output_height; y++) {
            if (!three) {
                row_general(&d, &f, from, to);
            } else if (o->stride_width == 1) {
                row_3x3(&d, &f, from, to);
            } else {
                row_3x3_stride_2(&d, &f, from, to);
            }
            from += o->stride_height * d.width;
            to += o->output_width * o->output_channels;
        }
    }
    return NN_OK;
}
