/* The kernels' own structures: what a layer's `options` points to, and how its weights are laid out.
 *
 * Everything is resolved when code is generated: shapes, padding, quantized multipliers, clamping
 * bounds. A kernel validates nothing; codegen has refused what it could not do. All tensors are int8
 * unless a comment says otherwise, batch 1, channels last. The fields are int32_t, float or pointers
 * to constant arrays, so that Python can build the same structures in memory (codegen/options.py
 * mirrors this file field by field; a contract test compares the two).
 *
 * Arithmetic is that of TensorFlow Lite Micro's int8 reference kernels, bit for bit, in every
 * implementation of a kernel: kernels/portable/X.c is the definition, kernels/cortex_m33/X.c takes
 * its place in board builds under the same function name.
 *
 * A layer's output may be the same memory as one of its inputs for: copy, requantize, table, softmax,
 * log_softmax, l2_normalization, quantize, and, for an input of the output's own shape, add, sub,
 * squared_difference, mul and div. Never otherwise.
 *
 * Quantized multipliers: x -> round(x * multiplier * 2^(shift - 31)) rounded as nn_requantize in
 * quantization.h does; multiplier is 0 or in [2^30, 2^31), shift in [-31, 30], positive is left.
 */
#ifndef TOKAY_NN_KERNELS_H
#define TOKAY_NN_KERNELS_H

#include <stdint.h>

#include "nn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One output channel of a layer with weights. `bias` already holds -input_zero_point * sum(weights of
 * the channel), so that inner loops multiply raw int8 inputs; the sum from `bias` over any order of
 * taps stays within int32 (codegen proves it from the weights). */
typedef struct nn_channel {
    int32_t bias;
    int32_t multiplier;
    int32_t shift;
} nn_channel_t;

/* ---- conv_2d: int8 [input_height][input_width][input_channels]
 *
 * Tap k of a window is (row, column, input channel) in that order, taps = kernel_height *
 * kernel_width * input_channels. Positions outside the input are read as `pad_value` (the input's
 * zero point). Input row of output row y and kernel row r: y * stride_height - pad_top +
 * r * dilation_height; columns alike.
 *
 * weights: output channels in pairs. For pair p and tap k the bytes w[2p][k], w[2p+1][k]; each pair
 * has taps rounded up to even, filled with zeros, and an odd last channel has zeros as its partner.
 * So pair p starts at weights + p * 2 * even(taps), and each aligned 32-bit word is the taps k, k+1 of
 * two channels: a_k, b_k, a_k+1, b_k+1. 4-byte aligned.
 *
 * joined: 1 if the weights are joined, so that an int16 multiplication reaches both channels of a pair
 * (kernels/cortex_m33/tile.h): the bytes of a pair and tap are then, as a little-endian int16,
 * w[2p][k] + 256 * w[2p+1][k], that is the second byte is one less where the first is negative. And
 * where kernel_width * input_channels is a multiple of four, each group of four taps is stored in the
 * order 0, 2, 1, 3. Weights can be joined if no second byte is -128 beside a negative first, and for
 * each second channel 128 * sum(|w|) is below 2^23; codegen joins them where they can be.
 * nn_weight_pair in weights.h reads either form.
 *
 * channels: output_channels entries, rounded up to even with zeros.
 *
 * Scratch of the layer, 4-byte aligned: 4 * even(taps) * sizeof(int16_t) bytes (room for four windows
 * of taps as int16; for sixteen where they are 3 by 3 of one channel), 16 * even(output_channels) bytes
 * (prepared multipliers), max(kernel_width * input_channels, input_width) bytes (a row of padding) and
 * taps + 3 bytes (a window as it is); the portable kernel uses taps bytes of it. */
typedef struct nn_conv_2d_options {
    int32_t input_height, input_width, input_channels;
    int32_t output_height, output_width, output_channels;
    int32_t kernel_height, kernel_width;
    int32_t stride_height, stride_width;
    int32_t dilation_height, dilation_width;
    int32_t pad_top, pad_left;
    int32_t pad_value;
    int32_t taps; /* before rounding up */
    int32_t output_zero_point;
    int32_t clamp_min, clamp_max; /* bounds of the output: activation and int8 */
    int32_t joined;
    const int8_t *weights;
    const nn_channel_t *channels;
} nn_conv_2d_options_t;

