"""Between reading and checking: states that a network leaves to its caller.

kws_streaming makes networks "with external state": beside the features they take what they gave an inference
before. Here such an input, and the output that is what it will be, become a variable, which is read first and
assigned to last; what is left is a network of one input and one output.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from codegen.errors import TokayError
from codegen.graph import Graph, Operator, Variable
from codegen.rules.common import bad_quantization
from codegen.schema import CODES

_HINT = "convert it with internal state, which is kept in resource variables"


def with_external_states(graph: Graph) -> Graph:
    """The graph with variables in place of inputs that are states by their name, as kws_streaming names them
    (ExternalState, input_state); without such beside other inputs, as it was. TokayError where it is not
    clear which output goes with one."""
    states = [k for k, index in enumerate(graph.inputs) if "state" in graph.tensors[index].name.lower()]
    if len(graph.inputs) < 2 or not states:
        return graph
    inputs = [graph.inputs[k] for k in states]
    outputs = _in_their_places(graph, states) or [_found(graph, k, inputs) for k in states]
    for state, output in zip(inputs, outputs, strict=True):
        if _is_read(graph, state):
            graph = _kept(graph, state, output)
    return replace(
        graph,
        inputs=tuple(index for index in graph.inputs if index not in inputs),
        outputs=tuple(index for index in graph.outputs if index not in outputs),
    )


def _in_their_places(graph: Graph, states: list[int]) -> list[int] | None:
    """The outputs in the places that states have among the inputs, as kws_streaming has them; None if one
    is of another kind. A state of a single row is overwritten unread: its kind is its shape alone."""
    outputs = [graph.outputs[k] for k in states if k < len(graph.outputs)]
    inputs = [graph.inputs[k] for k in states]
    if len(set(outputs)) < len(inputs):
        return None
    return outputs if all(map(partial(_fit, graph), outputs, inputs)) else None


def _fit(graph: Graph, output: int, state: int) -> bool:
    if _is_read(graph, state):
        return _are_alike(graph, output, state)
    return graph.tensors[output].shape == graph.tensors[state].shape


def _is_read(graph: Graph, index: int) -> bool:
    return any(index in op.inputs for op in graph.operators)


def _found(graph: Graph, k: int, inputs: list[int]) -> int:
    """The one output that is of a state's kind, where no other state is; of one that is not read, that in its
    place."""
    state = graph.inputs[k]
    if not _is_read(graph, state) and k < len(graph.outputs) and _fit(graph, graph.outputs[k], state):
        return graph.outputs[k]
    outputs = [index for index in graph.outputs if _are_alike(graph, index, state)]
    states = [index for index in inputs if _are_alike(graph, index, state)]
    if len(outputs) == len(states) == 1:
        return outputs[0]
    tensor = graph.tensors[state]
    kind = f"int8 {tensor.dimensions} of its scale and zero point"
    raise TokayError(
        f"the model's input {tensor.name!r} is a state: {len(outputs)} outputs and {len(states)} states are "
        f"{kind}, not one",
        hint=_HINT,
    )


def _are_alike(graph: Graph, *tensors: int) -> bool:
    """Whether two tensors are int8 of one shape, scale and zero point."""
    output, state = (graph.tensors[index] for index in tensors)
    if (output.type, output.shape) != ("int8", state.shape) or state.type != "int8":
        return False
    if bad_quantization(output) or bad_quantization(state):
        return False
    return (output.q.scale, output.q.zero_point) == (state.q.scale, state.q.zero_point)


def _kept(graph: Graph, read: int, assigned: int) -> Graph:
    """The graph with a variable that is read into an input and to which an output is assigned. The two
    operators for it have numbers behind those of the .tflite."""
    state, number = graph.tensors[read], len(graph.tensors)
    variable = replace(state, index=number)
    zero = np.array([state.q.zero_point], np.int8)
    initial = replace(state, index=number + 1, shape=(1,), data=zero)
    last = max((op.index for op in graph.operators), default=-1)
    reads = _copy("read_variable", last + 1, variable.index, read)
    assigns = _copy("assign_variable", last + 2, assigned, variable.index)
    return replace(
        graph,
        tensors=(*graph.tensors, variable, initial),
        operators=(reads, *graph.operators, assigns),
        variables=(*graph.variables, Variable(state.name, variable.index, initial.index)),
    )


def _copy(name: str, index: int, source: int, output: int) -> Operator:
    return Operator(index, CODES[name], name, (source,), (output,), {})
