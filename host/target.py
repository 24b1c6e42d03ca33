"""Where an image runs: opens the simulator or a board as a :class:`host.device.device.Device`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from host import board as boards
from host import image as images
from host.device.device import Device
from host.device.serial_port import BAUD_RATE, SerialTransport, choose_port
from host.device.simulator import SimulatorTransport
from host.errors import TokayError
from host.simulator.machine import Machine


@dataclass(frozen=True)
class Target:
    """A connected device. ``machine`` is the simulated chip behind it, None for a real one."""

    kind: str  # "simulator" or "device"
    device: Device
    machine: Machine | None = None

    def close(self) -> None:
        self.device.close()
        if self.machine is not None:
            self.machine.close()

    def __enter__(self) -> Target:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def add_options(p: argparse.ArgumentParser) -> None:
    """``--accelerator``, ``--board``, and which target (none given: None in ``args.target``)."""
    p.add_argument(
        "-a", "--accelerator", choices=["none", "mvp"], default="none", help="what runs the layers"
    )
    p.add_argument("--board", default="brd2601b", help=f"one of: {', '.join(boards.names())}")
    which = p.add_mutually_exclusive_group()
    which.add_argument(
        "--simulate", dest="target", action="store_const", const="simulator", help="the chip in software"
    )
    which.add_argument(
        "--device", dest="target", action="store_const", const="device", help="a board on a serial port"
    )
    p.add_argument("--port", help="with --device: serial port or probe serial number (default: the only one)")
    p.add_argument("--baud", type=int, default=BAUD_RATE, help="with --device: bits a second")


def build_image(model: str, board: str, accelerator: str, *, verbose: bool = False) -> Path:
    """Path of the image's ELF, built (again where something has changed) under build/."""
    return images.build(model, boards.load(board), accelerator=accelerator, verbose=verbose).elf


def simulate(elf: Path, board: str, audio: np.ndarray | None = None) -> Target:
    """Boots an image in the simulator; ``audio`` int16[n] at the model's rate is what the microphone
    hears from the first sample on that the firmware listens to.

    The firmware throws away what the microphone gives while it wakes up, so that much silence is put
    in front: sample 0 of ``audio`` is sample 0 of the audio loop, as on the PC.
    """
    description = boards.load(board)
    machine = Machine(elf, board=board)
    if audio is not None:
        if not description.has_microphone:
            raise TokayError(f"{description.name} has no microphone", hint="choose another --board")
        wake_up = int(description.sections["microphone"]["wake_up_frames"])
        machine.set_audio(np.concatenate([np.zeros(wake_up, np.int16), audio.astype(np.int16)]))
    device = Device(SimulatorTransport(machine), session_id=1)
    try:
        device.connect()
    except BaseException:
        machine.close()
        raise
    return Target("simulator", device, machine)


def attach(port: str | None, baud: int, model_sha256: str) -> Target:
    """Connects to a board that runs this very model; refuses another one."""
    device = Device(SerialTransport(choose_port(port), baud))
    hello = device.connect()
    if not model_sha256.startswith(hello.model_hash.hex()):
        device.close()
        raise TokayError(
            f"the board runs {hello.model!r} (model {hello.model_hash.hex()[:12]}), not this model "
            f"({model_sha256[:12]})",
            hint="flash the image that host.build makes of it",
        )
    return Target("device", device)
