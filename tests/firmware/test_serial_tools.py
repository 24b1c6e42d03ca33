"""host.profile and host.classify through a serial port that is the simulator, from end to end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import serial

from host import classify, cli, compare, demo, model_files, profile
from host.audio import read_audio
from host.detector import detector_settings, replay
from host.device.__main__ import main as device_command
from host.device.pty import PtyBridge
from host.device.simulator import SimulatorTransport
from host.media import wav
from host.pipeline import Pipeline
from host.simulator.machine import Machine

MODEL = "keyword_spotting_on_off"
RATE = 8000


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return read_audio(demo.DEMO.with_suffix(".wav"), RATE)[: 3 * RATE]


@pytest.fixture(scope="module")
def port(built, speech) -> Iterator[str]:
    """A serial port with a board behind it that hears the first word of the dialogue again and again.
    Its time goes as fast as it can."""
    machine = Machine(built.elf, stop_on_fault=False)
    machine.set_audio(np.tile(speech, 40))
    with PtyBridge(SimulatorTransport(machine), paced=False) as bridge:
        yield bridge.port
        assert bridge.error is None


@pytest.fixture
def run(port, tmp_path):
    def call(command: object, *options: object) -> dict:
        path = tmp_path / "result.json"
        arguments = [MODEL, "--device", "--port", port, "--json", path, *options]
        assert cli.run(command.main, [str(argument) for argument in arguments]) == 0
        return json.loads(path.read_text())

    return call


@pytest.fixture
def audio(speech, tmp_path) -> Path:
    path = tmp_path / "word.wav"
    path.write_bytes(wav(speech, RATE))
    return path


def decisions(heard: dict, threshold: int) -> list[tuple[int, int, int]]:
    """What the detector makes of the inferences on the PC: class, mean score and time."""
    pipeline = Pipeline(model_files.read(MODEL).tflite, overrides={"detection_threshold": threshold})
    times = [inference["time_ms"] for inference in heard["inferences"]]
    scores = np.array([inference["scores"] for inference in heard["inferences"]])
    found = replay(detector_settings(pipeline.settings), scores, np.array(times))
    return [(int(k), int(score), times[i]) for i, k, score in found.tolist()]


def test_profile(run, capsys):
    value = run(profile, "-n", "3")
    assert (value["target"], value["verdict"], value["repetitions"]) == ("device", "valid", 3)
    assert value["cpu_cycles"] > 100_000
    assert "Measurement         valid" in capsys.readouterr().out


def test_classify_with_the_microphone(run, capsys):
    """The board listens from whatever moment of the audio the host's time has it at, so the network's
    scores differ from run to run (half a word at the start may sound like another); the decisions are
    always those of the detector on these scores, and a whole word is always among five seconds."""
    value = run(classify, "--seconds", "5", "-t", "150")
    (heard,) = value["files"]
    assert [(d["class"], d["score"], d["time_ms"]) for d in heard["detections"]] == decisions(heard, 150)
    assert "on" in {d["label"] for d in heard["detections"]}
    assert heard["inferences"][-1]["time_ms"] <= 5000 and len(heard["inferences"]) > 30
    assert heard["statistics"]["overruns"] == heard["frames_lost"] == 0
    assert "Detected class=0 label=on" in capsys.readouterr().out


def test_classify_a_file_as_the_pc_does(run, audio, tmp_path):
    (heard,) = run(classify, "--audio", audio, "-t", "150", "--dump-audio", tmp_path)["files"]
    path = tmp_path / "pc.json"
    arguments = [MODEL, "--audio", str(audio), "-t", "150", "--json", str(path)]
    assert cli.run(classify.main, arguments) == 0
    (on_pc,) = json.loads(path.read_text())["files"]
    assert heard["inferences"] == on_pc["inferences"] and heard["detections"] == on_pc["detections"]
    assert len(on_pc["detections"]) == 1
    assert (tmp_path / "word.wav").read_bytes() == audio.read_bytes()


def test_the_board_keeps_no_option_that_was_not_given(run, audio):
    """Each command sets all that decides: what an earlier one set does not matter."""
    (first,) = run(classify, "--audio", audio, "-t", "255")["files"]
    (second,) = run(classify, "--audio", audio)["files"]
    assert not first["detections"] and second["detections"]


def test_compare(run, audio):
    """With whatever options the command before has left on the board."""
    run(classify, "--audio", audio, "-t", "120", "-c", "1", "-w", "100", "--volume", "0.5")
    value = run(compare, "--audio", audio)
    assert value["same"] and not any(stage["different"] for stage in value["stages"])
    assert next(stage["compared"] for stage in value["stages"] if stage["name"] == "decisions")


def test_conversation_of_a_board_is_recorded_and_replayed(run, audio, tmp_path):
    recording = tmp_path / "board.jsonl"
    value = run(profile, "-n", "4", "--record", recording)
    path = tmp_path / "replayed.json"
    assert cli.run(profile.main, [MODEL, "--replay", str(recording), "-n", "4", "--json", str(path)]) == 0
    assert json.loads(path.read_text()) == value


def test_another_model_than_the_boards_is_refused(port, tmp_path, capsys):
    from host import update_params

    other = tmp_path / "other.tflite"
    assert cli.run(update_params.main, [MODEL, "detection_threshold=1", "--output", str(other)]) == 0
    capsys.readouterr()
    assert cli.run(profile.main, [str(other), "--device", "--port", port]) == 2
    error = capsys.readouterr().err
    assert "not this model" in error and "(flash the image that" in error and error.count("\n") == 1


def test_info_tells_the_fault_that_restarted_the_board(port, capsys):
    """The last test: the board starts anew."""
    assert cli.run(device_command, ["info", "--port", port]) == 0
    assert "fault           none\n" in capsys.readouterr().out
    with serial.Serial(port, timeout=5) as line:
        line.write(b"peek 0x30000000\n")
        assert b"Restarting." in line.read_until(b"Restarting.")
    assert cli.run(device_command, ["info", "--port", port, "--json", "-"]) == 0
    fault = json.loads(capsys.readouterr().out)["fault"]
    assert (fault["kind"], fault["bfar"]) == ("bus", "0x30000000")
