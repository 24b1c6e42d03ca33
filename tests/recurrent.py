"""LSTMs as the converter makes them of Keras', with random weights. Not a test itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.tflite_builder import NetworkBuilder

GATES = 4
TANH = 4  # of ActivationFunctionType


def lstm(
    n: NetworkBuilder,
    rng: np.random.Generator,
    x: int,
    y: int,
    *,
    weight_scale: float = 0.01,
    bias: int = 20000,
    hidden: Mapping[str, Any] | None = None,
    cell_exponent: int = -12,
    cell_clip: float = 10.0,
    time_major: bool = False,
    fill: int | None = None,
    inputs: Mapping[int, int] = {},
    **options: Any,
) -> list[int]:
    """Adds one from tensor ``x`` to ``y``; its 24 inputs, of which ``inputs`` replaces some.

    ``weight_scale`` is about that of the weights, ``bias`` bounds the biases, ``fill`` gives all weights one
    value; ``hidden`` is the scale and zero point of the hidden state, else those of the output."""
    taps, units = n.tensors[x].shape[-1], n.tensors[y].shape[-1]
    q = n.tensors[y].quantization
    hidden = hidden or {"scale": float(q.scale[0]), "zero_point": int(q.zeroPoint[0])}

    def weights(columns: int) -> int:
        values = rng.integers(-127, 128, (units, columns))
        values = values if fill is None else np.full_like(values, fill)
        return n.tensor(values.shape, scale=weight_scale * 2.0 ** rng.uniform(-1, 1), data=values)

    places = [x, *(weights(taps) for _ in range(GATES)), *(weights(units) for _ in range(GATES)), -1, -1, -1]
    biases = (rng.integers(-bias, bias + 1, units) for _ in range(GATES))
    places += [n.tensor((units,), "int32", scale=0.001, data=values) for values in biases]
    places += [-1, -1, n.tensor((1, units), variable=True, **hidden)]
    places += [n.tensor((1, units), "int16", scale=2.0**cell_exponent, variable=True), -1, -1, -1, -1]
    for k, tensor in inputs.items():
        places[k] = tensor
    options = {"fusedActivationFunction": TANH, "cellClip": cell_clip, "timeMajor": time_major, **options}
    n.operator("UNIDIRECTIONAL_SEQUENCE_LSTM", places, [y], "UnidirectionalSequenceLSTMOptions", **options)
    return places


def backwards() -> bytes:
    """A small network of an LSTM that goes backwards."""
    n, rng = NetworkBuilder(), np.random.default_rng(0)
    x, turned, states, y = (n.tensor((1, 3, size), scale=0.01) for size in (4, 4, 6, 6))
    n.operator("REVERSE_V2", [x, n.tensor((1,), "int32", data=np.array([1]))], [turned])
    lstm(n, rng, turned, states, weight_scale=0.1, bias=100)
    n.operator("RELU", [states], [y])
    return n.build([x], [y])
