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
from dataclasses import replace
from itertools import product

import numpy as np

from codegen.errors import TokayError
from codegen.mvp import isa
from codegen.mvp.isa import MAX_COUNT
from codegen.mvp.kernels import tables
from codegen.mvp.kernels.conv_2d_layer import Conv2D, Variant, constants
from codegen.mvp.kernels.conv_2d_program import Run, program
from codegen.mvp.kernels.layer import NOMINAL, NOMINAL_FLASH, Cycles, MvpLayer, Placement, Refusal, checked
from codegen.mvp.kernels.prescale import prescale

MAX_PROGRAMS = 1024

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
    if any(begin >= end for d in (0, 1) for _, _, begin, end in layer.cases(d)):
        return "a window that lies in the padding alone"
    if layer.apart and layer.stride[1] > 1:
        return f"a dilation of {layer.dilation[1]} and a stride of {layer.stride[1]} columns"
    if layer.largest_sum > tables.HALF_MAX:
        return f"partial sums can reach {layer.largest_sum:.3g}, beyond binary16"
    return tables.scales_problem(layer.scales)


def _row_lengths(layer: Conv2D, limit: int | None) -> list[int]:
    """Most columns of a 1x1 convolution's rows: all at once if that is within the limit, else one row or two
    (which may share weights) within it."""
    height, width, ic = layer.input_shape
    if limit is None or 2 * height * width * ic <= limit:
        return [MAX_COUNT]
    return [max(1, min(MAX_COUNT, limit // (2 * ic * rows))) for rows in (1, 2)]


def _fits(layer: Conv2D, variant: Variant) -> bool:
    if 1 + variant.lanes * (1 + variant.paired + 1 + layer.clamped) > isa.INSTRUCTIONS:
        return False
    if not variant.paired:
        return True
    ic = layer.input_shape[2]
    if layer.apart and ic % 2:
        return False
    columns = _columns(layer)
    even_runs = all(begin * ic % 2 == 0 and (end - begin) * ic % 2 == 0 for _, _, begin, end in columns)
    steps = (layer.input_shape[1], layer.weights.shape[2], layer.stride[1], layer.pad[1])
    even_steps = all(n * ic % 2 == 0 for n in steps)
    # An odd tap's first channel is stored negated: -128 has no negative.
    return even_runs and even_steps and layer.weights[0::2].min() > -128


def _banded(layer: Conv2D, variant: Variant, limit: int | None) -> Variant | None:
    """The variant with the largest bands whose scratch is within the limit."""
    if limit is None or _scratch_bytes(layer, variant) <= limit:
        return variant
    least = 2 if variant.lanes == 2 and variant.across == "rows" else 1
    for band in range(layer.output_shape[0] - 1, least - 1, -1):
        if band % least == 0 and _scratch_bytes(layer, replace(variant, band=band)) <= limit:
            return replace(variant, band=band)
    return None


def _scratch_bytes(layer: Conv2D, variant: Variant) -> int:
    rows = max(bottom - top for _, _, top, bottom in layer.bands(variant.band))
    return 2 * rows * layer.input_shape[1] * layer.input_shape[2] + 2 & ~3


def _columns(layer: Conv2D) -> tuple[tables.Case, ...]:
    """The cases of columns; one by one where a program makes a single output."""
    found = layer.cases(1)
    if layer.apart and layer.weights.shape[1] > 1:
        return tuple((column + k, 1, c0, c1) for column, count, c0, c1 in found for k in range(count))
    return found


# --- programs ---------------------------------------------------------------------------------------


def _runs(layer: Conv2D, variant: Variant, band: tuple[int, int, int, int]) -> list[Run]:
    runs: list[Run] = []
    begin, end, top, _ = band
    for row, rows, r0, r1 in layer.cases(0):
        y, stop = max(row, begin), min(row + rows, end)
        while y < stop:
            two_rows = variant.lanes == 2 and variant.across == "rows" and y + 1 < stop
            for column, count, c0, c1 in _columns(layer):
                rest = 0
                if two_rows:
                    runs.append(Run(y, column, count, 2, (1, 0), 1, (r0, r1), (c0, c1), top))
                elif variant.lanes == 2 and variant.across == "columns":
                    if count // 2:
                        runs.append(Run(y, column, count // 2, 2, (0, 1), 2, (r0, r1), (c0, c1), top))
                    rest = count % 2
                else:
                    rest = count
                if rest:
                    runs.append(Run(y, column + count - rest, rest, 1, (0, 0), 1, (r0, r1), (c0, c1), top))
            y += 2 if two_rows else 1
    return sorted(runs, key=lambda run: (run.lanes, run.columns, run.row, run.column))


def build(layer: Conv2D, variant: Variant, at: Placement) -> MvpLayer:
    """The layer's programs at these addresses. ``scratch`` may be the input itself unless in bands."""
    layer = layer.flattened(variant.most_columns)
    row = layer.input_shape[1] * layer.input_shape[2]
    programs = []
    for band in layer.bands(variant.band):
        _, _, top, bottom = band
        source = at.inputs[0] + top * row
        programs += prescale(source, at.scratch, (bottom - top) * row, layer.in_zero_point)
        programs += [program(layer, variant, run, at) for run in _runs(layer, variant, band)]
    if layer.apart and len(programs) > MAX_PROGRAMS:
        raise TokayError(f"a dilation of both rows and columns would take {len(programs)} programs")
    return checked(
        MvpLayer(
            kernel="conv_2d",
            variant=variant.name,
            programs=np.stack(programs),
            constants=constants(layer, variant.paired),
            scratch_bytes=_scratch_bytes(layer, variant),
            output_bytes=int(np.prod(layer.output_shape)),
            largest_sum=layer.largest_sum,
        )
    )
