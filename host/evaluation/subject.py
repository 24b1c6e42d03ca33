"""A model to be judged: its classes, front end and detector, and what runs its network.

The network runs as the Keras model in floats, as the int8 model on the firmware's kernels, or as these
with the accelerator's programs; host.metrics.simulated runs it in the shipped image.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from codegen.application import ApplicationSettings, settings_of
from codegen.frontend import FrontendSettings, has_frontend
from codegen.network import read_network
from codegen.parameters import read_parameters
from host import model_files, specification
from host.errors import TokayError
from host.metrics.scoring import Network, int8_network, keras_network
from host.runtime import Model
from host.specification import Specification
from host.training.keras_file import load_trained

CLIP_MS = 1000


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
    def clips(self) -> Specification:
        """What to load clips by, which are as long as what the network classifies. One that keeps state hears
        more than its input holds, and does not say how much: a second, as Speech Commands has, or as much as
        its input where that is more."""
        if not self.network.keeps_state:
            return self.spec
        length_ms = max(CLIP_MS, self.spec.frontend.sample_length_ms)
        heard = dataclasses.replace(self.spec.frontend, sample_length_ms=length_ms)
        return dataclasses.replace(self.spec, frontend=heard)

    @property
    def accelerator(self) -> str:
        return "mvp" if self.arithmetic == "mvp" else "none"


def specification_of(tflite: bytes, name: str) -> Specification:
    """What a model's own parameters say of its front end and classes."""
    params = read_parameters(tflite)
    classes = params.get("classes")
    if not isinstance(classes, list) or not has_frontend(params):
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
    network = int8_network(file.tflite, accelerator)
    _, settings = settings_of(read_network(file.tflite), read_parameters(file.tflite))
    arithmetic = "mvp" if accelerator == "mvp" else "int8"
    return Subject(file.name, file.path, spec, settings, arithmetic, network, file.tflite)


def arithmetics(subject: Subject) -> list[tuple[str, Network]]:
    """A quantized model in all its arithmetics: float, where the Keras model is beside it and keeps no state,
    int8, MVP."""
    assert subject.tflite is not None
    found = []
    path = subject.path.with_suffix(".keras")
    if path.is_file() and not subject.network.keeps_state:
        model = load_trained(path, subject.spec)
        found.append(("float", keras_network(model, Model(subject.tflite).input.scale)))
    found.append(("int8", int8_network(subject.tflite)))
    found.append(("mvp", int8_network(subject.tflite, "mvp")))
    return found


def in_float(model: str) -> Subject:
    """The Keras model that MODEL names: a .keras file, the one beside a .tflite, or a specification's.

    A specification beside the file says what it hears and how; where there is none, the .tflite does.
    """
    path = Path(model)
    if path.suffix == ".tflite" or (path.suffix == ".keras" and not path.with_suffix(".py").is_file()):
        return _beside_tflite(path)
    source = str(path.with_suffix(".py")) if path.suffix == ".keras" else model
    loaded = specification.load(source)
    spec = loaded.spec
    if path.suffix != ".keras":
        path = loaded.made(".keras")
    if not path.is_file():
        raise TokayError(f"{path}: no such Keras model", hint=f"run: python -m host.train {source}")
    network = load_trained(path, spec)
    scores = keras_network(network, spec.input_scale)
    return Subject(spec.name, path, spec, spec.application, "float", scores)


def _beside_tflite(given: Path) -> Subject:
    tflite, path = given.with_suffix(".tflite"), given.with_suffix(".keras")
    if given == path and not tflite.is_file():
        raise TokayError(f"{path}: neither a specification nor a .tflite beside it says what it hears")
    int8 = quantized(str(tflite))
    if not path.is_file():
        raise TokayError(f"{path}: no such Keras model")
    if int8.network.keeps_state:
        hint = f"give {tflite}, without --float"
        raise TokayError(f"{path}: a network that keeps state cannot be judged in floats", hint=hint)
    assert int8.tflite is not None
    network = keras_network(load_trained(path, int8.spec), Model(int8.tflite).input.scale)
    return dataclasses.replace(int8, path=path, arithmetic="float", network=network, tflite=None)
