"""Where an image runs: opens the simulator, a board or a recorded conversation with one of them as a
:class:`host.device.device.Device`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from host import board as boards
from host import cli
from host import image as images
from host.device.codec import value_name
from host.device.device import Device
from host.device.recording import Recorder, Replay
from host.device.serial_port import SerialTransport, baud_rate, choose_port
from host.device.simulator import SimulatorTransport
from host.device.transport import Transport, TransportClosed
from host.errors import TokayError
from host.renode import Renode
from host.simulator.machine import Machine

_RENODE_START_S = 20.0  # of real time, in which the image boots


@dataclass(frozen=True)
class Target:
    """A connected device. ``machine`` is the simulated chip behind it, ``renode`` that in Renode; None
    for a real one."""

    kind: str  # "simulator", "renode" or "device", also of a recorded conversation
    device: Device
    machine: Machine | None = None
    renode: Renode | None = None

    def close(self) -> None:
        self.device.close()
        if self.machine is not None:
            self.machine.close()
        if self.renode is not None:
            self.renode.close()

    def __enter__(self) -> Target:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True)
class Options:
    """Which target, as the options of :func:`add_options` say it."""

    kind: str | None = None  # "simulator", "renode" or "device"; None where none was named
    accelerator: str = "none"
    board: str = boards.DEFAULT
    replay: str | None = None
    record: str | None = None
    port: str | None = None
    baud: int | None = None

    @property
    def named(self) -> bool:
        """Whether a target was asked for, also a recorded one."""
        return self.kind is not None or self.replay is not None

    @property
    def boots(self) -> bool:
        """Whether the target runs an image that it is given: Renode, the simulator, and that if none is
        named."""
        return self.kind != "device" and self.replay is None

    @property
    def line_rate(self) -> int:
        """Bits a second on the serial port of the board."""
        return self.baud or boards.load(self.board).baud


def add_options(p: argparse.ArgumentParser) -> None:
    """``--accelerator``, ``--board`` and which target, for :func:`options`."""
    cli.add_accelerator(p)
    boards.add_option(p)
    which = p.add_mutually_exclusive_group()
    which.add_argument(
        "--simulate", dest="target", action="store_const", const="simulator", help="the chip in software"
    )
    which.add_argument(
        "-d", "--device", dest="target", action="store_const", const="device",
        help="a board on a serial port",
    )  # fmt: skip
    which.add_argument(
        "--renode", dest="target", action="store_const", const="renode", help="the chip in Renode"
    )
    which.add_argument("--replay", metavar="FILE", help="a conversation that was recorded with --record")
    p.add_argument("--record", metavar="FILE", help="write the conversation with the target to FILE")
    p.add_argument("--port", help="with --device: serial port or probe serial number (default: the only one)")
    p.add_argument("--baud", type=baud_rate, help="with --device: bits a second (default: the board's)")


def options(p: argparse.ArgumentParser, args: argparse.Namespace) -> Options:
    """What the options of :func:`add_options` say; refuses those that the target would not heed."""
    if args.record and args.replay:
        p.error("--record is for a conversation with a target, --replay has it already")
    for name in ("port", "baud"):
        if args.target != "device" and getattr(args, name) is not None:
            p.error(f"--{name} is for --device")
    return Options(
        args.target, args.accelerator, args.board, args.replay, args.record, args.port, args.baud
    )


def build_image(
    model: str, board: str, accelerator: str, *, mvp_weights: str = "ram", listens: bool = True,
    verbose: bool = False,
) -> Path:  # fmt: skip
    """Path of the image's ELF, built (again where something has changed) under build/."""
    built = images.build(
        model, boards.load(board), accelerator=accelerator, mvp_weights=mvp_weights, listens=listens,
        verbose=verbose,
    )  # fmt: skip
    return built.elf


def connect(chosen: Options, model_sha256: str, elf: Path | None, timing: str = "ports") -> Target:
    """The target that was chosen, the simulator if none was named. Refuses one that runs another model, or on
    another board.

    ``elf`` is the image that the simulator or Renode runs, None where the target has one (see
    ``Options.boots``); ``timing`` is their rule for the accelerator's cycles."""
    board = boards.load(chosen.board).key
    if chosen.replay is not None:
        return replay(chosen.replay, model_sha256, board)
    if chosen.kind == "device":
        return attach(chosen.port, chosen.line_rate, model_sha256, board, chosen.record)
    assert elf is not None
    boot = in_renode if chosen.kind == "renode" else simulate
    where = boot(elf, chosen.board, chosen.record, timing)
    try:
        require_model(where, model_sha256, board)
    except BaseException:
        where.close()
        raise
    return where