/* ---- depthwise_conv_2d: output channel c reads input channel c / depth_multiplier
 *
 * weights: [output_channels][kernel_height * kernel_width]. channels: output_channels entries. Padding
 * as conv_2d. An input of one channel is a conv_2d (with the same weights, [channel][row][column]), and
 * codegen makes it one.
 *
 * Scratch of the layer, 4-byte aligned: one channel of the input as int16 with its padding, upright or
 * turned, whichever is larger: max(height * even(wide + 1), width * even(high + 1)) * sizeof(int16_t)
 * bytes, where height is the input rows under all the windows, (output_height - 1) * stride_height +
 * (kernel_height - 1) * dilation_height + 1, high is the same for at least four output rows, and width
 * and wide likewise; the portable kernel does not use it. None where a channel has one output, of a window
 * within the input. */
typedef struct nn_depthwise_conv_2d_options {
    int32_t input_height, input_width, input_channels;
    int32_t output_height, output_width, output_channels;
    int32_t depth_multiplier;
    int32_t kernel_height, kernel_width;
    int32_t stride_height, stride_width;
    int32_t dilation_height, dilation_width;
    int32_t pad_top, pad_left;
    int32_t pad_value;
    int32_t output_zero_point;
    int32_t clamp_min, clamp_max;
    const int8_t *weights;
    const nn_channel_t *channels;
} nn_depthwise_conv_2d_options_t;

/* ---- fully_connected: [rows][taps] -> [rows][output_channels]
 *
 * weights, joined and channels as conv_2d, with taps for kernel_width * input_channels; but
 * kernels split long sums, so that joined weights need no bound. No scratch. Of several rows, codegen makes it
 * a conv_2d of as many pixels where that is faster. */
typedef struct nn_fully_connected_options {
    int32_t rows;
    int32_t taps;
    int32_t output_channels;
    int32_t output_zero_point;
    int32_t clamp_min, clamp_max;
    int32_t joined;
    const int8_t *weights;
    const nn_channel_t *channels;
} nn_fully_connected_options_t;

/* ---- batch_matmul: the product of two matrices, for each index of two dimensions of batches
 *
 * `shape` is the output's: batches, batches, rows and columns. `strides_1` and `strides_2` are in elements
 * of their input, 0 along a dimension that it does not have (columns of the first, rows of the second,
 * batches that all share); `tap_1` and `tap_2` lead from one factor of a sum to the next. Sums, less the
 * zero points, are below 2^30 and their rescaled values below 2^29.
 *
 * Scratch of the layer, 4-byte aligned: 8 * (taps rounded up to a multiple of four) bytes, four columns as
 * int16; the portable kernel does not use it. */
typedef struct nn_batch_matmul_options {
    int32_t shape[4];
    int32_t strides_1[4];
    int32_t strides_2[4];
    int32_t taps, tap_1, tap_2;
    int32_t zero_point_1, zero_point_2;
    int32_t output_zero_point, output_multiplier, output_shift;
} nn_batch_matmul_options_t;

/* ---- max_pool_2d, average_pool_2d: over the positions of the window that are inside the input; reduce_max is
 * a max_pool_2d too, of its input seen as another shape */
typedef struct nn_pool_2d_options {
    int32_t input_height, input_width, channels;
    int32_t output_height, output_width;
    int32_t kernel_height, kernel_width;
    int32_t stride_height, stride_width;
    int32_t pad_top, pad_left;
    int32_t clamp_min, clamp_max;
} nn_pool_2d_options_t;

/* ---- add, sub, squared_difference, mul, div: element by element, either input broadcast
 *
 * `shape` is the output's, outermost first; a stride is in elements and 0 along a broadcast dimension.
 * Dimensions that can be walked as one are one: two inputs of the output's shape are a single row. */
typedef struct nn_add_options { /* and of sub and squared_difference */
    int32_t shape[4];
    int32_t strides_1[4];
    int32_t strides_2[4];
    int32_t left_shift; /* of both inputs, less their zero point, before they are scaled */
    int32_t zero_point_1, multiplier_1, shift_1;
    int32_t zero_point_2, multiplier_2, shift_2;
    int32_t output_zero_point, output_multiplier, output_shift;
    int32_t clamp_min, clamp_max;
} nn_add_options_t;

