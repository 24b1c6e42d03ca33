"""What MODEL means to a command: a name in host/models, a ``.tflite``, or an archive that holds one."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

from codegen.parameters import ARCHIVE_DAMAGE
from host.errors import TokayError
from host.places import MODELS

_LARGEST = 64 << 20  # of a model inside an archive, so that a small archive cannot fill the memory


@dataclass(frozen=True)
class ModelFile:
    """A .tflite as bytes, with the file it came from (the archive, where it was in one)."""

    name: str
    path: Path
    tflite: bytes


def resolve(model: str) -> Path:
    """The file MODEL names; TokayError if there is none."""
    if "/" not in model and "\\" not in model and "." not in model:
        path = MODELS / f"{model}.tflite"
        if path.is_file():
            return path
        known = ", ".join(sorted(p.stem for p in MODELS.glob("*.tflite"))) or "none"
        if (MODELS / f"{model.removesuffix('-test')}.py").is_file():
            raise TokayError(f"{model} has not been trained", hint=f"run: python -m host.train {model}")
        raise TokayError(f"no model named {model!r}", hint=f"known: {known}; or the path of a .tflite")
    if model.removesuffix("-test").endswith(".py"):
        return _trained(model)
    path = Path(model)
    if not path.is_file():
        name = model.partition(".")[0]
        shipped = "/" not in name and (MODELS / f"{name}.tflite").is_file()
        hint = f"the model in host/models is called {name}" if shipped else ""
        raise TokayError(f"{path}: no such model file", hint=hint)
    return path


def _trained(specification: str) -> Path:
    """What training made of a specification, or of its dry run."""
    from host.specification import load

    path = load(specification).made(".tflite")
    if not path.is_file():
        raise TokayError(f"{path}: no such model file", hint=f"run: python -m host.train {specification}")
    return path


def require_output(path: Path) -> None:
    """Refuses a name for a new model under which no command would read it again."""
    if path.suffix != ".tflite":
        raise TokayError(f"{path}: the output is a .tflite", hint="-o NAME.tflite")


def read(model: str) -> ModelFile:
    """Reads MODEL; from an archive, the one quantized .tflite in it."""
    path = resolve(model)
    if path.suffix == ".zip":
        name, tflite = _from_archive(path)
    else:
        name = path.stem
        try:
            tflite = path.read_bytes()
        except OSError as error:
            raise TokayError(f"cannot read {path}: {error.strerror}") from error
    if tflite[4:8] != b"TFL3":
        raise TokayError(f"{path}: not a .tflite model", hint="the file is of another kind, or damaged")
    return ModelFile(name, path, tflite)


def _is_model(member: str) -> bool:
    """Whether a file of an archive is its model. The vendor's tool puts the unquantized model beside it, as
    NAME.float32.tflite; macOS a description of every file, as ._FILE."""
    name = member.rpartition("/")[2]
    return name.endswith(".tflite") and not name.startswith("._") and ".float32." not in name


def _from_archive(path: Path) -> tuple[str, bytes]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if _is_model(m.filename)]
            if len(members) != 1:
                raise TokayError(f"{path}: {len(members)} quantized .tflite files inside, one is needed")
            if members[0].file_size > _LARGEST:
                raise TokayError(f"{path}: the model inside is larger than {_LARGEST >> 20} MiB")
            if members[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise NotImplementedError("the model is compressed in a way that is not known here")
            return Path(members[0].filename).stem, archive.read(members[0])
    except ARCHIVE_DAMAGE as error:
        raise TokayError(f"{path}: not a readable archive: {str(error) or 'cut off'}") from error
