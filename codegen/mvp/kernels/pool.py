"""Max and average pooling of channel pairs.

A program's input array has a dimension each for the window's columns and rows and one for a run of
outputs: all channel pairs of a pixel, or all pixels of a row for one pair, or both at once where the
pixels follow each other without a gap. Whatever takes the fewest programs is chosen. Small unclipped
windows of max pooling have an array a tap instead, and then one program does the whole layer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from codegen.errors import TokayError
from codegen.mvp.assembler import Array, Program
from codegen.mvp.isa import MAX_COUNT, MAX_STRIDE, Type
from codegen.mvp.kernels import tables
from codegen.mvp.kernels.layer import MvpLayer, Placement, Refusal, checked
from codegen.mvp.kernels.loops import largest_divisor

EXACT_TAPS = 32  # sums of so many int8 are rounded to a multiple of 2 at most
CENTRED_TAPS = 16  # sums of so many differences to a zero point are exact while they are below 2,048
FEW_LINES = 16  # of a window; each line's part of an average is rounded
LARGEST_DRIFT = 2.5  # what that may add up to, in units of the output, of sums between offset and output
MAX_PROGRAMS = 128  # more cost the processor more than pooling itself


@dataclass(frozen=True)
class Pool:
    """``operation`` is "max" or "average"; shapes are height, width, channels."""

    operation: str
    input_shape: tuple[int, int, int]
    output_shape: tuple[int, int, int]
    window: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int]
    clamp: tuple[int, int] = (-128, 127)
    scale: float = 1.0  # of an average: output = average * scale + offset
    offset: float = 0.0
    centre: int | None = None  # subtracted from each value of an average, so that small sums are exact

    @property
    def line_taps(self) -> int:
        """Most values of an average that are added up before they are scaled."""
        return EXACT_TAPS if self.centre is None else CENTRED_TAPS

    def in_whole_lines(self) -> Pool:
        """An average of all there is, whose rows and columns are of no account, over lines that are as long
        as they may be and leave no rest (:func:`_lines` takes any window, but has to keep its shape)."""
        if self.output_shape[:2] != (1, 1):
            return self
        taps = self.window[0] * self.window[1]
        line = largest_divisor(taps, self.line_taps)
        window = (taps // line, line)
        return replace(self, input_shape=(*window, self.input_shape[2]), window=window, stride=window)


@dataclass(frozen=True)
class _Run:
    """One program: a window of ``rows`` x ``columns`` taps at ``source``, then ``count`` outputs on."""

    source: int  # bytes into the input and the output
    target: int
    rows: int
    columns: int
    count: int
    source_step: int  # pairs
    target_step: int


def refusal(layer: Pool) -> str | None:
    if layer.input_shape[2] % 2:
        return f"{layer.input_shape[2]} channels: an odd number has no pairs"
    if layer.clamp != (-128, 127):
        return "pooling with an activation"
    step = layer.scale / (layer.window[0] * layer.window[1])
    if layer.operation == "average" and not tables.HALF_MIN_NORMAL <= step <= 1:
        return f"multiples of {step:.3g} do not suit binary16"
    return None


def pool(layer: Pool, at: Placement) -> MvpLayer | Refusal:
    problem = refusal(layer)
    if problem:
        return Refusal(problem)
    taps = layer.window[0] * layer.window[1]
    try:
        whole = _is_whole(layer)
        programs = _whole(layer, at) if whole else [_program(layer, run, at) for run in _runs(layer)]
    except TokayError as error:  # a limit of the accelerator
        return Refusal(str(error))
    if len(programs) > MAX_PROGRAMS:
        return Refusal(f"it would take {len(programs)} programs")
    return checked(
        MvpLayer(
            kernel=f"{layer.operation}_pool_2d",
            variant="an array a tap" if whole else "windows",
            programs=np.stack(programs),
            constants=b"",
            scratch_bytes=0,
            output_bytes=int(np.prod(layer.output_shape)),
            largest_sum=128.0 * (1 if layer.operation == "max" else min(taps, layer.line_taps)),
        )
    )


def _cases(layer: Pool, d: int) -> tuple[tables.Case, ...]:
    return tables.cases(
        layer.output_shape[d], layer.stride[d], layer.pad[d], layer.window[d], layer.input_shape[d]
    )


# --- an array a tap ---------------------------------------------------------------------------------


def _is_whole(layer: Pool) -> bool:
    taps = layer.window[0] * layer.window[1]
    clipped = any(_cases(layer, d) != ((0, layer.output_shape[d], 0, layer.window[d]),) for d in (0, 1))
    return layer.operation == "max" and 2 <= taps <= 4 and not clipped


def _whole(layer: Pool, at: Placement) -> list[NDArray[np.uint32]]:
    (_, width, channels), (out_height, out_width, _) = layer.input_shape, layer.output_shape
    pairs = channels // 2
    p = Program("max_pool_2d")
    dims = [(pairs, 1), (out_width, layer.stride[1] * pairs), (out_height, layer.stride[0] * width * pairs)]
    offsets = [row * width + column for row in range(layer.window[0]) for column in range(layer.window[1])]
    taps = [
        p.array(f"tap {k}", at.inputs[0] + offset * channels, Type.INT8, dims, complex=True)
        for k, offset in enumerate(offsets)
    ]
    out_dims = [(pairs, 1), (out_width, pairs), (out_height, out_width * pairs)]
    out = p.array("output", at.output, Type.INT8, out_dims, complex=True)
    arrays = [*taps, out]
    store = out.of(3, 0)
    with (
        p.loop(out_height),
        p.loop(out_width, increment=[a.dim(2) for a in arrays]),
        p.loop(pairs, increment=[a.dim(1) for a in arrays]),
    ):
        last = len(taps) == 2
        loads = {"load0": taps[0].to(1, 0), "load1": taps[1].to(2, 0)}
        p.instruction("MAX2A", z=3, x=1, a=2, **loads, store=store if last else None)
        if len(taps) == 3:
            p.instruction("MAX2A", z=3, x=1, a=3, load0=taps[2].to(1, 0), store=store)
        elif len(taps) == 4:
            loads = {"load0": taps[2].to(1, 0), "load1": taps[3].to(2, 0)}
            p.instruction("MAXAC2", z=3, x=1, y=2, a=3, **loads, store=store)
    return [p.assemble()]


# --- windows ----------------------------------------------------------------------------------------


def _runs(layer: Pool) -> list[_Run]:
    return [run for rows in _cases(layer, 0) for run in _case_runs(layer, rows)]


def _case_runs(layer: Pool, rows: tables.Case) -> list[_Run]:
    (_, width, channels), (_, out_width, _) = layer.input_shape, layer.output_shape
    pairs = channels // 2
    row, row_count, r0, r1 = rows
    runs = []
    for y in range(row, row + row_count):
        for column, count, c0, c1 in _cases(layer, 1):
            top = y * layer.stride[0] - layer.pad[0] + r0
            left = column * layer.stride[1] - layer.pad[1] + c0
            source, target = (top * width + left) * channels, (y * out_width + column) * channels
            size = (r1 - r0, c1 - c0)
            step = layer.stride[1]
            if (step == 1 or count == 1) and count * pairs <= MAX_COUNT:
                runs.append(_Run(source, target, *size, count * pairs, 1, 1))
            elif count <= pairs:
                runs += [
                    _Run(source + k * step * channels, target + k * channels, *size, pairs, 1, 1)
                    for k in range(count)
                ]
            else:
                runs += [
                    _Run(source + 2 * k, target + 2 * k, *size, count, step * pairs, pairs)
                    for k in range(pairs)
                ]
    return runs


def _program(layer: Pool, run: _Run, at: Placement) -> NDArray[np.uint32]:
    _, width, channels = layer.input_shape
    pairs = channels // 2
    p = Program(f"{layer.operation}_pool_2d")
    line, lines, left = (run.columns, pairs), (run.rows, width * pairs), 0
    if layer.operation == "average":
        line, lines, left = _lines(run, pairs, width, layer.line_taps)
        drift = (lines[0] + (left > 0)) * _half_unit(max(abs(layer.offset), 128.0))
        if line[0] > layer.line_taps or drift > LARGEST_DRIFT:
            raise TokayError(f"an average of {run.rows}x{run.columns} values loses bits in binary16")
    source, outputs = at.inputs[0] + run.source, (run.count, run.source_step)
    x = p.array("input", source, Type.INT8, [line, lines, outputs], complex=True)
    rest = None
    if left:
        source += 2 * lines[0] * lines[1]
        rest = p.array("rest", source, Type.INT8, [(left, line[1]), (1, 0), outputs], complex=True)
    out = p.array(
        "output", at.output + run.target, Type.INT8, [(run.count, run.target_step)], complex=True
    )
    with p.loop(run.count):
        if layer.operation == "max":
            _maximum(p, run, x, out)
        else:
            p.set(6, layer.offset)
            p.set(7, layer.scale / (run.rows * run.columns))
            _average(p, layer.centre, x, rest, out)
    return p.assemble()


def _half_unit(largest: float) -> float:
    """Half a unit in the last place of binary16 numbers up to ``largest``: a sum's error by rounding."""
    return 2.0 ** (math.ceil(math.log2(largest)) - 12)


