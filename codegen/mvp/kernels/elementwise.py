"""Addition and multiplication of two tensors of one shape: two elements at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from codegen.mvp.assembler import Program
from codegen.mvp.isa import MAX_COUNT, Type
from codegen.mvp.kernels.layer import MvpLayer, Placement, Refusal, checked
from codegen.mvp.kernels.tables import HALF_MIN_NORMAL

LARGEST_FACTOR = {"add": 4.0, "mul": 64.0}
"""Of inputs' units to the output's. Beyond it outputs can be more than 1 off: an addition's large terms may
cancel and leave their rounding; a product that fits the output is small, and its rounding too."""


@dataclass(frozen=True)
class Elementwise:
    """Quantized ``add`` or ``mul``: scales and zero points of both inputs and of the output."""

    operation: str
    elements: int
    scales: tuple[float, float, float]
    zero_points: tuple[int, int, int]
    clamp: tuple[int, int] = (-128, 127)


def refusal(layer: Elementwise) -> str | None:
    a, b, out = layer.scales
    factors = (a / out, b / out) if layer.operation == "add" else (a * b / out,)
    if not min(factors) >= HALF_MIN_NORMAL or not max(factors) <= LARGEST_FACTOR[layer.operation]:
        return f"factors {', '.join(f'{f:.3g}' for f in factors)} do not suit binary16"
    if layer.operation == "mul" and layer.clamp != (-128, 127):
        return "a multiplication with an activation leaves no register for its bounds"
    units = (layer.elements + 1) // 2
    if _columns(units) * MAX_COUNT < units:
        return f"{layer.elements} elements cannot be looped over"
    return None


def elementwise(layer: Elementwise, at: Placement) -> MvpLayer | Refusal:
    problem = refusal(layer)
    if problem:
        return Refusal(problem)
    units = (layer.elements + 1) // 2
    columns = _columns(units)
    terms = sum(layer.scales[:2]) / layer.scales[2] * 255 + 128
    return checked(
        MvpLayer(
            kernel=layer.operation,
            variant="pairs of elements",
            programs=_program(layer, at, columns, units // columns)[None],
            constants=b"",
            scratch_bytes=0,
            output_bytes=2 * units,
            largest_sum=terms if layer.operation == "add" else 255.0 * 255.0,
        )
    )


def _columns(units: int) -> int:
    return max(d for d in range(1, MAX_COUNT + 1) if units % d == 0)


def _program(layer: Elementwise, at: Placement, columns: int, rows: int) -> np.ndarray:
    p = Program(layer.operation)
    dims = [(columns, 1), (rows, columns)]
    first = p.array("first", at.inputs[0], Type.INT8, dims, complex=True)
    second = p.array("second", at.inputs[1], Type.INT8, dims, complex=True)
    out = p.array("output", at.output, Type.INT8, dims, complex=True)
    clamped = layer.clamp != (-128, 127)
    store = out.of(3, 0)
    if clamped:
        p.set(0, layer.clamp[0])
        p.set(7, layer.clamp[1])
    with p.loop(rows), p.loop(columns, increment=[first.dim(1), second.dim(1), out.dim(1)]):
        loads = {"load0": first.to(1, 0), "load1": second.to(2, 0)}
        if layer.operation == "add":
            _add(p, layer, loads, None if clamped else store)
        else:
            _multiply(p, layer, loads, None if clamped else store)
        if clamped:
            p.instruction("CLIP2A", z=3, x=0, y=7, a=3, store=store)
    return p.assemble()


def _add(p: Program, layer: Elementwise, loads: dict, store) -> None:
    """out = x1 * f1 + (x2 * f2 + c)."""
    f1, f2 = (np.float64(np.float16(s / layer.scales[2])) for s in layer.scales[:2])
    p.set(4, f1)
    p.set(5, f2)
    p.set(6, layer.zero_points[2] - f1 * layer.zero_points[0] - f2 * layer.zero_points[1])
    p.instruction("MACR2A", z=3, x=2, y=5, a=6, **loads)
    p.instruction("MACR2A", z=3, x=1, y=4, a=3, store=store)


def _multiply(p: Program, layer: Elementwise, loads: dict, store) -> None:
    """out = (x1 - z1) (x2 - z2) f + z; the product reaches 65,025 at most."""
    a, b, out = layer.scales
    p.set(4, -layer.zero_points[0])
    p.set(5, -layer.zero_points[1])
    p.set(6, a * b / out)
    p.set(7, layer.zero_points[2])
    p.instruction("ADDC", z=1, x=1, a=4, **loads)
    p.instruction("ADDC", z=2, x=2, a=5)
    p.instruction("MULR2A", z=3, x=1, y=2)
    p.instruction("MACR2A", z=3, x=3, y=6, a=7, store=store)
