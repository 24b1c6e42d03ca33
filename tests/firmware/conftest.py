"""The shipped model's image, built once for all tests of the firmware, and chips that run it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from host import board, cli, demo, image, target
from host.audio import read_audio
from host.device.device import Device
from host.device.simulator import SimulatorTransport
from host.pipeline import Pipeline
from host.simulator.machine import Machine

MODEL = "keyword_spotting_on_off"
RATE = 8000


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> image.Image:
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    return image.build(MODEL, board.load("brd2601b"), tmp_path_factory.mktemp("image"))


@pytest.fixture
def machine(built) -> Machine:
    """A chip that restarts itself after a fault."""
    return Machine(built.elf, stop_on_fault=False)


@pytest.fixture
def where(built) -> Iterator[target.Target]:
    """The same as a device that is connected."""
    with target.simulate(built.elf, "brd2601b") as opened:
        yield opened


@pytest.fixture
def device(machine) -> Iterator[Device]:
    """A link to a chip whose inside a test wants to see too."""
    with Device(SimulatorTransport(machine), session_id=1) as device:
        device.connect()
        yield device


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline(MODEL)


@pytest.fixture
def one_image(built, monkeypatch) -> None:
    """No command builds another image."""
    monkeypatch.setattr(target, "build_image", lambda *_, **__: built.elf)


@pytest.fixture(scope="session")
def speech() -> np.ndarray:
    """The first two words of the dialogue, at the model's rate."""
    return read_audio(demo.DEMO.with_suffix(".wav"), RATE)[: 6 * RATE]


@pytest.fixture
def run(tmp_path) -> Callable[..., dict[str, Any]]:
    """Calls a command with the shipped model and gives its JSON."""

    def call(command: Any, *arguments: object, status: int = 0) -> dict[str, Any]:
        path = tmp_path / "result.json"
        assert cli.run(command.main, [MODEL, *map(str, arguments), "--json", str(path)]) == status
        return json.loads(path.read_text())

    return call
