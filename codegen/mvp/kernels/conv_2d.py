"""Convolution: two output channels an instruction.

``MACC sum += x * w`` with a real activation x and the complex weight w of a channel pair does two
useful multiplications for any number of input channels. Weights lie as channel pairs; the bias starts
the sum, the last instruction scales it and stores both channels. A program does a run of outputs whose
windows are clipped alike; padding is never multiplied. An array has three dimensions, so where columns of
the window lie apart (dilation), a program does outputs of a kernel of one row, or a single one.

Variants: one or two outputs (``lanes``) share each weight that is loaded, two taken from neighbouring
rows or columns; and activations may be loaded in pairs of taps, which halves their loads. Then the
second tap sits in the imaginary part: i * x * w' adds x * (a + bi) if w' is b - ai, so odd taps' weights
are stored that way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from codegen.errors import TokayError
from codegen.mvp import isa
from codegen.mvp.assembler import Array, Program, Source
from codegen.mvp.isa import MAX_COUNT, Type
from codegen.mvp.kernels import tables
from codegen.mvp.kernels.layer import NOMINAL, NOMINAL_FLASH, Cycles, MvpLayer, Placement, Refusal, checked
from codegen.mvp.kernels.prescale import prescale

MAX_PROGRAMS = 1024
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
        columns = max(d for d in range(1, most_columns + 1) if height * width % d == 0)
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
    def taps(self) -> int:
        return int(np.prod(self.weights.shape[1:]))

    @property
    def scales(self) -> NDArray[np.float64]:
        scales = np.broadcast_to(np.asarray(self.weight_scales, np.float64), (self.output_shape[2],))
        return tables.output_scales(self.in_scale, scales, self.out_scale)


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
    def name(self) -> str:
        lanes = "one output" if self.lanes == 1 else f"two {self.across}"
        band = f", bands of {self.band}" if self.band else ""
        rows = ", rows apart" if self.by_rows else ""
        return f"{lanes}, {'paired' if self.paired else 'single'} taps{rows}{band}"


VARIANTS = tuple(
    Variant(lanes, across, paired)
    for lanes, across in ((2, "rows"), (2, "columns"), (1, "columns"))
    for paired in (True, False)
)


def conv_2d(
    layer: Conv2D, cycles: Cycles, *, copy: bool = True, scratch_limit: int | None = None,
    variants: Sequence[Variant] = VARIANTS,
) -> tuple[Variant, MvpLayer] | Refusal:  # fmt: skip
    """Of ``variants`` the one that costs the fewest cycles at nominal addresses, with no more scratch than
    ``scratch_limit``; or why there is none."""
    problem = refusal(layer)
    if problem:
        return Refusal(problem)
    placement = NOMINAL if copy else NOMINAL_FLASH
    found: list[tuple[Variant, MvpLayer]] = []
    reason = ""
    for most_columns, variant in product(_row_lengths(layer, scratch_limit), variants):
        flat = layer.flattened(most_columns)
        candidate = _banded(flat, replace(variant, most_columns=most_columns), scratch_limit)
        if candidate is None:
            reason = reason or f"the scratch of one row is more than {scratch_limit} bytes"
            continue
        if not _fits(flat, candidate):
            reason = reason or f"{candidate.name}: the shape does not allow it"
            continue
        try:
            found.append((candidate, build(layer, candidate, placement)))
        except TokayError as error:  # a limit of the accelerator
            reason = str(error)
    if not found:
        return Refusal(reason)
    return min(found, key=lambda pair: pair[1].cost(cycles))


def refusal(layer: Conv2D) -> str | None:
    """Why no variant can do a layer, as far as that does not depend on the variant."""
    if layer.output_shape[2] % 2:
        return f"{layer.output_shape[2]} output channels: an odd number cannot be stored in pairs"
    if any(begin >= end for d in (0, 1) for _, _, begin, end in _cases(layer, d)):
        return "a window that lies in the padding alone"
    if _apart(layer) and layer.stride[1] > 1:
        return f"a dilation of {layer.dilation[1]} and a stride of {layer.stride[1]} columns"
    bound = tables.largest_sum(layer.weights.reshape(len(layer.weights), -1), layer.bias, layer.in_zero_point)
    if bound > tables.HALF_MAX:
        return f"partial sums can reach {bound:.3g}, beyond binary16"
    return tables.scales_problem(layer.scales)


def _row_lengths(layer: Conv2D, limit: int | None) -> list[int]:
    """Most columns of a 1x1 convolution's rows: all at once if that is within the limit, else one row or two
    (which may share weights) within it."""
    height, width, ic = layer.input_shape
    if limit is None or 2 * height * width * ic <= limit:
        return [MAX_COUNT]
    return [max(1, min(MAX_COUNT, limit // (2 * ic * rows))) for rows in (1, 2)]


def _fits(layer: Conv2D, variant: Variant) -> bool:
    clamped = layer.clamp != (-128, 127)
    if 1 + variant.lanes * (1 + variant.paired + 1 + clamped) > isa.INSTRUCTIONS:
        return False
    if not variant.paired:
        return True
    ic = layer.input_shape[2]
    if _apart(layer) and ic % 2:
        return False
    columns = _columns(layer)
    even_runs = all(begin * ic % 2 == 0 and (end - begin) * ic % 2 == 0 for _, _, begin, end in columns)
    steps = (layer.input_shape[1], layer.weights.shape[2], layer.stride[1], layer.pad[1])
    even_steps = all(n * ic % 2 == 0 for n in steps)
    # An odd tap's first channel is stored negated: -128 has no negative.
    return even_runs and even_steps and layer.weights[0::2].min() > -128


def _apart(layer: Conv2D) -> bool:
    """Whether the columns of a window do not follow each other."""
    return layer.dilation[1] > 1 and layer.weights.shape[2] > 1


def _banded(layer: Conv2D, variant: Variant, limit: int | None) -> Variant | None:
    """The variant with the largest bands whose scratch is within the limit."""
    if limit is None or _scratch_bytes(layer, variant) <= limit:
        return variant
    least = 2 if variant.lanes == 2 and variant.across == "rows" else 1
    for band in range(layer.output_shape[0] - 1, least - 1, -1):
        if band % least == 0 and _scratch_bytes(layer, replace(variant, band=band)) <= limit:
            return replace(variant, band=band)
    return None


def _bands(layer: Conv2D, variant: Variant) -> list[tables.Case]:
    return tables.bands(
        layer.output_shape[0], variant.band, layer.stride[0], layer.pad[0], layer.weights.shape[1],
        layer.input_shape[0], layer.dilation[0],
    )  # fmt: skip


def _scratch_bytes(layer: Conv2D, variant: Variant) -> int:
    rows = max(bottom - top for _, _, top, bottom in _bands(layer, variant))
    return 2 * rows * layer.input_shape[1] * layer.input_shape[2] + 2 & ~3


def _rows(layer: Conv2D) -> tuple[tables.Case, ...]:
    return _cases(layer, 0)


def _columns(layer: Conv2D) -> tuple[tables.Case, ...]:
    found = _cases(layer, 1)
    if _apart(layer) and layer.weights.shape[1] > 1:
        return tuple((column + k, 1, c0, c1) for column, count, c0, c1 in found for k in range(count))
    return found


def _cases(layer: Conv2D, d: int) -> tuple[tables.Case, ...]:
    return tables.cases(
        layer.output_shape[d], layer.stride[d], layer.pad[d], layer.weights.shape[1 + d],
        layer.input_shape[d], layer.dilation[d],
    )  # fmt: skip


# --- constants --------------------------------------------------------------------------------------


def table_bytes(layer: Conv2D) -> int:
    return 4 * layer.output_shape[2]


def weights_offset(layer: Conv2D) -> int:
    """Where the weights begin in the constants: 2 bytes after a word, so that with activations that
    begin at a word the two streams need new words in turns and not at once."""
    return table_bytes(layer) + 2


def constants(layer: Conv2D, paired: bool) -> bytes:
    """Bias and scale pairs, then the weights of channel pairs."""
    table = tables.half_pairs(layer.bias.astype(np.float64) * tables.PRESCALE, layer.scales)
    flat = layer.weights.reshape(len(layer.weights) // 2, 2, layer.taps)
    pairs = np.zeros((len(flat), layer.taps + layer.taps % 2, 2), np.int8)
    pairs[:, : layer.taps] = flat.transpose(0, 2, 1)
    if paired:
        odd = pairs[:, 1::2].copy()
        pairs[:, 1::2, 0] = odd[..., 1]
        pairs[:, 1::2, 1] = -odd[..., 0]
    blob = table + b"\0\0" + pairs.tobytes()
    return blob + b"\0" * (-len(blob) % 4)


# --- programs ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Run:
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


def _runs(layer: Conv2D, variant: Variant, band: tuple[int, int, int, int]) -> list[_Run]:
    runs: list[_Run] = []
    begin, end, top, _ = band
    for row, rows, r0, r1 in _rows(layer):
        y, stop = max(row, begin), min(row + rows, end)
        while y < stop:
            two_rows = variant.lanes == 2 and variant.across == "rows" and y + 1 < stop
            for column, count, c0, c1 in _columns(layer):
                rest = 0
                if two_rows:
                    runs.append(_Run(y, column, count, 2, (1, 0), 1, (r0, r1), (c0, c1), top))
                elif variant.lanes == 2 and variant.across == "columns":
                    if count // 2:
                        runs.append(_Run(y, column, count // 2, 2, (0, 1), 2, (r0, r1), (c0, c1), top))
                    rest = count % 2
                else:
                    rest = count
                if rest:
                    runs.append(_Run(y, column + count - rest, rest, 1, (0, 0), 1, (r0, r1), (c0, c1), top))
            y += 2 if two_rows else 1
    return sorted(runs, key=lambda run: (run.lanes, run.columns, run.row, run.column))


def build(layer: Conv2D, variant: Variant, at: Placement) -> MvpLayer:
    """The layer's programs at these addresses. ``scratch`` may be the input itself unless in bands."""
    layer = layer.flattened(variant.most_columns)
    row = layer.input_shape[1] * layer.input_shape[2]
    programs = []
    for band in _bands(layer, variant):
        _, _, top, bottom = band
        source = at.inputs[0] + top * row
        programs += prescale(source, at.scratch, (bottom - top) * row, layer.in_zero_point)
        programs += [_program(layer, variant, run, at) for run in _runs(layer, variant, band)]
    if _apart(layer) and len(programs) > MAX_PROGRAMS:
        raise TokayError(f"a dilation of both rows and columns would take {len(programs)} programs")
    flat = layer.weights.reshape(len(layer.weights), -1)
    return checked(
        MvpLayer(
            kernel="conv_2d",
            variant=variant.name,
            programs=np.stack(programs),
            constants=constants(layer, variant.paired),
            scratch_bytes=_scratch_bytes(layer, variant),
            output_bytes=int(np.prod(layer.output_shape)),
            largest_sum=tables.largest_sum(flat, layer.bias, layer.in_zero_point),
        )
    )


