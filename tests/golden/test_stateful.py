"""Networks that keep state, held to TensorFlow Lite Micro's reference over many inferences.

The random networks do to variables what no converter would: exchange them, assign twice, read what was
assigned, assign what was read and use it afterwards. All their tensors have one shape and one scale, so that
anything may be assigned to anything; what a kernel gives is held to the reference elsewhere.
"""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from host.runtime import Model
from tests.golden.reference import SEEDS, random_models, reference
from tests.tflite_builder import NetworkBuilder

SHAPE = (1, 6, 4)
LIKE = {"scale": 0.05, "zero_point": -7}
INFERENCES = 8


def outputs(runner, inputs: np.ndarray) -> np.ndarray:
    """What a Model or a reference gives for inputs in turn."""
    found = []
    for x in inputs:
        if isinstance(runner, Model):
            found.append(runner.invoke(x))
        else:
            runner.set_input(x, 0)
            runner.invoke()
            found.append(runner.get_output(0))
    return np.array(found)


class RandomNetwork:
    """Operators on tensors of one kind, drawn one by one."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.n = rng, NetworkBuilder()
        self.names = [f"v{k}" for k in range(rng.integers(1, 4))]
        known = [name for name in self.names if rng.random() < 0.8]
        initial = {name: {"shape": SHAPE, **LIKE, "data": self._initial()} for name in known}
        if initial:
            self.n.initialized(**initial)
        self.handles = [self.n.handle(name) for name in self.names]
        self.empty = [h for name, h in zip(self.names, self.handles, strict=True) if name not in initial]
        self.handles += [self.n.handle(name) for name in self.names if rng.random() < 0.2]
        self.input = self.new()
        self.made = [self.input]

    def _initial(self) -> np.ndarray:
        if self.rng.random() < 0.5:
            return np.full(SHAPE, self.rng.integers(-128, 128))
        return self.rng.integers(-128, 128, SHAPE)

    def new(self, shape: tuple[int, ...] = SHAPE) -> int:
        return self.n.tensor(shape, **LIKE)

    def any(self) -> int:
        """One that was made, more likely lately."""
        back = min(int(self.rng.geometric(0.35)), len(self.made))
        return self.made[-back]

    def read(self) -> None:
        value = self.new()
        self.n.operator("READ_VARIABLE", [self.rng.choice(self.handles)], [value])
        self.made.append(value)

    def assign(self) -> None:
        source = self.any()
        if self.rng.random() < 0.05:
            source = self.n.tensor(SHAPE, **LIKE, data=self._initial())
        self.n.operator("ASSIGN_VARIABLE", [self.rng.choice(self.handles), source], [])

    def add(self) -> None:
        value = self.new()
        self.n.operator("ADD", [self.any(), self.any()], [value], "AddOptions")
        self.made.append(value)

    def relu(self) -> None:
        value = self.new()
        self.n.operator("RELU", [self.any()], [value])
        self.made.append(value)

    def reshape(self) -> None:
        other, value, source = self.new((6, 4)), self.new(), self.any()
        self.n.operator("RESHAPE", [source], [other], "ReshapeOptions")
        self.n.operator("RESHAPE", [other], [value], "ReshapeOptions")
        self.made.append(value)

    def ring(self) -> None:
        """The last rows of two tensors one after the other, as a stream's buffer moves on."""
        both, value = self.new((1, 12, 4)), self.new()
        lists = [self.n.tensor((3,), "int32", data=np.array(v)) for v in ([0, 3, 0], [1, 9, 4], [1, 1, 1])]
        self.n.operator("CONCATENATION", [self.any(), self.any()], [both], "ConcatenationOptions", axis=1)
        self.n.operator("STRIDED_SLICE", [both, *lists], [value], "StridedSliceOptions")
        self.made.append(value)

    def past(self) -> None:
        """A tensor and its last values, in the state of an operator."""
        flat, mixed, value = self.new((1, 24)), self.new((1, 24)), self.new()
        features = self.n.tensor((24, 24), scale=0.01, data=self.rng.integers(-60, 61, (24, 24)))
        times = self.n.tensor((24, 3), scale=0.01, data=self.rng.integers(-127, 128, (24, 3)))
        bias = self.n.tensor((24,), "int32", scale=0.0005, data=np.zeros(24))
        state = self.n.tensor((1, 72), **LIKE, variable=True)
        self.n.operator("RESHAPE", [self.any()], [flat], "ReshapeOptions")
        self.n.operator("SVDF", [flat, features, times, bias, state], [mixed], "SVDFOptions", rank=1)
        self.n.operator("RESHAPE", [mixed], [value], "ReshapeOptions")
        self.made.append(value)

    def build(self, count: int) -> bytes:
        steps = [self.read, self.assign, self.assign, self.add, self.relu, self.reshape, self.ring, self.past]
        self.read()
        for _ in range(count):
            steps[self.rng.integers(len(steps))]()
        for handle in self.empty:  # what nothing is ever assigned to is not defined
            self.n.operator("ASSIGN_VARIABLE", [handle, self.any()], [])
        output = self.new()
        self.n.operator("ADD", [self.any(), self.any()], [output], "AddOptions")
        if self.rng.random() < 0.2:
            output = self.any()  # of any kind but the network's input
        return self.n.build([self.input], [output if output != self.input else self.made[-1]])


