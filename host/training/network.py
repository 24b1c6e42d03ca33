"""The Keras network that a specification builds, taken apart for training.

A network ends in softmax; it learns from what goes into the softmax, the logits, and may have a second
output for as long as it learns, attached to what goes into its last dense layer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from host.errors import TokayError
from host.specification import LoadedModel, Specification
from host.specification.load import line_in
from host.training.backend import import_keras
from host.training.keras_file import with_numbered_objects


def build(loaded: LoadedModel) -> Any:
    """The untrained Keras model, with the shapes that the specification asks for."""
    return _built(loaded.build, loaded.spec, loaded.path)


def build_teacher(loaded: LoadedModel) -> Any:
    """The untrained network of a teacher, of the same shapes."""
    assert loaded.build_teacher is not None
    return _built(loaded.build_teacher, loaded.spec, loaded.path)


def described(loaded: LoadedModel) -> list[str]:
    """The networks that a specification builds, layer by layer as Keras stores them: the same text for the
    same networks. TokayError where one cannot be stored, and so could not be in the end either."""
    builds = [build, build_teacher] if loaded.spec.distillation.teachers else [build]
    texts = []
    for made in builds:
        import_keras(0)
        model = made(loaded)
        _output(model, loaded.path)
        try:
            texts.append(with_numbered_objects(model.to_json()))
        except (NotImplementedError, TypeError, ValueError) as error:
            raise TokayError(f"{loaded.path}: Keras cannot store the network: {error}") from error
    return texts


@dataclass
class Network:
    """A network as it learns."""

    model: Any  # as the specification built it; its softmax is off until ``finish``
    outputs: Any  # features -> [logits], or [logits, logits of the words]
    _softmax: Any  # the last layer, where the softmax is part of it

    @property
    def weights(self) -> list[Any]:
        """All that the state of learning consists of, beside the optimizer's."""
        return self.outputs.weights

    def values(self) -> list[np.ndarray]:
        return [weight.numpy() for weight in self.weights]

    def assign(self, values: list[np.ndarray]) -> None:
        for weight, value in zip(self.weights, values, strict=True):
            weight.assign(value)

    def logits(self, x: Any, training: bool) -> list[Any]:
        """The logits of each output, of a batch of scaled features [n, frames, channels, 1]."""
        said = self.outputs(x, training=training)
        return list(said) if isinstance(said, list | tuple) else [said]

    def seed(self, seed: list[int]) -> None:
        """Sets what dropout and noise layers draw, so that an epoch is a function of its number."""
        rng = np.random.default_rng(seed)
        for variable in self.outputs.variables:
            if "seed_generator_state" in variable.path:
                variable.assign(rng.integers(0, 2**31, variable.shape).astype(variable.dtype))

    def finish(self) -> Any:
        """The model with its softmax on again."""
        if self._softmax is not None:
            import keras

            self._softmax.activation = keras.activations.softmax
        return self.model


def take_apart(model: Any, words: int, path: Path) -> Network:
    """The network of a model that was built; with an output for ``words`` where that is not 0."""
    import keras

    last = _source(_output(model, path))
    if isinstance(last, keras.layers.Softmax) or _is_softmax(last, keras.layers.Activation):
        logits, folded = last.input, None
    elif _is_softmax(last, keras.layers.Layer):
        last.activation = keras.activations.linear
        logits, folded = model.outputs[0], last
    else:
        raise TokayError(f"{path}: the last layer, {last.name}, is not a softmax", hint="end with softmax")
    outputs = [logits]
    if words:
        features = last_dense(model, path).input
        if len(features.shape) != 2:
            raise TokayError(
                f"{path}: the last Dense layer takes {features.shape}", hint="auxiliary words need [features]"
            )
        outputs.append(keras.layers.Dense(words, name="auxiliary_words")(features))
    return Network(model, keras.Model(model.inputs, outputs), folded)


def last_dense(model: Any, path: Path) -> Any:
    """The Dense layer that the logits come from."""
    import keras

    layer = _source(_output(model, path))
    while not isinstance(layer, keras.layers.Dense):
        before = getattr(layer, "input", None)
        if before is None or isinstance(before, list) or isinstance(layer, keras.layers.InputLayer):
            raise TokayError(
                f"{path}: no Dense layer before the softmax",
                hint="auxiliary words, transfer and class_bias need one",
            )
        layer = _source(before)
    return layer


def inference(network: Network, spec: Specification, output: int = 0) -> Callable[[np.ndarray], np.ndarray]:
    """A function from int8 or perturbed float features [n, frames, channels] to logits [n, classes], or
    to those of output 1, [n, words]."""
    said = _forward(network, spec, slice(output, output + 1))
    return lambda features: said(features)[0]


def opinions(network: Network, spec: Specification) -> Callable[[np.ndarray], list[np.ndarray]]:
    """A function from the same features to the logits of every output, each [n, outputs]."""
    return _forward(network, spec, slice(None))


def _forward(
    network: Network, spec: Specification, wanted: slice
) -> Callable[[np.ndarray], list[np.ndarray]]:
    """The network without dropout, some hundred examples at a time; of its outputs the wanted ones only, so
    that no others are computed."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None, *spec.feature_shape], tf.float32)])
    def forward(x: Any) -> Any:
        return network.logits(x[..., None] * spec.input_scale, training=False)[wanted]

    def predict(features: np.ndarray) -> list[np.ndarray]:
        parts = [
            [output.numpy() for output in forward(tf.constant(features[i : i + 512].astype(np.float32)))]
            for i in range(0, len(features), 512)
        ]
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    return predict


def _built(build: Callable[[Specification], Any], spec: Specification, path: Path) -> Any:
    name = getattr(build, "__name__", "build_model")
    try:
        model = build(spec)
    except Exception as error:  # the user's function: say where, not how Keras got there
        line = line_in(path, error)
        where = f"{path}:{line}" if line else str(path)
        raise TokayError(f"{where}: {name}: {type(error).__name__}: {error}") from error
    wanted_in, wanted_out = (None, *spec.feature_shape, 1), (None, len(spec.classes))
    shapes = getattr(model, "input_shape", None), getattr(model, "output_shape", None)
    if not all(isinstance(shape, tuple | list) for shape in shapes):
        raise TokayError(f"{path}: {name} returned {type(model).__name__}, not a keras.Model")
    if tuple(shapes[0]) != wanted_in or tuple(shapes[1]) != wanted_out:
        raise TokayError(
            f"{path}: {name} maps {shapes[0]} to {shapes[1]}",
            hint=f"the specification asks for {wanted_in} to {wanted_out}",
        )
    return model


def _output(model: Any, path: Path) -> Any:
    try:
        return model.outputs[0]
    except (AttributeError, ValueError, TypeError, IndexError) as error:
        raise TokayError(f"{path}: the network is not a functional keras.Model") from error


def _source(tensor: Any) -> Any:
    return tensor._keras_history.operation


def _is_softmax(layer: Any, kind: type) -> bool:
    import keras

    return isinstance(layer, kind) and getattr(layer, "activation", None) is keras.activations.softmax
