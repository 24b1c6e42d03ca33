"""``host.flash MODEL --model-only``: the model alone, into the flash behind a firmware that takes models."""

from __future__ import annotations

import dataclasses
import functools
from argparse import Namespace
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

from host import board as boards
from host import cli, image, model_image, model_layout
from host.errors import TokayError
from host.flashing import connection, images, programmer, slots
from host.flashing.simulated_probe import SimulatedProbe
from host.progress import progress

_FIRMWARE_MODEL = "keyword_spotting_on_off"  # in the simulated chip's firmware, unless another is named
_PROOF_S = 15.0  # of virtual time: a slow model's inferences, and room


def run(args: Namespace, board: boards.Board) -> int:
    """The command, its arguments parsed by host.flash."""
    model = model_image.build(
        args.image, board, accelerator=args.accelerator, mvp_weights=args.mvp_weights, verbose=args.verbose
    )
    image.warn(model.summary)
    part = args.part or board.part
    connect = functools.partial(connection.connect, part=part, pack=args.pack, frequency=args.frequency)
    if args.simulate:
        firmware = images.read(args.firmware or _firmware(board, args.verbose))
        result = _simulated(model, firmware, args.board, connect)
    else:
        probe = connection.choose_probe(args.probe)
        placed = _place(connect(probe), model)
        result = {"target": "device", "probe": probe.unique_id, **_as_json(placed)}
    result = {"model": model.name, "model_sha256": model.sha256, "board": board.key, "part": part, **result}
    if args.json != "-":
        print(_describe(result))
    cli.emit_json(args.json, result)
    return 0


def _place(opened: AbstractContextManager[Any], model: model_image.ModelImage) -> slots.Placed:
    with opened as chip, progress("flash") as report:
        return slots.place(chip, model, report)


def _as_json(placed: slots.Placed) -> dict[str, Any]:
    outcome = dataclasses.asdict(placed.outcome)
    return {"slot": placed.name, "address": placed.slot, "sequence": placed.sequence, **outcome}


def _simulated(
    model: model_image.ModelImage, firmware: images.FlashImage, board: str,
    connect: Callable[[Any], AbstractContextManager[Any]],
) -> dict[str, Any]:  # fmt: skip
    """Flashes firmware that takes models onto a simulated chip, then the model; sees it prove itself."""
    from host.device.device import Device
    from host.device.simulator import SimulatorTransport
    from host.simulator.machine import Machine

    with closing(Machine(board=board)) as machine:
        probe = SimulatedProbe(machine)
        with connect(probe) as chip:
            programmer.program(chip, images.firmware_image(firmware), lambda done, steps: None)
        placed = _place(connect(probe), model)
        with Device(SimulatorTransport(machine), session_id=1) as device:
            hello = device.connect()
        proven = _prove(machine, placed.slot)
    if not model.sha256.startswith(hello.model_hash.hex()):
        raise TokayError(f"{model.name} is in slot {placed.name}, and the chip runs {hello.model}")
    return {"target": "simulator", "runs": hello.model, "proven": proven, **_as_json(placed)}


def _firmware(board: boards.Board, verbose: bool) -> Path:
    """The image of firmware that takes models, which is built."""
    accelerator = "mvp" if board.accelerator == "mvp" else "none"
    built = image.build(_FIRMWARE_MODEL, board, accelerator=accelerator, swappable=True, verbose=verbose)
    return built.elf


def _prove(machine: Any, slot: int) -> bool:
    """Lets the chip run until the model in a slot is proven."""
    end = machine.time_s + _PROOF_S
    while machine.time_s < end:
        header = model_layout.read_header(machine.read(slot, 64))
        if header is not None and header.is_proven:
            return True
        machine.run(0.1)
    return False


def _describe(result: dict[str, Any]) -> str:
    lines = [
        f"{result['model']}: {result['bytes']:,} bytes in slot {result['slot']} (0x{result['address']:08x}), "
        f"number {result['sequence']}, verified",
        f"unchanged: {', '.join(result['guards'])}",
    ]
    inferences = model_layout.PROOF_INFERENCES
    if result["target"] == "device":
        lines.append(
            f"{result['seconds']:.1f} s through probe {result['probe']}; the model is on trial: after "
            f"{inferences} inferences it is proven, if it stops before, the one before it runs again"
        )
    elif result["proven"]:
        lines.append(f"the chip runs {result['runs']}, and has proven it with {inferences} inferences")
    else:
        lines.append(f"the chip runs {result['runs']}, which is on trial still")
    return "\n".join(lines)
