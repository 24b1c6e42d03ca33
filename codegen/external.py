"""Between reading and checking: states that a network leaves to its caller.

kws_streaming makes networks "with external state": beside the features they take what they gave an inference
before. Here such an input, and the output that is what it will be, become a variable, which is read first and
assigned to last; what is left is a network of one input and one output.
"""

from __future__ import annotations

from dataclasses import replace

from codegen.errors import TokayError
from codegen.graph import Graph, Operator, Variable, zero_like
from codegen.rules.common import are_alike
from codegen.schema import CODES

_HINT = "convert it with internal state, which is kept in resource variables"


def with_external_states(graph: Graph) -> Graph:
    """The graph with variables in place of inputs that are states by their name, as kws_streaming names them
    (ExternalState, input_state); without such beside other inputs, as it was. TokayError where it is not
    clear which output goes with one."""
    states = [k for k, index in enumerate(graph.inputs) if "state" in graph.tensors[index].name.lower()]
    if len(graph.inputs) < 2 or not states:
        return graph
    if len(states) == len(graph.inputs):
        raise TokayError(
            f'each of the model\'s {len(states)} inputs has "state" in its name',
            hint="rename the one that is the features'",
        )
    fit = all(_fits_in_its_place(graph, k) for k in states)
    places = states if fit else [_found(graph, k, states) for k in states]
    if not _without(graph.outputs, places):
        raise TokayError("each of the model's outputs goes with a state, none has the scores", hint=_HINT)
    ends = {"inputs": _without(graph.inputs, states), "outputs": _without(graph.outputs, places)}
    for state, place in zip(states, places, strict=True):
        if _is_read(graph, graph.inputs[state]):
            graph = _kept(graph, graph.inputs[state], graph.outputs[place])
    return replace(graph, **ends)


def _without(tensors: tuple[int, ...], places: list[int]) -> tuple[int, ...]:
    return tuple(index for k, index in enumerate(tensors) if k not in places)


def _fits_in_its_place(graph: Graph, k: int) -> bool:
    """Whether the output in the place that a state has among the inputs, where kws_streaming has it, is of
    its kind. A state of a single row is overwritten unread: its kind is its shape alone."""
    if k >= len(graph.outputs):
        return False
    state, output = graph.inputs[k], graph.outputs[k]
    if _is_read(graph, state):
        return _are_alike(graph, output, state)
    return graph.tensors[output].shape == graph.tensors[state].shape


def _is_read(graph: Graph, index: int) -> bool:
    return any(index in op.inputs for op in graph.operators)


def _found(graph: Graph, k: int, states: list[int]) -> int:
    """The place of the one output that is of a state's kind, where no other state is; of a state that is not
    read, its own."""
    state = graph.inputs[k]
    if not _is_read(graph, state) and _fits_in_its_place(graph, k):
        return k
    tensor = graph.tensors[state]
    what = f"the model's input {tensor.name!r} is a state"
    if tensor.type != "int8" and _is_read(graph, state):
        raise TokayError(f"{what}: it is {tensor.type}, not int8", hint=_HINT)
    outputs = [place for place, index in enumerate(graph.outputs) if _are_alike(graph, index, state)]
    alike = [other for other in states if _are_alike(graph, graph.inputs[other], state)]
    if len(outputs) == len(alike) == 1:
        return outputs[0]
    raise TokayError(
        f"{what}: {len(outputs)} outputs and {len(alike)} states are int8 {tensor.dimensions} of its scale "
        "and zero point, not one",
        hint=_HINT,
    )


def _are_alike(graph: Graph, a: int, b: int) -> bool:
    """Whether two tensors are int8 of one shape, scale and zero point."""
    first, second = graph.tensors[a], graph.tensors[b]
    return first.type == "int8" and are_alike(first, second)


def _kept(graph: Graph, read: int, assigned: int) -> Graph:
    """The graph with a variable that is read into an input and to which an output is assigned. The two
    operators for it have numbers behind those of the .tflite."""
    state, number = graph.tensors[read], len(graph.tensors)
    variable = replace(state, index=number)
    initial = zero_like(state, number + 1)
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
