"""The shipped model's image, built once for all tests of the firmware."""

from __future__ import annotations

import shutil

import pytest

from host import board, image


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> image.Image:
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    return image.build("keyword_spotting_on_off", board.load("brd2601b"), tmp_path_factory.mktemp("image"))
