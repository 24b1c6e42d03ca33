"""Flashes an image onto a board through its debug probe, verifies it and lets it run.

``python -m host.flash IMAGE|MODEL [--board NAME] [--probe SERIAL] [--simulate | --commander] [--json FILE]``
``python -m host.flash MODEL --model-only [...]``

IMAGE is an .elf, .hex or .bin file; of a MODEL the image is built first. Only the sectors of the image are
erased; the ones beside it, the chip's last sector and its user data page are compared before and after.
If power or cable fail on the way, the chip does not start a half-written image; flash again.

With ``--model-only`` the model alone goes into the flash behind a firmware that takes models (built or
flashed with ``--swappable``). The model that ran before stays until the new one has proven itself.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from host import board as boards
from host import cli
from host import image as builder
from host.errors import TokayError
from host.flashing import images
from host.memory_map import FLASH_BASE
from host.progress import progress

Connect = Callable[[Any], contextlib.AbstractContextManager[Any]]
"""Opens a debug probe's target, as `host.flashing.connection.connect` with the command's options."""
_START_S = 0.05  # of virtual time: past clocks and initialisation
_SUFFIXES = (".elf", ".hex", ".bin", ".axf", ".out")
_NOT_READ = (".s19", ".s28", ".s37", ".srec", ".mot", ".ihex", ".gbl", ".uf2")  # and no models either


def main(argv: Sequence[str]) -> int:
    """The command."""
    args = _arguments(argv)
    if args.verbose:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
    if not args.commander:
        _require_pyocd()
    board = boards.load(args.board)
    if args.model_only:
        from host import flash_model

        return flash_model.run(args, board)
    path = _image_path(args)
    image = images.firmware_image(images.read(path, FLASH_BASE if args.base is None else args.base))
    _check_board(path, image, board)
    part = args.part or board.part
    if args.commander:
        from host.flashing import commander

        result = commander.flash(
            image, part, serial=args.probe, frequency=args.frequency, unlocking=args.unlock
        )
    else:
        from host.flashing import connection

        connect = functools.partial(
            connection.connect, part=part, pack=args.pack, frequency=args.frequency, unlocking=args.unlock
        )
        if args.simulate:
            result = _simulated(image, args.board, connect)
        else:
            result = _flash(connection.choose_probe(args.probe), image, connect)
    result = {"image": str(path), "board": board.key, "part": part, **result}
    if args.json != "-":
        print(_describe(result))
    cli.emit_json(args.json, result)
    return 0


def _arguments(argv: Sequence[str]) -> Any:
    p = cli.parser("flash", __doc__.splitlines()[0])
    p.add_argument("image", metavar="IMAGE|MODEL", help=".elf, .hex or .bin file, or a model to build")
    boards.add_option(p)
    p.add_argument("--part", help="the chip's part number, where it differs from the board's")
    cli.add_accelerator(p, "of a MODEL's image")
    cli.add_mvp_weights(p)
    p.add_argument("--swappable", action="store_true", help="MODEL's image takes other models later")
    p.add_argument("--model-only", action="store_true", help="MODEL without firmware, for one that takes it")
    p.add_argument("--firmware", metavar="IMAGE", help="with --model-only --simulate: what is on the chip")
    p.add_argument("--base", type=_address, help=f"address of a .bin (0x{FLASH_BASE:08x})")
    which = p.add_mutually_exclusive_group()
    which.add_argument("--probe", metavar="SERIAL", help="the debug probe's serial number, or its beginning")
    which.add_argument("--simulate", action="store_true", help="flash a simulated chip, and see it start")
    p.add_argument("--unlock", action="store_true", help="if the part is locked: have it erase ALL its flash")
    p.add_argument("--pack", metavar="FILE", type=Path, help="the vendor's CMSIS pack instead of our target")
    p.add_argument("--commander", action="store_true", help="by Simplicity Commander instead of pyOCD")
    p.add_argument("--frequency", type=int, help="SWD clock in Hz (pyOCD: 4000000)")
    args = p.parse_args(argv)
    if args.frequency is not None and args.frequency <= 0:
        p.error(f"--frequency {args.frequency}: not a clock")
    if args.firmware and not (args.model_only and args.simulate):
        p.error("--firmware goes with --model-only --simulate")
    if args.model_only and args.swappable:
        p.error("--swappable is for the firmware, --model-only leaves that alone")
    if args.model_only and args.unlock:
        p.error("--unlock erases the firmware too: flash that first, without --model-only")
    if args.base is not None and Path(args.image).suffix.lower() != ".bin":
        p.error(f"--base is for a .bin, {args.image} knows its addresses")
    if args.commander and (args.simulate or args.pack or args.model_only):
        p.error("--commander does not go with --simulate, --pack or --model-only: those need pyOCD")
    return args


def _address(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is not an address, such as 0x08000000") from error


def _require_pyocd() -> None:
    try:
        import pyocd.core.session  # noqa: F401
    except ImportError as error:
        hint = "pip install 'tokay[flash]', or: pip install pyocd"
        raise TokayError("flashing needs pyOCD", hint=hint) from error


def _image_path(args: Any) -> Path:
    path = Path(args.image)
    if path.suffix.lower() in _SUFFIXES:
        if args.accelerator != "none" or args.mvp_weights != "ram" or args.swappable:
            raise TokayError(
                f"{path} is built: --accelerator, --mvp-weights and --swappable come too late",
                hint="give them to host.build, or give a MODEL",
            )
        if not path.is_file():
            raise TokayError(f"{path}: no such image", hint="host.build makes one of a model")
        return path
    if path.suffix.lower() in _NOT_READ:
        raise TokayError(
            f"{path}: images of this kind are not read", hint="give the .elf, .hex or .bin of the same build"
        )
    board = boards.load(args.board)
    made = builder.build(
        args.image, board, accelerator=args.accelerator, mvp_weights=args.mvp_weights,
        swappable=args.swappable, verbose=args.verbose,
    )  # fmt: skip
    builder.warn(made.summary)
    return made.elf


def _check_board(path: Path, image: images.FlashImage, board: boards.Board) -> None:
    """Refuses firmware of ours for another of our boards, by what it would answer to who it is. A board of
    the user's own is asked first: its key may end in that of the board it was copied from."""
    data = b"".join(image.sectors.values())
    made_for = [
        known.key
        for known in (board, *map(boards.load, boards.names()))
        if all(f"{text}\0".encode() in data for text in (known.key, known.name, known.part))
    ]
    if made_for and board.key not in made_for:
        raise TokayError(
            f"{path} is firmware for board {made_for[0]}, not for {board.key}",
            hint=f"--board {made_for[0]} if that is the one that is connected",
        )


