"""What the contracts of the commands share."""

from __future__ import annotations

import importlib

import pytest

from host import cli
from tests.places import ROOT


@pytest.fixture
def refused(capsys, monkeypatch):
    """Runs a command that must fail; its one line of complaint."""
    monkeypatch.chdir(ROOT)

    def call(name: str, *arguments: object) -> str:
        module = importlib.import_module("host.__main__" if name == "host" else name)
        assert cli.run(module.main, [str(a) for a in arguments]) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1 and lines[0].startswith("error: "), lines
        return lines[0]

    return call
