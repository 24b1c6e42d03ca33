/* depthwise_conv_2d for the Cortex-M33: each input channel in turn becomes an int16 image with its
 * padding, where neighbouring taps are operands of one multiplication (row.h), unless there is but one
 * output of it.
 *
 * Rows and columns are interchangeable, so the image is turned where that leaves fewer incomplete
 * groups of four outputs: 25 x 5 outputs go in 5 rows of 25.
 */
#include "row.h"

/* One dimension of the layer. */
typedef struct axis {
    int32_t inputs, outputs, stride, kernel, dilation, pad;
    int32_t input_step, output_step, weight_step; /* bytes from one element to the next */
} axis_t;

typedef struct depthwise {
    const nn_depthwise_conv_2d_options_t *options;
    int16_t *image;
    int32_t pitch; /* elements of an image row */
    axis_t along, across; /* the image's rows */
} depthwise_t;

/* Input elements under all the windows. */
static int32_t span(const axis_t *axis)
{
    return (axis->outputs - 1) * axis->stride + (axis->kernel - 1) * axis->dilation + 1;
}

/* Elements of an image row: rows are words, and four outputs can always be computed. */
static int32_t row_elements(axis_t axis)
{
    axis.outputs = axis.outputs < 4 ? 4 : axis.outputs;
    return (span(&axis) + 2) & ~1;
}

static int32_t groups(int32_t outputs)
{
    return (outputs + 3) / 4;
}

static depthwise_t describe(const nn_depthwise_conv_2d_options_t *o, int16_t *image)
{
    const axis_t vertical = {
        o->input_height, o->output_height, o->stride_height, o->kernel_height, o->dilation_height, o->pad_top,
        o->input_width * o->input_channels, o->output_width * o->output_channels, o->kernel_width,
    };
    const axis_t horizontal = {
        o->input_width, o->output_width, o->stride_width, o->kernel_width, o->dilation_width, o->pad_left,
        o->input_channels, o->output_channels, 1,
    };
    const bool turn = groups(o->output_height) * o->output_width < groups(o->output_width) * o->output_height;
    depthwise_t d = {.options = o, .image = image};
    d.along = turn ? vertical : horizontal;
    d.across = turn ? horizontal : vertical;
    d.pitch = row_elements(d.along);
    return d;
}

/* Writes one channel of the input into the image, whose padding is there already. */
static __attribute__((noinline)) void load_image(const depthwise_t *d, const int8_t *from)
{
    const int32_t room = d->pitch - d->along.pad;
    const int32_t rest = span(&d->across) - d->across.pad;
    const int32_t columns = d->along.inputs < room ? d->along.inputs : room;
    const int32_t rows = d->across.inputs < rest ? d->across.inputs : rest;
    const int32_t step = d->along.input_step;
    int16_t *to = d->image + d->across.pad * d->pitch + d->along.pad;
    for (int32_t y = 0; y < rows; y++, from += d->across.input_step, to += d->pitch) {
        const int8_t *in = from;
        int16_t *out = to;
        int32_t left = columns;
        for (; left >= 4; left -= 4) {
            int32_t a, b, c, e;
            /* The compiler would join the halfwords with one instruction each. */
            __asm__ volatile("ldrsb  %[a], [%[in]]\n"
                             "ldrsb  %[b], [%[in], %[step]]\n"
                             "add    %[in], %[in], %[step], lsl #1\n"
                             "ldrsb  %[c], [%[in]]\n"
                             "ldrsb  %[e], [%[in], %[step]]\n"
                             "add    %[in], %[in], %[step], lsl #1\n"
                             "strh   %[a], [%[out]], #2\n"
                             "strh   %[b], [%[out]], #2\n"
                             "strh   %[c], [%[out]], #2\n"
                             "strh   %[e], [%[out]], #2\n"
                             : [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c), [e] "=&r"(e), [in] "+&r"(in),
                               [out] "+&r"(out)
                             : [step] "r"(step)
                             : "memory");
        }
        for (; left > 0; left--, in += step) {
            *out++ = *in;
        }
    }
}

