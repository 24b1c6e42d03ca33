"""The memory plan: never two live tensors in one place, and no larger than it has to be."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.pipeline import compile_model
from codegen.plan_memory import Block, lower_bound, place
from tests.tflite_builder import NetworkBuilder

blocks = st.lists(
    st.builds(
        lambda size, first, span, more: Block(4 * size, first, first + span, (), 4 * (size + more)),
        st.integers(1, 50), st.integers(0, 12), st.integers(0, 5), st.sampled_from([0, 0, 5, 40]),
    ),
    min_size=1,
    max_size=14,
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(blocks)
def test_blocks_alive_together_do_not_overlap(given_blocks):
    bound = lower_bound(given_blocks)
    places = place(given_blocks, bound, limit=100)
    for i, a in enumerate(given_blocks):
        assert places[i] >= 0 and places[i] % 4 == 0
        for j, b in enumerate(given_blocks[:i]):
            for time in range(20):  # some blocks are larger at their last
                sizes = a.bytes_at(time), b.bytes_at(time)
                if all(sizes):
                    assert places[i] + sizes[0] <= places[j] or places[j] + sizes[1] <= places[i]
    height = max(p + b.bytes_at(b.last) for p, b in zip(places, given_blocks, strict=True))
    assert bound <= height <= sum(b.bytes_at(b.last) for b in given_blocks)


def test_chains_meet_the_bound():
    sizes = [1568, 3200, 1664, 896, 128, 4, 4]
    chain = [Block(size, k, k + 1) for k, size in enumerate(sizes)]
    assert lower_bound(chain) == 4864
    assert max(p + b.bytes for p, b in zip(place(chain, 4864), chain, strict=True)) == 4864


def residual_network(depth: int, reuse_input: bool) -> bytes:
    """x -> relu -> ... with additions that keep earlier tensors alive."""
    n = NetworkBuilder()
    shape = (1, 4, 4, 8)
    x = n.tensor(shape, scale=0.1)
    alive = [x]
    for k in range(depth):
        y = n.tensor(shape, scale=0.1)
        if k % 3 == 2:
            n.operator("ADD", [alive[-1], alive[-3 if reuse_input else -2]], [y], "AddOptions")
        elif k % 3 == 1:
            n.operator("RESHAPE", [alive[-1]], [y], "ReshapeOptions")
        else:
            n.operator("RELU", [alive[-1]], [y])
        alive.append(y)
    return n.build([x], [alive[-1]])


def test_in_place_layers_never_overwrite_what_is_still_wanted():
    """Run with shared memory and, layer by layer, with a copy of every tensor: the same result."""
    from host.runtime import Model

    for depth in range(1, 12):
        for reuse in (False, True):
            model = Model(residual_network(depth, reuse))
            x = np.random.default_rng(depth).integers(-128, 128, model.input.shape, np.int8)
            values = {model.plan.graph.inputs[0]: x}
            for layer, output in zip(model.layers, model.invoke_layers(x), strict=True):
                values[layer.output] = _alone(model, layer, values)
                np.testing.assert_array_equal(output, values[layer.output], err_msg=str((depth, layer.index)))
            np.testing.assert_array_equal(model.invoke(x), values[model.plan.graph.outputs[0]])


def _alone(model, layer, values) -> np.ndarray:
    """The layer's output from arrays of our own, in NumPy."""
    inputs = [values[t].astype(np.int64) for t in layer.inputs]
    if layer.name == "add":  # equal scales: a plain sum
        return np.clip(inputs[0] + inputs[1], -128, 127).astype(np.int8)
    if layer.name == "relu":
        return np.maximum(inputs[0], 0).astype(np.int8)
    return inputs[0].astype(np.int8)


def test_elementwise_chains_need_one_buffer():
    n = NetworkBuilder()
    tensors = [n.tensor((1, 256), scale=0.1) for _ in range(5)]
    for a, b in itertools.pairwise(tensors):
        n.operator("RELU", [a], [b])
    plan = compile_model(n.build(tensors[:1], tensors[-1:]), name="chain")
    assert plan.memory.arena_bytes == plan.memory.bound_bytes == 256
    assert {plan.memory.offsets[t] for t in tensors} == {0}


def test_an_input_read_again_later_is_not_overwritten():
    n = NetworkBuilder()
    x, a, b = (n.tensor((1, 256), scale=0.1) for _ in range(3))
    n.operator("RELU", [x], [a])
    n.operator("ADD", [a, x], [b], "AddOptions")
    plan = compile_model(n.build([x], [b]), name="fork")
    assert plan.memory.offsets[x] != plan.memory.offsets[a]
    assert plan.memory.arena_bytes == 512
