"""Depthwise convolution whose windows move by two columns.

The binary16 copy of the input has the even columns of a row first, then the odd ones, with the padding
written out as zeros. In each half the outputs of a row follow each other like their channels, so that one
program does a whole row here too: its inner loop is one over the window's even columns, then one over
its odd columns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codegen.mvp.assembler import Program
from codegen.mvp.isa import MAX_COUNT, Type
from codegen.mvp.kernels import tables
from codegen.mvp.kernels.conv_2d_layer import Conv2D, behind_table, table_bytes
from codegen.mvp.kernels.epilogue import SUM, finish, set_constants
from codegen.mvp.kernels.layer import Placement
from codegen.mvp.kernels.loops import largest_divisor
from codegen.mvp.kernels.tables import PRESCALE


def suits(layer: Conv2D) -> bool:
    return layer.stride[1] == 2 and layer.weights.shape[2] >= 2 and layer.dilation == (1, 1)


def width(layer: Conv2D) -> int:
    """Columns of the scratch: what the windows cover."""
    return 2 * (layer.output_shape[1] - 1) + layer.weights.shape[2]


def constants(layer: Conv2D) -> bytes:
    """Bias and scale pairs, then weights [pairs][rows][even columns, odd columns][2]."""
    plain = layer.weights[..., 0]
    split = np.concatenate([plain[..., 0::2], plain[..., 1::2]], axis=-1)
    pairs = split.reshape(-1, 2, *split.shape[1:]).transpose(0, 2, 3, 1)
    return behind_table(layer, pairs.tobytes())


def layer_programs(layer: Conv2D, bands: list[tables.Case], at: Placement) -> list[NDArray[np.uint32]]:
    """All programs; each band is output rows (begin, end) and input rows (top, bottom)."""
    programs = []
    if width(layer) > layer.input_shape[1]:
        programs.append(_clear(layer, at, max(bottom - top for _, _, top, bottom in bands)))
    for band in bands:
        programs += _band_programs(layer, band, at)
    return programs


def _band_programs(layer: Conv2D, band: tables.Case, at: Placement) -> list[NDArray[np.uint32]]:
    begin, end, top, bottom = band
    programs = [
        _prescale(layer, at, top, bottom, parity) for parity in (0, 1) if _columns(layer, parity)
    ]
    pairs = layer.output_shape[2] // 2
    most = max(1, MAX_COUNT // pairs)
    for y in range(begin, end):
        for column in range(0, layer.output_shape[1], most):
            count = min(most, layer.output_shape[1] - column)
            programs.append(_program(layer, y, column, count, top, at))
    return programs


def _clear(layer: Conv2D, at: Placement, rows: int) -> NDArray[np.uint32]:
    """Zeros everywhere, once: bands come to lie on the same columns, so that padding stays zero."""
    pitch = width(layer) * layer.input_shape[2] // 2
    p = Program("depthwise padding")
    columns = largest_divisor(pitch)
    dims = [(columns, 1), (pitch // columns, columns), (rows, pitch)]
    out = p.array("scratch", at.scratch, Type.HALF, dims, complex=True)
    with (
        p.loop(rows),
        p.loop(pitch // columns, increment=[out.dim(2)]),
        p.loop(columns, increment=[out.dim(1)]),
    ):
        p.instruction("CLEAR", z=1, store=out.of(1, 0))
    return p.assemble()


def _half_offset(layer: Conv2D, parity: int) -> int:
    """Columns of the scratch before those of a parity."""
    return (width(layer) + 1) // 2 if parity else 0


def _first(layer: Conv2D, parity: int) -> int:
    """The first column of the input that is of a parity, counted with the padding."""
    return (parity + layer.pad[1]) % 2


def _columns(layer: Conv2D, parity: int) -> int:
    """How many columns of the input are."""
    last = min(layer.input_shape[1], width(layer) - layer.pad[1])
    return max(0, last - _first(layer, parity) + 1) // 2


def _prescale(layer: Conv2D, at: Placement, top: int, bottom: int, parity: int) -> NDArray[np.uint32]:
    """The columns of one parity, counted with the padding."""
    _, columns, channels = layer.input_shape
    pairs, pad = channels // 2, layer.pad[1]
    first, count = _first(layer, parity), _columns(layer, parity)
    p = Program("prescale by columns")
    p.set(0, PRESCALE)
    p.set(1, -layer.in_zero_point * PRESCALE)
    x = p.array(
        "int8", at.inputs[0] + (top * columns + first) * channels, Type.INT8,
        [(pairs, 1), (count, 2 * pairs), (bottom - top, columns * pairs)], complex=True,
    )  # fmt: skip
    target = _half_offset(layer, parity) + (first + pad) // 2
    y = p.array(
        "half", at.scratch + 2 * target * channels, Type.HALF,
        [(pairs, 1), (count, pairs), (bottom - top, width(layer) * pairs)], complex=True,
    )  # fmt: skip
    with (
        p.loop(bottom - top),
        p.loop(count, increment=[x.dim(2), y.dim(2)]),
        p.loop(pairs, increment=[x.dim(1), y.dim(1)]),
    ):
        p.instruction("MACR2A", z=3, x=2, y=0, a=1, load0=x.to(2, 0), store=y.of(3, 0))
    return p.assemble()


_X, _W = 3, 4


def _program(layer: Conv2D, y: int, column: int, outputs: int, top: int, at: Placement) -> NDArray[np.uint32]:
    channels = layer.input_shape[2]
    kernel_height, kernel_width = layer.weights.shape[1:3]
    pairs = channels // 2
    start = y * layer.stride[0] - layer.pad[0]
    r0, r1 = tables.clipped(start, kernel_height, layer.input_shape[0])
    count = outputs * pairs
    p = Program("depthwise_conv_2d by two columns")
    set_constants(p, layer)
    row = (start + r0 - top) * width(layer)
    taps = ((kernel_width + 1) // 2, kernel_width // 2)
    halves = [
        p.array(
            ("even", "odd")[parity], at.scratch + 2 * (row + _half_offset(layer, parity) + column) * channels,
            Type.HALF, [(taps[parity], pairs), (r1 - r0, width(layer) * pairs), (count, 1)], complex=True,
        )
        for parity in (0, 1)
    ]  # fmt: skip
    w = p.array(
        "weights", at.tables + table_bytes(layer) + 2 * r0 * kernel_width, Type.INT8,
        [(kernel_width, 1), (r1 - r0, kernel_width), (pairs, kernel_height * kernel_width)], complex=True,
    )  # fmt: skip
    table = p.array("bias and scale", at.tables, Type.HALF, [(channels, 1)], complex=True)
    target = at.output + (y * layer.output_shape[1] + column) * channels
    out = p.array("output", target, Type.INT8, [(count, 1)], complex=True)
    with p.loop(count):
        p.instruction(load0=table.to(SUM[0], 0))
        with p.loop(r1 - r0, increment=[halves[0].dim(2), halves[1].dim(2), w.dim(2)]):
            for parity, x in enumerate(halves):
                moves = [x.dim(1), w.dim(1)] if parity else [x.dim(1)]
                with p.loop(taps[parity], increment=moves):
                    p.instruction(
                        "MACR2A", z=SUM[0], x=_X, y=_W, a=SUM[0], load0=x.to(_X, 0), load1=w.to(_W, 0)
                    )
        finish(p, layer, table, [out.of(SUM[0], 0)])
    return p.assemble()
