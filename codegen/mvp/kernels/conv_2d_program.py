"""The program of one run of a convolution's outputs (:mod:`codegen.mvp.kernels.conv_2d`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codegen.mvp import isa
from codegen.mvp.assembler import Array, Program, Source
from codegen.mvp.isa import Type
from codegen.mvp.kernels.conv_2d_layer import Conv2D, Variant, weights_offset
from codegen.mvp.kernels.epilogue import SUM, finish, set_constants
from codegen.mvp.kernels.layer import Placement


@dataclass(frozen=True)
class Run:
    """Outputs that one program makes: ``count`` positions of ``lanes`` outputs each."""

    row: int
    column: int
    count: int
    lanes: int
    lane_step: tuple[int, int]  # rows, columns from one lane to the next
    step: int  # columns from one position to the next
    rows: tuple[int, int]  # kernel rows, begin and end
    columns: tuple[int, int]
    top: int  # the input row at the beginning of the scratch


_X, _W = 3, 4
_X2 = 5  # of the second lane's paired taps, which a layer with bounds does not have (see conv_2d._fits)


def program(layer: Conv2D, variant: Variant, run: Run, at: Placement) -> NDArray[np.uint32]:
    """Words of a program that makes the outputs of a run."""
    p = Program(f"conv_2d ({variant.name})")
    set_constants(p, layer)
    x, w = _activations(p, layer, variant, run, at), _weights(p, layer, run, at)
    out_width, oc = layer.output_shape[1:]
    table = p.array("bias and scale", at.tables, Type.HALF, [(oc, 1)], complex=True)
    lane_step = (run.lane_step[0] * out_width + run.lane_step[1]) * oc // 2
    out = p.array(
        "output", at.output + (run.row * out_width + run.column) * oc, Type.INT8,
        [(oc // 2, 1), (run.lanes, lane_step), (run.count, run.step * oc // 2)], complex=True,
    )  # fmt: skip
    by_position = [] if _row_by_row(layer) else [array.dim(2) for array in x]
    with p.loop(run.count), p.loop(oc // 2, increment=[*by_position, out.dim(2)]):
        if run.lanes == 2:
            p.instruction("COPY", z=SUM[1], a=SUM[0], load0=table.to(SUM[0], 0))
        else:
            p.instruction(load0=table.to(SUM[0], 0))
        _window(p, layer, variant, run, x, w)
        # The last lane's store moves on to the next pair of channels.
        moves = [(1,)] * (run.lanes - 1) + [(0, 1)]
        finish(p, layer, table, [out.of(SUM[lane], *dims) for lane, dims in enumerate(moves)])
    return p.assemble()


def _row_by_row(layer: Conv2D) -> bool:
    """Whether the activations' last dimension is the window's rows, and a program makes one position."""
    return layer.apart and layer.weights.shape[1] > 1


def _activations(p: Program, layer: Conv2D, variant: Variant, run: Run, at: Placement) -> list[Array]:
    """An array for each lane: what follows in a row of the window, its rows, then positions; or a tap's
    channels, the window's columns, then its rows or positions."""
    _, width, ic = layer.input_shape
    unit = 2 if variant.paired else 1  # taps a load
    (r0, r1), (c0, c1) = run.rows, run.columns
    rows = (r1 - r0, layer.dilation[0] * width * ic // unit)
    positions = (run.count, run.step * layer.stride[1] * ic // unit)
    if layer.apart:
        columns = (c1 - c0, layer.dilation[1] * ic // unit)
        dims = [(ic // unit, 1), columns, rows if _row_by_row(layer) else positions]
    else:
        dims = [((c1 - c0) * ic // unit, 1), rows, positions]
    x: list[Array] = []
    for lane in range(run.lanes):
        row = (run.row + lane * run.lane_step[0]) * layer.stride[0] - layer.pad[0] + r0 * layer.dilation[0]
        left = (run.column + lane * run.lane_step[1]) * layer.stride[1] - layer.pad[1]
        column = left + c0 * layer.dilation[1]
        address = at.scratch + 2 * ((row - run.top) * width + column) * ic
        x.append(p.array(f"x{lane}", address, Type.HALF, dims, complex=variant.paired))
    if run.lanes < variant.lanes:  # so that the other arrays have the numbers of the other programs
        p.array("no x1", 0, Type.HALF, [(1, 0)])
    return x


def _weights(p: Program, layer: Conv2D, run: Run, at: Placement) -> Array:
    ic, pairs = layer.input_shape[2], layer.output_shape[2] // 2
    kernel_width = layer.weights.shape[2]
    (r0, r1), (c0, c1) = run.rows, run.columns
    taps, pair_step = (c1 - c0) * ic, layer.taps + layer.taps % 2
    dims = [(taps, 1), (r1 - r0, kernel_width * ic), (pairs, pair_step)]
    if pair_step > isa.MAX_STRIDE and pair_step == taps * (r1 - r0):
        # no gap from pair to pair: the rows of all pairs are one dimension
        dims = [(taps, 1), ((r1 - r0) * pairs, taps), (1, 0)]
    first = at.tables + weights_offset(layer) + 2 * (r0 * kernel_width + c0) * ic
    return p.array("weights", first, Type.INT8, dims, complex=True)


def _window(p: Program, layer: Conv2D, variant: Variant, run: Run, x: list[Array], w: Array) -> None:
    """Adds the products of one channel pair to the sums."""
    ic, unit = layer.input_shape[2], 2 if variant.paired else 1
    columns = run.columns[1] - run.columns[0]
    inner = [array.dim(1) for array in x]
    sums = SUM[::-1] if variant.by_rows else SUM
    with p.loop(run.rows[1] - run.rows[0], increment=[w.dim(2)]):
        if variant.by_rows:
            p.instruction("CLEAR", z=sums[0])
        if layer.apart:
            by_row = [array.dim(2) for array in x] if _row_by_row(layer) else []
            with p.loop(columns, increment=[*by_row, w.dim(1)]), p.loop(ic // unit, increment=inner):
                _multiply(p, variant, x, w, sums)
        else:
            with p.loop(columns * ic // unit, increment=[*inner, w.dim(1)]):
                _multiply(p, variant, x, w, sums)
        if variant.by_rows:
            p.instruction("ADDC", z=SUM[0], x=sums[0], a=SUM[0])


def _multiply(p: Program, variant: Variant, x: list[Array], w: Array, sums: tuple[int, ...]) -> None:
    if not variant.paired:
        for lane, array in enumerate(x):
            load_w = w.to(_W, 0) if lane == 0 else None
            p.instruction("MACC", z=sums[lane], x=_X, y=_W, a=sums[lane], load0=array.to(_X, 0), load1=load_w)
        return
    registers = (_X, _X2)
    for tap in (0, 1):
        for lane, array in enumerate(x):
            source = Source(registers[lane], real_zero=tap == 1, imag_zero=tap == 0)
            p.instruction(
                "MACC", z=sums[lane], x=source, y=_W, a=sums[lane],
                load0=array.to(registers[lane], 0) if tap == 0 else None,
                load1=w.to(_W, 0) if lane == 0 else None,
            )  # fmt: skip
