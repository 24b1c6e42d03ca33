"""The training loop: Adam along a cosine, the best epoch by balanced accuracy on the validation split."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from host.errors import TokayError
from host.metrics.classification import balanced_accuracy
from host.training.examples import Examples
from host.training.feature_augmentation import perturb
from host.training.specification import LoadedModel, Specification

# Of the running average of the weights, which is what is validated and kept: the choice of the best
# epoch is less of a draw than with the weights of single steps.
_AVERAGING = 0.998
# Share of the epochs that cannot be the best: while the learning rate is high, a lucky epoch on a few
# dozen validation clips is worth less than the rest of the schedule.
_UNSETTLED = 2 / 3


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to."""

    number: int  # from 1
    loss: float
    validation_balanced_accuracy: float
    validation_loss: float  # each class counts the same


@dataclass(frozen=True)
class Fit:
    """The trained model with the weights of its best epoch, and how it got there."""

    model: Any
    best: Epoch
    epochs: list[Epoch]


def import_keras(seed: int) -> Any:
    """Keras with its seeds set; TokayError with what to install where it is missing."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if "amx" in _cpu_flags():  # oneDNN's AMX kernels end the process where the kernel refuses their state
        os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX2")
    try:
        import keras
        import tensorflow as tf
    except ImportError as error:
        raise TokayError(
            f"training needs {error.name or 'TensorFlow'}", hint="pip install 'tokay[train]'"
        ) from error
    tf.get_logger().setLevel("ERROR")
    keras.utils.clear_session()  # else the names of layers count on from an earlier model
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    return keras


def fit(
    loaded: LoadedModel, training: Examples, validation: Examples, seed: int,
    report: Callable[[Epoch, int], None] | None = None,
) -> Fit:  # fmt: skip
    """Trains a model from its specification; ``report(epoch, of)`` is called after each epoch."""
    spec = loaded.spec
    keras = import_keras(seed)
    model = build(loaded)
    steps = math.ceil(len(training) / spec.schedule.batch_size)
    model.compile(
        optimizer=keras.optimizers.Adam(_learning_rate(keras, spec, steps)),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=spec.schedule.label_smoothing),
    )
    weights = class_weights(spec, training.labels)
    one_hot = np.eye(len(spec.classes), dtype=np.float32)[training.labels]
    average = _Average(model.get_weights())
    follow = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: average.add(model.get_weights())
    )
    epochs: list[Epoch] = []
    best: Epoch | None = None
    best_weights: Any = None
    for number in range(1, spec.schedule.epochs + 1):
        rng = np.random.default_rng([seed, 3, number])
        order = rng.permutation(len(training))
        x = perturb(training.features[order], rng)[..., None] * np.float32(spec.input_scale)
        history = model.fit(
            x, one_hot[order], batch_size=spec.schedule.batch_size, shuffle=False, verbose=0,
            sample_weight=weights[training.labels[order]], callbacks=[follow],
        )  # fmt: skip
        current = model.get_weights()
        model.set_weights(average.weights)
        epoch = _validate(model, spec, validation, number, history.history["loss"][0])
        epochs.append(epoch)
        if number > _UNSETTLED * spec.schedule.epochs and (best is None or _rank(epoch) > _rank(best)):
            best, best_weights = epoch, model.get_weights()
        model.set_weights(current)
        if report:
            report(epoch, spec.schedule.epochs)
    assert best is not None
    model.set_weights(best_weights)
    return Fit(model, best, epochs)


class _Average:
    """The running average of a model's weights; short at first, so that the start is forgotten."""

    def __init__(self, weights: list[np.ndarray]) -> None:
        self.weights = [array.copy() for array in weights]
        self._steps = 0

    def add(self, weights: list[np.ndarray]) -> None:
        self._steps += 1
        keep = min(_AVERAGING, (1 + self._steps) / (10 + self._steps))
        for mean, array in zip(self.weights, weights, strict=True):
            mean += (1 - keep) * (array - mean)


def class_weights(spec: Specification, labels: np.ndarray) -> np.ndarray:
    """Weights by class: as if each had as many examples as the others, times the specification's."""
    counts = np.bincount(labels, minlength=len(spec.classes))
    if np.any(counts == 0):
        missing = ", ".join(name for name, n in zip(spec.classes, counts, strict=True) if n == 0)
        raise TokayError(f"the training split has no clip of {missing}", hint="check the dataset's folders")
    wanted = np.array([spec.class_weights.get(name, 1.0) for name in spec.classes])
    return (wanted * len(labels) / (len(counts) * counts)).astype(np.float32)


def build(loaded: LoadedModel) -> Any:
    """The untrained Keras model, with the shapes that the specification asks for."""
    spec = loaded.spec
    try:
        model = loaded.build(spec)
    except Exception as error:  # the user's function: say where, not how Keras got there
        raise TokayError(f"{loaded.path}: build_model: {type(error).__name__}: {error}") from error
    wanted_in, wanted_out = (None, *spec.feature_shape, 1), (None, len(spec.classes))
    if tuple(model.input_shape) != wanted_in or tuple(model.output_shape) != wanted_out:
        raise TokayError(
            f"{loaded.path}: build_model maps {model.input_shape} to {model.output_shape}",
            hint=f"the specification asks for {wanted_in} to {wanted_out}",
        )
    return model


def _learning_rate(keras: Any, spec: Specification, steps: int) -> Any:
    schedule = spec.schedule
    return keras.optimizers.schedules.CosineDecay(
        schedule.learning_rate,
        max(steps * schedule.epochs, 1),
        alpha=schedule.final_learning_rate / schedule.learning_rate,
    )


def _validate(model: Any, spec: Specification, validation: Examples, number: int, loss: float) -> Epoch:
    x = validation.features[..., None].astype(np.float32) * np.float32(spec.input_scale)
    outputs = model.predict(x, batch_size=512, verbose=0)
    labels, classes = validation.labels, len(spec.classes)
    surprise = -np.log(np.maximum(outputs[np.arange(len(labels)), labels], 1e-7))
    by_class = [surprise[labels == k].mean() for k in range(classes) if np.any(labels == k)]
    accuracy = balanced_accuracy(labels, outputs.argmax(axis=1), classes)
    return Epoch(number, float(loss), accuracy, float(np.mean(by_class)))


def _rank(epoch: Epoch) -> tuple[float, float]:
    return epoch.validation_balanced_accuracy, -epoch.validation_loss


def _cpu_flags() -> str:
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as stream:
            return next((line for line in stream if line.startswith("flags")), "")
    except OSError:
        return ""
