"""host.view: the programs as they are compiled, whole or by what changes, to read and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from codegen.mvp.disassembler import disassemble
from host import cli, view
from host.runtime import Model
from host.simulator.mvp import SILICON, cycles
from tests.unit.test_variables import network

MODEL = "keyword_spotting_on_off"


@pytest.mark.parametrize("weights", ["ram", "flash"])
def test_json_has_the_programs_of_every_layer(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(view.main, [MODEL, "--mvp", "--mvp-weights", weights, "--json", "-"]) == 0
    shown = json.loads(capsys.readouterr().out)["layers"]
    layers = Model(MODEL, "mvp", mvp_weights=weights).layers
    assert [(layer["index"], layer["kernel"]) for layer in shown] == [(l.index, l.kernel) for l in layers]
    programs = [l.mvp.programs.tolist() if l.mvp else None for l in layers]
    assert [layer.get("programs") for layer in shown] == programs and any(programs)


def test_a_program_is_told_by_what_changes_or_whole(capsys: pytest.CaptureFixture[str]) -> None:
    layer = Model(MODEL, "mvp").layers[1]
    said = []
    for options in ([], ["--all"]):
        assert cli.run(view.main, [MODEL, "--mvp", "--layer", "1", *options]) == 0
        said.append(capsys.readouterr().out)
    changes, whole = said
    assert changes.startswith(whole.splitlines()[0]) and whole.startswith("== layer 1: conv_2d ")
    for text in said:
        assert text.count("-- program ") == len(layer.mvp.programs)
        assert disassemble(layer.mvp.programs[0]) in text
    assert "as before, but A" in changes and "as before" not in whole
    assert all(disassemble(words) in whole for words in layer.mvp.programs)


@pytest.mark.parametrize(
    ("number", "value", "text"),
    [
        (7, 0x123, "R7 = 0x123"),
        (8, 0x20000010, "A0 at 0x20000010"),
        (11, (0xFFF << 16) | 7, "A0.2 8(-1)"),
        (27, 3 << 16, "A4.2 1(+3)"),
        (28, 1023, "L0 1024 times"),
        (43, 5 << 12, "L7 reset 0x5"),
    ],
)
def test_words_are_told_by_what_they_are(number: int, value: int, text: str) -> None:
    """Eight registers, five arrays of an address and three dimensions, eight loops of a count and resets."""
    assert view._word(number, value) == text


def test_a_layer_that_is_not_on_the_accelerator_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    layers = Model(MODEL, "mvp").layers
    assert cli.run(view.main, [MODEL, "--mvp"]) == 0
    said = capsys.readouterr().out
    assert said.count("== layer ") == len(layers)
    for layer in layers:
        if layer.mvp is not None:
            estimates = " or ".join(f"{cycles(layer.mvp.programs, rule):,} ({rule})" for rule in SILICON)
            assert f"; {len(layer.mvp.programs)} programs, {estimates} cycles, both estimates; " in said
        else:
            reason = layer.reason or "no work, its output lies where its input does"
            assert f"   not on the accelerator: {reason}\n" in said
    assert said.count("not on the accelerator") == sum(layer.mvp is None for layer in layers) > 0


def test_a_copy_that_the_core_makes_is_told_from_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is assigned is the network's output too, so it cannot be made in the variable's place."""
    path = tmp_path / "sum.tflite"
    path.write_bytes(network())
    assert cli.run(view.main, [str(path), "--mvp"]) == 0
    _, read, _, assign = capsys.readouterr().out.split("== layer ")
    assert "read_variable" in read and "no work, its output lies where its input does" in read
    assert "assign_variable" in assign and "a copy, which the core makes" in assign


def test_what_there_is_to_view_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(view.main, [MODEL]) == 2
    assert capsys.readouterr().err.startswith("error: view shows the accelerator's programs, with --mvp (")


def test_a_layer_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(view.main, [MODEL, "--mvp", "--layer", "99"]) == 2
    assert capsys.readouterr().err == f"error: {MODEL} has no layer 99 (0 to 6)\n"
