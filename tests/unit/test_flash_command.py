"""host.flash before it reaches a chip: its probe, its options, what it says when it cannot go on."""

from __future__ import annotations

import json
import os
import shutil
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from host import board as boards
from host import cli, flash
from host.errors import TokayError
from host.flashing import algorithm, images
from host.memory_map import FLASH_BASE, FLASH_BYTES, SECTOR
from host.simulator.machine import Machine
from host.toolchain import COMPILER
from tests.unit.test_flash_images import DATA, FIRMWARE, hex_file

# ---- the algorithm that ships ----


def test_stored_algorithm_is_of_these_sources():
    assert algorithm.stored().sources_sha256 == algorithm.sources_sha256(), (
        "the flash algorithm's source has changed: run python -m host.flashing.algorithm"
    )


def test_algorithm_builds_to_the_same_bytes():
    if shutil.which(COMPILER) is None:
        pytest.skip(f"{COMPILER} is not installed")
    stored, version = algorithm.stored(), algorithm.compiler_version()
    if version != stored.compiler:
        pytest.skip(f"needs {stored.compiler}, there is {version}")
    assert algorithm.build() == stored


# ---- probes ----


class Probe:
    """What choosing looks at."""

    def __init__(self, serial: str) -> None:
        self.unique_id, self.description = serial, "J-Link"


def test_choosing_a_probe():
    pytest.importorskip("pyocd", reason="pyOCD is not installed (extra flash)")
    from host.flashing.connection import pick

    one, two = Probe("000440111"), Probe("000440222")
    assert pick([one], None) is one
    assert pick([one, two], "0004402") is two
    named = [Probe("E66A"), Probe("E66B"), Probe("e66b7")]
    assert (pick(named, "e66a"), pick(named, "e66b"), pick(named, "E66B7")) == tuple(named)
    with pytest.raises(
        TokayError, match=r"2 debug probes fit .*--probe SERIAL: 000440111 \(J-Link\), 000440222"
    ):
        pick([one, two], None)
    with pytest.raises(TokayError, match=r"2 debug probes fit"):
        pick([one, two], "0004")
    assert pick([one, Probe("0004401119")], "000440111") is one  # its whole number
    with pytest.raises(TokayError, match=r"no debug probe has the serial number 7 \(there is: 000440111"):
        pick([one], "7")
    with pytest.raises(TokayError, match=r"no debug probe found \(plug the board in"):
        pick([], None)


# ---- the command ----


