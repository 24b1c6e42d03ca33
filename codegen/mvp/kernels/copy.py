"""Programs that copy bytes, from flash to RAM: the accelerator does it while the processor sleeps.

Bytes go through as int8, two an instruction. Any byte survives that, as binary16 it might be a NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codegen.mvp.assembler import Program
from codegen.mvp.isa import Type
from codegen.mvp.kernels.loops import two_loops


def copy(source: int, target: int, count: int) -> list[NDArray[np.uint32]]:
    """Programs for an even number of bytes between even addresses that do not overlap."""
    pairs, programs = count // 2, []
    done = 0
    while done < pairs:
        columns, rows = two_loops(pairs - done)
        p = Program("copy")
        dims = [(columns, 1), (rows, columns)]
        x = p.array("source", source + 2 * done, Type.INT8, dims, complex=True)
        y = p.array("target", target + 2 * done, Type.INT8, dims, complex=True)
        with p.loop(rows), p.loop(columns, increment=[x.dim(1), y.dim(1)]):
            p.instruction(load0=x.to(0, 0), store=y.of(0, 0))
        programs.append(p.assemble())
        done += columns * rows
    return programs
