"""Training in which weights and activations are rounded as the device's int8 kernels round them.

Batch normalization is folded into the layer before it first, as the converter does, so that what is
rounded is what will be stored. Rounding has no gradient; learning goes on as if it were not there
("straight through"). The network that learns shares its layers with one that has no rounding, which is
what is exported.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from host.errors import TokayError
from host.specification import Specification
from host.training.convert import calibration
from host.training.examples import Examples
from host.training.network import Network, take_apart


def fold(model: Any) -> Any:
    """The model without those batch normalizations that follow a layer with weights; always a functional
    one."""
    import keras

    model = keras.Model(model.inputs, model.outputs)  # a Sequential cannot be cloned call by call
    before = _folded_into(model)
    by_layer = {layer.name: norm for norm, layer in before.items()}

    def clone(layer: Any) -> Any:
        config = layer.get_config()
        if layer.name in by_layer:
            config["use_bias"] = True
        return layer.__class__.from_config(config)

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        return args[0] if layer.name in before else layer(*args, **kwargs)

    folded = keras.models.clone_model(model, clone_function=clone, call_function=call)
    for layer in folded.layers:
        if layer.name in by_layer:
            norm = model.get_layer(by_layer[layer.name])
            layer.set_weights(_folded_weights(model.get_layer(layer.name), norm))
        elif layer.weights:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    return folded


def rounded(model: Any, spec: Specification, sample: Examples, path: Path) -> Network:
    """A network that rounds, made of ``model`` (with softmax on). ``sample`` sets its ranges, as it will
    set those of the conversion. TokayError for a network that it cannot be made of."""
    import keras

    network = take_apart(_folded(model, path), 0, path)
    batch = calibration(spec, sample.features, sample.labels)
    ends = _rounded_outputs(network.outputs)
    ranges = _ranges(network.outputs, ends, batch)
    layer_type, kinds = _rounded_layer(), tuple(_roundable())

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        output = layer_type(layer)(*args) if isinstance(layer, kinds) else layer(*args, **kwargs)
        name = layer.name if layer.name in ends else _range_of(layer, ends)
        if name is None:
            return output
        low, high = ranges[name]
        return _rounding(low, high, f"{layer.name}_rounded")(output)

    rounding = keras.models.clone_model(
        network.outputs, clone_function=lambda layer: layer, call_function=call
    )
    inputs = keras.Input(network.outputs.input_shape[1:])
    x = _rounding(-128 * spec.input_scale, 127 * spec.input_scale, "input_rounded")(inputs)
    network.outputs = keras.Model(inputs, rounding(x))
    return network


def _folded(model: Any, path: Path) -> Any:
    import keras

    try:
        folded = fold(model)
    except (ValueError, TypeError, NotImplementedError) as error:  # of a layer that cannot be copied
        raise TokayError(f"{path}: quantization_aware cannot copy the network: {error}") from error
    kinds = _roundable()
    for layer in folded.layers:
        if layer.trainable_weights and not isinstance(layer, (*kinds, keras.layers.BatchNormalization)):
            names = ", ".join(kind.__name__ for kind in kinds)
            raise TokayError(
                f"{path}: quantization_aware cannot round {layer.name}, a {type(layer).__name__}",
                hint=f"layers of these kinds, none within another: {names}; or no quantization_aware",
            )
        if len(layer._inbound_nodes) > 1:  # a range and a rounding belong to one place in the network
            raise TokayError(
                f"{path}: quantization_aware cannot round {layer.name}, which is used more than once",
                hint="a layer for each use, or no quantization_aware",
            )
    return folded


def round_weights(kernel: Any, depthwise: bool = False) -> Any:
    """A kernel as int8 with a scale for each output channel stores it."""
    import tensorflow as tf

    channels = 2 if depthwise else 1
    axes = list(range(len(kernel.shape) - channels))
    scale = tf.maximum(tf.reduce_max(tf.abs(kernel), axes, keepdims=True), 1e-9) / 127
    return kernel + tf.stop_gradient(tf.round(kernel / scale) * scale - kernel)


def round_activations(x: Any, low: float, high: float) -> Any:
    """Values as int8 stores them whose range is low..high, 0 included; what is outside has no gradient."""
    import tensorflow as tf

    low, high = min(low, 0.0), max(high, 0.0)
    scale = max(high - low, 1e-6) / 255
    zero = round(-128 - low / scale)
    least, most = (-128 - zero) * scale, (127 - zero) * scale
    inside = tf.clip_by_value(x, least, most)
    return inside + tf.stop_gradient(tf.round(inside / scale) * scale - inside)


def _roundable() -> list[type]:
    """The layers whose weights are rounded: those that the device has kernels for."""
    import keras

    kinds = keras.layers
    return [kinds.Conv1D, kinds.Conv2D, kinds.DepthwiseConv1D, kinds.DepthwiseConv2D, kinds.Dense]


def _is_depthwise(layer: Any) -> bool:
    import keras

    return isinstance(layer, keras.layers.DepthwiseConv1D | keras.layers.DepthwiseConv2D)


def _rounded_layer() -> type:
    """The layer that runs another with its weights rounded. Made when asked for, as Keras is not imported
    before."""
    import keras

    class Rounded(keras.layers.Layer):
        def __init__(self, layer: Any) -> None:
            super().__init__(name=f"{layer.name}_weights_rounded")
            self.layer = layer

        def call(self, x: Any) -> Any:
            kernel = self.layer.kernel
            with keras.StatelessScope([(kernel, round_weights(kernel.value, _is_depthwise(self.layer)))]):
                return self.layer.call(x)

    return Rounded


def _rounding(low: float, high: float, name: str) -> Any:
    import keras

    class Rounding(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return round_activations(x, low, high)

    return Rounding(name=name)


def _rounded_outputs(model: Any) -> set[str]:
    """The layers whose outputs the converted network stores with a range of their own: sums, means, and
    layers with weights, where no ReLU follows that becomes a part of them. Pools keep their input's."""
    import keras

    kinds = keras.layers
    own = (
        *_roundable(), kinds.Add, kinds.Concatenate, kinds.Multiply, kinds.GlobalAveragePooling1D,
        kinds.GlobalAveragePooling2D, kinds.ReLU, kinds.Activation, kinds.BatchNormalization,
    )  # fmt: skip
    return {
        layer.name
        for layer in model.layers
        if isinstance(layer, own)
        and not any(isinstance(after, kinds.ReLU | kinds.Activation) for after in _after(layer))
    }


