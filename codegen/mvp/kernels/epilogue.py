"""How the programs of all convolutions end: sums become outputs, scaled, bounded and stored."""

from __future__ import annotations

from collections.abc import Sequence

from codegen.mvp.assembler import Array, Program, Stream
from codegen.mvp.kernels.conv_2d_layer import Conv2D

SUM = (1, 2)  # a register for each output that a program makes side by side
_SCALE, _OFFSET = 6, 7
_LOW, _HIGH = 0, 5  # bounds of the outputs; register 5 is free for other use in layers that have none


def set_constants(p: Program, layer: Conv2D) -> None:
    """The registers that :func:`finish` reads: they must not be written between."""
    p.set(_OFFSET, layer.out_zero_point)
    if layer.clamped:
        p.set(_LOW, layer.clamp[0])
        p.set(_HIGH, layer.clamp[1])


def finish(p: Program, layer: Conv2D, table: Array, stores: Sequence[Stream]) -> None:
    """Turns the sums in the first registers of :data:`SUM` into the outputs that ``stores`` take away;
    ``table`` stands at the scale."""
    for k, store in enumerate(stores):
        p.instruction(
            "MACR2A", z=SUM[k], x=SUM[k], y=_SCALE, a=_OFFSET, load0=table.to(_SCALE, 0) if k == 0 else None,
            store=None if layer.clamped else store,
        )  # fmt: skip
    if layer.clamped:
        for k, store in enumerate(stores):
            p.instruction("CLIP2A", z=SUM[k], x=_LOW, y=_HIGH, a=SUM[k], store=store)