def failure(capsys, *argv: str) -> str:
    """The one line that the command ends in."""
    assert cli.run(flash.main, argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 1
    return lines[0]


def test_without_pyocd(capsys, monkeypatch, tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(FIRMWARE)
    monkeypatch.setitem(sys.modules, "pyocd", None)
    for name in [name for name in sys.modules if name.startswith("pyocd.")]:
        monkeypatch.setitem(sys.modules, name, None)
    line = failure(capsys, str(path))
    assert line == "error: flashing needs pyOCD (pip install 'tokay[flash]', or: pip install pyocd)"


def test_wrong_inputs(capsys, tmp_path):
    pytest.importorskip("pyocd", reason="pyOCD is not installed (extra flash)")
    path = tmp_path / "a.bin"
    path.write_bytes(FIRMWARE)
    assert "no such image" in failure(capsys, str(tmp_path / "b.elf"), "--simulate")
    assert "images of this kind are not read" in failure(capsys, str(tmp_path / "b.s37"), "--simulate")
    assert "no model named 'nothing'" in failure(capsys, "nothing", "--simulate")
    assert "no board called 'x'" in failure(capsys, str(path), "--board", "x", "--simulate")
    assert "no such pack" in failure(capsys, str(path), "--pack", "none.pack", "--simulate")
    (tmp_path / "bad.pack").write_bytes(DATA)
    assert "bad.pack" in failure(capsys, str(path), "--pack", str(tmp_path / "bad.pack"), "--simulate")
    assert "does not know EFM8" in failure(capsys, str(path), "--part", "EFM8", "--simulate")
    assert "not allowed with" in failure(capsys, str(path), "--probe", "1", "--simulate")
    assert "--frequency 0" in failure(capsys, str(path), "--frequency", "0", "--simulate")
    elf = tmp_path / "c.elf"
    elf.write_bytes(DATA)
    assert "not an ELF file" in failure(capsys, str(elf), "--simulate")


def test_a_base_that_is_none_or_not_needed(capsys, tmp_path):
    assert "x is not an address, such as" in failure(capsys, str(tmp_path / "a.bin"), "--base", "x")
    line = failure(capsys, str(tmp_path / "a.elf"), "--base", "0x08000000", "--simulate")
    assert "--base is for a .bin" in line


def test_flashes_a_simulated_chip(capsys, tmp_path):
    pytest.importorskip("pyocd", reason="pyOCD is not installed (extra flash)")
    path = tmp_path / "a.bin"
    path.write_bytes(DATA)
    assert cli.run(flash.main, [str(path), "--base", "0x08100000", "--simulate", "--json", "-"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["verified"], result["sectors_written"], result["starts"]) == (True, 1, False)
    assert result["bytes"] == len(DATA) and result["estimate"]["bytes_per_s"] > 10_000
    assert cli.run(flash.main, [str(path), "--base", "0x08100000", "--simulate"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{path}: 300 bytes in 1 sectors, verified (1 written, 0 left alone)\n")
    assert "unchanged: user data page 0x0fe00000, sector before the image 0x080fe000, " in said
    assert "starts" not in said


@pytest.fixture
def plugged_in(monkeypatch):
    """Plugs debug probes in, each with a chip that was used before behind it; the probes."""
    pytest.importorskip("pyocd", reason="pyOCD is not installed (extra flash)")
    from host.flashing import connection
    from host.flashing.simulated_probe import SimulatedProbe

    machines = []

    def plug(*serials: str, locked: bool = False) -> list[SimulatedProbe]:
        for _ in serials:
            machines.append(Machine())
            machines[-1].write(FLASH_BASE, bytes(FLASH_BYTES))
        probes = [
            SimulatedProbe(machine, serial=serial, locked=locked)
            for machine, serial in zip(machines, serials, strict=True)
        ]
        monkeypatch.setattr(
            connection.ConnectHelper, "get_all_connected_probes", staticmethod(lambda **options: probes)
        )
        return probes

    yield plug
    for machine in machines:
        machine.close()


def chip_holds(probe: Any, address: int, data: bytes) -> bool:
    """Whether flash has these bytes; nobody holds the probe any more."""
    assert not probe.is_open and probe.wire_protocol is None
    return probe.chip.machine.read(address, len(data)) == data


def test_a_board_is_flashed_through_its_probe(plugged_in, tmp_path, capsys):
    path, probes = tmp_path / "a.bin", plugged_in("000440111", "000440222")
    path.write_bytes(DATA)
    arguments = [str(path), "--base", "0x08100000", "--frequency", "2000000"]
    assert "2 debug probes fit" in failure(capsys, *arguments)
    assert cli.run(flash.main, [*arguments, "--probe", "0004402", "--json", str(tmp_path / "json")]) == 0
    assert [chip_holds(probe, 0x08100000, DATA) for probe in probes] == [False, True]
    assert probes[1].frequency == 2_000_000
    said, result = capsys.readouterr().out, json.loads((tmp_path / "json").read_text())
    assert said.startswith(f"{path}: 300 bytes in 1 sectors, verified (1 written, 0 left alone)\n")
    assert said.endswith(" s through probe 000440222; the image runs\n") and "about" not in said
    assert (result["target"], result["probe"], result["verified"]) == ("device", "000440222", True)
    assert result["sectors_written"] == 1 and result["bytes_written"] == SECTOR
    assert cli.run(flash.main, [*arguments, "--probe", "0004402"]) == 0
    assert "verified (0 written, 1 left alone)" in capsys.readouterr().out


def test_a_locked_board_is_erased_only_when_asked(plugged_in, tmp_path, capsys):
    (probe,), path = plugged_in("1", locked=True), tmp_path / "a.bin"
    path.write_bytes(DATA)
    arguments = [str(path), "--base", "0x08100000"]
    assert "the part is locked" in failure(capsys, *arguments)
    assert chip_holds(probe, FLASH_BASE, bytes(FLASH_BYTES))
    assert cli.run(flash.main, [*arguments, "--unlock"]) == 0
    assert probe.frequency == 4_000_000
    assert chip_holds(probe, 0x08100000, DATA) and chip_holds(probe, FLASH_BASE, b"\xff" * 8)


def test_an_image_that_starts_is_said_to(capsys, tmp_path):
    pytest.importorskip("pyocd", reason="pyOCD is not installed (extra flash)")
    path = tmp_path / "a.bin"
    path.write_bytes(struct.pack("<IIH", 0x20001000, FLASH_BASE + 9, 0xE7FE))  # it waits for ever
    assert cli.run(flash.main, [str(path), "--simulate", "--json", str(tmp_path / "json")]) == 0
    result = json.loads((tmp_path / "json").read_text())
    assert result["starts"] and result["target"] == "simulator"
    assert capsys.readouterr().out.endswith("\nthe image starts\n")
    estimate = result["estimate"]
    rate = result["bytes_written"] / (estimate["flash_s"] + estimate["wire_s"])
    assert estimate["bytes_per_s"] == pytest.approx(rate)


def test_an_image_that_does_not_start_is_an_error(capsys, tmp_path):
    pytest.importorskip("pyocd", reason="pyOCD is not installed (extra flash)")
    path = tmp_path / "a.bin"
    path.write_bytes(FIRMWARE)
    assert "the image is in flash and does not start" in failure(capsys, str(path), "--simulate")


def test_firmware_for_another_board_is_refused(capsys, tmp_path):
    pytest.importorskip("pyocd", reason="pyOCD is not installed (extra flash)")
    path = tmp_path / "a.bin"
    other = boards.load("brd2703a")
    said = "".join(f"{text}\0" for text in (other.key, other.name, other.part))
    path.write_bytes(FIRMWARE + said.encode())
    line = failure(capsys, str(path), "--simulate")
    assert "firmware for board brd2703a, not for brd2601b (--board brd2703a" in line
    assert "does not start" in failure(capsys, str(path), "--simulate", "--board", other.key)


def test_firmware_for_a_copy_of_a_board_is_not_that_boards(capsys, tmp_path):
    """A user's own board, whose folder's name ends in the name of ours."""
    pytest.importorskip("pyocd", reason="pyOCD is not installed (extra flash)")
    shutil.copytree(boards.folder("brd2601b"), tmp_path / "my_brd2601b")
    own = boards.load(str(tmp_path / "my_brd2601b"))
    path = tmp_path / "a.bin"
    path.write_bytes(FIRMWARE + "".join(f"{text}\0" for text in (own.key, own.name, own.part)).encode())
    option = ("--simulate", "--board", str(tmp_path / own.key))
    assert "does not start" in failure(capsys, str(path), *option)
    path.write_bytes(FIRMWARE + "".join(f"{text}\0" for text in ("brd2601b", own.name, own.part)).encode())
    assert "firmware for board brd2601b, not for my_brd2601b" in failure(capsys, str(path), *option)


def test_every_board_has_a_part_we_can_flash():
    pytest.importorskip("pyocd", reason="pyOCD is not installed (extra flash)")
    from host.flashing.target import PARTS

    assert {boards.load(name).part for name in boards.names()} <= set(PARTS)


# ---- Simplicity Commander ----

FAKE = """#!{python}
import json, os, pathlib, sys
log = pathlib.Path({log!r})
entry = {{"arguments": sys.argv[1:]}}
if sys.argv[1] == "flash":
    entry["image"] = pathlib.Path(sys.argv[2]).read_text()
log.write_text((log.read_text() if log.exists() else "") + json.dumps(entry) + "\\n")
{body}
"""


@pytest.fixture
def commander(tmp_path, monkeypatch):
    """Puts a program called commander on the PATH that notes its arguments, then does as told."""
    folder, log = tmp_path / "bin", tmp_path / "log"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    python = os.path.realpath("/proc/self/exe")

    def install(body: str = "") -> Callable[[], list[dict[str, Any]]]:
        path = folder / "commander"
        path.write_text(FAKE.format(python=python, log=str(log), body=body))
        path.chmod(0o755)
        return lambda: [json.loads(line) for line in log.read_text().splitlines()]

    return install


@pytest.fixture
def binary(tmp_path) -> Path:
    path = tmp_path / "a.bin"
    path.write_bytes(FIRMWARE)
    return path


def test_commander_gets_the_image_and_the_part(commander, binary, tmp_path, capsys):
    calls = commander()
    arguments = [str(binary), "--commander", "--probe", "440055955", "--frequency", "1500000"]
    assert cli.run(flash.main, [*arguments, "--json", str(tmp_path / "result.json")]) == 0
    (call,) = calls()
    part = boards.load("brd2601b").part
    expected = ["--device", part, "--serialno", "440055955", "--speed", "1500"]
    assert call["arguments"][0] == "flash" and call["arguments"][2:] == expected
    given = tmp_path / "given.hex"
    given.write_text(call["image"])
    assert images.read(given).sectors == images.read(binary).sectors
    assert not Path(call["arguments"][1]).exists()  # nothing is left behind
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["verified"] and result["part"] == part and result["bytes"] == len(FIRMWARE)
    assert "verified by commander" in capsys.readouterr().out


@pytest.mark.parametrize(("lock", "commands"), [("Enabled", 3), ("Disabled", 2)])
def test_commander_unlocks_only_what_is_locked(lock, commands, commander, binary):
    calls = commander(f'print("Device erase : Enabled\\nDebug lock      : {lock}\\nDONE")')
    assert cli.run(flash.main, [str(binary), "--commander", "--unlock"]) == 0
    said = [" ".join(call["arguments"][:2]) for call in calls()]
    assert len(said) == commands and said[0] == "security status" and said[-1].startswith("flash ")
    assert ("security erasedevice" in said) == (lock == "Enabled")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            'print("ERROR: Cannot connect to J-Link.\\nERROR: Could not open J-Link connection.\\nDONE")\n'
            "sys.exit(254)",
            "error: commander flash failed (254): Cannot connect to J-Link.",
        ),
        ('print("broken", file=sys.stderr)\nsys.exit(1)', "error: commander flash failed (1): broken"),
        ("sys.exit(3)", "error: commander flash failed (3): no reason given"),
        (
            'sys.stdout.buffer.write(b"Flashing \\xff ...\\n  ERROR: Verify failed\\nDONE\\n")\nsys.exit(1)',
            "error: commander flash failed (1): Verify failed",
        ),
        (
            'print("ERROR: The port is locked")\nsys.exit(1)',
            "error: commander flash failed (1): The port is locked (--unlock erases a locked part)",
        ),
        (
            'print("ERROR: Unsupported SWD clock")\nsys.exit(1)',
            "error: commander flash failed (1): Unsupported SWD clock",
        ),
    ],
)
def test_commander_that_fails(body, message, commander, binary, capsys):
    commander(body)
    assert failure(capsys, str(binary), "--commander") == message


def test_commander_that_cannot_say_whether_a_part_is_locked(commander, binary, capsys):
    calls = commander('print("ERROR: no target")\nsys.exit(9)')
    line = failure(capsys, str(binary), "--commander", "--unlock")
    assert line == "error: commander security status failed (9): no target" and len(calls()) == 1


def test_commander_beside_the_python_that_runs(commander, binary, tmp_path, monkeypatch):
    """Where pip puts it, which is not on the PATH of who calls .venv/bin/python."""
    calls = commander()
    (tmp_path / "bin" / "commander").rename(tmp_path / "bin" / "pycommander")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert cli.run(flash.main, [str(binary), "--commander"]) == 0 and len(calls()) == 1
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "empty" / "python"))
    assert cli.run(flash.main, [str(binary), "--commander"]) == 0 and len(calls()) == 2


