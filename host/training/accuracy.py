"""Accuracy of a model on examples: the Keras model in floats, the .tflite on the firmware's kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from host.metrics.classification import summary
from host.specification import Specification
from host.training.examples import Examples


def evaluate_float(model: Any, spec: Specification, examples: Examples) -> dict[str, Any]:
    """The Keras model's accuracy."""
    x = examples.features[..., None].astype(np.float32) * np.float32(spec.input_scale)
    outputs = model.predict(x, batch_size=512, verbose=0)
    return summary(examples.labels, outputs.argmax(axis=1), spec.classes)


def evaluate_int8(
    tflite: bytes, classes: Sequence[str], examples: Examples, accelerator: str = "none"
) -> dict[str, Any]:
    """The quantized model's accuracy, in the arithmetic of the device."""
    outputs = int8_outputs(tflite, examples.features, accelerator)
    return summary(examples.labels, outputs.argmax(axis=1), classes)


def int8_outputs(tflite: bytes, features: np.ndarray, accelerator: str = "none") -> np.ndarray:
    """int8[n, classes] for int8 features[n, frames, channels]."""
    from host.metrics.scoring import int8_network

    return (int8_network(tflite, accelerator)(features) ^ np.uint8(128)).view(np.int8)
