"""What lowering gives and every later pass works on: one layer an operator, all of it resolved."""

from __future__ import annotations

from dataclasses import dataclass

from codegen.options import Options


@dataclass(frozen=True)
class Layer:
    """One call of a kernel.

    ``inputs`` are the tensors that the kernel reads at run time, in its own order; ``in_place`` the
    positions in it whose memory the output may take over; ``alias`` says that the kernel does nothing
    if input 0 and output share memory. ``options_text``, ``input_shape`` and the like are for reports.
    """

    index: int
    opcode: int
    name: str
    kernel: str
    inputs: tuple[int, ...]
    output: int
    options: Options
    scratch_bytes: int = 0
    in_place: tuple[int, ...] = ()
    alias: bool = False
    macs: int = 0
    ops: int = 0
    weights_bytes: int = 0
    input_shape: str = ""
    output_shape: str = ""
    options_text: str = ""
