"""Rounding in training is the rounding of the converted model; a bias on the classes is found, not made."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codegen.frontend import FrontendSettings
from host.errors import TokayError
from host.specification import Specification
from host.training.examples import Examples

needs_tensorflow = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None, reason="TensorFlow is not installed"
)
pytestmark = pytest.mark.xdist_group("tensorflow")

SPEC = Specification(
    name="small", description="", classes=("on", "off", "_unknown_", "_silence_"),
    frontend=FrontendSettings(
        sample_rate_hz=8000, window_size_ms=40, window_step_ms=40, filterbank_n_channels=16,
        filterbank_upper_band_limit=3999.0,
    ),
    input_scale=1 / 64,
)  # fmt: skip


def network() -> Any:
    """All the layers that rounding knows, with batch normalization that has learnt something."""
    from host.training.backend import import_keras

    keras = import_keras(3)
    layers = keras.layers
    inputs = keras.Input((*SPEC.feature_shape, 1))
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(inputs)
    x = before = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, padding="same")(x)
    x = layers.ReLU()(layers.BatchNormalization(scale=False)(x))
    x = layers.BatchNormalization(center=False)(layers.Conv2D(8, 1, padding="same")(x))
    x = layers.ReLU()(layers.Add()([x, before]))
    x = layers.AveragePooling2D((2, 2))(x)
    x = layers.Conv2D(8, 3, activation="relu", padding="same")(x)
    x = layers.Dropout(0.1)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, layers.Dense(4, activation="softmax")(x))
    rng = np.random.default_rng(4)
    for variable in model.weights:
        if "batch_normalization" in variable.path:
            positive = any(name in variable.path for name in ("variance", "gamma"))
            low = 0.5 if positive else -0.3
            variable.assign(rng.uniform(low, low + 0.8, variable.shape))
    last = model.layers[-1].kernel
    last.assign(8 * last.numpy())  # so that outputs differ by more than their own rounding
    return model


def features(count: int = 300) -> np.ndarray:
    """Of examples that differ in their loudness and in the channel that is loud, so that outputs differ."""
    rng = np.random.default_rng(5)
    x = rng.normal(0, 20, (count, *SPEC.feature_shape)) + rng.uniform(-90, 60, (count, 1, 1))
    x[np.arange(count), :, rng.integers(SPEC.feature_shape[1], size=count)] += 80
    return np.clip(x, -128, 127).astype(np.int8)


def predicted(model: Any, x: np.ndarray) -> np.ndarray:
    return model.predict(x[..., None].astype(np.float32) * np.float32(SPEC.input_scale), verbose=0)


@needs_tensorflow
def test_folding_changes_nothing_but_the_layers() -> None:
    import keras

    from host.training import quantization_aware

    model = network()
    folded = quantization_aware.fold(model)
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in folded.layers)
    assert np.abs(predicted(folded, features()) - predicted(model, features())).max() < 1e-5


@needs_tensorflow
def test_a_sequential_network_is_rounded_too() -> None:
    from host.training import quantization_aware
    from host.training.backend import import_keras

    layers = (keras := import_keras(3)).layers
    model = keras.Sequential([
        keras.Input((*SPEC.feature_shape, 1)), layers.Conv2D(4, 3, strides=2), layers.BatchNormalization(),
        layers.ReLU(), layers.Flatten(), layers.Dense(4, activation="softmax"),
    ])  # fmt: skip
    folded = quantization_aware.fold(model)
    assert not any(isinstance(layer, layers.BatchNormalization) for layer in folded.layers)
    assert np.abs(predicted(folded, features()) - predicted(model, features())).max() < 1e-5
    rounded = quantization_aware.rounded(model, SPEC, Examples(features(), np.arange(300) % 4), Path("m.py"))
    assert len(rounded.outputs.trainable_variables) == 4


@needs_tensorflow
@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("shared", "cannot round shared, which is used more than once"), ("lambda", "copy"),
        ("separable", "cannot round separable, a SeparableConv2D"),
        ("nested", "cannot round nested, a Sequential"),
    ],
)  # fmt: skip
def test_what_cannot_be_rounded_is_refused_before_training(kind: str, what: str) -> None:
    from host import train
    from host.specification import LoadedModel, QuantizationAware
    from host.training.backend import import_keras

    def build(spec: Specification) -> Any:
        layers = (keras := import_keras(3)).layers
        inputs = keras.Input((*spec.feature_shape, 1))
        if kind == "shared":
            shared = layers.Conv2D(1, 3, padding="same", activation="relu", name="shared")
            x = shared(shared(inputs))
        elif kind == "separable":
            x = layers.SeparableConv2D(2, 3, padding="same", name="separable")(inputs)
        elif kind == "nested":
            x = keras.Sequential([layers.Conv2D(2, 3, strides=2), layers.ReLU()], name="nested")(inputs)
        else:
            x = layers.Lambda(lambda x: x + x)(inputs)
        return keras.Model(inputs, layers.Dense(4, activation="softmax")(layers.Flatten()(x)))

    train._require_network(LoadedModel(SPEC, build, Path("m.py")))
    spec = dataclasses.replace(SPEC, quantization_aware=QuantizationAware(epochs=1))
    with pytest.raises(TokayError, match=rf"^m\.py: quantization_aware .*{what}"):
        train._require_network(LoadedModel(spec, build, Path("m.py")))


@needs_tensorflow
def test_rounding_in_training_is_the_devices() -> None:
    import keras

    from host.runtime import Model
    from host.training import convert, quantization_aware
    from host.training.network import inference

    x, labels = features(), np.arange(300) % 4
    rounded = quantization_aware.rounded(network(), SPEC, Examples(x, labels), Path("m.py"))
    logits = inference(rounded, SPEC)(x)
    floats = predicted(rounded.model, x)  # its softmax is still off
    inner = next(layer for layer in rounded.outputs.layers if isinstance(layer, keras.Model))
    second = keras.Model(inner.inputs, inner.get_layer("re_lu_1_rounded").output)
    convolved = predicted(second, x)
    assert len({variable.path for variable in rounded.outputs.trainable_variables}) == 10

    device = Model(convert.to_int8(rounded.finish(), SPEC, x, labels))
    found = [device.invoke_layers(example[None, ..., None]) for example in x]

    def real(layer: int) -> np.ndarray:
        q = device.plan.graph.tensors[device.layers[layer].output].quantization
        return (np.concatenate([outputs[layer] for outputs in found]) - float(q.zero_point)) * q.scale

    # The first two layers with weights are the device's, but for a tie here and there.
    assert np.mean(np.abs(real(1) - convolved) < 1e-4) > 0.99
    # Sums and means round in ways of their own; still the logits are nearer to the device's.
    to_device, to_floats = np.abs(real(-2) - logits).mean(), np.abs(real(-2) - floats).mean()
    assert floats.std(axis=0).min() > 0.1  # or there would be nothing to tell
    assert to_device < 0.75 * to_floats


@needs_tensorflow
def test_layers_over_time_alone_are_rounded_like_the_others() -> None:
    import keras
    import tensorflow as tf

    from host.runtime import Model
    from host.training import convert, quantization_aware
    from host.training.backend import import_keras

    layers = import_keras(3).layers
    inputs = keras.Input((*SPEC.feature_shape, 1))
    x = layers.Reshape(SPEC.feature_shape)(inputs)
    x = layers.Conv1D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv1D(3, padding="same", depth_multiplier=2, use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Conv1D(8, 3, dilation_rate=2, padding="causal", activation="relu")(x)
    x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model(inputs, layers.Dense(4, activation="softmax")(x))
    rng = np.random.default_rng(4)
    for variable in model.weights:
        if "batch_normalization" in variable.path:
            variable.assign(rng.uniform(0.5, 1.3, variable.shape))
    folded = quantization_aware.fold(model)
    assert not any(isinstance(layer, layers.BatchNormalization) for layer in folded.layers)
    assert np.abs(predicted(folded, features()) - predicted(model, features())).max() < 1e-5

    x, labels = features(), np.arange(300) % 4
    rounded = quantization_aware.rounded(model, SPEC, Examples(x, labels), Path("m.py"))
    with tf.GradientTape() as tape:
        scaled = tf.constant(x[..., None].astype(np.float32) * np.float32(SPEC.input_scale))
        said = tf.reduce_sum(rounded.logits(scaled, training=True)[0][:, 0])
    gradients = tape.gradient(said, rounded.outputs.trainable_variables)
    assert len(gradients) == 8 and all(float(tf.reduce_max(tf.abs(g))) > 0 for g in gradients)
    inner = next(layer for layer in rounded.outputs.layers if isinstance(layer, keras.Model))
    names = [layer.name for layer in inner.layers if layer.name.startswith("re_lu")]
    ends = [inner.get_layer(name).output for name in names if name.endswith("rounded")]
    learnt = predicted(keras.Model(inner.inputs, ends), x)
    device = Model(convert.to_int8(rounded.finish(), SPEC, x, labels))
    found = [device.invoke_layers(example[None, ..., None]) for example in x]
    at = [i for i, layer in enumerate(device.layers) if "conv" in layer.name]
    assert len(ends) == 2 and len(at) == 3
    for layer, expected in zip(at, learnt, strict=False):
        q = device.plan.graph.tensors[device.layers[layer].output].quantization
        values = np.concatenate([outputs[layer] for outputs in found]).reshape(expected.shape)
        same = np.abs((values - float(q.zero_point)) * q.scale - expected) < q.scale / 8
        assert np.mean(same) > 0.99


@needs_tensorflow
def test_what_rounding_gives() -> None:
    from host.training.quantization_aware import round_activations, round_weights

    kernel = np.random.default_rng(1).normal(size=(3, 3, 2, 5)).astype(np.float32)
    kernel[..., 1] *= 100  # a channel of its own scale does not spoil the others
    result = np.array(round_weights(kernel))
    scale = np.abs(kernel).max(axis=(0, 1, 2)) / 127
    assert np.abs(result / scale - np.rint(result / scale)).max() < 1e-3
    assert np.all(np.abs(result - kernel) <= scale * 0.501)
    values = np.linspace(-2, 3, 1001).astype(np.float32)
    result = np.array(round_activations(values, -1.0, 2.0))
    step = 3 / 255
    assert result.min() >= -1 - step and result.max() <= 2 + step and 0.0 in result
    assert len(np.unique(np.rint(result / step))) == 256


@needs_tensorflow
def test_gradients_go_straight_through() -> None:
    import tensorflow as tf

    from host.training.quantization_aware import round_activations

    x = tf.Variable([-5.0, 0.31, 5.0])
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(round_activations(x, -1.0, 1.0))
    assert tape.gradient(y, x).numpy().tolist() == [0.0, 1.0, 0.0]


def labelled_logits() -> tuple[np.ndarray, np.ndarray]:
    """Logits that are as sure as they may be, so that no bias is wanted: float[3000, 3] and classes."""
    rng = np.random.default_rng(2)
    labels = rng.integers(3, size=3000)
    return rng.normal(size=(3000, 3)) + np.eye(3)[labels], labels


def test_class_bias_finds_what_was_taken_away() -> None:
    from host.training.choose import class_bias

    logits, labels = labelled_logits()
    assert max(map(abs, class_bias(logits, labels))) < 0.1
    found = np.array(class_bias(logits - [2.0, 0, 0], labels))
    assert 1.2 < found[0] - found[1:].mean() < 2.0  # never all of it: it is doubted
    assert abs(found.sum()) < 1e-9


def test_class_bias_has_the_least_loss_whatever_the_sizes_of_the_classes() -> None:
    from host.training.choose import class_bias

    logits, labels = labelled_logits()
    logits -= [1.0, 0, -0.5]
    found = np.array(class_bias(logits, labels))

    def loss(bias: np.ndarray) -> float:
        shifted = logits + bias
        surprise = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]
        return float(np.mean([surprise[labels == k].mean() for k in range(3)]) + 0.025 * np.sum(bias**2))

    for k in range(3):
        for step in (-0.02, 0.02):
            assert loss(found + step * (np.eye(3)[k] - 1 / 3)) > loss(found)
    more = np.concatenate((labels, *[labels[labels == 1]] * 4))
    again = np.concatenate((logits, *[logits[labels == 1]] * 4))
    assert np.allclose(class_bias(again, more), found, atol=1e-9)


@needs_tensorflow
def test_bias_goes_into_the_last_layer() -> None:
    from host.training.choose import add_bias

    model, x = network(), features(20)
    before = predicted(model, x)
    add_bias(model, (1.0, 0.0, -1.0, 0.0), Path("m.py"))
    expected = before * np.exp([1.0, 0, -1, 0])
    assert np.allclose(predicted(model, x), expected / expected.sum(axis=1, keepdims=True), atol=1e-5)
