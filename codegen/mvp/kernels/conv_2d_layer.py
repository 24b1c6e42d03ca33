"""A convolution as the accelerator's kernels take it: the layer, how a program may go about it, and its
constants in the order in which programs read them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from codegen.mvp.isa import MAX_COUNT
from codegen.mvp.kernels import tables
from codegen.mvp.kernels.loops import largest_divisor

CONSTANT = 0.25  # units of the output: what moves by no more is constant, rounding moves it by more


@dataclass(frozen=True, eq=False)
class Conv2D:
    """A quantized convolution, batch 1. ``weights`` int8[oc][kh][kw][ic]."""

    input_shape: tuple[int, int, int]
    output_shape: tuple[int, int, int]
    stride: tuple[int, int]
    pad: tuple[int, int]  # rows above, columns left
    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    in_scale: float
    in_zero_point: int
    weight_scales: NDArray[np.float64]
    out_scale: float
    out_zero_point: int
    clamp: tuple[int, int] = (-128, 127)
    dilation: tuple[int, int] = (1, 1)

    def flattened(self, most_columns: int = MAX_COUNT) -> Conv2D:
        """A 1x1 convolution as one over few long rows: fewer programs."""
        height, width, ic = self.input_shape
        plain = self.weights.shape[1:3] == (1, 1) and self.stride == (1, 1)
        if not plain or self.output_shape[:2] != (height, width):
            return self
        columns = largest_divisor(height * width, most_columns)
        if columns < width:
            return self
        rows = height * width // columns
        return replace(
            self, input_shape=(rows, columns, ic), output_shape=(rows, columns, self.output_shape[2])
        )

    def with_constants(self) -> Conv2D:
        """Channels that no input can move get zero weights and a sum that binary16 holds.

        Training leaves such channels behind: all their weights are next to nothing, and so is the output's
        multiplier, which binary16 does not hold.
        """
        scales, flat = self.scales, self.weights.reshape(len(self.weights), -1).astype(np.int64)
        ends = np.array([[-128], [127]]) - self.in_zero_point
        sums = np.sort(ends[..., None] * flat, axis=0).sum(axis=2)  # least and most of each channel
        units = scales * tables.PRESCALE
        dead = (scales < tables.HALF_MIN_NORMAL) & ((sums[1] - sums[0]) * units <= CONSTANT)
        if not dead.any():
            return self
        middle = np.rint((self.bias + sums.mean(axis=0)) * units).clip(-256, 256)
        one = self.out_scale / self.in_scale * tables.PRESCALE  # then a prescaled sum is the output
        return replace(
            self,
            weights=np.where(dead[:, None, None, None], 0, self.weights).astype(np.int8),
            bias=np.where(dead, middle / tables.PRESCALE, self.bias).astype(np.int32),
            weight_scales=np.where(dead, one, self.weight_scales),
        )

    @property
    def apart(self) -> bool:
        """Whether the columns of a window do not follow each other."""
        return self.dilation[1] > 1 and self.weights.shape[2] > 1

    @property
    def taps(self) -> int:
        return int(np.prod(self.weights.shape[1:]))

    @property
    def clamped(self) -> bool:
        """Whether outputs have other bounds than those of int8."""
        return self.clamp != (-128, 127)

    @property
    def scales(self) -> NDArray[np.float64]:
        scales = np.broadcast_to(np.asarray(self.weight_scales, np.float64), (self.output_shape[2],))
        return tables.output_scales(self.in_scale, scales, self.out_scale)

    @property
    def largest_sum(self) -> float:
        """A bound of every partial sum, see :func:`tables.largest_sum`."""
        flat = self.weights.reshape(len(self.weights), -1)
        return tables.largest_sum(flat, self.bias, self.in_zero_point)

    def cases(self, d: int) -> tuple[tables.Case, ...]:
        """Output rows (``d`` 0) or columns (1) by how their windows are clipped, see :func:`tables.cases`."""
        return tables.cases(
            self.output_shape[d], self.stride[d], self.pad[d], self.weights.shape[1 + d], self.input_shape[d],
            self.dilation[d],
        )  # fmt: skip

    def bands(self, band: int) -> list[tables.Case]:
        """Output rows in bands of ``band`` and the input rows that they need, see :func:`tables.bands`."""
        return tables.bands(
            self.output_shape[0], band, self.stride[0], self.pad[0], self.weights.shape[1],
            self.input_shape[0], self.dilation[0],
        )  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """How a program goes about its outputs."""

    lanes: int  # outputs that share a loaded weight
    across: str  # where the second comes from: "rows" or "columns"
    paired: bool  # two taps a load
    band: int = 0  # output rows whose input is prescaled together; 0: all
    most_columns: int = MAX_COUNT  # of a 1x1 convolution's rows
    by_rows: bool = False  # a window's rows are summed apart: less is lost to rounding; one output alone

    @property
    def in_place(self) -> bool:
        """Whether the input may be prescaled where it lies. Bands read rows of it again."""
        return not self.band

    @property
    def name(self) -> str:
        lanes = "one output" if self.lanes == 1 else f"two {self.across}"
        band = f", bands of {self.band}" if self.band else ""
        rows = ", rows apart" if self.by_rows else ""
        return f"{lanes}, {'paired' if self.paired else 'single'} taps{rows}{band}"


def table_bytes(layer: Conv2D) -> int:
    """Of bias and scale pairs, with which the constants of every kernel begin."""
    return 4 * layer.output_shape[2]


def behind_table(layer: Conv2D, weights: bytes) -> bytes:
    """Constants in whole words: bias and scale pairs, then weights in a kernel's own order."""
    table = tables.half_pairs(layer.bias.astype(np.float64) * tables.PRESCALE, layer.scales)
    blob = table + weights
    return blob + b"\0" * (-len(blob) % 4)


def weights_offset(layer: Conv2D) -> int:
    """Where the weights begin in the constants: 2 bytes after a word, so that with activations that
    begin at a word the two streams need new words in turns and not at once."""
    return table_bytes(layer) + 2


def constants(layer: Conv2D, paired: bool) -> bytes:
    """Bias and scale pairs, then the weights of channel pairs."""
    flat = layer.weights.reshape(len(layer.weights) // 2, 2, layer.taps)
    pairs = np.zeros((len(flat), layer.taps + layer.taps % 2, 2), np.int8)
    pairs[:, : layer.taps] = flat.transpose(0, 2, 1)
    if paired:
        odd = pairs[:, 1::2].copy()
        pairs[:, 1::2, 0] = odd[..., 1]
        pairs[:, 1::2, 1] = -odd[..., 0]
    return behind_table(layer, b"\0\0" + pairs.tobytes())