def _lines(
    run: _Run, pairs: int, width: int, most: int
) -> tuple[tuple[int, int], tuple[int, int], int]:
    """How a window is summed: the taps of a line and the lines, each with its step in pairs, and how many
    taps are left after them. Lines are short enough for exact sums (``most``), and few, lest what they add to
    an average is lost in its rounding."""
    line, lines = (run.columns, pairs), (run.rows, width * pairs)
    if 1 < run.columns < run.rows <= most:
        line, lines = lines, line  # each line has its epilogue: fewer, longer lines
    apart = lines[0] > 1 and lines[1] > MAX_STRIDE
    usable = line[0] <= most and not apart
    if usable and lines[0] <= FEW_LINES:
        return line, lines, 0
    if 1 in (run.rows, run.columns) or run.columns == width:  # all taps are in one line
        step = pairs if run.columns > 1 else width * pairs
        taps = max(1, min(run.rows * run.columns, most, MAX_STRIDE // step))
        count, left = divmod(run.rows * run.columns, taps)
        if not usable or count + (left > 0) < lines[0]:
            return (taps, step), (count, taps * step), left
    elif line[0] > most >= run.rows:
        line, lines = lines, line
    return line, lines, 0


def _maximum(p: Program, run: _Run, x: Array, out: Array) -> None:
    if 1 in (run.rows, run.columns):
        taps, dim = run.rows * run.columns, 1 if run.columns == 1 else 0
        if taps == 1:
            p.instruction("COPY", z=1, a=1, load0=x.to(1, 2), store=out.of(1, 0))
            return
        p.instruction(load0=x.to(1, dim))
        if taps > 2:
            with p.loop(taps - 2):
                p.instruction("MAX2A", z=1, x=2, a=1, load0=x.to(2, dim))
        p.instruction("MAX2A", z=1, x=2, a=1, load0=x.to(2, dim, 2), store=out.of(1, 0))
        return
    p.instruction(load0=x.to(1))
    with p.loop(run.rows), p.loop(run.columns, increment=[x.dim(1)]):
        p.instruction("MAX2A", z=1, x=2, a=1, load0=x.to(2, 0))
    p.instruction("COPY", z=1, a=1, load0=x.to(2, 2), store=out.of(1, 0))


def _average(p: Program, centre: int | None, x: Array, rest: Array | None, out: Array) -> None:
    """Sums of lines are exact or nearly so; their multiples of 1 / taps stay small."""
    p.instruction("COPY", z=3, a=6)
    with p.loop(x.dims[1][0]):
        _add_line(p, centre, x, 1, 4)
    if rest is not None:
        _add_line(p, centre, rest, 2, 5)
    p.instruction("COPY", z=3, a=3, load0=x.to(1, 2), store=out.of(3, 0))


def _add_line(p: Program, centre: int | None, x: Array, then: int, register: int) -> None:
    """Adds a multiple of a line's sum; ``then`` is the dimension that moves on after it, ``register`` holds
    what centres the sum."""
    taps = x.dims[0][0]
    first = x.to(1, then if taps == 1 else 0)
    if centre is not None:
        p.set(register, -centre * taps)
        p.instruction("ADDC", z=1, x=1, a=register, load0=first)
    elif taps > 1:
        p.instruction(load0=first)
    if taps > 1:
        with p.loop(taps - 1, increment=[x.dim(then)]):
            p.instruction("ADDC", z=1, x=2, a=1, load0=x.to(2, 0))
    alone = taps == 1 and centre is None
    p.instruction("MACR2A", z=3, x=1, y=7, a=3, load0=first if alone else None)
