"""host.compare on the image in the simulator: what differs from the PC is found where it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from host import cli, compare, target, update_params
from host.device import commands
from host.media import wav
from host.pipeline import Pipeline
from host.simulator.machine import Machine

MODEL = "keyword_spotting_on_off"
RATE = 8000
pytestmark = pytest.mark.usefixtures("one_image")


def stages(levels: list[compare.Stage]) -> dict[str, int]:
    return {level.name: level.different for level in levels}


@pytest.fixture
def word(speech, tmp_path) -> Path:
    path = tmp_path / "word.wav"
    path.write_bytes(wav(speech[: 3 * RATE], RATE))
    return path


def test_compare_finds_nothing_where_nothing_differs(run, word, built):
    value = run(compare, "--audio", word, "--image", built.elf)
    assert value["same"] and value["first"] is None
    counts = {stage["name"]: stage["compared"] for stage in value["stages"]}
    assert counts["spectrogram"] == counts["features"] == 149 and counts["decisions"] == 1


def damage_a_weight(machine: Machine) -> None:
    """In layer 1."""
    symbols = [name for name in machine.image.symbols if "weights" in name and "1" in name]
    assert symbols, sorted(machine.image.symbols)
    symbol = machine.symbol_info(symbols[0])
    byte = machine.read(symbol.address + 5, 1)[0]
    machine.write(symbol.address + 5, bytes([byte ^ 0x40]))


def test_compare_locates_a_damaged_weight(where, speech):
    pipeline = Pipeline(MODEL)
    layer = pipeline.model.layers[1]
    damage_a_weight(where.machine)
    levels = compare.compare(where.device, pipeline, speech[: 3 * RATE])
    found = stages(levels)
    assert found["settings"] == found["spectrogram"] == found["features"] == 0
    assert found["layers"] == 1 and found["scores"] > 0
    first = compare.result(levels)["first"]
    assert (first["stage"], first["layer"], first["opcode"]) == ("layers", layer.index, layer.name)
    assert "first difference: layers: layer 1" in compare.table(levels)


def test_compare_with_another_arithmetic(run, word):
    """The accelerator's sums are rounded otherwise: --reference shows where that begins."""
    value = run(compare, "--audio", word, "--reference", "mvp", status=1)
    different = [stage["name"] for stage in value["stages"] if stage["different"]]
    assert "layers" in different and not {"settings", "spectrogram", "features"} & set(different)
    assert value["first"]["stage"] == "layers" and value["first"]["opcode"] == "conv_2d"


def test_compare_locates_another_threshold(where, speech):
    thresholds = (255, 190, 190, 190)
    commands.set_parameter(where.device, "detection_threshold_list", thresholds)
    levels = compare.compare(where.device, Pipeline(MODEL), speech[: 3 * RATE])
    found = stages(levels)
    assert [name for name, count in found.items() if count] == ["settings", "decisions"]
    value = compare.result(levels)
    assert not value["same"] and value["first"]["stage"] == "decisions"
    assert levels[0].first["name"] == "detection_threshold_list"
    assert levels[0].first["target"] == thresholds


def test_compare_locates_another_gain(where, speech):
    commands.set_parameter(where.device, "volume_gain", 1.25)
    value = compare.result(compare.compare(where.device, Pipeline(MODEL), speech[: 3 * RATE]))
    assert (value["first"]["stage"], value["first"]["column"]) == ("spectrogram", 0)


def test_compare_exits_with_one_for_a_difference(run, word, monkeypatch):
    simulate = target.simulate

    def other(*arguments: Any) -> target.Target:
        opened = simulate(*arguments)
        damage_a_weight(opened.machine)
        return opened

    monkeypatch.setattr(target, "simulate", other)
    value = run(compare, "--audio", word, status=1)
    assert value["first"]["stage"] == "layers" and not value["same"]


def test_compare_refuses_what_it_cannot_compare(tmp_path, built, capsys):
    short = tmp_path / "short.wav"
    short.write_bytes(wav(np.zeros(RATE // 2, np.int16), RATE))
    other = tmp_path / "other.tflite"
    parameters = ["detection_threshold=100", "--output", str(other)]
    assert cli.run(update_params.main, [MODEL, *parameters]) == 0
    capsys.readouterr()
    for model, said in ((MODEL, "samples"), (str(other), "(build its image again")):
        arguments = [model, "--audio", str(short), "--image", str(built.elf)]
        assert cli.run(compare.main, arguments) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1
