"""The networks of the shipped models, as functions that a specification's ``build_model`` calls.

Both take int8 features as [frames, channels, 1] and end in a softmax over the classes. Batch
normalization is folded into the convolutions when a model is converted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

    from host.specification import Specification

_MOMENTUM = 0.98


def strided(spec: Specification, filters: Sequence[int] = (8, 16, 32), dropout: float = 0.1) -> keras.Model:
    """Convolutions 3×3 with stride 2, the maximum over time, dense: the vendor's network for this task.

    The features stay apart by frequency to the end. 278k multiply-accumulates with the default filters.
    """
    import keras
    from keras import layers

    inputs = keras.Input((*spec.feature_shape, 1))
    x = inputs
    for count in filters:
        x = _convolution(x, count, (3, 3), (2, 2))
    x = layers.MaxPooling2D((x.shape[1], 1))(x)
    return _classifier(spec, inputs, x, dropout)


def temporal(
    spec: Specification, stages: Sequence[tuple[int, int, int]], dropout: float = 0.1
) -> keras.Model:
    """Convolutions over time with the bands as channels, the mean over time, dense.

    ``stages`` are (taps, filters, stride). After Choi et al., Temporal Convolution for Real-Time Keyword
    Spotting on Mobile Devices (Interspeech 2019), without its residual connections: the first layer
    already sees all bands, so few layers suffice, and all of them have even channel counts, which suits
    the accelerator.
    """
    import keras
    from keras import layers

    frames, channels = spec.feature_shape
    inputs = keras.Input((frames, channels, 1))
    x = layers.Reshape((frames, 1, channels))(inputs)
    for taps, count, stride in stages:
        x = _convolution(x, count, (taps, 1), (stride, 1))
    x = layers.AveragePooling2D((x.shape[1], 1))(x)
    return _classifier(spec, inputs, x, dropout)


def _convolution(x: Any, filters: int, taps: tuple[int, int], strides: tuple[int, int]) -> Any:
    import keras
    from keras import layers

    x = layers.Conv2D(
        filters, taps, strides=strides, padding="same", use_bias=False,
        kernel_regularizer=keras.regularizers.L2(1e-5),
    )(x)  # fmt: skip
    return layers.ReLU()(layers.BatchNormalization(momentum=_MOMENTUM)(x))


def _classifier(spec: Specification, inputs: Any, x: Any, dropout: float) -> keras.Model:
    import keras
    from keras import layers

    x = layers.Dropout(dropout)(layers.Flatten()(x))
    regularizer = keras.regularizers.L2(1e-5)
    outputs = layers.Dense(len(spec.classes), activation="softmax", kernel_regularizer=regularizer)(x)
    return keras.Model(inputs, outputs, name=spec.name.replace("-", "_"))
