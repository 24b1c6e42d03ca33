"""A Keras model to a full int8 ``.tflite`` with its parameters inside.

The batch is fixed to 1 on export; otherwise the graph gains operators that compute its own shape.
The input is calibrated to the whole int8 range, so its zero point is 0 and the front end's int8
features go in as they are.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from codegen import schema
from codegen.flatbuffer import Table
from codegen.parameters import Parameters, Value, write_parameters
from host.errors import TokayError
from host.metrics.scoring import keras_input
from host.specification import Specification
from host.training import recurrent
from host.training.backend import silenced, unwritable
from host.training.examples import Examples

_REPRESENTATIVE = 1000
# Groups of front-end settings that are left out where they are off: each byte is in every image.
_OPTIONAL = ("activity_detection", "dc_notch_filter", "quantize_dynamic_scale")
# The type the vendor's tool stores a setting with, where the smallest that fits would be another.
_TYPES = {"samplewise_norm.rescale": "f64"}


def to_int8(model: Any, spec: Specification, features: np.ndarray, labels: np.ndarray) -> bytes:
    """The quantized flatbuffer, calibrated on up to 1,000 of the given int8 features, classes alike; an LSTM
    in it has one scale for its states and its output.

    ``require_no_loops`` comes first, once for a network whatever its weights: calibrating a loop ends the
    process in TensorFlow."""
    import tensorflow as tf

    batch = calibration(spec, features, labels)

    def representative() -> Iterator[list[np.ndarray]]:
        for index in range(len(batch)):
            yield [batch[index : index + 1]]

    with _converter(model) as converter:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        try:
            return recurrent.with_scales_of_outputs(converter.convert())
        except Exception as error:  # the converter names the operator it has no int8 form of
            raise TokayError(f"{spec.name} cannot be quantized: {error}") from error


def require_no_loops(model: Any, spec: Specification) -> None:
    """Raises TokayError for a network with loops, as GRU and other recurrent layers are, or that cannot be
    converted at all. Each loop is a subgraph of its own, also of the model in floats, whose conversion
    calibrates nothing."""
    with _converter(model) as converter:
        try:
            tflite = converter.convert()
        except Exception as error:  # the converter names the operator it has no form of
            raise TokayError(f"{spec.name} cannot be converted: {error}") from error
    if Table.root(tflite).count(schema.MODEL["subgraphs"]) != 1:
        hint = "LSTM with default activations, no return_state, not stateful; other layers with unroll=True"
        raise TokayError(f"{spec.name} has loops, which the device cannot run", hint=hint)


@contextlib.contextmanager
def _converter(model: Any) -> Iterator[Any]:
    """TensorFlow's converter of a Keras model with a batch of 1; what it prints is hidden."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder, silenced():
        import keras

        signature = [keras.InputSpec(shape=(1, *model.input_shape[1:]), dtype="float32", name="input")]
        try:
            with recurrent.exportable(model):
                model.export(folder, format="tf_saved_model", verbose=False, input_signature=signature)
        except (OSError, tf.errors.OpError) as error:
            raise unwritable(folder, error) from error
        yield tf.lite.TFLiteConverter.from_saved_model(folder)


def calibration(spec: Specification, features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """What ranges are taken from: float32[n, frames, channels, 1], the network's own inputs."""
    batch = features[balanced_choice(labels, _REPRESENTATIVE)]
    span = np.full((1, *spec.feature_shape), -128, np.int8)
    span[0, 0] = 127  # one example that spans the range, so that no operator sees one of nothing else
    return keras_input(np.concatenate((span, batch)), spec.input_scale)


def unlabelled(spec: Specification) -> Examples:
    """Random features, where a model is converted for its size alone."""
    shape = (64, *spec.feature_shape)
    return Examples(np.random.default_rng(0).integers(-128, 128, shape, np.int8), np.zeros(64, np.int64))


def balanced_choice(labels: np.ndarray, most: int) -> np.ndarray:
    """Indices of at most ``most`` examples, as many of each class as there are, in a fixed order."""
    classes = np.unique(labels)
    each = max(most // max(len(classes), 1), 1)
    rng = np.random.default_rng(7)
    return np.concatenate([rng.permutation(np.flatnonzero(labels == k))[:each] for k in classes])


def with_parameters(tflite: bytes, spec: Specification) -> bytes:
    """The model with the parameters that its specification says, and a hash of its network."""
    return write_parameters(tflite, parameters(tflite, spec), description=spec.description)


def parameters(tflite: bytes, spec: Specification) -> Parameters:
    """What a .tflite carries, in the vendor's keys and order."""
    detector = spec.detector
    values: dict[str, Value] = {
        "name": spec.name,
        "version": spec.version,
        "classes": list(spec.classes),
        "hash": hashlib.md5(tflite).hexdigest(),
        "average_window_duration_ms": detector.average_window_duration_ms,
        "detection_threshold": detector.detection_threshold,
        "suppression_ms": detector.suppression_ms,
        "minimum_count": detector.minimum_count,
        "volume_gain": detector.volume_gain,
        "latency_ms": detector.latency_ms,
        "verbose_model_output_logs": detector.verbose_model_output_logs,
        "samplewise_norm.rescale": 0.0,
        "samplewise_norm.mean_and_std": False,
    }
    if detector.detection_threshold_list:
        values["detection_threshold_list"] = list(detector.detection_threshold_list)
    frontend = spec.frontend.to_parameters()
    off = tuple(f"fe.{group}_" for group in _OPTIONAL if not frontend[f"fe.{group}_enable"])
    values.update({key: value for key, value in frontend.items() if not key.startswith(off)})
    return Parameters(values, _TYPES)
