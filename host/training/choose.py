"""Which of the best epochs becomes the model: the one that does best as it will run on the device.

Each is converted to int8 and run through the firmware's kernels in the accelerator's arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from host.errors import TokayError
from host.specification import Specification
from host.training import convert
from host.training.accuracy import float_outputs
from host.training.examples import Examples
from host.training.fit import Fit
from host.training.loop import Epoch
from host.training.network import last_dense
from host.training.validation import Validation, Validator, softmax

_DOUBT = 0.05  # how strong the prior is: half of this times the squared bias is added to the loss
# Of the descent. The curvature lies between _DOUBT and 1/2 + _DOUBT, so that each step of 2 takes away a
# tenth or more of what is left.
_STEPS, _STEP = 500, 2.0


@dataclass(frozen=True)
class Chosen:
    """The model that is shipped."""

    model: Any
    tflite: bytes
    stage: str
    epoch: Epoch
    bias: tuple[float, ...]  # that was added to the logits
    validation: Validation  # of the int8 model


def choose(fit: Fit, spec: Specification, path: Path, sample: Examples, validator: Validator) -> Chosen:
    """Tries the candidates; ``sample`` calibrates the conversion. Among equals the better epoch wins."""
    best: Chosen | None = None
    for trained in fit.candidates:
        model = trained.model()
        bias = (0.0,) * len(spec.classes)
        if spec.class_bias == "validation":
            outputs = float_outputs(model, spec, validator.clips.features)
            bias = class_bias(np.log(np.maximum(outputs, 1e-9)), validator.clips.labels)
            add_bias(model, bias, path)
        tflite = convert.to_int8(model, spec, sample.features, sample.labels)
        validation = validator.on_device(tflite)
        if best is None or validation.rank > best.validation.rank:
            best = Chosen(model, tflite, trained.stage, trained.candidate.epoch, bias, validation)
            weights = model.get_weights()
    assert best is not None
    best.model.set_weights(weights)  # the candidates share one model
    return best


def class_bias(logits: np.ndarray, labels: np.ndarray) -> tuple[float, ...]:
    """The bias on each class's logit with the least loss, each class counting the same, under a normal prior
    (whose weight is ``_DOUBT``); the mean is 0. float[n, classes] and int[n] to float[classes].

    The loss and not the accuracy, which a few clips decide: of three epochs with a bias each, the luckiest
    one would be chosen. Gradient descent on a convex function.
    """
    classes = logits.shape[1]
    bias, wanted = np.zeros(classes), np.eye(classes)[labels]
    share = 1 / np.bincount(labels, minlength=classes).clip(1)[labels, None] / classes
    for _ in range(_STEPS):
        missing = (wanted - softmax(logits + bias)) * share
        bias += _STEP * (missing.sum(axis=0) - _DOUBT * bias)
    return tuple(float(value) for value in bias - bias.mean())


def add_bias(model: Any, bias: Sequence[float], path: Path) -> None:
    """Puts a bias on the classes into the model's last dense layer."""
    layer = last_dense(model, path)
    if layer.bias is None:
        raise TokayError(
            f"{path}: the last Dense layer has no bias, which class_bias needs", hint="use_bias=True"
        )
    layer.bias.assign(layer.bias.numpy() + np.asarray(bias, np.float32))
