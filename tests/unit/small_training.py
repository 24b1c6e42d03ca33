"""A training of seconds, on features alone: its specification, its examples and its network."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codegen.frontend import FrontendSettings
from host.specification import LoadedModel, Mixup, Perturbation, Schedule, Specification
from host.training.batches import Batches
from host.training.examples import Examples

needs_tensorflow = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None, reason="TensorFlow is not installed"
)

WORDS = ("on", "off", "_silence_", "one", "two")
CLASS_OF_WORD = np.array([0, 1, 3, 2, 2])


def spec(**changes: Any) -> Specification:
    plain = Specification(
        name="small",
        description="",
        classes=("on", "off", "_unknown_", "_silence_"),
        frontend=FrontendSettings(
            sample_rate_hz=8000, window_size_ms=60, window_step_ms=60, filterbank_n_channels=8,
            filterbank_upper_band_limit=3999.0,
        ),
        schedule=Schedule(epochs=3, batch_size=32, learning_rate=0.01, averaging=0.9),
        input_scale=1 / 64,
    )  # fmt: skip
    return dataclasses.replace(plain, **changes)


class Patterns:
    """Examples of words that differ in which channel is loud, with noise."""

    word_names = WORDS

    def __init__(self, seed: int = 1, each: int = 160) -> None:
        self._seed, self._each, self.asked = seed, each, []

    def __len__(self) -> int:
        return self._each * len(WORDS)

    def epoch(self, number: int) -> Examples:
        self.asked.append(number)
        rng = np.random.default_rng([self._seed, number])
        words = rng.permutation(np.repeat(np.arange(len(WORDS)), self._each))
        x = rng.normal(-60, 25, (len(words), *spec().feature_shape))
        x[np.arange(len(words)), :, words + 1] += 90
        return Examples(np.clip(x, -128, 127).astype(np.int8), CLASS_OF_WORD[words], words, WORDS)


def batches_of(size: int, mixup: Mixup | None = None) -> Batches:
    perturbation, alike = Perturbation(), lambda labels: np.ones(4, np.float32)
    return Batches(Patterns(), 1, 0, size, perturbation, mixup or Mixup(), alike)


def small_network(wanted: Specification, filters: int = 6) -> Any:
    import keras
    from keras import layers

    inputs = keras.Input((*wanted.feature_shape, 1))
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.8)(x))
    x = layers.Flatten()(layers.AveragePooling2D((4, 1))(x))
    x = layers.Dropout(0.1)(x)
    return keras.Model(inputs, layers.Dense(len(wanted.classes), activation="softmax")(x))


def loaded(wanted: Specification) -> LoadedModel:
    return LoadedModel(wanted, small_network, Path(__file__), lambda s: small_network(s, 8))