static int8_t clamp(const depthwise_t *d, int32_t value)
{
    return (int8_t)nn_clamp(value, d->options->clamp_min, d->options->clamp_max);
}

/* One channel by any kernel. `prepared` is NULL for what m33_requantize cannot do. */
static __attribute__((noinline)) void filter_general(const depthwise_t *d, const int8_t *weights,
                                                     const nn_channel_t *channel,
                                                     const m33_channel_t *prepared, int8_t *output)
{
    const axis_t along = d->along;
    const bool is_short = prepared != NULL;
    const m33_channel_t scaling = is_short ? *prepared : (m33_channel_t){0, 0, 0, 0};
    const int32_t bias = is_short ? 0 : channel->bias;
    for (int32_t y = 0; y < d->across.outputs; y++, output += d->across.output_step) {
        const int16_t *from = d->image + y * d->across.stride * d->pitch;
        int8_t *to = output;
        /* In fours, of which the last may overlap those before; rows have room for four. */
        for (int32_t x = 0; x < along.outputs; x += 4) {
            const int32_t back = x + 4 > along.outputs && along.outputs >= 4 ? x + 4 - along.outputs : 0;
            const int16_t *row = from + (x - back) * along.stride;
            int32_t sums[4] = {bias, bias, bias, bias};
            for (int32_t r = 0; r < d->across.kernel; r++, row += d->across.dilation * d->pitch) {
                const int8_t *weight = weights + r * d->across.weight_step;
                const int16_t *tap = row;
                for (int32_t c = 0; c < along.kernel; c++) {
                    const int32_t w = *weight;
                    sums[0] += w * tap[0];
                    sums[1] += w * tap[along.stride];
                    sums[2] += w * tap[2 * along.stride];
                    sums[3] += w * tap[3 * along.stride];
                    weight += along.weight_step;
                    tap += along.dilation;
                }
            }
            to = output + (x - back) * along.output_step;
            for (int32_t i = 0; i < 4 && x - back + i < along.outputs; i++, to += along.output_step) {
                if (is_short) {
                    *to = (int8_t)m33_requantize(sums[i], &scaling);
                } else {
                    const int32_t value = nn_requantize(sums[i], channel->multiplier, channel->shift);
                    *to = clamp(d, value + d->options->output_zero_point);
                }
            }
        }
    }
}

/* What m33_row_t says of the layer, the same for all channels. */
static void describe_rows(const depthwise_t *d, m33_row_t *row)
{
    const axis_t *const along = &d->along;
    const int32_t rest = along->outputs % 4;
    const bool few = along->outputs < 4;
    row->pitch = d->pitch * 2;
    row->step = few ? 1 : along->output_step;
    row->every_groups = few ? 1 : along->outputs / 4;
    row->image_back = few || rest == 0 ? 0 : (4 - rest) * 2 * along->stride;
    row->output_back = (4 - rest) * along->output_step;
    row->image_next = (d->across.stride * d->pitch - along->outputs * along->stride) * 2;
    row->output_next = d->across.output_step - along->outputs * along->output_step;
}

static void run_rows(const depthwise_t *d, m33_row_t *row, int8_t *output)
{
    const axis_t *const along = &d->along;
    const bool few = along->outputs < 4;
    int8_t four[4];
    row->image = d->image;
    row->groups = row->every_groups;
    row->rest = row->image_back;
    row->rows = few ? 1 : d->across.outputs;
    row->output = few ? four : output;
    for (int32_t y = few ? d->across.outputs : 1; y > 0; y--) {
        if (along->stride == 1) {
            m33_row_3x3(row);
        } else {
            m33_row_3x3_stride_2(row);
        }
        for (int32_t x = 0; few && x < along->outputs; x++) {
            output[x * along->output_step] = four[x];
        }
        row->image += d->across.stride * d->pitch;
        output += d->across.output_step;
    }
}

