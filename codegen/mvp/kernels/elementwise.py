"""Addition, subtraction and multiplication of two tensors: two elements at a time.

Where one of them is repeated along some dimensions, its array stands still there: a step of 0.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import numpy as np

from codegen.errors import TokayError
from codegen.mvp.assembler import Program
from codegen.mvp.isa import DIMENSIONS, Type
from codegen.mvp.kernels.layer import MvpLayer, Placement, Refusal, checked
from codegen.mvp.kernels.loops import largest_divisor
from codegen.mvp.kernels.tables import HALF_MIN_NORMAL

LARGEST_FACTOR = {"add": 4.0, "sub": 4.0, "mul": 64.0}
"""Of inputs' units to the output's. Beyond it outputs can be more than 1 off: an addition's large terms may
cancel and leave their rounding; a product that fits the output is small, and its rounding too."""


@dataclass(frozen=True)
class Dimension:
    """``count`` places of the output, ``steps`` elements apart in either input; 0 where it is repeated."""

    count: int
    steps: tuple[int, int]


@dataclass(frozen=True)
class Elementwise:
    """Quantized ``add``, ``sub`` or ``mul``: scales and zero points of both inputs and of the output.

    ``repeated`` are the dimensions, innermost first, of a broadcast; none if the shapes are the same.
    """

    operation: str
    elements: int
    scales: tuple[float, float, float]
    zero_points: tuple[int, int, int]
    clamp: tuple[int, int] = (-128, 127)
    repeated: tuple[Dimension, ...] = ()


def refusal(layer: Elementwise) -> str | None:
    a, b, out = layer.scales
    factors = (a * b / out,) if layer.operation == "mul" else (a / out, b / out)
    if not min(factors) >= HALF_MIN_NORMAL or not max(factors) <= LARGEST_FACTOR[layer.operation]:
        return f"factors {', '.join(f'{f:.3g}' for f in factors)} do not suit binary16"
    if layer.operation == "mul" and layer.clamp != (-128, 127):
        return "a multiplication with an activation leaves no register for its bounds"
    if layer.repeated and (layer.repeated[0].steps != (1, 1) or layer.repeated[0].count % 2):
        return "operands that are repeated value by value, or in odd numbers"
    if len(_dimensions(layer)) > DIMENSIONS:
        return f"{layer.elements} elements cannot be looped over"
    return None


def _dimensions(layer: Elementwise) -> list[Dimension]:
    """In pairs of elements, each of no more than a loop can do."""
    first, *others = layer.repeated or (Dimension((layer.elements + 1) // 2 * 2, (1, 1)),)
    pairs = Dimension(first.count // 2, (1, 1))
    found = []
    for d in (pairs, *(Dimension(d.count, (d.steps[0] // 2, d.steps[1] // 2)) for d in others)):
        inner = largest_divisor(d.count)
        found.append(Dimension(inner, d.steps))
        if inner < d.count:
            found.append(Dimension(d.count // inner, (inner * d.steps[0], inner * d.steps[1])))
    return found


def elementwise(layer: Elementwise, at: Placement) -> MvpLayer | Refusal:
    problem = refusal(layer)
    if problem:
        return Refusal(problem)
    dimensions = _dimensions(layer)
    terms = sum(layer.scales[:2]) / layer.scales[2] * 255 + 128
    try:
        program = _program(layer, at, dimensions)
    except TokayError as error:  # a limit of the accelerator
        return Refusal(str(error))
    return checked(
        MvpLayer(
            kernel=layer.operation,
            variant="pairs of elements",
            programs=program[None],
            constants=b"",
            scratch_bytes=0,
            output_bytes=layer.elements + layer.elements % 2,
            largest_sum=255.0 * 255.0 if layer.operation == "mul" else terms,
        )
    )


def _program(layer: Elementwise, at: Placement, dimensions: list[Dimension]) -> np.ndarray:
    p = Program(layer.operation)
    first, second = (
        p.array(name, at.inputs[k], Type.INT8, [(d.count, d.steps[k]) for d in dimensions], complex=True)
        for k, name in enumerate(("first", "second"))
    )
    places = np.cumprod([1, *(d.count for d in dimensions)])
    dims = [(d.count, int(place)) for d, place in zip(dimensions, places[:-1], strict=True)]
    out = p.array("output", at.output, Type.INT8, dims, complex=True)
    clamped = layer.clamp != (-128, 127)
    store = out.of(3, 0)
    if clamped:
        p.set(0, layer.clamp[0])
        p.set(7, layer.clamp[1])
    with contextlib.ExitStack() as loops:
        for k in reversed(range(len(dimensions))):
            outer = [array.dim(k + 1) for array in (first, second, out)] if k + 1 < len(dimensions) else []
            loops.enter_context(p.loop(dimensions[k].count, increment=outer))
        loads = {"load0": first.to(1, 0), "load1": second.to(2, 0)}
        if layer.operation == "mul":
            _multiply(p, layer, loads, None if clamped else store)
        else:
            _add(p, layer, loads, None if clamped else store)
        if clamped:
            p.instruction("CLIP2A", z=3, x=0, y=7, a=3, store=store)
    return p.assemble()


def _add(p: Program, layer: Elementwise, loads: dict, store) -> None:
    """out = x1 * f1 + (x2 * f2 + c), f2 less than 0 to subtract."""
    f1, f2 = (np.float64(np.float16(s / layer.scales[2])) for s in layer.scales[:2])
    f2 = -f2 if layer.operation == "sub" else f2
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
