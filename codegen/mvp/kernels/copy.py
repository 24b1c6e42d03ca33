"""Programs that copy bytes, from flash to RAM: the accelerator does it while the processor sleeps.

Bytes go through as int8, two an instruction. Any byte survives that, as binary16 it might be a NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codegen.mvp.assembler import Program
from codegen.mvp.isa import MAX_COUNT, Type


def copy(source: int, target: int, count: int) -> list[NDArray[np.uint32]]:
    """Programs for an even number of bytes between even addresses that do not overlap."""
    pairs, programs = count // 2, []
    done = 0
    while done < pairs:
        columns, rows = _factor(pairs - done)
        p = Program("copy")
        dims = [(columns, 1), (rows, columns)]
        x = p.array("source", source + 2 * done, Type.INT8, dims, complex=True)
        y = p.array("target", target + 2 * done, Type.INT8, dims, complex=True)
        with p.loop(rows), p.loop(columns, increment=[x.dim(1), y.dim(1)]):
            p.instruction(load0=x.to(0, 0), store=y.of(0, 0))
        programs.append(p.assemble())
        done += columns * rows
    return programs


def _factor(pairs: int) -> tuple[int, int]:
    """Loops (inner, outer) for all of the pairs, or where none are for as many as one program can."""
    if pairs <= MAX_COUNT:
        return pairs, 1
    even = max((d for d in range(64, MAX_COUNT + 1) if pairs % d == 0), default=0)
    if even and pairs // even <= MAX_COUNT:
        return even, pairs // even
    return MAX_COUNT, min(pairs // MAX_COUNT, MAX_COUNT)