/* One channel by a 3x3 kernel of stride 1 or 2. `row` has the prepared channel. */
static void filter_3x3(const depthwise_t *d, m33_row_t *row, const int8_t *weights, int8_t *output)
{
    const axis_t *const along = &d->along;
    for (int32_t r = 0; r < 3; r++, weights += d->across.weight_step) {
        const uint32_t middle = (uint32_t)weights[along->weight_step];
        row->kernel[2 * r] = m33_low_halves((uint32_t)weights[0], middle);
        row->kernel[2 * r + 1] = m33_low_halves(middle, (uint32_t)weights[2 * along->weight_step]);
    }
    run_rows(d, row, output);
}

/* Whether filter_3x3 can do the layer, apart from its multipliers. */
static bool is_3x3(const nn_depthwise_conv_2d_options_t *o)
{
    return o->kernel_height == 3 && o->kernel_width == 3 && o->dilation_height == 1 &&
           o->dilation_width == 1 && o->stride_height <= 2 && o->stride_width <= 2 &&
           o->stride_height == o->stride_width;
}

/* Whether there is one output a channel, without padding: what a network that keeps state has for a column. */
static bool is_alone(const nn_depthwise_conv_2d_options_t *o)
{
    return o->output_height == 1 && o->output_width == 1 && o->pad_top == 0 && o->pad_left == 0 &&
           (o->kernel_height - 1) * o->dilation_height < o->input_height &&
           (o->kernel_width - 1) * o->dilation_width < o->input_width;
}

/* All channels of such a layer. Each input is used once, so an image would cost more than it saves. */
static void filter_alone(const depthwise_t *d, const int8_t *input, int8_t *output)
{
    const nn_depthwise_conv_2d_options_t *const o = d->options;
    const int32_t row_step = o->dilation_height * o->input_width * o->input_channels;
    const bool is_column = o->kernel_width == 1; /* as long a row */
    const int32_t rows = is_column ? 1 : o->kernel_height;
    const int32_t taps = is_column ? o->kernel_height : o->kernel_width;
    const int32_t tap_step = is_column ? row_step : o->dilation_width * o->input_channels;
    const int8_t *weight = o->weights;
    for (int32_t c = 0; c < o->output_channels; c++) {
        const nn_channel_t *const channel = &o->channels[c];
        const int8_t *row = input + c / o->depth_multiplier;
        int32_t sum = channel->bias;
        for (int32_t r = 0; r < rows; r++, row += row_step) {
            const int8_t *tap = row;
            for (int32_t k = 0; k < taps; k++, tap += tap_step) {
                sum += *weight++ * *tap;
            }
        }
        const int32_t value = nn_requantize(sum, channel->multiplier, channel->shift);
        output[c] = clamp(d, value + o->output_zero_point);
    }
}

nn_status_t nn_kernel_depthwise_conv_2d(const nn_call_t *call)
{
    const nn_depthwise_conv_2d_options_t *const o = call->layer->options;
    const int8_t *const input = nn_call_input(call, 0);
    int8_t *const output = nn_call_output(call);
    const depthwise_t d = describe(o, nn_call_scratch(call));
    const bool three = is_3x3(o);
    const int32_t taps = o->kernel_height * o->kernel_width;
    const bool bounded = o->clamp_min != INT8_MIN || o->clamp_max != INT8_MAX || taps >= 1 << 15;
    const int32_t elements = span(&d.across) * d.pitch;
    const int8_t *weights = o->weights;
    m33_row_t row;
    int32_t copies = 0;
    if (is_alone(o)) {
        filter_alone(&d, input, output);
        return NN_OK;
    }
    describe_rows(&d, &row);
    for (int32_t k = 0; k < elements; k++) {
        d.image[k] = (int16_t)o->pad_value;
    }
    for (int32_t c = 0, from = 0; c < o->output_channels; c++, weights += taps) {
        if (copies == 0) {
            load_image(&d, input + from++);
            copies = o->depth_multiplier;
        }
        copies--;
        const nn_channel_t *const channel = &o->channels[c];
        const bool prepared =
            !bounded && m33_prepare_channel(&row.channel, channel, taps << 14, o->output_zero_point);
        if (three && prepared) {
            filter_3x3(&d, &row, weights, output + c);
        } else {
            filter_general(&d, weights, channel, prepared ? &row.channel : NULL, output + c);
        }
    }
    return NN_OK;
}
