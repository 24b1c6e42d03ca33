"""Recorded conversations with the image, played back: what the tools made of them then they make of them
now. No compiler and no simulator is needed. recordings/make.py makes them anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from host import classify, cli, compare, profile
from host.device.recording import describe

FOLDER = Path(__file__).resolve().parent / "recordings"
MODEL = str(FOLDER / "model.tflite")


def replay(command: object, name: str, tmp_path: Path, *options: str) -> dict:
    path = tmp_path / "result.json"
    arguments = [MODEL, "--replay", str(FOLDER / name), "--json", str(path), *options]
    assert cli.run(command.main, arguments) == 0
    return json.loads(path.read_text())


def test_classify(tmp_path, capsys):
    value = replay(classify, "classify.jsonl", tmp_path, "-s", "500", "--seconds", "6")
    (heard,) = value["files"]
    # With 500 ms of suppression a word is heard for as long as it is in the window.
    assert [(d["label"], d["time_ms"]) for d in heard["detections"]] == [
        ("on", 2090), ("on", 2690), ("off", 4890), ("off", 5490),
    ]  # fmt: skip
    assert len(heard["inferences"]) == 51 and heard["statistics"]["overruns"] == 0
    assert heard["frames_lost"] == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 4 and shown[0].startswith("Detected class=0 label=on score=")


def test_classify_to_the_end_of_the_recording(tmp_path):
    value = replay(classify, "classify.jsonl", tmp_path, "-s", "500")
    assert [d["label"] for d in value["files"][0]["detections"]] == ["on", "on", "off", "off"]


def test_a_recording_that_was_cut_off(tmp_path, capsys):
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes((FOLDER / "classify.jsonl").read_bytes()[:8000])
    assert cli.run(classify.main, [MODEL, "--replay", str(cut), "-s", "500", "--seconds", "6"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {cut}: the recording is over (was it cut off") and error.count("\n") == 1


def test_profile(tmp_path):
    value = replay(profile, "profile.jsonl", tmp_path, "-n", "3")
    assert (value["target"], value["estimate"], value["verdict"]) == ("simulator", True, "valid")
    assert value["clock_hz"] == 78_000_000
    assert all(layer["cpu_cycles"] > 0 for layer in value["layers"])


@pytest.mark.parametrize(
    ("command", "options"),
    [(profile, []), (compare, []), (classify, ["-s", "500"])],
    ids=["profile", "compare", "classify"],
)
def test_another_board_than_the_one_that_answers_is_refused(command, options, capsys):
    recording = str(FOLDER / "profile.jsonl")
    arguments = [MODEL, "--replay", recording, "--board", "brd2703a", *options]
    assert cli.run(command.main, arguments) == 2
    output = capsys.readouterr()
    assert output.out == "" and output.err.count("\n") == 1
    assert "runs firmware for board 'brd2601b', not for 'brd2703a' (--board brd2601b, or flash" in output.err


def test_another_model_than_the_recorded_one(capsys):
    recording = str(FOLDER / "profile.jsonl")
    assert cli.run(profile.main, ["keyword_spotting_yes_no", "--replay", recording]) == 2
    assert "not this model" in (said := capsys.readouterr().err) and "(give the model that was rec" in said


def test_other_questions_than_the_recorded_ones(tmp_path, capsys):
    arguments = [MODEL, "--replay", str(FOLDER / "profile.jsonl"), "-n", "4"]
    assert cli.run(profile.main, arguments) == 2
    error = capsys.readouterr().err
    assert "the host sent ProfileRun" in error and "repetitions=4" in error and error.count("\n") == 1


@pytest.mark.parametrize("name", ["classify.jsonl", "profile.jsonl"])
def test_a_recording_can_be_read(name):
    lines = describe(FOLDER / name)
    assert any("HelloGet(" in line for line in lines) and not any("Damaged" in line for line in lines)
