"""Programs that turn int8 activations into binary16, (x - zero point) * 2^-15, all at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codegen.mvp.assembler import Program
from codegen.mvp.isa import Type
from codegen.mvp.kernels.loops import two_loops
from codegen.mvp.kernels.tables import PRESCALE


def prescale(source: int, target: int, count: int, zero_point: int) -> list[NDArray[np.uint32]]:
    """From the last element down, so that ``target`` may be ``source``."""
    complex_ = count % 2 == 0 and source % 2 == 0  # two at a time, if they are aligned
    units = count // 2 if complex_ else count
    programs = []
    while units:
        columns, rows = two_loops(units)
        done = columns * rows
        programs.append(_program(source, target, units - done, columns, rows, zero_point, complex_))
        units -= done
    return programs


def _program(
    source: int, target: int, first: int, columns: int, rows: int, zero_point: int, complex_: bool
) -> NDArray[np.uint32]:
    lanes = 2 if complex_ else 1
    last = first + columns * rows - 1
    p = Program("prescale")
    p.set(0, PRESCALE)
    p.set(1, -zero_point * PRESCALE)
    dims = [(columns, -1), (rows, -columns)]
    x = p.array("int8", source + lanes * last, Type.INT8, dims, complex=complex_)
    y = p.array("half", target + 2 * lanes * last, Type.HALF, dims, complex=complex_)
    with p.loop(rows), p.loop(columns, increment=[x.dim(1), y.dim(1)]):
        p.instruction("MACR2A", z=3, x=2, y=0, a=1, load0=x.to(2, 0), store=y.of(3, 0))
    return p.assemble()
