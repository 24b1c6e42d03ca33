"""Hears "on" and "off": the vendor's network (three strided convolutions, 278k MACs), trained anew.

    tokay train keyword_spotting_on_off --dataset DIR
    python host/models/keyword_spotting_on_off.py --dataset DIR
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from codegen.frontend import FrontendSettings
from host.training.specification import Augmentation, Detector, Schedule, Specification

if TYPE_CHECKING:
    import keras

SPECIFICATION = Specification(
    name="keyword_spotting_on_off",
    version=1,
    description='Hears the keywords "on" and "off" at 8 kHz',
    classes=("on", "off", "_unknown_", "_silence_"),
    frontend=FrontendSettings(
        sample_rate_hz=8000,
        sample_length_ms=1000,
        window_size_ms=30,
        window_step_ms=20,
        filterbank_n_channels=32,
        filterbank_upper_band_limit=3999.0,
        filterbank_lower_band_limit=100.0,
        noise_reduction_enable=True,
        noise_reduction_smoothing_bits=5,
        noise_reduction_even_smoothing=0.004,
        noise_reduction_odd_smoothing=0.004,
        noise_reduction_min_signal_remaining=0.05,
        log_scale_enable=True,
        log_scale_shift=6,
    ),
    # A word stays in the window of one second for as long as that, so a second detection of it must
    # wait longer; three inferences in a row decide.
    detector=Detector(
        average_window_duration_ms=300,
        detection_threshold=190,
        suppression_ms=1100,
        minimum_count=3,
        volume_gain=1,
        latency_ms=100,
    ),
    augmentation=Augmentation(
        shift_ms=200,
        unknown_shift_ms=200,
        synthetic_voices=24,
        synthetic_copies=24,
        synthetic_unknown_copies=3,
    ),
    schedule=Schedule(epochs=34, batch_size=64, learning_rate=2e-3),
    input_scale=1 / 64,
)


def build_model(spec: Specification) -> keras.Model:
    """Conv ×3 (3×3, stride 2), max over time, dense softmax: the features stay apart by frequency."""
    import keras
    from keras import layers

    regularizer = keras.regularizers.L2(1e-5)
    inputs = keras.Input((*spec.feature_shape, 1))
    x = inputs
    for filters in (8, 16, 32):
        x = layers.Conv2D(
            filters, 3, strides=2, padding="same", activation="relu", kernel_regularizer=regularizer
        )(x)
    x = layers.MaxPooling2D((7, 1))(x)
    x = layers.Flatten()(x)
    x = layers.Dropout(0.1)(x)
    outputs = layers.Dense(len(spec.classes), activation="softmax", kernel_regularizer=regularizer)(x)
    return keras.Model(inputs, outputs, name=spec.name.replace("-", "_"))


if __name__ == "__main__":
    import sys

    from host.cli import run
    from host.train import main

    sys.exit(run(main, [__file__, *sys.argv[1:]]))