typedef struct nn_mul_options {
    int32_t shape[4];
    int32_t strides_1[4];
    int32_t strides_2[4];
    int32_t zero_point_1, zero_point_2;
    int32_t output_zero_point, output_multiplier, output_shift;
    int32_t clamp_min, clamp_max;
} nn_mul_options_t;

/* inverses[d]: 2^n / d with 31 fraction bits for the divisor d = 0..255, less its zero point and without its
 * sign; 2^n is the largest power of two that is not above d. That of 0 is that of 1. */
typedef struct nn_div_options {
    int32_t shape[4];
    int32_t strides_1[4];
    int32_t strides_2[4];
    int32_t zero_point_1, zero_point_2;
    int32_t output_zero_point, output_multiplier, output_shift;
    int32_t clamp_min, clamp_max;
    const int32_t *inverses; /* [256] */
} nn_div_options_t;

/* ---- pad: the input within an output of `value`; input_shape and before outermost first */
typedef struct nn_pad_options {
    int32_t input_shape[4];
    int32_t output_shape[4];
    int32_t before[4];
    int32_t value;
} nn_pad_options_t;

/* ---- mean (and sum) over some dimensions: for each index of the kept ones, the sum over the reduced ones
 * (both outermost first, strides in elements of the input, unused dimensions of size 1), minus
 * `offset` (the count times the input's zero point), requantized. */
typedef struct nn_mean_options {
    int32_t kept_shape[4], kept_strides[4];
    int32_t reduced_shape[4], reduced_strides[4];
    int32_t offset;
    int32_t output_zero_point, output_multiplier, output_shift;
} nn_mean_options_t;

/* ---- copy (reshape and its kin): nothing to do if output and input are the same memory */
typedef struct nn_copy_options {
    int32_t bytes;
} nn_copy_options_t;

/* ---- softmax over the last dimension, output scale 1/256 and zero point -128
 *
 * exp_table[d] is exp(-d * beta * scale) as a fixed-point number with 31 fraction bits, for d =
 * 0..table_entries-1; classes further below the row's maximum are left out, as the reference does. */
typedef struct nn_softmax_options {
    int32_t rows, depth;
    int32_t table_entries;
    const int32_t *exp_table;
} nn_softmax_options_t;

/* ---- log_softmax over the last dimension, output scale 1/16 and zero point 127
 *
 * A value that is d less than the largest of its row is d * scale less: by `multiplier` and `shift` with 26
 * fraction bits; exp_table[d] is exp(-d * scale) with 19, for d = 0..table_entries-1. What is further below has
 * no share in the sum, and the least output. */
typedef struct nn_log_softmax_options {
    int32_t rows, depth;
    int32_t multiplier, shift;
    int32_t table_entries;
    const int32_t *exp_table;
} nn_log_softmax_options_t;

/* ---- l2_normalization over the last dimension, output scale 1/128 and zero point 0 */
typedef struct nn_l2_normalization_options {
    int32_t rows, depth;
    int32_t zero_point;
} nn_l2_normalization_options_t;

/* ---- svdf: a dense layer whose outputs (filters) each have a filter in time over their last values; `rank`
 * of these add up to an output
 *
 * Input 0 is int8 [inputs]; input 1 the state, a variable [filters][memory] of `state_bytes` (int8 or int16)
 * each, oldest first, filters = units * rank; the kernel moves it on by one value. A value is the sum from
 * feature_biases (minus the input's zero point times the filter's weights), rescaled, clamped to the state's
 * type and only then put to its zero point, where int8 wraps, as the reference has it. An output is the sum
 * from `biases` (less the state's zero point times the weights) of the values times time_weights, of the
 * state's type; it wraps in 32 bits. */
