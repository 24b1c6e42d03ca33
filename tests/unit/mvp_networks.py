"""Networks for the accelerator, layer by layer beside the reference's."""

from __future__ import annotations

import numpy as np

from host.runtime import Model
from tests.places import SHARED
from tests.tflite_builder import NetworkBuilder


def layer_outputs(model: Model, x: np.ndarray, reference: list[np.ndarray]) -> list[np.ndarray]:
    """Each layer's output on the accelerator when fed what the reference's layers gave."""
    outputs = []
    known = {model.plan.graph.inputs[0]: x.reshape(model.input.shape)}
    for layer, expected in zip(model.layers, reference, strict=True):
        known[layer.output] = expected
    for position, layer in enumerate(model.layers):
        for tensor in layer.inputs:
            details = model.plan.graph.tensors[tensor]
            if not details.constant:
                model._view(tensor)[...] = details.stored_of(known[tensor])
        assert model._library.nn_run_layer(model.nn, position) == 0
        outputs.append(model._read(layer.output))
    return outputs


def inputs_of(model: Model, count: int) -> list[np.ndarray]:
    recorded = SHARED / "vectors" / "models"
    for path in sorted(recorded.glob("*.npz")) if recorded.is_dir() else ():
        values = np.load(path)["inputs"]
        if values.dtype == model.input.dtype and values[0].size == int(np.prod(model.input.shape)):
            return [v.reshape(model.input.shape) for v in values[:count]]
    rng = np.random.default_rng(3)
    return [
        rng.normal(-20, 40, model.input.shape).clip(-128, 127).astype(model.input.dtype) for _ in range(count)
    ]


def shares_of_exact_outputs(source, count: int) -> dict[int, float]:
    """By layer of the accelerator, each fed what the reference's layer is fed; never more than 1 off."""
    reference, model = Model(source), Model(source, "mvp")
    exact: dict[int, list[float]] = {}
    for x in inputs_of(model, count):
        expected = reference.invoke_layers(x)
        for layer, want, got in zip(model.layers, expected, layer_outputs(model, x, expected), strict=True):
            if layer.mvp is None:
                np.testing.assert_array_equal(got, want)
                continue
            difference = np.abs(got.astype(int) - want.astype(int))
            assert difference.max() <= 1, f"layer {layer.index} {layer.name}"
            exact.setdefault(layer.index, []).append(float((difference == 0).mean()))
    return {index: float(np.mean(shares)) for index, shares in exact.items()}


def weighted(
    n: NetworkBuilder,
    rng,
    name: str,
    shape: tuple[int, ...],
    channels: int,
    source: int,
    output: int,
    **fields,
):
    """An operator with random weights and biases."""
    weights = n.tensor(shape, scale=0.004, data=rng.integers(-127, 128, shape))
    bias = n.tensor((channels,), "int32", scale=0.0002, data=rng.integers(-3000, 3000, channels))
    options = {
        "CONV_2D": "Conv2D",
        "DEPTHWISE_CONV_2D": "DepthwiseConv2D",
        "FULLY_CONNECTED": "FullyConnected",
    }
    n.operator(name, [source, weights, bias], [output], f"{options[name]}Options", **fields)
