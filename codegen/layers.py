"""What lowering gives and every later pass works on: one layer an operator, all of it resolved."""

from __future__ import annotations

from dataclasses import dataclass

from codegen.graph import Part
from codegen.mvp.kernels.layer import MvpLayer
from codegen.options import Options


@dataclass(frozen=True)
class Layer:
    """One call of a kernel.

    ``inputs`` are the tensors that the kernel reads at run time, in its own order; ``in_place`` the
    positions in it whose memory the output may take over; ``alias`` says that the kernel does nothing
    if input 0 and output share memory. ``options_text``, ``input_shape`` and the like are for reports.

    Layers that one operator has become share its ``index`` and have a ``part`` each.

    A layer of the accelerator has ``mvp``, its programs. They may need ``prescaled_bytes`` for a wider
    copy of input 0, which may begin where the input does and take its place if ``prescaled_in_place``.
    ``reason`` says why a layer is the accelerator's or not, where there is one.
    """

    index: int
    opcode: int
    name: str
    kernel: str
    inputs: tuple[int, ...]
    output: int
    options: Options
    part: Part | None = None
    scratch_bytes: int = 0
    in_place: tuple[int, ...] = ()
    alias: bool = False
    macs: int = 0
    ops: int = 0
    weights_bytes: int = 0
    input_shape: str = ""
    output_shape: str = ""
    options_text: str = ""
    mvp: MvpLayer | None = None
    prescaled_bytes: int = 0
    prescaled_in_place: bool = False
    reason: str = ""

    @property
    def title(self) -> str:
        """What is told beside its index: the operator, and which of its layers where it has several."""
        return self.name if self.part is None else f"{self.name}, {self.part}"