typedef struct nn_svdf_options {
    int32_t inputs, units, rank, memory;
    int32_t state_bytes; /* 1 or 2 */
    int32_t state_zero_point, state_multiplier, state_shift;
    int32_t output_zero_point, output_multiplier, output_shift;
    const int8_t *feature_weights; /* [filters][inputs] */
    const int32_t *feature_biases; /* [filters] */
    const int8_t *time_weights;    /* [filters][memory], 4-byte aligned */
    const int32_t *biases;         /* [units] */
} nn_svdf_options_t;

/* ---- quantize: float -> int8; dequantize: int8 -> float (4-byte aligned) */
typedef struct nn_quantize_options {
    int32_t elements;
    float scale;
    int32_t zero_point;
} nn_quantize_options_t;
typedef nn_quantize_options_t nn_dequantize_options_t;

/* ---- requantize (quantize of int8, relu, relu6): one scale to another, between bounds */
typedef struct nn_requantize_options {
    int32_t elements;
    int32_t input_zero_point;
    int32_t multiplier, shift;
    int32_t output_zero_point;
    int32_t clamp_min, clamp_max;
} nn_requantize_options_t;

/* ---- concatenation: for each of `outer` blocks, block_bytes[i] bytes of every input i in turn */
typedef struct nn_concatenation_options {
    int32_t outer;
    const int32_t *block_bytes; /* input_count entries */
} nn_concatenation_options_t;

/* ---- table (functions of one int8: logistic, tanh, gelu and others): output = table[input + 128];
 * prelu: tables that take turns */
typedef struct nn_table_options {
    int32_t elements, tables;
    const int8_t *table; /* [tables][256] */
} nn_table_options_t;

/* ---- strided_slice: output shape; input element of index i: start + sum of i[d] * strides[d] */
typedef struct nn_strided_slice_options {
    int32_t shape[4];
    int32_t strides[4]; /* elements of the input; negative where the slice runs backwards */
    int32_t start;
} nn_strided_slice_options_t;

/* ---- lstm: [steps][inputs] -> [steps][units], the hidden state after each step
 *
 * Hidden and cell states are zero before the first step, in every inference.
 *
 * Weights: a row for each of a unit's four gates (input gate, forget gate, candidate, output gate), two pairs
 * a unit, joined as those of fully_connected. They have `inputs` taps, or `units` of the hidden state, filled
 * up to a multiple of four with zeros. Biases [units][4] hold what the zero points add. A gate's multiplier and
 * shift bring its sums to 12 fraction bits.
 *
 * Cell states are int16 of a scale that is a power of two: cell_shift brings products of gates to it (with
 * the multiplier 2^30), and (x * tanh_multiplier + half) >> tanh_shift three times the state to 12 fraction
 * bits.
 *
 * sigmoid[i] is 2^16 times the sigmoid of i / 24 (codegen/fixed_point.py).
 *
 * Scratch of the layer, 4-byte aligned: inputs and units, each rounded up to a multiple of four, and 2 * units
 * bytes. */
typedef struct nn_lstm_options {
    int32_t steps, inputs, units;
    int32_t input_multiplier[4], input_shift[4];
    int32_t hidden_multiplier[4], hidden_shift[4];
    int32_t cell_shift, cell_min, cell_max;
    int32_t tanh_multiplier, tanh_shift;
    int32_t output_zero_point, output_multiplier, output_shift;
    const int8_t *input_weights, *hidden_weights;
    const int32_t *input_bias, *hidden_bias;
    const uint16_t *sigmoid; /* [256] */
} nn_lstm_options_t;

/* ---- mvp: any layer that the accelerator runs; call->accelerator is an nn_mvp_t (kernels/mvp/nn_mvp.h)
 *
 * programs: as codegen/mvp/stream.py stores them. constants: weights and tables, whole words, 4-byte
 * aligned, NULL where there are none. Scratch is the programs' business. */
typedef struct nn_mvp_options {
    int32_t program_count; /* at least 1 */
    int32_t constant_bytes;
    const uint32_t *programs;
    const int8_t *constants;
} nn_mvp_options_t;

/* The kernels themselves: nn_kernel_conv_2d and so on, one for each line of nn_kernels.def. */
#define NN_KERNEL(name) nn_status_t nn_kernel_##name(const nn_call_t *call);
#include "nn_kernels.def"
#undef NN_KERNEL

#ifdef __cplusplus
}
#endif
#endif
