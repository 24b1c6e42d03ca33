"""A model to be judged: its classes, front end and detector, and what runs its network.

The network runs as the Keras model in floats, as the int8 model on the firmware's kernels, or as these
with the accelerator's programs; host.metrics.simulated runs it in the shipped image.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codegen.application import ApplicationSettings
from codegen.frontend import FrontendSettings
from codegen.parameters import read_parameters
from host import model_files
from host.errors import TokayError
from host.metrics.scoring import Network, int8_network, keras_network
from host.training import specification
from host.training.specification import Specification


@dataclass(frozen=True)
class Subject:
    """What is judged. ``arithmetic`` is "float", "int8" or "mvp"."""

    name: str
    path: Path
    spec: Specification
    settings: ApplicationSettings
    arithmetic: str
    network: Network
    tflite: bytes | None = None

    @property
    def accelerator(self) -> str:
        return "mvp" if self.arithmetic == "mvp" else "none"


def specification_of(tflite: bytes, name: str) -> Specification:
    """What a model's own parameters say of its front end and classes."""
    params = read_parameters(tflite)
    classes = params.get("classes")
    if not isinstance(classes, list) or not any(key.startswith("fe.") for key in params):
        raise TokayError(
            f"{name} carries no classes or no front-end settings", hint="add them with host.update_params"
        )
    return Specification(
        name="model",
        description=str(params.get("name", name)),
        classes=tuple(str(label) for label in classes),
        frontend=FrontendSettings.from_parameters(params),
    )


def quantized(model: str, accelerator: str = "none") -> Subject:
    """The int8 model that MODEL names, by its own parameters."""
    file = model_files.read(model)
    spec = specification_of(file.tflite, str(file.path))
    settings = ApplicationSettings.from_parameters(read_parameters(file.tflite), len(spec.classes))
    arithmetic = "mvp" if accelerator == "mvp" else "int8"
    return Subject(
        file.name, file.path, spec, settings, arithmetic, int8_network(file.tflite, accelerator), file.tflite
    )


def in_float(model: str) -> Subject:
    """The Keras model beside a specification, with the detector that this asks for."""
    from host.training import fit

    keras = fit.import_keras(0)
    loaded = specification.load(model.removesuffix(".keras"))
    path = loaded.path.with_suffix(".keras")
    if not path.is_file():
        raise TokayError(f"{path}: no such Keras model", hint=f"run: python -m host.train {loaded.spec.name}")
    try:
        network: Any = keras.models.load_model(path)
    except (ValueError, OSError) as error:
        raise TokayError(f"{path}: not a Keras model: {error}") from error
    spec = loaded.spec
    parameters = {**dataclasses.asdict(spec.detector), "classes": list(spec.classes)}
    settings = ApplicationSettings.from_parameters(parameters, len(spec.classes))
    return Subject(spec.name, path, spec, settings, "float", keras_network(network, spec.input_scale))
