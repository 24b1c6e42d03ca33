"""Accuracy of a model on examples: the Keras model in floats, the .tflite on the firmware's kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from host.metrics.classification import summary
from host.metrics.scoring import int8_network, keras_input
from host.specification import Specification
from host.training.examples import Examples


def evaluate_float(model: Any, spec: Specification, examples: Examples) -> dict[str, Any]:
    """The Keras model's accuracy."""
    outputs = float_outputs(model, spec, examples.features)
    return summary(examples.labels, outputs.argmax(axis=1), spec.classes)


def float_outputs(model: Any, spec: Specification, features: np.ndarray) -> np.ndarray:
    """The Keras model's outputs, float32[n, classes], for int8 features[n, frames, channels]."""
    return model.predict(keras_input(features, spec.input_scale), batch_size=512, verbose=0)


def evaluate_int8(
    tflite: bytes, classes: Sequence[str], examples: Examples, accelerator: str = "none"
) -> dict[str, Any]:
    """The quantized model's accuracy, in the arithmetic of the device."""
    scores = int8_network(tflite, accelerator)(examples.features)
    return summary(examples.labels, scores.argmax(axis=1), classes)