_SUM = (1, 2)  # a register a lane
_X, _W, _X2, _SCALE, _OFFSET = 3, 4, 5, 6, 7
_LOW, _HIGH = 0, 5  # clamping bounds; never together with paired taps in two lanes, which need R5


def _program(layer: Conv2D, variant: Variant, run: _Run, at: Placement) -> NDArray[np.uint32]:
    _, width, ic = layer.input_shape
    _, out_width, oc = layer.output_shape
    kernel_height, kernel_width = layer.weights.shape[1:3]
    lanes = range(run.lanes)
    unit = 2 if variant.paired else 1  # taps a load
    (r0, r1), (c0, c1) = run.rows, run.columns
    taps, apart = (c1 - c0) * ic, _apart(layer)
    clamped = layer.clamp != (-128, 127)

    p = Program(f"conv_2d ({variant.name})")
    p.set(_OFFSET, layer.out_zero_point)
    if clamped:
        p.set(_LOW, layer.clamp[0])
        p.set(_HIGH, layer.clamp[1])
    x: list[Array] = []
    for lane in lanes:
        row = (run.row + lane * run.lane_step[0]) * layer.stride[0] - layer.pad[0]
        column = (run.column + lane * run.lane_step[1]) * layer.stride[1] - layer.pad[1]
        row, column = row + r0 * layer.dilation[0], column + c0 * layer.dilation[1]
        rows = (r1 - r0, layer.dilation[0] * width * ic // unit)
        positions = (run.count, run.step * layer.stride[1] * ic // unit)
        dims = [(taps // unit, 1), rows, positions]
        if apart:
            columns = (c1 - c0, layer.dilation[1] * ic // unit)
            dims = [(ic // unit, 1), columns, positions if kernel_height == 1 else rows]
        address = at.scratch + 2 * ((row - run.top) * width + column) * ic
        x.append(p.array(f"x{lane}", address, Type.HALF, dims, complex=variant.paired))
    if run.lanes < variant.lanes:  # so that the other arrays have the numbers of the other programs
        p.array("no x1", 0, Type.HALF, [(1, 0)])
    pair_step = layer.taps + layer.taps % 2
    in_line = pair_step > isa.MAX_STRIDE and pair_step == taps * (r1 - r0)
    w_dims = [(taps, 1), (r1 - r0, kernel_width * ic), (oc // 2, pair_step)]
    if in_line:  # no gap from pair to pair: the rows of all pairs are one dimension
        w_dims = [(taps, 1), ((r1 - r0) * oc // 2, taps), (1, 0)]
    w = p.array(
        "weights", at.tables + weights_offset(layer) + 2 * (r0 * kernel_width + c0) * ic, Type.INT8,
        w_dims, complex=True,
    )  # fmt: skip
    table = p.array("bias and scale", at.tables, Type.HALF, [(oc, 1)], complex=True)
    lane_step = (run.lane_step[0] * out_width + run.lane_step[1]) * oc // 2
    out = p.array(
        "output", at.output + (run.row * out_width + run.column) * oc, Type.INT8,
        [(oc // 2, 1), (run.lanes, lane_step), (run.count, run.step * oc // 2)], complex=True,
    )  # fmt: skip

    last = [a.dim(2) for a in x]
    by_row, by_position = (last, []) if apart and kernel_height > 1 else ([], last)
    with p.loop(run.count), p.loop(oc // 2, increment=[*by_position, out.dim(2)]):
        if run.lanes == 2:
            p.instruction("COPY", z=_SUM[1], a=_SUM[0], load0=table.to(_SUM[0], 0))
        else:
            p.instruction(load0=table.to(_SUM[0], 0))
        with p.loop(r1 - r0, increment=[w.dim(2)]):
            inner = [a.dim(1) for a in x]
            sums = _SUM[::-1] if variant.by_rows else _SUM
            if variant.by_rows:
                p.instruction("CLEAR", z=sums[0])
            if apart:
                with p.loop(c1 - c0, increment=[*by_row, w.dim(1)]), p.loop(ic // unit, increment=inner):
                    _multiply(p, variant, x, w, sums)
            else:
                with p.loop(taps // unit, increment=[*inner, w.dim(1)]):
                    _multiply(p, variant, x, w, sums)
            if variant.by_rows:
                p.instruction("ADDC", z=_SUM[0], x=sums[0], a=_SUM[0])
        _finish(p, table, out, run.lanes, clamped)
    return p.assemble()


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


def _finish(p: Program, table: Array, out: Array, lanes: int, clamped: bool) -> None:
    """Scales and stores; the second lane's store moves on to the next pair."""

    def store(lane: int):
        return out.of(_SUM[lane], *((1,) if lane + 1 < lanes else (0, 1)))

    for lane in range(lanes):
        p.instruction(
            "MACR2A", z=_SUM[lane], x=_SUM[lane], y=_SCALE, a=_OFFSET,
            load0=table.to(_SCALE, 0) if lane == 0 else None, store=None if clamped else store(lane),
        )  # fmt: skip
    if clamped:
        for lane in range(lanes):
            p.instruction("CLIP2A", z=_SUM[lane], x=_LOW, y=_HIGH, a=_SUM[lane], store=store(lane))
