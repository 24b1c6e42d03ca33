"""Board images: from a compiled model and a board to .elf, .bin and .hex, with their sizes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from host import board as boards
from host import model_files, model_layout, stack, toolchain
from host.errors import TokayError
from host.files import write_atomic, write_changed
from host.lock import locked
from host.memory_map import FIRMWARE_BYTES, RAM_BASE, RAM_BYTES
from host.places import PACKAGES, SOURCES, builds, package_version

_ALLOCATED = 2  # SHF_ALLOC
_RECORD = "image.json"
# CMake, Ninja or the linker take it for more than a name; the last are bytes that are no text.
_NOT_IN_PATHS = re.compile(r'[;,%|"\[\]\\\n\udc80-\udcff]')
# What images are made of and by, as files.
_INPUTS = (
    (SOURCES, "CMakeLists.txt"), (SOURCES, "firmware/**/*"), (PACKAGES, "codegen/**/*"),
    (PACKAGES, "host/compiled.py"), (PACKAGES, "host/generation.py"), (PACKAGES, "host/image.py"),
    (PACKAGES, "host/board.py"), (PACKAGES, "host/memory_map.py"), (PACKAGES, "host/model_layout.py"),
    (PACKAGES, "host/stack.py"), (PACKAGES, "host/summary.py"), (PACKAGES, "host/toolchain.py"),
    (PACKAGES, "host/simulator/mvp/__init__.py"), (PACKAGES, "host/simulator/mvp/timing.*"),
)  # fmt: skip
# The large variables, by what they are for.
_PARTS = {
    "arena": "s_arena",
    "features": "s_loop_memory",
    "application": "s_app",
    "microphone": "s_ring",
    "descriptors": "s_left",
    "uart out": "s_tx",
    "uart in": "s_rx",
}


@dataclass(frozen=True)
class Image:
    """What a build made. Sizes are in bytes."""

    elf: Path
    board: str
    model: str | None
    accelerator: str
    flash_bytes: int
    ram_bytes: int
    ram_parts: dict[str, int]
    stack_reserved: int
    stack: stack.StackBound
    summary: dict[str, Any] | None = None  # of host.summary, of the model

    def as_json(self) -> dict[str, Any]:
        """The result as `--json` gives it."""
        values = asdict(self)
        values["elf"] = str(self.elf)
        return values


def build(
    model: str | None,
    board: boards.Board,
    output: Path | None = None,
    *,
    accelerator: str = "none",
    mvp_weights: str = "ram",
    listens: bool = True,
    swappable: bool = False,
    verbose: bool = False,
) -> Image:
    """Builds the image of `model` (None: the bring-up image) for `board` in `output`.

    Nothing is done where the folder holds an image made of these very inputs. With `listens` a network
    that no front end feeds is refused; without, its image says so at start and can still be profiled. The
    image's summary is that of host.summary and four more: `listens`, `unused_frontend` (why a front end
    that the model describes does not feed it), `unused_microphone` (why the board's cannot feed that) and
    `unlike_scores` (what the network's outputs are that the detector takes for scores from 0 to 1).
    With `swappable` the image has all kernels and takes models from the flash behind it.
    """
    board.require(accelerator)
    name = "bringup" if model is None else model_files.read(model).name
    kind = variant(name, accelerator, mvp_weights) + ("-swappable" if swappable else "")
    folder = build_folder(output, board, kind)
    inputs = _inputs(model, repr((name, board, accelerator, mvp_weights, swappable, package_version())))
    with alone_in(folder):
        record = _record(folder)
        known = _known_image(folder, record, inputs)
        if known is not None and (not listens or known.summary is None or known.summary["listens"]):
            return known
        toolchain.require_compiler()
        _forget(folder, damaged=record is None)
        described = None
        if model is not None:
            described = _write_model(folder, model, board, accelerator, mvp_weights, listens)
        write_changed({folder / "board" / "board_config.h": boards.header(board)})
        more = [f"-DTOKAY_SWAPPABLE={int(swappable)}", f"-DTOKAY_VERSION={package_version()}"]
        more.append("-DTOKAY_MODEL_SLOTS=")  # CMake keeps that of a model image, whose folder this may be
        cmake(folder, board, None if model is None else folder / "model", accelerator, verbose, more)
        made = _measure(folder, board, None if model is None else name, accelerator, described)
        record = {"inputs": inputs, "files": _digests(made.elf), "image": made.as_json()}
        write_atomic(folder / _RECORD, json.dumps(record))
        return made


def variant(name: str, accelerator: str, mvp_weights: str) -> str:
    """What tells images of one model apart in their folders' names."""
    where = "-flash" if accelerator == "mvp" and mvp_weights == "flash" else ""
    return name if accelerator == "none" else f"{name}-{accelerator}{where}"


def build_folder(output: Path | None, board: boards.Board, kind: str) -> Path:
    """Where to build: ``output``, or a folder of that kind under ``places.builds()``."""
    names = (_NOT_IN_PATHS.sub("_", name) for name in (board.key, kind))
    folder = (output or builds().joinpath(*names)).resolve()
    found = _NOT_IN_PATHS.search(f"{SOURCES}{folder}")
    if found is not None:
        raise TokayError(f"cannot build in {folder} from {SOURCES}: {found[0]!r} in a path", hint="rename it")
    return folder


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keeps two commands from building in one folder at a time: the second waits.

    The lock lies elsewhere, since a refused build leaves no folder behind; it is removed at the end.
    """
    name = f"tokay-{os.getuid()}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}.lock"
    path = Path(tempfile.gettempdir()) / name
    while True:
        try:
            lock = locked(path)
        except OSError as error:
            hint = "TMPDIR names another place"
            raise TokayError(f"cannot lock {path}: {error.strerror}", hint=hint) from error
        with lock:
            if not os.fstat(lock.fileno()).st_nlink:
                continue  # removed by the command before: the next one would lock another file
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _inputs(model: str | None, options: str) -> str:
    """A hash of everything that an image is made of, but for the compiler, which may be gone since."""
    digest = hashlib.sha256(options.encode())
    digest.update(b"" if model is None else model_files.read(model).tflite)
    for folder, pattern in _INPUTS:
        for path in sorted(folder.glob(pattern)):
            if path.is_file() and path.suffix != ".pyc":
                digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()


def _digests(elf: Path) -> dict[str, str]:
    """A hash of each file that an image consists of."""
    files = (elf.with_suffix(suffix) for suffix in (".elf", ".bin", ".hex"))
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _record(folder: Path) -> dict[str, Any] | None:
    """What is known of the image that the folder holds, if its files are as they were made."""
    try:
        record = json.loads((folder / _RECORD).read_text())
        elf = Path(record["image"]["elf"])
        return record if elf.parent == folder and record["files"] == _digests(elf) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _known_image(folder: Path, record: dict[str, Any] | None, inputs: str) -> Image | None:
    """The image that is recorded, if these inputs and this compiler (or, where there is none now, any) made
    it."""
    try:
        if record is None or record["inputs"] != inputs:
            return None
        if not toolchain.made(folder):
            return None
        values = record["image"]
        bound = {k: tuple(v) if isinstance(v, list) else v for k, v in values["stack"].items()}
        return Image(**{**values, "elf": Path(values["elf"]), "stack": stack.StackBound(**bound)})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _forget(folder: Path, *, damaged: bool) -> None:
    """Removes what would pass for the image that is about to be made."""
    try:
        if damaged:
            (folder / "tokay.elf").unlink(missing_ok=True)  # Ninja would keep one that was damaged since
        (folder / _RECORD).unlink(missing_ok=True)
    except OSError as error:
        raise TokayError(f"cannot build in {folder}: {error.strerror}") from error


def _write_model(
    folder: Path, model: str, board: boards.Board, accelerator: str, mvp_weights: str, listens: bool
) -> dict[str, Any]:
    """Writes the C made from a model into the build folder; the model's summary."""
    from host import generation  # here: an image that is known needs none of it

    generated, misfit = generate(model, accelerator, mvp_weights, listens)
    generation.write(generated.files, folder / "model")
    return described(generated, misfit, board)


def generate(
    model: str, accelerator: str, mvp_weights: str, listens: bool
) -> tuple[Any, TokayError | None]:
    """The C made from a model, and why the keyword spotter cannot feed it, if so. That is an error, or, if it
    need not listen, it gets a front end that does not fit: the firmware then leaves the audio loop out."""
    from codegen import application
    from host import generation

    generated = generation.network(model, accelerator, mvp_weights)
    name = generated.plan.name
    try:
        application.frontend_parameters(generated.parameters, name)
        application.check_types(generated.plan.graph, name)
        return generation.with_application(generated), None
    except TokayError as error:
        if listens:
            raise
        return generation.with_stand_in(generated), error


def described(generated: Any, misfit: TokayError | None, board: boards.Board) -> dict[str, Any]:
    """The summary of a model in an image: what it is, whether it listens there, and what it leaves unused.
    ``misfit`` is what `generate` gave beside it."""
    from codegen import application
    from codegen.frontend import FrontendSettings, has_frontend
    from host.summary import summary

    microphone = None
    if misfit is None:
        rate = FrontendSettings.from_parameters(generated.parameters).sample_rate_hz
        microphone = board.microphone_misfit(rate)
    unused = misfit is not None and has_frontend(generated.parameters)
    return {
        **summary(generated.plan, generated.parameters, generated.model_bytes),
        "listens": misfit is None,
        "unused_frontend": str(misfit) if unused else None,
        "unused_microphone": microphone,
        "unlike_scores": None if misfit else application.scores_misfit(generated.plan.graph),
    }


def cmake(
    folder: Path,
    board: boards.Board,
    model_dir: Path | None,
    accelerator: str,
    verbose: bool,
    more: Sequence[str] = (),
) -> None:
    """Builds in `folder` what firmware/image.cmake describes, with `more` definitions."""
    definitions = [
        f"-DTOKAY_BOARD_DIR={folder / 'board'}",
        f"-DTOKAY_CHIP={board.chip}",
        f"-DTOKAY_STACK_BYTES={board.stack_bytes}",
        f"-DTOKAY_MODEL_DIR={model_dir or ''}",
        f"-DTOKAY_ACCELERATOR={accelerator}",
        f"-DTOKAY_MODEL_LAYOUT={model_layout.layout()}",
    ]
    toolchain.build(folder, board.chip, [*definitions, *more], verbose)


def _measure(
    folder: Path, board: boards.Board, model: str | None, accelerator: str, described: dict[str, Any] | None
) -> Image:
    from elftools.elf.elffile import ELFFile

    elf_path = folder / "tokay.elf"
    with elf_path.open("rb") as stream:
        sections = [s for s in ELFFile(stream).iter_sections() if s["sh_flags"] & _ALLOCATED]
        symbols = _ram_symbols(ELFFile(stream))
    flash = sum(s["sh_size"] for s in sections if s["sh_type"] != "SHT_NOBITS")
    ram = sum(s["sh_size"] for s in sections if s["sh_addr"] >= RAM_BASE)
    parts = {name: symbols[symbol] for name, symbol in _PARTS.items() if symbol in symbols}
    parts["stack"] = board.stack_bytes
    parts["other"] = ram - sum(parts.values())
    bound = stack.bound(elf_path, folder)
    if bound.total > board.stack_bytes:
        raise TokayError(
            f"the stack can grow to {bound.total} bytes, {board.name} reserves {board.stack_bytes}",
            hint="raise stack_bytes in its board.toml",
        )
    return Image(
        elf_path, board.key, model, accelerator, flash, ram, parts, board.stack_bytes, bound, described
    )


def _ram_symbols(elf: Any) -> dict[str, int]:
    """Sizes of the variables in RAM."""
    symbols = elf.get_section_by_name(".symtab").iter_symbols()
    return {s.name: s["st_size"] for s in symbols if s["st_value"] >= RAM_BASE and s["st_size"]}


def warn(summary: dict[str, Any] | None) -> None:
    """Says on stderr what an image with the model of this summary (that of `described`; None: without one)
    will not do, or not as one may think."""
    known = summary or {}
    if reason := known.get("unused_microphone"):
        print(f"warning: {reason}; it hears only audio that comes over the link", file=sys.stderr)
    if reason := known.get("unlike_scores"):
        print(f"warning: {reason}; thresholds count its steps from -128", file=sys.stderr)


def describe(image: Image) -> str:
    """The lines that end a build."""
    parts = ", ".join(f"{name} {size}" for name, size in image.ram_parts.items())
    bound = image.stack
    path = " > ".join(bound.thread_path[1:])
    return (
        f"{image.elf}\n"
        f"flash {image.flash_bytes:7d} bytes of {FIRMWARE_BYTES}\n"
        f"RAM   {image.ram_bytes:7d} bytes of {RAM_BYTES} ({parts})\n"
        f"stack {bound.total:7d} bytes at worst of {image.stack_reserved}: {bound.thread} in {path}, "
        f"{bound.interrupt} in {' > '.join(bound.interrupt_path)}"
    )