def _flash(probe: Any, image: images.FlashImage, connect: Connect) -> dict[str, Any]:
    from host.flashing import programmer

    with connect(probe) as chip, progress("flash") as report:
        outcome = programmer.program(chip, image, report)
    return {"target": "device", "probe": probe.unique_id, "verified": True, **dataclasses.asdict(outcome)}


def _simulated(image: images.FlashImage, board: str, connect: Connect) -> dict[str, Any]:
    """Flashes a blank simulated chip and lets it run a little."""
    from host.flashing.simulated_probe import SimulatedProbe
    from host.simulator.machine import Machine

    with contextlib.closing(Machine(board=board)) as machine:
        probe = SimulatedProbe(machine)
        result = _flash(probe, image, connect)
        total = probe.chip.busy_s + probe.wire_s
        estimate = {
            "flash_s": probe.chip.busy_s,
            "wire_s": probe.wire_s,
            "bytes_per_s": result["bytes_written"] / total,
        }
        starts = image.boots_from is not None
        if starts:
            _start(machine)
    return {**result, "target": "simulator", "estimate": estimate, "starts": starts}


def _start(machine: Any) -> None:
    from host.simulator.machine import SimulatorFault

    machine.reset()
    try:
        machine.run(_START_S)
    except SimulatorFault as error:
        raise TokayError(f"the image is in flash and does not start: {error}") from error


def _describe(result: dict[str, Any]) -> str:
    if "commander" in result:
        return (
            f"{result['image']}: {result['bytes']:,} bytes in {result['sectors']} sectors, verified by "
            f"{Path(result['commander']).name}, {result['seconds']:.1f} s; the image runs"
        )
    lines = [
        f"{result['image']}: {result['bytes']:,} bytes in {result['sectors']} sectors, verified "
        f"({result['sectors_written']} written, {result['sectors'] - result['sectors_written']} left alone)",
        f"unchanged: {', '.join(result['guards'])}",
    ]
    if "estimate" in result:
        e = result["estimate"]
        lines.append(
            f"on a chip about {e['flash_s'] + e['wire_s']:.2f} s: {e['flash_s']:.2f} s in flash, "
            f"{e['wire_s']:.2f} s on the wire, {e['bytes_per_s'] / 1000:.0f} kB/s "
            "(estimates: typical flash times, a wire that never waits)"
        )
        if result["starts"]:
            lines.append("the image starts")
    else:
        lines.append(f"{result['seconds']:.1f} s through probe {result['probe']}; the image runs")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(cli.run(main))
