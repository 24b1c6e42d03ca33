"""A trained network as a .keras file: the same bytes for the same network, and read back with a check that
it is the specification's."""

from __future__ import annotations

import io
import json
import re
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from host.errors import TokayError
from host.specification import Specification
from host.training.backend import import_keras, unwritable

_ADDRESS = re.compile(r'(?<="shared_object_id": )\d+')  # of an object in this process's memory


def keras_bytes(model: Any) -> bytes:
    """The Keras model as a .keras file, the same bytes for the same model."""
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / "model.keras"
        try:
            model.save(temporary, include_optimizer=False)
            return _without_circumstances(temporary)
        except OSError as error:
            raise unwritable(folder, error) from error


def _without_circumstances(keras_file: Path) -> bytes:
    """A .keras file without the time of saving, and with the objects that layers share numbered in order
    instead of named by their addresses."""
    stream = io.BytesIO()
    with zipfile.ZipFile(keras_file) as saved, zipfile.ZipFile(stream, "w") as made:
        for member in saved.infolist():
            data = saved.read(member)
            if member.filename == "metadata.json":
                data = json.dumps(json.loads(data) | {"date_saved": ""}).encode()
            elif member.filename == "config.json":
                data = with_numbered_objects(data.decode()).encode()
            made.writestr(zipfile.ZipInfo(member.filename), data)  # of 1980
    return stream.getvalue()


def with_numbered_objects(config: str) -> str:
    """A network as Keras writes it in JSON, the objects that layers share numbered as they come instead of
    named by their addresses, which are others in each process."""
    numbers: dict[str, int] = {}
    return _ADDRESS.sub(lambda found: str(numbers.setdefault(found[0], len(numbers) + 1)), config)


def load_trained(path: Path, spec: Specification, seed: int = 0) -> Any:
    """A trained Keras model, which has to be one of the specification's shapes."""
    keras = import_keras(seed)
    try:
        model = keras.models.load_model(path)
    except (ValueError, TypeError, OSError) as error:
        if isinstance(error, TypeError) or "`Lambda`" in str(error):  # a class that Keras does not know
            raise TokayError(
                f"{path}: Keras cannot make its layers again: one is a Lambda, or of a class of your own",
                hint="use keras.ops or layers of Keras and train again; the .tflite is not affected",
            ) from error
        raise TokayError(f"{path}: not a Keras model: {error}") from error
    if not all(np.isfinite(values).all() for values in model.get_weights()):
        raise TokayError(f"{path}: some of its weights are not numbers", hint="its training failed")
    check_fit(model, spec, path)
    return model


def check_fit(model: Any, spec: Specification, path: Path) -> None:
    """Raises TokayError unless a Keras model takes the specification's features to a score for each class."""
    found = [[tuple(tensor.shape[1:]) for tensor in tensors] for tensors in (model.inputs, model.outputs)]
    classes = len(spec.classes)
    features = [_without_ones(shape) for shape in found[0]]
    if features == [_without_ones(spec.feature_shape)] and found[1] == [(classes,)]:
        return
    inputs, outputs = (", ".join("x".join(map(str, shape)) for shape in shapes) for shapes in found)
    frames, channels = spec.feature_shape
    raise TokayError(
        f"{path} takes {inputs} and gives {outputs}, {spec.name} has {frames}x{channels} features and "
        f"{classes} classes",
        hint="it was trained by another specification",
    )


def _without_ones(shape: Sequence[int | None]) -> tuple[int | None, ...]:
    return tuple(size for size in shape if size != 1)
