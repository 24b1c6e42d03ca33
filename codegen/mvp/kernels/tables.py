"""Numbers of a quantized layer in the accelerator's arithmetic.

An int8 activation x becomes the binary16 (x - zero point) * 2^-15, which is exact; a product with an
int8 weight and a sum of thousands of them stay far from 65,504, where binary16 ends. The output's
multiplier is in_scale * weight_scale / out_scale * 2^15.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PRESCALE = 2.0**-15
HALF_MAX = 65504.0
HALF_MIN_NORMAL = 2.0**-14


def output_scales(
    in_scale: float, weight_scales: NDArray[np.float64], out_scale: float
) -> NDArray[np.float64]:
    """The multipliers of the prescaled sums, per output channel."""
    return in_scale * np.asarray(weight_scales, np.float64) / out_scale / PRESCALE


def scales_problem(scales: NDArray[np.float64]) -> str | None:
    """Why multipliers cannot be binary16, or None."""
    if scales.max() > HALF_MAX:
        return f"an output multiplier of {scales.max() * PRESCALE:.3g} is 2 or more"
    if scales.min() < HALF_MIN_NORMAL:
        return f"an output multiplier of {scales.min() * PRESCALE:.3g} loses bits in binary16"
    return None


def largest_sum(weights: NDArray[np.int8], bias: NDArray[np.int64], zero_point: int) -> float:
    """A bound of |partial sums| over any inputs and order, prescaled; weights are [channels][taps]."""
    reach = max(127 - zero_point, zero_point + 128)
    sums = np.abs(weights.astype(np.int64)).sum(axis=1) * reach + np.abs(bias.astype(np.int64))
    return float(sums.max() * PRESCALE * (1 + 2.0**-11) ** min(weights.shape[1] + 1, 4096))


def half_pairs(*columns: NDArray[np.float64]) -> bytes:
    """Channel pairs of each column in turn: (c0[0], c0[1]), (c1[0], c1[1]), (c0[2], c0[3]), ..."""
    stacked = np.stack([np.asarray(c, np.float64).astype(np.float16).reshape(-1, 2) for c in columns], axis=1)
    return stacked.tobytes()


Case = tuple[int, int, int, int]


def clipped(start: int, kernel: int, size: int, dilation: int = 1) -> tuple[int, int]:
    """The taps (begin, end) of a window at ``start`` that lie within the input, along one dimension."""
    return max(0, -(start // dilation)), min(kernel, -((start - size) // dilation))


def cases(
    outputs: int, stride: int, pad: int, kernel: int, size: int, dilation: int = 1
) -> tuple[Case, ...]:
    """Runs of outputs whose windows are clipped alike along one dimension: (first, count, tap begin,
    tap end)."""
    runs: list[list[int]] = []
    for o in range(outputs):
        begin, end = clipped(o * stride - pad, kernel, size, dilation)
        if runs and runs[-1][2:] == [begin, end]:
            runs[-1][1] += 1
        else:
            runs.append([o, 1, begin, end])
    return tuple((r[0], r[1], r[2], r[3]) for r in runs)


def bands(
    outputs: int, band: int, stride: int, pad: int, kernel: int, size: int, dilation: int = 1
) -> list[Case]:
    """Output rows (begin, end) in bands of ``band`` (0: all) and the input rows that they need. The
    rows that padding clips at the top join a first band of several, so that those after pair up."""
    if not band:
        return [(0, outputs, 0, size)]
    found: list[Case] = []
    begin = 0
    first = next((row for row, _, r0, _ in cases(outputs, stride, pad, kernel, size, dilation) if r0 == 0), 0)
    while begin < outputs:
        end = min(begin + band + (first if begin == 0 and band > 1 else 0), outputs)
        top, bottom = begin * stride - pad, (end - 1) * stride - pad + (kernel - 1) * dilation + 1
        found.append((begin, end, max(0, top), min(size, bottom)))
        begin = end
    return found