def simulate(elf: Path, board: str, record: str | None = None, timing: str = "ports") -> Target:
    """Boots an image in the simulator; ``timing`` is the rule for the accelerator's cycles."""
    machine = Machine(elf, board=board, mvp_timing=timing)
    device = Device(_recorded(SimulatorTransport(machine), record), session_id=1)
    try:
        device.connect()
    except BaseException:
        device.close()
        machine.close()
        raise
    return Target("simulator", device, machine)


def in_renode(elf: Path, board: str, record: str | None = None, timing: str = "ports") -> Target:
    """Boots an image in Renode."""
    renode = Renode(elf, board, timing=timing)
    try:
        device = Device(_recorded(renode.transport, record))
        try:
            device.connect(_RENODE_START_S)
        except TransportClosed:
            raise
        except TokayError as error:
            raise renode.failure(f"runs, but {error}") from error
    except BaseException:
        renode.close()
        raise
    return Target("renode", device, renode=renode)


def player(where: Target, board: str, audio: np.ndarray) -> Callable[[], None]:
    """What lets a simulated microphone hear int16[n] at the model's rate from its next start on, to be
    called while it is off; nothing where there is no simulator behind. The board has a microphone.

    The firmware throws away what the microphone gives while it wakes up, so that much silence is put
    in front: sample 0 of ``audio`` is sample 0 of the audio loop, as on the PC.
    """
    machine, description = where.machine or where.renode, boards.load(board)
    if machine is None:
        return lambda: None
    wake_up = int(description.sections["microphone"]["wake_up_frames"])
    heard = np.concatenate([np.zeros(wake_up, np.int16), audio.astype(np.int16)])
    return lambda: machine.set_audio(heard)


def attach(port: str | None, baud: int, model_sha256: str, board: str, record: str | None = None) -> Target:
    """Connects to a board, by its key, that runs this very model; refuses another one."""
    device = Device(_recorded(SerialTransport(choose_port(port), baud), record))
    return _of_model(device, "device", model_sha256, board)


def replay(path: str, model_sha256: str, board: str) -> Target:
    """Plays back what a target said in a recorded conversation about this very model on this board."""
    recording = Replay(path)
    kind = recording.recorded if recording.recorded in ("simulator", "renode") else "device"
    return _of_model(Device(recording), kind, model_sha256, board)


def _recorded(transport: Transport, path: str | None) -> Transport:
    return transport if path is None else Recorder(transport, path)


def _of_model(device: Device, kind: str, model_sha256: str, board: str) -> Target:
    where = Target(kind, device)
    try:
        device.connect()
        require_model(where, model_sha256, board)
    except BaseException:
        where.close()
        raise
    return where


def accelerator(device: Device) -> str:
    """What runs a connected device's layers: "none" or "mvp"."""
    assert device.hello is not None
    return value_name(device.hello.accelerator)


def require_accelerator(device: Device, wanted: str) -> None:
    """Refuses a device whose layers run elsewhere than wanted."""
    name = accelerator(device)
    if name == wanted:
        return
    raise TokayError(
        f"{device.transport.name} runs the layers on accelerator {name}, not {wanted}",
        hint=f"--accelerator {name}, or flash the image that host.build --accelerator {wanted} makes",
    )


def require_model(where: Target, model_sha256: str, board: str) -> None:
    """Refuses a target whose firmware is for another board, by its key, or runs another model."""
    hello, name = where.device.hello, where.device.transport.name
    assert hello is not None
    if hello.board != board:
        raise TokayError(
            f"{name} runs firmware for board {hello.board!r}, not for {board!r}",
            hint=f"--board {hello.board}, or flash the image that host.build --board {board} makes",
        )
    if not model_sha256.startswith(hello.model_hash.hex()):
        raise TokayError(
            f"{name} runs {hello.model!r} (model {hello.model_hash.hex()[:12]}), not this model "
            f"({model_sha256[:12]})",
            hint=_how_to_run_it(where),
        )


def _how_to_run_it(where: Target) -> str:
    """What to do about a target that runs another model than wanted."""
    if isinstance(where.device.transport, Replay):
        return "give the model that was recorded"
    if where.kind == "device":
        return "flash the image that host.build makes of it"
    return "build its image again: one of another model of this name may have taken its place"
