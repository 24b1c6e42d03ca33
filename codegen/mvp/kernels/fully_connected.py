"""Fully connected layers: a convolution with a single window, two outputs an instruction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from codegen.mvp.isa import MAX_COUNT
from codegen.mvp.kernels.conv_2d import Conv2D, Variant, build, conv_2d
from codegen.mvp.kernels.layer import Cycles, MvpLayer, Placement, Refusal


def as_convolution(layer: Conv2D) -> Conv2D | Refusal:
    """``layer`` is a 1x1 convolution of a 1x1 input; long inputs are folded into rows, and an odd last
    output gets a partner of zeros (see MvpLayer.output_bytes)."""
    outputs, inputs = layer.weights.shape[0], layer.input_shape[2]
    rows = next((r for r in range(1, MAX_COUNT + 1) if inputs % r == 0 and inputs // r <= MAX_COUNT), 0)
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


def fully_connected(
    layer: Conv2D, cycles: Cycles, *, copy: bool = False
) -> tuple[Variant, MvpLayer] | Refusal:
    """Like :func:`~codegen.mvp.kernels.conv_2d.conv_2d`. Each weight is used once, so that copying it
    to RAM first would not pay."""
    folded = as_convolution(layer)
    return folded if isinstance(folded, Refusal) else _renamed(conv_2d(folded, cycles, copy=copy))


def build_fully_connected(layer: Conv2D, variant: Variant, at: Placement) -> MvpLayer:
    folded = as_convolution(layer)
    assert not isinstance(folded, Refusal)
    return replace(build(folded, variant, at), kernel="fully_connected")


def _renamed(found: tuple[Variant, MvpLayer] | Refusal) -> tuple[Variant, MvpLayer] | Refusal:
    return found if isinstance(found, Refusal) else (found[0], replace(found[1], kernel="fully_connected"))
