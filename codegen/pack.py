"""Weights in the order in which the kernels read them (see nn_kernels.h)."""

from __future__ import annotations

import numpy as np

from codegen.options import DepthwiseConv2DOptions


def even(n: int) -> int:
    """n rounded up to even."""
    return (n + 1) & ~1


def pack_pairs(weights: np.ndarray) -> np.ndarray:
    """[channels][taps] to interleaved channel pairs, taps and channels filled up to even with zeros."""
    channels, taps = weights.shape
    padded = np.zeros((even(channels), even(taps)), np.int8)
    padded[:channels, :taps] = weights
    return np.ascontiguousarray(padded.reshape(-1, 2, even(taps)).transpose(0, 2, 1)).reshape(-1)


def join_pairs(packed: np.ndarray, taps: int, row_taps: int, *, splits: bool) -> np.ndarray | None:
    """Interleaved pairs, joined for the DSP instructions; None for weights that cannot be.

    The bytes a, b of a pair become the int16 a + 256 b, and groups of four taps take the order 0, 2, 1,
    3 where ``row_taps``, the taps of a row of the kernel, is a multiple of four. ``splits`` says that the
    kernel splits long sums, so that weights of any size will do.
    """
    pairs = packed.reshape(-1, even(taps), 2).astype(np.int32)
    joined = pairs[:, :, 0] + 256 * pairs[:, :, 1]
    largest = 128 * np.abs(pairs[:, :, 1]).sum(axis=1)
    if joined.min(initial=0) < -(1 << 15) or (largest.max(initial=0) >= 1 << 23 and not splits):
        return None
    if row_taps % 4 == 0:
        joined = joined.reshape(len(joined), -1, 4)[:, :, [0, 2, 1, 3]]
    return joined.astype("<i2").reshape(-1).view(np.int8)


def pack_weights(weights: np.ndarray, row_taps: int, *, splits: bool = False) -> dict[str, np.ndarray | int]:
    """The fields ``weights`` and ``joined`` of a convolution or fully connected layer."""
    packed = pack_pairs(weights)
    joined = join_pairs(packed, weights.shape[1], row_taps, splits=splits)
    return {"weights": packed if joined is None else joined, "joined": int(joined is not None)}


def in_fours(n: int) -> int:
    """n rounded up to a multiple of four."""
    return -(-n // 4) * 4


def pack_gates(weights: np.ndarray) -> np.ndarray:
    """Of an LSTM: [gates][units][taps], none of them -128, to joined pairs of gates, unit by unit, taps
    filled up to a multiple of four with zeros."""
    taps = in_fours(weights.shape[2])
    rows = np.zeros((weights.shape[1], weights.shape[0], taps), np.int8)
    rows[:, :, : weights.shape[2]] = weights.swapaxes(0, 1)
    joined = join_pairs(pack_pairs(rows.reshape(-1, taps)), taps, taps, splits=True)
    assert joined is not None
    return joined


def lstm_scratch_bytes(inputs: int, units: int) -> int:
    """A step's inputs and the hidden state, each up to a multiple of four, and the cell states as int16."""
    return in_fours(inputs) + in_fours(units) + 2 * units


def conv_scratch_bytes(taps: int, channels: int, row_taps: int, input_width: int) -> int:
    """Windows of taps, prepared multipliers, a row of padding and a window as it is, with slack."""
    windows = 16 if taps == 9 and row_taps == 3 else 4
    return windows * even(taps) * 2 + 16 * even(channels) + max(row_taps, input_width) + taps + 3


def matmul_scratch_bytes(taps: int) -> int:
    """Four columns as int16, filled up to whole groups of four taps."""
    return 4 * 2 * in_fours(taps)


def pack_depthwise(weights: np.ndarray) -> np.ndarray:
    """[channels][taps], as they are."""
    return np.ascontiguousarray(weights).reshape(-1)


def is_alone(o: DepthwiseConv2DOptions) -> bool:
    """Whether a channel has one output, whose window lies within the input: kernels need no image then."""
    reach = (o.kernel_height - 1) * o.dilation_height, (o.kernel_width - 1) * o.dilation_width
    unpadded = (o.pad_top, o.pad_left) == (0, 0) and reach[0] < o.input_height and reach[1] < o.input_width
    return (o.output_height, o.output_width) == (1, 1) and unpadded


def depthwise_scratch_bytes(o: DepthwiseConv2DOptions) -> int:
    """One channel of the input as int16 with its padding, where there is more than one output of it."""
    if is_alone(o):
        return 0

    def span(outputs: int, stride: int, kernel: int, dilation: int) -> int:
        return (outputs - 1) * stride + (kernel - 1) * dilation + 1

    vertical = o.stride_height, o.kernel_height, o.dilation_height
    horizontal = o.stride_width, o.kernel_width, o.dilation_width
    upright = span(o.output_height, *vertical) * even(span(max(o.output_width, 4), *horizontal) + 1)
    turned = span(o.output_width, *horizontal) * even(span(max(o.output_height, 4), *vertical) + 1)
    return max(upright, turned) * 2


def pack_channels(bias: np.ndarray, multipliers: list[tuple[int, int]], *, pad: bool) -> np.ndarray:
    """int32[n][3] of bias, multiplier and shift; ``pad`` fills an odd last pair with zeros."""
    rows = np.zeros((even(len(bias)) if pad else len(bias), 3), np.int32)
    rows[: len(bias), 0] = bias
    rows[: len(bias), 1:] = np.array(multipliers, np.int64).astype(np.int32)
    return rows
