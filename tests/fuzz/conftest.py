"""The programs of a module's fuzz target, which is called TARGET."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def fuzzer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return request.module.TARGET.fuzzer(tmp_path_factory.mktemp("fuzz") / "fuzzer")


@pytest.fixture(scope="module")
def shaker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return request.module.TARGET.shaker(tmp_path_factory.mktemp("shake") / "shaker")
