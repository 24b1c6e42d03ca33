"""Fully connected layers: a convolution with a single window, two outputs an instruction.

A binary16 sum loses more to rounding the larger it gets, so long ones are made of short ones: of 2,048
products 20 in 100 outputs were one off (and some two) when summed in line, 4 in 100 in rows of 64, at 2 %
more cycles.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from codegen.mvp.isa import MAX_COUNT
from codegen.mvp.kernels.conv_2d import VARIANTS, build, conv_2d
from codegen.mvp.kernels.conv_2d_layer import Conv2D, Variant
from codegen.mvp.kernels.layer import Cycles, MvpLayer, Placement, Refusal

_BY_ROWS = tuple(replace(variant, by_rows=True) for variant in VARIANTS if variant.lanes == 1)
_LONG = 256  # products in line
_ROW = 64  # products in a row of more, as nearly as the number of inputs has it


def as_convolution(layer: Conv2D) -> Conv2D | Refusal:
    """``layer`` is a 1x1 convolution of a 1x1 input; long inputs are folded into rows, and an odd last
    output gets a partner of zeros (see MvpLayer.output_bytes)."""
    outputs, inputs = layer.weights.shape[0], layer.input_shape[2]
    rows = _rows(inputs)
    if not rows:
        return Refusal(f"{inputs} inputs cannot be looped over")
    weights = layer.weights.reshape(outputs, rows, 1, inputs // rows)
    bias, scales = layer.bias, np.broadcast_to(np.asarray(layer.weight_scales, np.float64), (outputs,))
    if outputs % 2:
        weights = np.concatenate([weights, np.zeros_like(weights[:1])])
        bias = np.append(bias, 0).astype(bias.dtype)
        scales = np.append(scales, scales[-1])
    return replace(
        layer, input_shape=(rows, 1, inputs // rows), output_shape=(1, 1, len(weights)), weights=weights,
        bias=bias, weight_scales=scales,
    )  # fmt: skip


def _rows(inputs: int) -> int:
    """Into how many rows inputs are folded: 1 if they are few, 0 if they cannot be."""
    if inputs <= _LONG:
        return 1
    least = 16  # of less, moving from row to row costs more than the row
    lengths = [n for n in range(least, MAX_COUNT + 1) if inputs % n == 0 and inputs // n <= MAX_COUNT]
    pairs = [n for n in lengths if n % 2 == 0]  # which are loaded together
    return inputs // min(pairs or lengths, key=lambda n: abs(math.log(n / _ROW)), default=inputs + 1)


def fully_connected(layer: Conv2D, cycles: Cycles) -> tuple[Variant, MvpLayer] | Refusal:
    """Like :func:`~codegen.mvp.kernels.conv_2d.conv_2d`. Each weight is used once, so that copying it
    to RAM first would not pay."""
    folded = as_convolution(layer)
    if isinstance(folded, Refusal):
        return folded
    variants = VARIANTS if folded.input_shape[0] == 1 else _BY_ROWS
    return _renamed(conv_2d(folded, cycles, copy=False, variants=variants))


def build_fully_connected(layer: Conv2D, variant: Variant, at: Placement) -> MvpLayer:
    folded = as_convolution(layer)
    assert not isinstance(folded, Refusal)
    return replace(build(folded, variant, at), kernel="fully_connected")


def _renamed(found: tuple[Variant, MvpLayer] | Refusal) -> tuple[Variant, MvpLayer] | Refusal:
    return found if isinstance(found, Refusal) else (found[0], replace(found[1], kernel="fully_connected"))
