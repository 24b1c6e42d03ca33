"""Model images: a compiled model without firmware, for the flash behind a firmware that takes models
(`host.build --swappable`). `host.flash --model-only` puts them there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codegen.application import frontend_parameters
from codegen.frontend import FrontendSettings
from host import board as boards
from host import generation, image, model_files, model_layout, toolchain
from host.errors import TokayError
from host.memory_map import SLOTS


@dataclass(frozen=True)
class Linked:
    """A model's constants for one address, the first bytes left for the header."""

    address: int
    data: bytes
    model: int  # address of its model_t


@dataclass(frozen=True)
class ModelImage:
    """A model for each of the slots, and what it wants of a firmware."""

    name: str
    sha256: str
    linked: dict[int, Linked]
    kernels: tuple[str, ...]
    memory_bytes: int
    summary: dict[str, Any]  # of host.image.described

    def sealed(self, slot: int, sequence: int) -> bytes:
        """What is to be in flash at `slot`."""
        linked = self.linked[slot]
        return model_layout.seal(linked.data, slot, linked.model, sequence)


def build(
    model: str,
    board: boards.Board,
    output: Path | None = None,
    *,
    accelerator: str = "none",
    mvp_weights: str = "ram",
    verbose: bool = False,
) -> ModelImage:
    """Compiles `model` and links it for every slot, in `output`."""
    board.require(accelerator)
    toolchain.require_compiler()
    name = model_files.read(model).name
    folder = image.build_folder(output, board, f"{image.variant(name, accelerator, mvp_weights)}-model")
    generated, misfit = image.generate(model, accelerator, mvp_weights, listens=True)
    settings = FrontendSettings.from_parameters(frontend_parameters(generated.parameters, name))
    with image.alone_in(folder):
        linked = _link(generated, board, folder, accelerator, verbose)
    return ModelImage(
        name=name,
        sha256=generated.plan.sha256,
        linked=linked,
        kernels=generated.plan.kernels,
        memory_bytes=_round_up(generated.plan.memory.arena_bytes) + _loop_bytes(settings),
        summary=image.described(generated, misfit, board),
    )


def _link(
    generated: generation.Generated, board: boards.Board, folder: Path, accelerator: str, verbose: bool
) -> dict[int, Linked]:
    """The model for each slot, compiled where it changed and linked in any case."""
    generation.write(generated.files, folder / "model")
    paths = {slot: folder / f"model_0x{slot:08x}.elf" for slot in SLOTS}
    try:
        for path in paths.values():
            path.unlink(missing_ok=True)  # Ninja would keep one that was damaged since
    except OSError as error:
        raise TokayError(f"cannot build in {folder}: {error.strerror}") from error
    addresses = ";".join(f"0x{slot:08x}" for slot in paths)
    image.cmake(
        folder, board, folder / "model", accelerator, verbose, [f"-DTOKAY_MODEL_SLOTS={addresses}"]
    )
    return {slot: _linked(path, slot) for slot, path in paths.items()}


def _round_up(size: int) -> int:
    return (size + 7) & ~7


def _loop_bytes(settings: FrontendSettings) -> int:
    """AUDIO_LOOP_BYTES of audio_loop.h."""
    wide = 2 if settings.dynamic_range else 1
    return _round_up(settings.state_bytes) + _round_up(settings.frames * settings.channels * wide)


def _linked(path: Path, slot: int) -> Linked:
    from elftools.elf.elffile import ELFFile

    with path.open("rb") as stream:
        elf = ELFFile(stream)
        section = elf.get_section_by_name(".model")
        data = section.data()
        symbols = elf.get_section_by_name(".symtab").get_symbol_by_name("generated_model")
    if len(data) > SLOTS[slot]:
        raise TokayError(
            f"the model takes {len(data)} bytes of flash, a slot has {SLOTS[slot]}",
            hint="build it into the firmware: host.flash MODEL without --model-only",
        )
    return Linked(slot, data, symbols[0]["st_value"])
