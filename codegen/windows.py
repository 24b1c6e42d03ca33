"""Windows that slide over an input: output sizes and padding, and the sums that they make."""

from __future__ import annotations

import numpy as np


def output_size(padding: str, size: int, kernel: int, stride: int, dilation: int = 1) -> int:
    """How many positions a window has along one dimension."""
    if padding == "same":
        return -(-size // stride)
    return -(-(size - (kernel - 1) * dilation) // stride)


def pad_before(padding: str, size: int, output: int, kernel: int, stride: int, dilation: int = 1) -> int:
    """Positions outside the input before the first; the larger half of an odd total comes after."""
    if padding != "same":
        return 0
    return max(0, (output - 1) * stride + (kernel - 1) * dilation + 1 - size) // 2


def reduction_window(
    shape: tuple[int, ...], reduced: set[int]
) -> tuple[tuple[int, int, int], tuple[int, int]]:
    """A reduction, of at most four dimensions where alike ones are joined, as one of pooling: the input as
    (rows, columns, channels) and the window, which is its own stride. Dimensions that are kept are, as far as
    they can be, the channels."""
    groups = [1] * 5  # rows kept and reduced, columns kept and reduced, channels
    place = 4
    for d in reversed(range(len(shape))):
        if shape[d] != 1:
            place -= (d in reduced) != place % 2
            groups[place] *= shape[d]
    return (groups[0] * groups[1], groups[2] * groups[3], groups[4]), (groups[1], groups[3])


def folded_bias(bias: np.ndarray, weights: np.ndarray, zero_point: int) -> np.ndarray:
    """int64[channels]: the bias less the input's zero point times the weights [channels][taps]."""
    return bias.astype(np.int64) - zero_point * weights.astype(np.int64).sum(axis=1)


def largest_sums(bias: np.ndarray, weights: np.ndarray, zero_point: int) -> np.ndarray:
    """int64[channels]: a bound of every partial sum, whatever the int8 inputs and the order of taps; at least
    1, so that a rule about them, rescaled, bounds the factor too where all weights are 0."""
    products = 128 * np.abs(weights.astype(np.int64)).sum(axis=1)
    return np.maximum(np.abs(folded_bias(bias, weights, zero_point)) + products, 1)
