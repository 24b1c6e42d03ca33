"""Depthwise convolution: two neighbouring channels an instruction.

``MACR2A sum += x * w`` multiplies the pair of activations with the pair of weights part by part. Where
windows move by one column, the outputs of a row follow each other in memory just as their channels
do, so that one program does a whole row; where they move by two, columns are taken apart first
(:mod:`depthwise_strided`); otherwise a program does the channels of one pixel.

A layer of one input channel is an ordinary convolution and is made one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from codegen.errors import TokayError
from codegen.mvp.assembler import Program
from codegen.mvp.isa import MAX_COUNT, Type
from codegen.mvp.kernels import conv_2d as convolution
from codegen.mvp.kernels import depthwise_strided as strided
from codegen.mvp.kernels import tables
from codegen.mvp.kernels.conv_2d_layer import Conv2D, Variant, behind_table, table_bytes
from codegen.mvp.kernels.epilogue import SUM, finish, set_constants
from codegen.mvp.kernels.layer import NOMINAL, NOMINAL_FLASH, Cycles, MvpLayer, Placement, Refusal, checked
from codegen.mvp.kernels.prescale import prescale

MAX_PROGRAMS = 512


@dataclass(frozen=True)
class Rows:
    """A variant: the output rows whose input is prescaled together, 0 for all; and whether even and odd
    columns are taken apart (:mod:`depthwise_strided`)."""

    band: int = 0
    split: bool = False

    @property
    def in_place(self) -> bool:
        """As of :class:`Variant`; split columns go elsewhere than where they come from."""
        return not self.band and not self.split

    @property
    def name(self) -> str:
        rows = f"bands of {self.band}" if self.band else "all rows at once"
        return f"{rows}, columns split" if self.split else rows


def refusal(layer: Conv2D) -> str | None:
    channels = layer.input_shape[2]
    if channels != layer.output_shape[2]:
        return f"{channels} channels with a multiplier of {layer.output_shape[2] // channels}"
    return convolution.refusal(layer)


def depthwise_conv_2d(
    layer: Conv2D, cycles: Cycles, *, copy: bool = True, scratch_limit: int | None = None
) -> tuple[Variant | Rows, MvpLayer] | Refusal:
    """``layer.weights`` are int8[channels][rows][columns][1]. See :func:`conv_2d.conv_2d`."""
    if layer.input_shape[2] == 1:
        found = convolution.conv_2d(layer, cycles, copy=copy, scratch_limit=scratch_limit)
        if isinstance(found, Refusal):
            return found
        return found[0], replace(found[1], kernel="depthwise_conv_2d")
    problem = refusal(layer)
    if problem:
        return Refusal(problem)
    height = layer.output_shape[0]
    for band in (0, *range(height - 1, 0, -1)):
        variant = Rows(band, strided.suits(layer))
        if scratch_limit is None or _scratch_bytes(layer, variant) <= scratch_limit:
            break
    else:
        return Refusal(f"the scratch of one row is more than {scratch_limit} bytes")
    try:
        built = build(layer, variant, NOMINAL if copy else NOMINAL_FLASH)
    except TokayError as error:  # a limit of the accelerator
        return Refusal(str(error))
    if len(built.programs) > MAX_PROGRAMS:
        return Refusal(f"it would take {len(built.programs)} programs")
    return variant, built


def build(layer: Conv2D, variant: Variant | Rows, at: Placement) -> MvpLayer:
    """The layer's programs at these addresses. ``scratch`` may be the input itself unless in bands or
    with columns split."""
    if isinstance(variant, Variant):
        return replace(convolution.build(layer, variant, at), kernel="depthwise_conv_2d")
    row = layer.input_shape[1] * layer.input_shape[2]
    programs: list[NDArray[np.uint32]] = []
    bands = layer.bands(variant.band)
    if variant.split:
        programs += strided.layer_programs(layer, bands, at)
        bands = []
    for begin, end, top, bottom in bands:
        source = at.inputs[0] + top * row
        programs += prescale(source, at.scratch, (bottom - top) * row, layer.in_zero_point)
        for y in range(begin, end):
            programs += _row_programs(layer, y, top, at)
    return checked(
        MvpLayer(
            kernel="depthwise_conv_2d",
            variant=variant.name,
            programs=np.stack(programs),
            constants=strided.constants(layer) if variant.split else _constants(layer),
            scratch_bytes=_scratch_bytes(layer, variant),
            output_bytes=int(np.prod(layer.output_shape)),
            largest_sum=layer.largest_sum,
        )
    )


def _scratch_bytes(layer: Conv2D, variant: Rows) -> int:
    rows = max(bottom - top for _, _, top, bottom in layer.bands(variant.band))
    width = strided.width(layer) if variant.split else layer.input_shape[1]
    return 2 * rows * width * layer.input_shape[2]


def _constants(layer: Conv2D) -> bytes:
    """Bias and scale pairs, then the weights [pairs][rows][columns][2]: taps of a pair in line, so that
    a word that is read serves two of them."""
    pairs = layer.weights[..., 0].reshape(-1, 2, *layer.weights.shape[1:3]).transpose(0, 2, 3, 1)
    return behind_table(layer, pairs.tobytes())


@dataclass(frozen=True)
class _Run:
    column: int  # of the output
    count: int  # outputs of a channel pair
    columns: tuple[int, int]  # kernel columns, begin and end


def _row_programs(layer: Conv2D, y: int, top: int, at: Placement) -> list[NDArray[np.uint32]]:
    pairs = layer.output_shape[2] // 2
    runs = []
    for column, count, c0, c1 in layer.cases(1):
        most = max(1, MAX_COUNT // pairs) if layer.stride[1] == 1 else 1
        for first in range(0, count, most):
            runs.append(_Run(column + first, min(most, count - first), (c0, c1)))
    return [_program(layer, y, run, top, at) for run in runs]


_X, _W = 3, 4


def _program(layer: Conv2D, y: int, run: _Run, top: int, at: Placement) -> NDArray[np.uint32]:
    height, width, channels = layer.input_shape
    kernel_height, kernel_width = layer.weights.shape[1:3]
    pairs = channels // 2
    start = y * layer.stride[0] - layer.pad[0]
    down, right = layer.dilation
    r0, r1 = tables.clipped(start, kernel_height, height, down)
    c0, c1 = run.columns
    left = run.column * layer.stride[1] - layer.pad[1] + c0 * right
    count = run.count * pairs

    p = Program("depthwise_conv_2d")
    set_constants(p, layer)
    x = p.array(
        "x", at.scratch + 2 * ((start + r0 * down - top) * width + left) * channels, Type.HALF,
        [(c1 - c0, right * pairs), (r1 - r0, down * width * pairs), (count, 1)], complex=True,
    )  # fmt: skip
    w = p.array(
        "weights", at.tables + table_bytes(layer) + 2 * (r0 * kernel_width + c0), Type.INT8,
        [(c1 - c0, 1), (r1 - r0, kernel_width), (pairs, kernel_height * kernel_width)], complex=True,
    )  # fmt: skip
    table = p.array("bias and scale", at.tables, Type.HALF, [(channels, 1)], complex=True)
    target = at.output + (y * layer.output_shape[1] + run.column) * channels
    out = p.array("output", target, Type.INT8, [(count, 1)], complex=True)
    with p.loop(count):
        p.instruction(load0=table.to(SUM[0], 0))
        with (
            p.loop(r1 - r0, increment=[x.dim(2), w.dim(2)]),
            p.loop(c1 - c0, increment=[x.dim(1), w.dim(1)]),
        ):
            p.instruction("MACR2A", z=SUM[0], x=_X, y=_W, a=SUM[0], load0=x.to(_X, 0), load1=w.to(_W, 0))
        finish(p, layer, table, [out.of(SUM[0], 0)])
    return p.assemble()