def test_commander_that_hangs(commander, binary, capsys, monkeypatch):
    from host.flashing import commander as programmer

    monkeypatch.setattr(programmer, "_TIMEOUT_S", 0.3)
    commander("import time\ntime.sleep(60)")
    line = failure(capsys, str(binary), "--commander")
    assert line == "error: commander flash did not end within 0.3 s (unplug the board, plug it in)"


def test_without_commander(commander, binary, capsys):
    line = failure(capsys, str(binary), "--commander")
    assert line.startswith("error: Simplicity Commander is not installed (commander, ")
    assert "pip install 'tokay[commander]'" in line


def test_commander_needs_no_pyocd(commander, binary, monkeypatch):
    calls = commander()
    monkeypatch.setitem(sys.modules, "pyocd", None)
    for name in [name for name in sys.modules if name.startswith(("pyocd.", "host.flashing.slots"))]:
        monkeypatch.setitem(sys.modules, name, None)
    assert cli.run(flash.main, [str(binary), "--commander"]) == 0
    assert len(calls()) == 1


def test_commander_gets_all_of_an_image_with_gaps(commander, tmp_path):
    """Over several of the 64 kB that a record's address can tell apart."""
    calls, path, given = commander(), tmp_path / "a.hex", tmp_path / "given.hex"
    pieces = [(FLASH_BASE, FIRMWARE), (0x0800FF00, DATA * 300), (0x08130000, DATA)]
    path.write_text(hex_file(pieces))
    assert cli.run(flash.main, [str(path), "--commander"]) == 0
    given.write_text(calls()[0]["image"])
    assert images.read(given).sectors == images.read(path).sectors


