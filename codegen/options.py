"""The kernels' options structures, field by field as firmware/nn/nn_kernels.h declares them.

Both emitters read these classes: the C one writes designated initializers, the in-memory one builds
the same layout with ctypes. A contract test compares every offset with the C compiler's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

Quad = tuple[int, int, int, int]
"""int32_t[4]"""
Int8Array = np.ndarray
"""const int8_t *, 4-byte aligned"""
Int32Array = np.ndarray
"""const int32_t *"""
WordArray = np.ndarray
"""const uint32_t *"""
HalfArray = np.ndarray
"""const uint16_t *"""
ChannelArray = np.ndarray
"""const nn_channel_t *: int32[n, 3] of bias, multiplier, shift"""


@dataclass(frozen=True, eq=False)
class Options:
    """Base of all; ``c_type`` names the C structure."""

    c_type: ClassVar[str]


@dataclass(frozen=True, eq=False)
class Conv2DOptions(Options):
    c_type = "nn_conv_2d_options_t"
    input_height: int
    input_width: int
    input_channels: int
    output_height: int
    output_width: int
    output_channels: int
    kernel_height: int
    kernel_width: int
    stride_height: int
    stride_width: int
    dilation_height: int
    dilation_width: int
    pad_top: int
    pad_left: int
    pad_value: int
    taps: int
    output_zero_point: int
    clamp_min: int
    clamp_max: int
    joined: int
    weights: Int8Array
    channels: ChannelArray


@dataclass(frozen=True, eq=False)
class DepthwiseConv2DOptions(Options):
    c_type = "nn_depthwise_conv_2d_options_t"
    input_height: int
    input_width: int
    input_channels: int
    output_height: int
    output_width: int
    output_channels: int
    depth_multiplier: int
    kernel_height: int
    kernel_width: int
    stride_height: int
    stride_width: int
    dilation_height: int
    dilation_width: int
    pad_top: int
    pad_left: int
    pad_value: int
    output_zero_point: int
    clamp_min: int
    clamp_max: int
    weights: Int8Array
    channels: ChannelArray


@dataclass(frozen=True, eq=False)
class FullyConnectedOptions(Options):
    c_type = "nn_fully_connected_options_t"
    rows: int
    taps: int
    output_channels: int
    output_zero_point: int
    clamp_min: int
    clamp_max: int
    joined: int
    weights: Int8Array
    channels: ChannelArray


@dataclass(frozen=True, eq=False)
class BatchMatmulOptions(Options):
    c_type = "nn_batch_matmul_options_t"
    shape: Quad
    strides_1: Quad
    strides_2: Quad
    taps: int
    tap_1: int
    tap_2: int
    zero_point_1: int
    zero_point_2: int
    output_zero_point: int
    output_multiplier: int
    output_shift: int


@dataclass(frozen=True, eq=False)
class Pool2DOptions(Options):
    c_type = "nn_pool_2d_options_t"
    input_height: int
    input_width: int
    channels: int
    output_height: int
    output_width: int
    kernel_height: int
    kernel_width: int
    stride_height: int
    stride_width: int
    pad_top: int
    pad_left: int
    clamp_min: int
    clamp_max: int


@dataclass(frozen=True, eq=False)
class AddOptions(Options):
    c_type = "nn_add_options_t"
    shape: Quad
    strides_1: Quad
    strides_2: Quad
    left_shift: int
    zero_point_1: int
    multiplier_1: int
    shift_1: int
    zero_point_2: int
    multiplier_2: int
    shift_2: int
    output_zero_point: int
    output_multiplier: int
    output_shift: int
    clamp_min: int
    clamp_max: int


@dataclass(frozen=True, eq=False)
class MulOptions(Options):
    c_type = "nn_mul_options_t"
    shape: Quad
    strides_1: Quad
    strides_2: Quad
    zero_point_1: int
    zero_point_2: int
    output_zero_point: int
    output_multiplier: int
    output_shift: int
    clamp_min: int
    clamp_max: int


@dataclass(frozen=True, eq=False)
class DivOptions(MulOptions):
    c_type = "nn_div_options_t"
    inverses: Int32Array


@dataclass(frozen=True, eq=False)
class PadOptions(Options):
    c_type = "nn_pad_options_t"
    input_shape: Quad
    output_shape: Quad
    before: Quad
    value: int


@dataclass(frozen=True, eq=False)
class MeanOptions(Options):
    c_type = "nn_mean_options_t"
    kept_shape: Quad
    kept_strides: Quad
    reduced_shape: Quad
    reduced_strides: Quad
    offset: int
    output_zero_point: int
    output_multiplier: int
    output_shift: int


@dataclass(frozen=True, eq=False)
class CopyOptions(Options):
    c_type = "nn_copy_options_t"
    bytes: int


@dataclass(frozen=True, eq=False)
class SoftmaxOptions(Options):
    c_type = "nn_softmax_options_t"
    rows: int
    depth: int
    table_entries: int
    exp_table: Int32Array


@dataclass(frozen=True, eq=False)
class LogSoftmaxOptions(Options):
    c_type = "nn_log_softmax_options_t"
    rows: int
    depth: int
    multiplier: int
    shift: int
    table_entries: int
    exp_table: Int32Array


@dataclass(frozen=True, eq=False)
class L2NormalizationOptions(Options):
    c_type = "nn_l2_normalization_options_t"
    rows: int
    depth: int
    zero_point: int


@dataclass(frozen=True, eq=False)
class SvdfOptions(Options):
    c_type = "nn_svdf_options_t"
    inputs: int
    units: int
    rank: int
    memory: int
    state_bytes: int
    state_zero_point: int
    state_multiplier: int
    state_shift: int
    output_zero_point: int
    output_multiplier: int
    output_shift: int
    feature_weights: Int8Array
    feature_biases: Int32Array
    time_weights: Int8Array
    biases: Int32Array


@dataclass(frozen=True, eq=False)
class QuantizeOptions(Options):
    c_type = "nn_quantize_options_t"
    elements: int
    scale: float
    zero_point: int


@dataclass(frozen=True, eq=False)
class RequantizeOptions(Options):
    c_type = "nn_requantize_options_t"
    elements: int
    input_zero_point: int
    multiplier: int
    shift: int
    output_zero_point: int
    clamp_min: int
    clamp_max: int


@dataclass(frozen=True, eq=False)
class ConcatenationOptions(Options):
    c_type = "nn_concatenation_options_t"
    outer: int
    block_bytes: Int32Array


@dataclass(frozen=True, eq=False)
class TableOptions(Options):
    c_type = "nn_table_options_t"
    elements: int
    tables: int
    table: Int8Array


@dataclass(frozen=True, eq=False)
class StridedSliceOptions(Options):
    c_type = "nn_strided_slice_options_t"
    shape: Quad
    strides: Quad
    start: int


@dataclass(frozen=True, eq=False)
class LstmOptions(Options):
    c_type = "nn_lstm_options_t"
    steps: int
    inputs: int
    units: int
    input_multiplier: Quad
    input_shift: Quad
    hidden_multiplier: Quad
    hidden_shift: Quad
    cell_shift: int
    cell_min: int
    cell_max: int
    tanh_multiplier: int
    tanh_shift: int
    output_zero_point: int
    output_multiplier: int
    output_shift: int
    input_weights: Int8Array
    hidden_weights: Int8Array
    input_bias: Int32Array
    hidden_bias: Int32Array
    sigmoid: HalfArray


@dataclass(frozen=True, eq=False)
class MvpOptions(Options):
    c_type = "nn_mvp_options_t"
    program_count: int
    constant_bytes: int
    programs: WordArray
    constants: Int8Array
