"""The shipped model's image, built once for all tests of the firmware, and chips that run it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from host import board, image, target
from host.simulator.machine import Machine


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> image.Image:
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    return image.build("keyword_spotting_on_off", board.load("brd2601b"), tmp_path_factory.mktemp("image"))


@pytest.fixture
def machine(built) -> Machine:
    """A chip that restarts itself after a fault."""
    return Machine(built.elf, stop_on_fault=False)


@pytest.fixture
def where(built) -> Iterator[target.Target]:
    """The same as a device that is connected."""
    with target.simulate(built.elf, "brd2601b") as opened:
        yield opened