def _range_of(layer: Any, ends: set[str]) -> str | None:
    """For a pool that averages, the layer whose range its output keeps."""
    import keras

    if not isinstance(layer, keras.layers.AveragePooling1D | keras.layers.AveragePooling2D):
        return None
    while layer.name not in ends:
        if isinstance(layer, keras.layers.InputLayer) or isinstance(layer.input, list):
            return None
        layer = layer.input._keras_history.operation
    return layer.name


def _ranges(model: Any, names: set[str], batch: np.ndarray) -> dict[str, tuple[float, float]]:
    import keras

    ordered = sorted(names)
    probe = keras.Model(model.inputs, [model.get_layer(name).output for name in ordered])
    outputs = probe.predict(batch, batch_size=256, verbose=0)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    return {name: (float(x.min()), float(x.max())) for name, x in zip(ordered, outputs, strict=True)}


def _folded_into(model: Any) -> dict[str, Any]:
    """Batch normalizations by name, each with the layer that it can be folded into."""
    import keras

    kinds = tuple(_roundable())
    found = {}
    for layer in model.layers:
        after = _after(layer)
        linear = getattr(layer, "activation", None) is keras.activations.linear
        if isinstance(layer, kinds) and linear and len(after) == 1:
            norm = after[0]
            if isinstance(norm, keras.layers.BatchNormalization) and norm.axis in (
                -1,
                len(norm.input.shape) - 1,
            ):
                found[norm.name] = layer
    return found


def _folded_weights(layer: Any, norm: Any) -> list[np.ndarray]:
    kernel = layer.kernel.numpy()
    scale = 1 / np.sqrt(norm.moving_variance.numpy() + norm.epsilon)
    if norm.scale:
        scale = scale * norm.gamma.numpy()
    bias = layer.bias.numpy() if layer.bias is not None else np.zeros(len(scale), np.float32)
    bias = (bias - norm.moving_mean.numpy()) * scale
    if norm.center:
        bias = bias + norm.beta.numpy()
    of_kernel = scale.reshape(kernel.shape[-2:]) if _is_depthwise(layer) else scale
    return [(kernel * of_kernel).astype(np.float32), bias.astype(np.float32)]


def _after(layer: Any) -> list[Any]:
    """The layers that take a layer's output."""
    return [node.operation for node in layer._outbound_nodes]
