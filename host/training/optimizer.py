"""What moves the weights: Adam, or Muon for the convolutions and Adam for all else.

Muon is after Jordan et al., Muon: An optimizer for hidden layers in neural networks (2024): the step of a
matrix is its momentum made orthogonal, so that all directions of it learn as fast as the few that
dominate the gradient. Keras has a Muon, which leaves everything but matrices to Adam; a convolution's
kernel is one here, of one dimension or two, [taps × channels, filters].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from host.specification import Schedule

if TYPE_CHECKING:
    import keras

_MOMENTUM = 0.95
_ITERATIONS = 5
_QUINTIC = (3.4445, -4.7750, 2.0315)  # of the Newton-Schulz iteration, from the same source


def optimizer_of(schedule: Schedule, model: keras.Model) -> keras.optimizers.Optimizer:
    """The optimizer of a schedule, built for the model's weights; its learning rate is that of Adam."""
    import keras

    if schedule.muon:
        optimizer = _muon(schedule.learning_rate, schedule.muon, _matrices(model))
    else:
        optimizer = keras.optimizers.Adam(schedule.learning_rate)
    optimizer.build(model.trainable_variables)
    return optimizer


def _matrices(model: keras.Model) -> set[int]:
    """The places, among the trainable weights, of the convolutions' kernels whose filters sum over all
    channels. A depthwise one is no matrix, however many filters it has for a channel: those of two channels
    have no input in common, and so no directions to share."""
    apart = {id(_depthwise(layer)) for layer in model._flatten_layers()}
    return {
        i
        for i, variable in enumerate(model.trainable_variables)
        if len(variable.shape) in (3, 4) and variable.shape[-1] > 1 and id(variable) not in apart
    }


def _depthwise(layer: keras.Layer) -> keras.Variable | None:
    """The kernel of a layer that takes more than one channel and mixes none."""
    from keras import layers

    if isinstance(layer, layers.DepthwiseConv1D | layers.DepthwiseConv2D):
        kernel = layer.kernel
    elif isinstance(layer, layers.SeparableConv1D | layers.SeparableConv2D):
        kernel = layer.depthwise_kernel
    else:
        return None
    return kernel if kernel.shape[-2] > 1 else None


def orthogonal(matrix: Any) -> Any:
    """About the nearest matrix with orthogonal rows or columns: float32[m, n] of any scale to the same
    shape, with singular values between 0.6 and 1.3."""
    import tensorflow as tf

    a, b, c = _QUINTIC
    wide = matrix.shape[0] <= matrix.shape[1]
    x = matrix if wide else tf.transpose(matrix)
    x = x / (tf.norm(x) + 1e-7)
    for _ in range(_ITERATIONS):
        square = x @ tf.transpose(x)
        x = a * x + (b * square + c * square @ square) @ x
    return x if wide else tf.transpose(x)


def _muon(learning_rate: float, scale: float, kernels: set[int]) -> keras.optimizers.Optimizer:
    import keras
    import tensorflow as tf

    class Muon(keras.optimizers.Adam):
        """Adam, but for kernels, whose first moment serves as Muon's momentum."""

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            place = self._get_variable_index(variable)
            if place not in kernels:
                super().update_step(gradient, variable, learning_rate)
                return
            momentum = self._momentums[place]
            self.assign(momentum, _MOMENTUM * momentum + gradient)
            ahead = gradient + _MOMENTUM * momentum
            filters = variable.shape[-1]
            step = orthogonal(tf.reshape(ahead, (-1, filters)))
            # As long for a kernel with more filters than inputs, by the same source.
            longer = max(1.0, float(filters) / step.shape[0]) ** 0.5
            self.assign_sub(variable, learning_rate * (scale * longer) * tf.reshape(step, variable.shape))

    return Muon(learning_rate)
