"""Board descriptions: what is refused and why, boards outside of boards/, and the simulator's wiring."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

from host import board, target
from host.errors import TokayError
from host.simulator.machine import Machine

GOOD = (board.BOARDS / "brd2601b" / "board.toml").read_text()


def described(folder: Path, text: str | bytes, name: str = "mine") -> str:
    """The path of a board's folder with this board.toml."""
    place = folder / name
    place.mkdir()
    (place / "board.toml").write_bytes(text.encode() if isinstance(text, str) else text)
    return str(place)


def test_the_boards_there_are() -> None:
    assert [board.load(name).key for name in board.names()] == board.names()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (GOOD, "", "name must be a text"),
        ('name = "BRD2601B"', "name = ", "Invalid value"),
        ('name = "BRD2601B"', "name = 5", "name must be a text"),
        ('"BRD2601B"', "'My \"board\"'", "name must be a text"),
        ('part = "EFR32MG24B310F1536IM48"', f'part = "{"E" * 25}"', "part must be a text"),
        ('"efr32mg24"', '"efr32mg99"', "no such folder in firmware/chips"),
        ('accelerator = "mvp"', 'accelerator = "gpu"', "none or mvp"),
        ("[clocks]", "[clock]", "clock is not known"),
        ("[memory]\nstack_bytes = 4096", "", r"section \[memory\] with stack_bytes"),
        ("hfxo_hz = 39_000_000\n", "", r"section \[clocks\] with hfxo_hz"),
        ("hfxo_hz = 39_000_000", "hfxo_hz = 0", "clocks.hfxo_hz = 0 is not a number from 1"),
        ("stack_bytes = 4096", 'stack_bytes = "4096"', "memory.stack_bytes = '4096' is not a number"),
        ("stack_bytes = 4096", "stack_bytes = -4096", "memory.stack_bytes = -4096 is not"),
        ("baud = 115200", "baud = 0", "vcom.baud = 0 is not a number from 9600"),
        ("baud = 115200", "baud = 4800", "vcom.baud = 4800 is not a number from 9600"),
        ("baud = 115200", "baud = true", "vcom.baud = True is not"),
        ('tx = "PA5"', "tx = 5", "5 is not a pin"),
        ('tx = "PA5"', 'tx = "PA16"', "'PA16' is not a pin"),
        ('tx = "PA5"', 'tx = "PA05"', "'PA05' is not a pin"),
        ('fault = "PB0"', 'fault = "PB6"', "'PB6' is not a pin .*PB0 to PB5"),
        ('rx = "PA6"', 'rx = "PA5"', "PA5 is both vcom.tx and vcom.rx"),
        ('fault = "PB0"', 'fault = "PD4"', "PD4 is both microphone.data and leds.fault"),
        ("core_hz = 78_000_000", "core_hz = 39_000_000", "core_hz = 39000000 is not twice hfxo_hz, 78000000"),
        ("hfxo_hz = 39_000_000", "hfxo_hz = 40_000_000", "hfxo_hz = 40000000: the core runs at twice that"),
        ("hfxo_hz = 39_000_000", "hfxo_hz = 20_000_000", "which must be 72600000 to 78000000 Hz"),
        ("level_on = 0", "level_on = 0\nlevel_off = 1", r"section \[leds\] with level_on"),
        ("[microphone]", "[mic]", "mic is not known"),
    ],
)
def test_refused_with_the_reason(old: str, new: str, reason: str, tmp_path: Path) -> None:
    assert old in GOOD
    place = described(tmp_path, GOOD.replace(old, new))
    with pytest.raises(TokayError, match=reason) as error:
        board.load(place)
    assert str(error.value).startswith(f"{place}/board.toml: ")


def test_what_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TokayError, match="utf-8"):
        board.load(described(tmp_path, GOOD.encode().replace(b"Dev Kit", b"Dev K\xfct")))


def test_a_folder_whose_name_the_firmware_cannot_say(tmp_path: Path) -> None:
    with pytest.raises(TokayError, match="rename it"):
        board.load(described(tmp_path, GOOD, 'my "board"'))


def test_the_serial_line_is_as_fast_as_the_board_says(tmp_path: Path) -> None:
    place = described(tmp_path, GOOD.replace("baud = 115200", "baud = 921600"))
    ours = ["--board", place]
    for args, rate in ((ours, 921600), ([], 115200), ([*ours, "--baud", "9600"], 9600)):
        parser = argparse.ArgumentParser()
        target.add_options(parser)
        assert target.options(parser, parser.parse_args([*args, "--device"])).line_rate == rate


def test_a_board_by_the_path_of_its_folder(tmp_path: Path) -> None:
    place = described(tmp_path, GOOD)
    for path in (place, f"{place}/"):
        mine = board.load(path)
        assert mine.key == "mine" and mine.sections == board.load("brd2601b").sections
        assert '#define BOARD_KEY "mine"' in board.header(mine)
    with pytest.raises(TokayError, match="no board called"):
        board.load(str(tmp_path / "other"))


def test_a_board_in_the_working_folder_needs_no_slash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Path(described(tmp_path, GOOD))
    monkeypatch.chdir(place.parent)
    assert board.load(place.name).key == "mine"
    place.rename(place.parent / "brd2601b")  # what has the name of one of ours does not hide it
    assert board.folder("brd2601b") == board.BOARDS / "brd2601b"
    monkeypatch.chdir(place.parent / "brd2601b")
    assert board.load(".").key == "brd2601b"


def test_the_simulator_is_wired_as_the_board_says(tmp_path: Path) -> None:
    text = GOOD.replace('detected = "PA4"', 'detected = "PC7"').replace("level_on = 0", "level_on = 1")
    with pytest.raises(TokayError, match="no board called"):
        Machine(board="mine")
    machine = Machine(board=described(tmp_path, text))
    assert machine.leds == {"detected": False, "activity": False, "fault": False}
    assert [(led.port, led.pin, led.active_low) for led in machine._leds] == [
        (2, 7, False), (3, 2, False), (1, 0, False),
    ]  # fmt: skip
    machine.set_audio(np.zeros(16, np.int16))
