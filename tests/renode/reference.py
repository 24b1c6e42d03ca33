"""What the robot tests compare Renode with, and what they need made; printed as JSON.

``python -m tests.renode.reference image BOARD MODEL ACCELERATOR [KEY=VALUE...]``  builds, prints the ELF
``... swappable MODEL ACCELERATOR``           builds an image that takes models from flash, prints its path
``... slot SLOT FILE MODEL ACCELERATOR KEY=VALUE...``  makes what such an image takes: the bytes of a slot
``... lines BOARD ELF AUDIO SECONDS [COMMAND...]``  what the image says in our simulator, line by line
``... audio noise|long|silence FILE``         makes audio at the model's rate
``... words``                                 the words of the clip that comes with the project
``... parameters PORT``                       changes parameters over the link at a TCP port
``... layers PORT MODEL ACCELERATOR``         compares every layer's output there with the PC's
"""

from __future__ import annotations

import json
import re
import sys
import wave
from pathlib import Path

import numpy as np

from host import board, image, memory_map, model_image, update_params
from host.audio import read_audio
from host.device import commands
from host.device import messages as m
from host.device.device import Device
from host.errors import TokayError
from host.renode import SerialPort
from host.runtime import Model
from host.simulator.machine import Machine

ROOT = Path(__file__).resolve().parents[2]
CLIP = ROOT / "host" / "models" / "demo" / "on_off.wav"
BUILD = ROOT / "build" / "renode"
BOARD = "brd2601b"
RATE = 8000
WAKE_UP = 4096
PORT_S = 20.0


def build(on: str, model: str, accelerator: str, *changes: str) -> str:
    """The image's ELF; with changes, of a copy of the model with other parameters and another name."""
    model = _changed(model, changes) if changes else model
    return str(image.build(model, board.load(on), accelerator=accelerator).elf)


def _changed(model: str, changes: tuple[str, ...]) -> str:
    BUILD.mkdir(parents=True, exist_ok=True)
    copy = BUILD / f"{model}_changed.tflite"
    update_params.main([model, "--output", str(copy), *changes])
    return str(copy)


def swappable(model: str, accelerator: str) -> str:
    return str(image.build(model, board.load(BOARD), accelerator=accelerator, swappable=True).elf)


def slot(which: str, file: str, model: str, accelerator: str, *changes: str) -> dict[str, object]:
    """Writes a changed model as it lies in slot A or B; the file and the slot's address."""
    made = model_image.build(_changed(model, changes), board.load(BOARD), accelerator=accelerator)
    address = next(at for at, name in memory_map.SLOT_NAMES.items() if name == which)
    Path(file).write_bytes(made.sealed(address, 1))
    return {"file": file, "address": address}


def lines(on: str, elf: str, audio: str, seconds: str, *given: str) -> list[str]:
    """Text lines of a run of so many seconds, after which each command has a second and a half."""
    machine = Machine(elf, board=on)
    heard = read_audio(Path(audio), RATE)
    machine.set_audio(np.concatenate([np.zeros(WAKE_UP, np.int16), heard]))
    machine.run(float(seconds))
    for line in given:
        machine.uart_write(line.encode() + b"\n")
        machine.run(1.5)
    # Frames of the link lie between the lines, in bytes that are no text.
    text = machine.uart_read().decode("ascii", "replace")
    return [found for found in re.findall(r"[\x20-\x7e]+(?=\n)", text) if len(found) > 3]


def make_audio(kind: str, file: str) -> str:
    """Ten seconds of noise, of silence, or a minute of the clip again and again."""
    rng = np.random.default_rng(11)
    made = {
        "noise": lambda: rng.normal(0, 300, 10 * RATE),
        "silence": lambda: np.zeros(10 * RATE),
        "long": lambda: np.resize(read_audio(CLIP, RATE), 60 * RATE),
    }[kind]()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(made.astype("<i2").tobytes())
    return file


def words() -> object:
    return json.loads(CLIP.with_suffix(".json").read_text())


def _device(port: str) -> Device:
    device = Device(SerialPort("127.0.0.1", int(port)))
    device.connect(PORT_S)
    return device


def parameters(port: str) -> dict[str, object]:
    """Sets a parameter to other values and back; what the device says each time."""
    with _device(port) as device:
        before = commands.parameters(device)
        first = commands.set_parameter(device, "suppression_ms", 1700)
        read = commands.parameters(device)["suppression_ms"]
        last = commands.set_parameter(device, "suppression_ms", before["suppression_ms"])
    return {"before": before["suppression_ms"], "set": first, "read": read, "restored": last}


def layers(port: str, model: str, accelerator: str) -> dict[str, object]:
    """Whether each layer, and the network, give on the device what they give on the PC."""
    network = Model(model, accelerator)
    x = np.random.default_rng(1).integers(-128, 128, network.input.shape).astype(np.int8)
    equal = []
    with _device(port) as device:
        device.request(m.SourceSet(source=m.Source.NONE), timeout_s=5.0)
        commands.inject_features(device, x)
        for position, expected in enumerate(network.invoke_layers(x)):
            device.request(m.RunLayer(layer=position), timeout_s=5.0)
            number = network.plan.number(network.layers[position].output)
            equal.append(commands.read_tensor(device, number) == expected.tobytes())
        commands.inject_features(device, x)
        output = commands.run_network(device)
    return {"layers": equal, "output": bool(np.array_equal(output, network.invoke(x).ravel()))}


ACTIONS = {
    "image": build,
    "swappable": swappable,
    "slot": slot,
    "lines": lines,
    "audio": make_audio,
    "words": words,
    "parameters": parameters,
    "layers": layers,
}

if __name__ == "__main__":
    try:
        print("\n" + json.dumps(ACTIONS[sys.argv[1]](*sys.argv[2:])))
    except TokayError as error:
        sys.exit(f"error: {error}")
