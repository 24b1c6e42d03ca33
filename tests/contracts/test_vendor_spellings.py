"""What is written as the vendor's toolkit has it is understood, or answered with ours."""

from __future__ import annotations

import importlib
import re
import shutil
import sys
from pathlib import Path

import pytest

from host import vendor_options
from tests.places import MODEL


@pytest.mark.parametrize(
    ("command", "arguments", "instead"),
    [
        ("train", ["keyword_spotting_on_off-test", "--clean"], "(--clean: use --fresh)"),
        ("train", ["keyword_spotting_on_off", "--resume", "--show"], "; --show: use --tensorboard DIR)"),
        ("evaluate", [MODEL, "--count", "5"], "(--count: use --limit N"),
        ("evaluate", [MODEL, "--weights=x.h5"], "(--weights: give the .keras file"),
        ("summarize", [MODEL, "-o", "x.txt"], "(-o: use --json FILE"),
        ("profile", [MODEL, "--full-summary"], "host.view MODEL --mvp"),
        ("classify", [MODEL, "-x"], "(-x: use --dump-audio DIR)"),
        ("update_params", [MODEL, "a=1", "--device"], "--model-only"),
        ("view", [MODEL, "--mvp", "--host", "a", "-p", "80"], "(--host, -p: python -m host.summarize"),
        ("view", [MODEL], "host.summarize"),
        ("profile", [MODEL, "--nonsense"], "(see python -m host.profile --help)"),
    ],
)
def test_an_option_of_the_vendor_is_answered_with_ours(command, arguments, instead, refused):
    assert instead in refused(f"host.{command}", *arguments)


def test_what_stands_for_the_vendor_s_options_exists(capsys):
    for command, table in vendor_options.INSTEAD.items():
        with pytest.raises(SystemExit):
            importlib.import_module(f"host.{command}").main(["--help"])
        known = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", capsys.readouterr().out))
        assert "--json" in known
        for options, text in table.items():
            assert not known & set(options), (command, options)
            if text.startswith("use "):
                assert text.split()[1].rstrip(",") in known, (command, text)


def test_an_option_is_not_taken_for_one_that_begins_so(refused):
    assert "--model: give MODEL instead" in refused("host.flash", MODEL, "--model", "x")  # no --model-only
    assert "unrecognized arguments: --acc" in refused("host.profile", MODEL, "--acc", "mvp")


def test_the_vendor_s_spellings_of_a_model_are_answered(refused, tmp_path: Path):
    assert "is called keyword_spotting_on_off)" in refused("host.summarize", f"{MODEL.stem}.mltk.zip")
    shutil.copy(MODEL, tmp_path / "a.tflite")  # which is none of those in host/models
    assert "is called" not in refused("host.summarize", tmp_path / "a.mltk.zip")
    archive = tmp_path / "a.mltk.zip"
    assert f"{archive} is not a model specification" in refused("host.quantize", archive)


def test_a_specification_of_the_vendor_is_told_apart(refused, tmp_path: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mltk", None)  # not installed, also where it is
    own = tmp_path / "own.py"
    own.write_text("import mltk.core as mltk_core\n")
    line = refused("host.train", own)
    assert f"{own}:1: a specification of the vendor's toolkit" in line and "into a copy of" in line


@pytest.mark.parametrize("command", ["summarize", "compile", "profile", "evaluate", "flash"])
def test_the_accelerator_may_be_in_capitals_as_the_vendor_has_it(command, refused):
    """So that the next thing that is wrong is what is told."""
    assert "no model named 'no_model'" in refused(f"host.{command}", "no_model", "--accelerator", "MVP")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("classify_audio", "tokay classify?"), ("program_app", "tokay flash?"), ("sumarize", "tokay summarize?"),
     ("tensorboard", "tokay train --tensorboard DIR?"), ("zzz", "tokay --help")],
)  # fmt: skip
def test_a_command_by_another_name_is_told_ours(typed, meant, refused):
    assert meant in refused("host", typed, "keyword_spotting_on_off")