@random_models
@given(SEEDS, st.integers(1, 14))
def test_random_networks(seed, count):
    rng = np.random.default_rng(seed)
    model = RandomNetwork(rng).build(count)
    inputs = rng.integers(-128, 128, (INFERENCES, *SHAPE), np.int8)
    ours = Model(model)
    expected = outputs(reference(model), inputs)
    np.testing.assert_array_equal(outputs(ours, inputs), expected)
    # Sums of one scale are exact in the accelerator's arithmetic, too.
    np.testing.assert_array_equal(outputs(Model(model, "mvp"), inputs), expected)
    # Once more from the beginning, layer by layer, and beside a twin that goes on.
    twin = ours.twin()
    ours.reset()
    for x, y in zip(inputs, expected, strict=True):
        layers = ours.invoke_layers(x)
        made = {layer.output: values for layer, values in zip(ours.layers, layers, strict=True)}
        np.testing.assert_array_equal(made[ours.plan.graph.outputs[0]], y)
        np.testing.assert_array_equal(twin.invoke(x), y)


def test_a_score_that_is_uint8_at_last():
    """As microWakeWord's, of a single class."""
    n, rng = NetworkBuilder(), np.random.default_rng(0)
    n.initialized(v={"shape": (1, 4), "scale": 0.1, "data": np.zeros(4)})
    x, v, total = (n.tensor((1, 4), scale=0.1) for _ in range(3))
    handle = n.handle("v")
    n.operator("READ_VARIABLE", [handle], [v])
    n.operator("ADD", [x, v], [total], "AddOptions")
    n.operator("ASSIGN_VARIABLE", [handle, total], [])
    logit, score = n.tensor((1, 1), scale=0.1), n.tensor((1, 1), scale=1 / 256, zero_point=-128)
    weights = n.tensor((1, 4), scale=0.01, data=rng.integers(-100, 101, 4))
    n.operator("FULLY_CONNECTED", [total, weights, -1], [logit], "FullyConnectedOptions")
    n.operator("LOGISTIC", [logit], [score])
    output = n.tensor((1, 1), "uint8", scale=1 / 256)
    n.operator("QUANTIZE", [score], [output])
    model = n.build([x], [output])
    inputs = rng.integers(-20, 21, (INFERENCES, 1, 4)).astype(np.int8)
    expected = outputs(reference(model), inputs)
    ours = Model(model)
    assert ours.output.dtype == np.int8 and expected.dtype == np.uint8
    np.testing.assert_array_equal(outputs(ours, inputs).astype(int) + 128, expected)
    assert len(np.unique(expected)) > 4
