"""What a layer would cost the Cortex-M33: an estimate, to decide who runs it, and by which kernel.

The figures are fitted to the kernels of firmware/nn/kernels/cortex_m33 (portable ones where there is no
other), run in the simulator on the layers of five keyword models and of 900 random networks. They are within
10 % on half of those layers and within a factor of two on nearly all, which is enough: the accelerator takes
less than half the time wherever a layer has more than a few hundred MACs. They tell apart what takes the
kernels' short ways and what does not (bounds of an activation, factors from sums to outputs that are a half
or more, kernels that are not 3x3, numbers that are not multiples of four), where a layer takes up to ten
times as long.
"""

from __future__ import annotations

import math

import numpy as np

from codegen.layers import Layer
from codegen.options import (
    AddOptions,
    Conv2DOptions,
    DepthwiseConv2DOptions,
    FullyConnectedOptions,
    MeanOptions,
    MulOptions,
    Pool2DOptions,
    SvdfOptions,
)
from codegen.pack import even, is_alone


def cortex_m33_cycles(layer: Layer, inputs: int) -> int | None:
    """Estimated cycles of a layer with so many values in its first input; None if unknown."""
    options = layer.options
    if isinstance(options, Conv2DOptions):
        cycles = _conv_2d(options)
    elif isinstance(options, DepthwiseConv2DOptions):
        cycles = _depthwise_conv_2d(options, inputs)
    elif isinstance(options, FullyConnectedOptions):
        cycles = _fully_connected(options)
    elif isinstance(options, SvdfOptions):
        cycles = _svdf(options)
    elif isinstance(options, Pool2DOptions):
        cycles = _pool(options, layer.kernel == "average_pool_2d")
    elif isinstance(options, MeanOptions):
        cycles = _mean(options, inputs)
    elif isinstance(options, AddOptions | MulOptions):
        cycles = _elementwise(options, layer.kernel)
    else:
        return None
    return round(cycles)


_MAX_BITS = 22  # M33_MAX_BITS of the kernels' requantize.h


def _plain(
    options: Conv2DOptions | DepthwiseConv2DOptions | AddOptions | MulOptions,
    channels: np.ndarray,
    bound: int,
) -> bool:
    """Whether all outputs take the kernels' short way from a sum to int8: no bounds but those of int8, and
    ``channels``, int32[n, 3] of bias, multiplier and shift, with which m33_prepare_channel says yes to sums
    within ``bound``."""
    if (options.clamp_min, options.clamp_max) != (-128, 127):
        return False
    bias, multiplier, shift = channels.astype(np.int64).T
    bits = -shift
    is_zero = np.abs(bias) + bound < 1 << np.clip(bits - 1, 0, 30)
    short = (multiplier == 0) | (bits > _MAX_BITS) & is_zero | (bits >= 1) & (bits <= _MAX_BITS)
    return bool(np.all(short & (np.abs(bias) < 1 << 29)))


def _plain_sums(o: Conv2DOptions | DepthwiseConv2DOptions) -> bool:
    """Of products of int8, as many as the kernel has taps."""
    taps = o.taps if isinstance(o, Conv2DOptions) else o.kernel_height * o.kernel_width
    return taps < 1 << 15 and _plain(o, o.channels, taps << 14)


def _conv_2d(o: Conv2DOptions) -> float:
    """For each product, gathered tap, output and position: four positions and two channels at a time."""
    positions, channels = -(-o.output_height * o.output_width // 4) * 4, even(o.output_channels)
    quads = bool(o.joined) and o.kernel_width * o.input_channels % 4 == 0
    product, tap, output, position = {
        (True, True): (0.95, 2.1, 10.7, 125),
        (True, False): (0.93, 5.3, 11.6, 248),
        (False, True): (2.2, 3.1, 55, 107),
        (False, False): (3.5, 6.5, 56, 214),
    }[bool(o.joined) and _plain_sums(o), quads]
    if (o.kernel_height, o.kernel_width, o.input_channels, o.dilation_width) == (3, 3, 1, 1):
        tap, position = 0, 65  # gathered in blocks
    return positions * (channels * (product * o.taps + output) + tap * o.taps + position) + 900


def _depthwise_conv_2d(o: DepthwiseConv2DOptions, inputs: int) -> float:
    """One channel at a time, four positions along the longer side."""
    if is_alone(o):
        rows = 1 if o.kernel_width == 1 else o.kernel_height
        return o.output_channels * (7.2 * o.kernel_height * o.kernel_width + 12 * rows + 83) + 110
    short, long = sorted((o.output_height, o.output_width))
    positions = short * -(-long // 4) * 4
    kernel = (o.kernel_height, o.kernel_width, o.dilation_height, o.dilation_width)
    if kernel == (3, 3, 1, 1) and o.stride_height == o.stride_width <= 2 and _plain_sums(o):
        return 27 * o.output_height * o.output_width * o.output_channels + 480 * o.output_channels + 300
    taps, output = o.kernel_height * o.kernel_width, 56 if _plain_sums(o) else 95
    return positions * o.output_channels * (6.2 * taps + output) + 7 * inputs + 800


def _fully_connected(o: FullyConnectedOptions) -> float:
    quads = bool(o.joined) and o.taps % 4 == 0
    product, output = (1.66, 74) if quads else (4.9, 103)
    return o.rows * (product * even(o.output_channels) * o.taps + output * o.output_channels + 85) + 130


def _svdf(o: SvdfOptions) -> float:
    """For each filter: its products, and what it has of the past, which moves on."""
    past = 3.6 if o.state_bytes == 1 else 4.6
    return o.units * o.rank * (2.25 * o.inputs + past * o.memory + 155) + 130


def _pool(o: Pool2DOptions, average: bool) -> float:
    """Four channels at a time."""
    positions, taps = o.output_height * o.output_width, o.kernel_height * o.kernel_width
    fours = o.channels % 4 == 0
    if average:
        tap, output, position = (1.5, 40, 87) if fours else (3.0, 35, 100)
    else:
        tap, output, position = (1.8, 2.8, 76) if fours else (4.3, 0.6, 129)
    return positions * (o.channels * (tap * taps + output) + position) + 130


def _mean(o: MeanOptions, inputs: int) -> float:
    outputs = math.prod(o.kept_shape)
    if o.reduced_shape[3] > 1:
        return 9.9 * inputs + 133 * outputs + 140
    fours = o.kept_shape[3] // 4 * 4 / o.kept_shape[3]
    return (2.7 * fours + 19 * (1 - fours)) * inputs + 93 * outputs + 180


def _elementwise(o: AddOptions | MulOptions, kernel: str) -> float:
    """For each output and each row of them but the first."""
    scaling = np.array([[0, o.output_multiplier, o.output_shift]])
    if kernel == "mul":
        each, row = (17, 66) if _plain(o, scaling, 255 * 255) else (49, 48)
    elif kernel == "add" and _plain(o, scaling, (1 << 29) - 1):
        each, row = 20, 80
    else:
        each, row = 104, 55
    return each * math.prod(o.shape) + row * (math.prod(o.shape[:3]) - 1) + 250