def test_of_a_model_the_image_that_is_asked_for_is_built(monkeypatch, binary, capsys):
    pytest.importorskip("pyocd", reason="pyOCD is not installed (extra flash)")
    built: list[tuple[Any, ...]] = []

    def build(model: str, board: boards.Board, **options: object) -> SimpleNamespace:
        built.append((model, board.key, options.pop("verbose"), options))
        return SimpleNamespace(elf=binary, summary={"unused_microphone": "it is too slow"})

    monkeypatch.setattr("host.image.build", build)
    asked = ["m", "--board", "brd2703a", "-a", "mvp", "--mvp-weights", "flash", "--swappable", "--simulate"]
    assert cli.run(flash.main, asked) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("warning: it is too slow") and "does not start" in said[-1]
    options = {"accelerator": "mvp", "mvp_weights": "flash", "swappable": True}
    assert built == [("m", "brd2703a", False, options)]


@pytest.mark.parametrize("options", [["-a", "mvp"], ["--mvp-weights", "flash"], ["--swappable"]])
def test_options_of_a_build_come_too_late_for_an_image(options, binary, capsys):
    assert f"{binary} is built: " in failure(capsys, str(binary), "--simulate", *options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--commander", "--simulate"], "--commander does not go with"),
        (["--commander", "--pack", "x.pack"], "--commander does not go with"),
        (["--commander", "--model-only"], "--commander does not go with"),
        (["--unlock", "--model-only"], "erases the firmware too"),
        (["--swappable", "--model-only"], "--swappable is for the firmware"),
        (["--firmware", "x.hex"], "--firmware goes with --model-only --simulate"),
        (["--firmware", "x.hex", "--simulate"], "--firmware goes with --model-only --simulate"),
        (["--firmware", "x.hex", "--model-only"], "--firmware goes with --model-only --simulate"),
    ],
)
def test_options_that_exclude_each_other(options, message, binary, capsys):
    assert message in failure(capsys, str(binary), *options)
