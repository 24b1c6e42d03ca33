"""What the layers of several kinds of operators share."""

from __future__ import annotations

from codegen.fixed_point import activation_range
from codegen.graph import Graph, Operator
from codegen.layers import Layer
from codegen.lookups import activation_of, data_positions, strides_of
from codegen.options import Options, Quad


def layer_of(op: Operator, kernel: str, options: Options, **more) -> Layer:
    positions = data_positions(op)
    return Layer(
        index=op.index,
        opcode=op.opcode,
        name=op.name,
        kernel=kernel,
        inputs=tuple(op.inputs[k] for k in positions),
        output=op.outputs[0],
        options=options,
        part=op.part,
        **more,
    )


def clamp(graph: Graph, op: Operator) -> dict[str, int]:
    q = graph.output(op).q
    low, high = activation_range(activation_of(op), q.scale, q.zero_point)
    return {"clamp_min": low, "clamp_max": high}


def quad(values: tuple[int, ...], fill: int = 1) -> Quad:
    """Four dimensions, outermost first; missing ones are ``fill``."""
    return (fill,) * (4 - len(values)) + tuple(values)


def strides_in_elements(shape: Quad) -> Quad:
    """In elements, 0 along a dimension of one."""
    return tuple(0 if n == 1 else stride for n, stride in zip(shape, strides_of(shape), strict=True))
