"""host.doctor: what is there, what is missing and what to do about it, and its exit status."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from host import cli, doctor, toolchain
from host.errors import TokayError

OPTIONAL = ("TensorFlow", "dataset", "microphone", "pyOCD", "board on a serial port", "Renode")


@pytest.fixture
def bare(monkeypatch, tmp_path: Path) -> Path:
    """A machine without anything that only some jobs need; the empty folder where it keeps things."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("RENODE", str(tmp_path / "renode"))
    for module in ("sounddevice", "pyocd"):
        monkeypatch.setitem(sys.modules, module, None)
    find_spec = importlib.util.find_spec

    def found(name: str, *more: object) -> object:
        return None if name == "tensorflow" else find_spec(name, *more)

    monkeypatch.setattr("importlib.util.find_spec", found)
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: [])
    return tmp_path


def examine(capsys) -> tuple[int, dict[str, dict]]:
    """The exit status, and the findings by what they are."""
    status = cli.run(doctor.main, ["--json", "-"])
    return status, {f["what"]: f for f in json.loads(capsys.readouterr().out)["findings"]}


def test_what_this_machine_lacks_is_said_with_what_to_do(bare, monkeypatch, tmp_path: Path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    target = tmp_path / "found.json"
    assert cli.run(doctor.main, ["--json", str(target)]) == 1
    found = {f["what"]: f for f in json.loads(target.read_text())["findings"]}
    assert found["library of the firmware's C for this PC"]["found"]
    assert found["cache folder"]["found"] == str(tmp_path / "tokay")
    for what, hint in (
        ("compiler and C library for the chip", "apt-get install gcc-arm-none-eabi"),
        ("TensorFlow", "tokay[train]"),
        ("dataset", "host.dataset download"),
        ("microphone", "tokay[mic]"),
        ("pyOCD", "tokay[flash]"),
        ("board on a serial port", "plug one in"),
        ("Renode", "is no program"),
    ):
        assert not found[what]["found"] and hint in found[what]["missing"]
    rows = capsys.readouterr().out.splitlines()
    assert next(row for row in rows if "cache folder" in row).endswith(str(tmp_path / "tokay"))
    assert sum("MISSING: " in row for row in rows) == 7


@pytest.mark.skipif(shutil.which(toolchain.COMPILER) is None, reason=f"{toolchain.COMPILER} is not installed")
def test_a_machine_that_builds_and_simulates_is_well_without_the_rest(bare, capsys):
    status, found = examine(capsys)
    assert status == 0
    assert {what for what, f in found.items() if not f["found"]} == set(OPTIONAL)
    assert {what for what, f in found.items() if not f["required"]} == set(OPTIONAL)


def test_a_cache_folder_that_cannot_be_written_is_missing(bare, monkeypatch, capsys):
    (bare / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(bare / "file"))
    status, found = examine(capsys)
    assert status == 1 and not found["cache folder"]["found"]
    assert str(bare / "file") in found["cache folder"]["missing"]


def test_a_library_that_does_not_load_is_missing(bare, monkeypatch, capsys):
    def library() -> None:
        raise TokayError("cannot be loaded", hint="run: make setup")

    monkeypatch.setattr(doctor.native, "library", library)
    status, found = examine(capsys)
    finding = found["library of the firmware's C for this PC"]
    assert status == 1 and not finding["found"]
    assert finding["missing"] == "cannot be loaded (run: make setup)"


@pytest.mark.parametrize("origin", ["/there/tensorflow/__init__.py", None], ids=["there", "an empty folder"])
def test_tensorflow_is_found_without_being_imported(origin, bare, monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *more: SimpleNamespace(origin=origin))
    _, found = examine(capsys)
    assert found["TensorFlow"]["found"] == (origin or "") and "tensorflow" not in sys.modules


def test_what_is_there_is_said_with_its_place(bare, monkeypatch, capsys):
    module = SimpleNamespace(__file__="/there/sounddevice.py")
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    port = SimpleNamespace(
        device="/dev/ttyACM7", vid=0x1366, pid=0x0105, serial_number="440", product="J-Link", description="",
        manufacturer="SEGGER", interface=None,
    )  # fmt: skip
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: [port])
    dataset = doctor.SPEECH_COMMANDS.folder()
    dataset.mkdir(parents=True)
    _, found = examine(capsys)
    assert found["microphone"]["found"] == module.__file__
    assert found["board on a serial port"]["found"].startswith("/dev/ttyACM7 (")
    assert found["dataset"]["found"] == str(dataset)
