"""Loads a model specification from the file of a user.

The file is plain Python with two names: ``SPECIFICATION`` (a ``Specification``) and ``build_model(spec)``,
which returns the Keras model and is the only place that imports Keras.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from host.errors import TokayError
from host.places import MODELS
from host.specification.fields import Specification

_EXAMPLE = "host/models/keyword_spotting_on_off.py"


@dataclass(frozen=True)
class LoadedModel:
    """A specification with the function that builds its network, and the file both came from."""

    spec: Specification
    build: Callable[[Specification], Any]
    path: Path
    build_teacher: Callable[[Specification], Any] | None = None  # where the specification asks for teachers

    def trained(self, suffix: str) -> Path:
        """What training writes unless told otherwise: beside the file, by the model's name."""
        return self.path.parent / f"{self.spec.name}{suffix}"

    def made(self, suffix: str) -> Path:
        """What training made, to be read: named like the file, as with ``-o``, or else as it is by itself."""
        own = self.path.with_suffix(suffix)
        return own if own.is_file() and not self.spec.test_run else self.trained(suffix)


def load(model: str) -> LoadedModel:
    """Loads ``model``: a name in host/models, that name with ``-test``, or the path of a file."""
    name, test_run = (model[:-5], True) if model.endswith("-test") else (model, False)
    path = _find(name, model)
    module = _import(path)
    spec, build = getattr(module, "SPECIFICATION", None), getattr(module, "build_model", None)
    if not isinstance(spec, Specification):
        raise TokayError(f"{path} has no SPECIFICATION", hint=f"see {_EXAMPLE}")
    if not callable(build):
        raise TokayError(f"{path} has no build_model(spec)", hint=f"see {_EXAMPLE}")
    teacher = getattr(module, spec.distillation.build, None)
    if spec.distillation.teachers and not callable(teacher):
        raise TokayError(
            f"{path} has no {spec.distillation.build}(spec), which its distillation names",
            hint="distillation.build is the function that builds a teacher",
        )
    return LoadedModel(dry_run(spec) if test_run else spec, build, path, teacher)


def dry_run(spec: Specification) -> Specification:
    """The specification made small: every stage runs, nothing is learnt."""
    small = dataclasses.replace(
        spec.augmentation, keyword_copies=1, unknown_copies=1, silence_copies=1, background_crops=8,
        synthetic_voices=0,
    )  # fmt: skip
    changes = {
        "schedule": dataclasses.replace(spec.schedule, epochs=1, warmup_epochs=0.0),
        "distillation": dataclasses.replace(
            spec.distillation, teachers=min(spec.distillation.teachers, 1), epochs=1
        ),
        "transfer": dataclasses.replace(spec.transfer, epochs=min(spec.transfer.epochs, 1)),
        "quantization_aware": dataclasses.replace(
            spec.quantization_aware, epochs=min(spec.quantization_aware.epochs, 1)
        ),
    }
    return dataclasses.replace(spec, name=f"{spec.name}-test", augmentation=small, test_run=True, **changes)


def _find(name: str, given: str) -> Path:
    if name.endswith((".tflite", ".keras", ".h5", ".zip")):
        raise TokayError(f"{name} is not a model specification", hint="a name in host/models, or a .py file")
    if name.endswith(".py") or "/" in name:
        path = Path(name if name.endswith(".py") else f"{name}.py")
        if not path.is_file():
            raise TokayError(f"{path}: no such model specification")
        return path.resolve()
    path = MODELS / f"{name}.py"
    if not re.fullmatch(r"[A-Za-z0-9_]+", name) or not path.is_file():
        known = ", ".join(sorted(p.stem for p in MODELS.glob("[a-z]*.py"))) or "none"
        raise TokayError(f"no model specification named {given!r}", hint=f"known: {known}, or a path")
    return path


def _import(path: Path) -> ModuleType:
    loader = importlib.util.spec_from_file_location(f"tokay_model_{path.stem}", path)
    assert loader is not None and loader.loader is not None
    module = importlib.util.module_from_spec(loader)
    sys.modules[loader.name] = module  # dataclasses look their module up
    try:
        loader.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever the user's file does wrong is the user's to know
        line = error.lineno if isinstance(error, SyntaxError) else line_in(path, error)
        where = f"{path}:{line}" if line else str(path)
        if isinstance(error, TokayError):
            raise TokayError(f"{where}: {error.message}", hint=error.hint) from error
        if isinstance(error, ModuleNotFoundError) and str(error.name).partition(".")[0] == "mltk":
            raise TokayError(
                f"{where}: a specification of the vendor's toolkit, which is not what is read here",
                hint=f"move its settings and its network into a copy of {_EXAMPLE}",
            ) from error
        raise TokayError(f"{where}: {type(error).__name__}: {error}") from error
    return module


def line_in(path: Path, error: BaseException) -> int | None:
    """The line of ``path`` that was under way when ``error`` was raised; None where it was not on the way."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
