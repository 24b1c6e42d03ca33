"""Keras' recurrent layers as they are exported and quantized: which become the operator of an LSTM."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from host.errors import TokayError
from host.runtime import Model
from tests.golden.reference import assert_exact
from tests.unit.small_training import needs_tensorflow

pytestmark = [needs_tensorflow, pytest.mark.xdist_group("tensorflow")]

STEPS, BANDS = 6, 8
SPEC = types.SimpleNamespace(name="words", feature_shape=(STEPS, BANDS), input_scale=0.03)


def network(layer: Callable[[Any, Any], Any]) -> Any:
    """A Keras network of a recurrent layer, as if trained."""
    import keras

    keras.utils.set_random_seed(1)
    inputs = keras.Input((STEPS, BANDS, 1))
    x = layer(keras.layers, keras.layers.Reshape((STEPS, BANDS))(inputs))
    x = x if len(x.shape) == 2 else keras.layers.Flatten()(x)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign(1.3 * weight + rng.normal(0, 0.2, weight.shape))
    return model


def converted(model: Any, features: np.ndarray) -> bytes:
    from host.training import convert

    convert.require_no_loops(model, SPEC)
    return convert.to_int8(model, SPEC, features, np.zeros(len(features), np.int64))


LSTMS = {
    "plain": lambda k, x: k.LSTM(6)(x),
    "sequences": lambda k, x: k.LSTM(6, return_sequences=True, use_bias=False)(x),
    "backwards": lambda k, x: k.LSTM(6, go_backwards=True)(x),
    "dropout": lambda k, x: k.LSTM(6, dropout=0.2, recurrent_dropout=0.3, unroll=True)(x),
    "two": lambda k, x: k.LSTM(5)(k.LSTM(6, return_sequences=True)(x)),
}


def assert_scores(ours: Model, model: Any, features: np.ndarray, error: float = 0.005) -> None:
    """Those of the network in int8 are about those that it had in floats, with this error (RMS) at most."""
    inputs = features[:50, ..., None]
    wanted = model.predict(inputs.astype(np.float32) * np.float32(SPEC.input_scale), verbose=0)
    scores = np.array([(ours.invoke(x[None]).reshape(-1) + 128.0) / 256 for x in inputs])
    assert np.abs(scores - wanted).max() < 0.03 < wanted.std()
    assert np.sqrt(np.mean((scores - wanted) ** 2)) < error


@pytest.mark.parametrize("name", LSTMS)
def test_an_lstm_is_one_operator(name: str) -> None:
    model = network(LSTMS[name])
    features = np.random.default_rng(2).integers(-128, 128, (200, STEPS, BANDS), np.int8)
    tflite = converted(model, features)
    ours = Model(tflite)
    names = [layer.name for layer in ours.layers]
    assert names.count("unidirectional_sequence_lstm") == (2 if name == "two" else 1)
    assert ("reverse_v2" in names) == (name == "backwards") and len(names) <= 6
    assert_exact(tflite, 1)
    assert_scores(ours, model, features)


def test_both_directions() -> None:
    features = np.random.default_rng(2).integers(-128, 128, (200, STEPS, BANDS), np.int8)
    model = network(lambda k, x: k.Bidirectional(k.LSTM(4, return_sequences=True))(x))
    tflite = converted(model, features)
    ours = Model(tflite)
    names = [layer.name for layer in ours.layers]
    assert names.count("unidirectional_sequence_lstm") == names.count("reverse_v2") == 2
    assert_exact(tflite, 1)
    assert_scores(ours, model, features)


def test_values_that_are_concatenated_are_what_the_lstm_made() -> None:
    """The converter gives outputs the scale of the concatenation, here twice that of their bytes."""
    features = np.random.default_rng(2).integers(-128, 128, (200, STEPS, BANDS), np.int8)
    model = network(lambda k, x: k.Concatenate()([k.LSTM(4)(x), k.Rescaling(0.5)(x[:, -1])]))
    tflite = converted(model, features)
    assert_exact(tflite, 1)
    assert_scores(Model(tflite), model, features)


def test_last_states_are_those_of_an_unrolled_lstm() -> None:
    """The operator does not have them. Unrolled, each gate is rounded to int8."""
    features = np.random.default_rng(2).integers(-128, 128, (200, STEPS, BANDS), np.int8)
    model = network(lambda k, x: k.Concatenate()(k.LSTM(6, return_state=True, unroll=True)(x)))
    ours = Model(converted(model, features))
    assert "unidirectional_sequence_lstm" not in {layer.name for layer in ours.layers}
    assert_scores(ours, model, features, 0.01)


def test_an_unrolled_gru_is_many_operators() -> None:
    features = np.random.default_rng(2).integers(-128, 128, (64, STEPS, BANDS), np.int8)
    tflite = converted(network(lambda k, x: k.GRU(4, unroll=True, dropout=0.2)(x)), features)
    assert len(Model(tflite).layers) > 60
    assert_exact(tflite, 1)


@pytest.mark.parametrize(
    "layer",
    [
        lambda k, x: k.LSTM(4, activation="relu")(x),
        lambda k, x: k.LSTM(4, recurrent_activation="hard_sigmoid")(x),
        lambda k, x: k.LSTM(4)(x, initial_state=[k.Dense(4)(x[:, 0]), k.Dense(4)(x[:, 1])]),
        lambda k, x: k.LSTM(4)(k.Masking()(x)),
        lambda k, x: k.Concatenate()(k.LSTM(4, return_state=True)(x)),
        lambda k, x: k.GRU(4)(x),
    ],
)
def test_other_loops_are_refused(layer: Callable[[Any, Any], Any]) -> None:
    from host.training import convert

    with pytest.raises(TokayError, match="words has loops, which the device cannot run"):
        convert.require_no_loops(network(layer), SPEC)


def test_the_layers_are_as_before_afterwards() -> None:
    from host.training import recurrent

    model = network(LSTMS["dropout"])
    (layer,) = (layer for layer in model.layers if layer.name.startswith("lstm"))
    with pytest.raises(InterruptedError), recurrent.exportable(model):
        assert "inner_loop" in vars(layer) and layer.cell.dropout == layer.cell.recurrent_dropout == 0
        raise InterruptedError
    assert "inner_loop" not in vars(layer)
    assert (layer.cell.dropout, layer.cell.recurrent_dropout) == (0.2, 0.3)
