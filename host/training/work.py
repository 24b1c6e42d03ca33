"""The state of a training on disk: what a killed one goes on from.

Each stage has a file that is replaced whole after every epoch. The folder's name is a hash of all that
the result depends on, so that a state is never used for another training.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from codegen.parameters import ARCHIVE_DAMAGE
from host import native, specification
from host.dataset import synthetic
from host.errors import TokayError
from host.files import write_atomic
from host.lock import locked
from host.places import cache_folder
from host.specification import LoadedModel
from host.training import examples, network

_DAMAGE = (*ARCHIVE_DAMAGE, KeyError)  # what reading a damaged state raises


@dataclass
class State:
    """Arrays by group, in order, and what else there is to know, as JSON."""

    arrays: dict[str, list[np.ndarray]] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        flat = {f"{group}/{i}": a for group, arrays in self.arrays.items() for i, a in enumerate(arrays)}
        text = json.dumps({"info": self.info, "groups": {k: len(v) for k, v in self.arrays.items()}})
        stream = io.BytesIO()
        np.savez(stream, state=np.frombuffer(text.encode(), np.uint8), **flat)  # type: ignore[arg-type]
        return stream.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> State:
        """One of ``_DAMAGE`` where the bytes are not what ``to_bytes`` gave."""
        with np.load(io.BytesIO(data)) as stored:
            read = json.loads(stored["state"].tobytes())
            arrays = {k: [stored[f"{k}/{i}"] for i in range(n)] for k, n in read["groups"].items()}
        return cls(arrays, read["info"])


class Work:
    """A training's folder; one process at a time. It holds a lock alone before the first ``save``."""

    def __init__(self, folder: Path, fresh: bool = False) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = locked(folder / "lock", wait=False)  # until the training ends
        except BlockingIOError as error:
            raise TokayError(f"{folder}: this model is being trained already") from error
        except OSError as error:
            raise TokayError(
                f"cannot write the work folder {folder}: {error.strerror}", hint="--work names another place"
            ) from error
        if fresh:  # only now that the state is no other training's
            self._clear()

    def __enter__(self) -> Work:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.close()

    def load(self, stage: str) -> State | None:
        """A stage's state; None where it has none yet."""
        path = self._path(stage)
        if not path.is_file():
            return None
        try:
            return State.from_bytes(path.read_bytes())
        except _DAMAGE as error:
            raise TokayError(
                f"the state of a training, {path}, is damaged: {str(error) or 'cut off'}",
                hint="--fresh starts the training anew",
            ) from error

    def save(self, stage: str, state: State) -> None:
        """Replaces a stage's state."""
        write_atomic(self._path(stage), state.to_bytes())

    def write(self, name: str, text: str) -> None:
        """A file for people to read."""
        write_atomic(self.folder / name, text)

    def finish(self, keep_history: bool) -> None:
        """The training came to its end: removes the state, and what was written for people unless kept."""
        self._lock.close()
        if not keep_history:
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        for path in (*self.folder.glob("*.state"), self.folder / "lock"):
            path.unlink(missing_ok=True)

    def _clear(self) -> None:
        try:
            for path in self.folder.iterdir():
                if path.name != "lock":
                    path.unlink()
        except OSError as error:
            self._lock.close()
            raise TokayError(f"cannot empty the work folder {self.folder}: {error.strerror}") from error

    def _path(self, stage: str) -> Path:
        return self.folder / f"{stage}.state"


def folder_of(loaded: LoadedModel, contents: str, seed: int, given: str | None) -> Path:
    """The work folder of a training: in the cache folder or below ``given``."""
    base = Path(given) if given else cache_folder() / "training"
    return base / f"{loaded.spec.name}-{key(loaded, contents, seed)}"


def key(loaded: LoadedModel, contents: str, seed: int) -> str:
    """A hash of all that a trained model depends on: specification, data, seed, and what computes it.

    The networks are hashed as they are built, since their code may be in files that the specification's
    imports, and the voices as they are here, since a synthesizer may be installed meanwhile. TokayError
    where TensorFlow is missing or a network cannot be built. The cores count, as TensorFlow splits its sums
    among those that this process may use.
    """
    digest = hashlib.blake2b(digest_size=8)
    rooms = Path(__file__).parent, Path(specification.__file__).parent
    own = [path for room in rooms for path in sorted(room.glob("*.py"))]
    versions = [_version(name) for name in ("numpy", "keras", "tensorflow", "tensorflow-cpu")]
    made_of = [*network.described(loaded), *synthetic.described(examples.voices_of(loaded.spec))]
    for part in (repr(loaded.spec), contents, str(seed), *versions, str(native.cores()), *made_of):
        digest.update(part.encode() + b"\0")
    for path in (loaded.path, native.library_path(), *own):
        digest.update(hashlib.blake2b(path.read_bytes()).digest())
    return digest.hexdigest()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
