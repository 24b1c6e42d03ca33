"""A model's generated C: the files of an image that depend on the model, made together and written
whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from codegen import application, emit_c, frontend
from codegen.application import ApplicationSettings
from codegen.errors import TokayError
from codegen.frontend import FrontendSettings, has_frontend
from codegen.parameters import Parameters, read_parameters
from codegen.plan import Plan
from host.compiled import compiled
from host.files import write_changed

FILES = (
    "model_plan.h", "model_plan.c", "frontend_settings.h", "frontend_settings.c",
    "model_parameters.h", "model_parameters.c",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Generated:
    """A compiled model and its files by name."""

    plan: Plan
    parameters: Parameters
    model_bytes: int
    files: dict[str, str]


def generate(model: str, accelerator: str = "none", mvp_weights: str = "ram") -> Generated:
    """Compiles MODEL (a name, a .tflite or an archive).

    The network is always generated; the front end's settings and the detector's where the model carries
    ``fe.*`` parameters.
    """
    generated = network(model, accelerator, mvp_weights)
    return with_application(generated) if has_frontend(generated.parameters) else generated


def network(model: str, accelerator: str = "none", mvp_weights: str = "ram") -> Generated:
    """Compiles the network of MODEL alone."""
    file, plan = compiled(model, accelerator, mvp_weights)
    return Generated(plan, read_parameters(file.tflite), len(file.tflite), emit_c.emit_c(plan))


def with_application(generated: Generated) -> Generated:
    """With the settings of the front end and of the detector; TokayError where they do not fit."""
    plan, parameters = generated.plan, generated.parameters
    settings, detector = application.settings_of(plan.graph, parameters)
    name = str(parameters.get("name") or plan.name)
    return _with(generated, settings, detector, name)


def with_stand_in(generated: Generated) -> Generated:
    """With settings for a network that no front end feeds: two features, which fit no network of speech."""
    nobody = FrontendSettings(sample_length_ms=25, filterbank_n_channels=2)
    return _with(generated, nobody, ApplicationSettings(("none",), (255,)), generated.plan.name)


def _with(
    generated: Generated, settings: FrontendSettings, detector: ApplicationSettings, name: str
) -> Generated:
    files = frontend.emit_c(settings) | application.emit_c(detector, name)
    return replace(generated, files=generated.files | files)


def write(files: dict[str, str], directory: Path | str) -> None:
    """Writes the files to ``directory``: all of them, or none. Generated files of an earlier model that this
    one does not have are removed."""
    directory = Path(directory)
    write_changed({directory / name: text for name, text in files.items()})
    try:
        for name in set(FILES) - set(files):
            (directory / name).unlink(missing_ok=True)
    except OSError as error:
        raise TokayError(f"cannot write {directory}: {error.strerror}") from error
