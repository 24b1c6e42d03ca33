"""Dependencies point one way: between the folders and modules of host, and from host to codegen."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from host import __main__
from tests.places import ROOT

FILES = sorted(path for top in ("host", "codegen") for path in (ROOT / top).rglob("*.py"))
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in FILES}
# But for those that are rooms, and for profile, which the demo shows.
COMMANDS = set(__main__.COMMANDS) - {"dataset", "device", "profile"}


def imported(path: Path) -> Iterator[str]:
    """The modules of ours that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else node.module for name in inner]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] in ("host", "codegen"))


def room(module: str) -> str:
    """A folder of host or a module directly in it; codegen as a whole."""
    top, _, rest = module.partition(".")
    return top if top == "codegen" else f"{top}.{rest.partition('.')[0]}"


def test_no_room_imports_one_that_imports_it() -> None:
    graph: dict[str, set[str]] = {}
    for path in FILES:
        own = room(".".join(path.relative_to(ROOT).with_suffix("").parts))
        graph.setdefault(own, set()).update(name for name in map(room, imported(path)) if name != own)
    assert "host.specification" in graph["host.training"] and "codegen" in graph["host.runtime"]
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"rooms that import each other: {' -> '.join(reversed(error.args[1]))}")


def test_codegen_knows_nothing_of_host() -> None:
    for path in (ROOT / "codegen").rglob("*.py"):
        assert not [name for name in imported(path) if name.startswith("host")], path


def test_nothing_imports_a_command() -> None:
    """But the specifications that run as a script, each of which trains itself."""
    for path in (ROOT / "host").rglob("*.py"):
        if path.parent.name != "models":
            found = {name.removeprefix("host.") for name in imported(path)} & COMMANDS
            assert not found, f"{path}: {found}"
