"""Whole networks of attention: the same scores as TensorFlow Lite Micro's reference kernels, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from host.runtime import Model
from tests.attention import attention

tflite_micro = pytest.importorskip("tflite_micro", reason="the reference kernels are in the test extra")


def assert_scores(tflite: bytes, count: int = 40) -> Model:
    """Of random inputs, which give different ones."""
    ours = Model(tflite)
    theirs = tflite_micro.runtime.Interpreter.from_bytes(tflite, arena_size=1 << 20)
    rng, seen = np.random.default_rng(1), set()
    for _ in range(count):
        x = (rng.normal(rng.normal(0, 20), rng.uniform(5, 60), ours.input.shape)).clip(-128, 127)
        x = x.astype(np.int8)
        theirs.set_input(x, 0)
        theirs.invoke()
        scores = ours.invoke(x)
        seen.add(scores.tobytes())
        np.testing.assert_array_equal(scores, theirs.get_output(0))
    assert len(seen) > count // 2
    return ours


def test_attention_and_layer_normalization():
    model = assert_scores(attention(divides=False))
    assert {layer.kernel for layer in model.layers} >= {"batch_matmul", "squared_difference", "table", "sub"}


def convolution_module(keras, x):
    """A conformer's: a gate, a depthwise convolution over time, swish."""
    layers = keras.layers
    y = layers.Conv1D(32, 1)(layers.LayerNormalization()(x))
    a, b = keras.ops.split(y, 2, axis=-1)
    y = layers.DepthwiseConv1D(7, padding="same")(a * keras.ops.sigmoid(b))
    y = layers.Activation("swish")(layers.BatchNormalization()(y))
    return x + layers.Conv1D(16, 1)(y)


def encoder_block(keras, x):
    """A Keyword Transformer's, with ReLU, as the reference has no GELU."""
    layers = keras.layers
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 8)(x, x))
    return layers.LayerNormalization()(x + layers.Dense(16)(layers.Dense(32, activation="relu")(x)))


@pytest.mark.parametrize(
    "blocks", [[encoder_block], [encoder_block, convolution_module]], ids=["kwt", "conformer"]
)
def test_networks_as_keras_and_the_converter_make_them(blocks):
    """Patches of four columns, an embedding of their position, blocks, the mean of all tokens."""
    tf = pytest.importorskip("tensorflow", reason="the converter is in the train extra")
    import keras

    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(1)

    class Position(keras.layers.Layer):
        def build(self, shape):
            self.position = self.add_weight(shape=(1, *shape[1:]), initializer="random_normal")

        def call(self, x):
            return x + self.position

    source = keras.Input((24, 16, 1), batch_size=1)
    x = Position()(keras.layers.Dense(16)(keras.layers.Reshape((6, 64))(source)))
    for block in blocks:
        x = block(keras, x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    network = keras.Model(source, keras.layers.Dense(4, activation="softmax")(x))
    for weight in network.weights:  # as if trained: else normalizing twice has means of next to nothing
        weight.assign(weight + rng.uniform(0, 0.3, weight.shape))
    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [rng.normal(0, 2, source.shape).astype(np.float32)] for _ in range(30)
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    model = assert_scores(converter.convert())
    assert sum(layer.name == "batch_matmul" for layer in model.layers) == 2
