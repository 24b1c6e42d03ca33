"""What a comparison of two sides says: the first thing that differs, on which side, and how much does."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from host import cli, compare, view
from host.compare import Hearing, Stage
from host.device import messages as m
from host.device.device import Gap
from host.pipeline import Detection, Event, Pipeline
from host.runtime import Model
from tests.tflite_builder import NetworkBuilder, single

ON, OFF = Detection(0, "on", 200, 1000), Detection(1, "off", 190, 2000)


def test_what_was_heard_is_kept_up_to_a_loss():
    heard = Hearing().take(
        [
            m.Spectrogram(column=3, values=(1, 2)), m.Features(column=4, values=(3,)),
            Event(10, (5,), None), Event(1000, (200,), ON), Gap(2), Event(20, (6,), OFF), Gap(1),
        ]
    )  # fmt: skip
    assert (heard.spectrogram, heard.features) == ({3: (1, 2)}, {4: (3,)})
    assert heard.inferences == {10: (5,), 1000: (200,)} and heard.detections == [ON] and heard.lost == 2


@pytest.mark.parametrize(
    ("found", "different", "first", "said"),
    [
        ({4: (1, 2), 5: (3, 4)}, 0, None, ""),
        ({4: (1, 2), 5: (3, 5)}, 1, {"channel": 1, "pc": 4, "target": 5}, "channel 1: PC 4, target 5"),
        ({5: (3, 9)}, 2, {"column": 4, "time_ms": 40}, "column 4 (at 40 ms) is missing on the target"),
        ({3: (0, 0), 4: (1, 2), 5: (3, 4)}, 1, {"column": 3}, "column 3 (at 30 ms) is missing on the PC"),
    ],
)
def test_columns(found, different, first, said):
    stage = compare._columns("features", {4: (1, 2), 5: (3, 4)}, found, lambda column: 10 * column)
    assert (stage.compared, stage.different) == (len({4, 5} | set(found)), different)
    assert said in stage.text and (stage.first is None) == (first is None)
    assert (first or {}).items() <= (stage.first or {}).items()


def test_a_score_that_both_have_is_shown_before_one_that_is_missing():
    pc, board = Hearing(inferences={20: (1,), 30: (2,)}), Hearing(inferences={10: (9,), 20: (1,), 30: (3,)})
    stage = compare._scores(pc, board)
    assert (stage.compared, stage.different) == (3, 2)
    assert stage.first == {"time_ms": 30, "pc": (2,), "target": (3,)}
    assert stage.text == "inference at 30 ms: PC (2,), target (3,)"
    times = (990, 1010, 3010, 5990)
    later = compare._scores(*(Hearing(inferences=dict.fromkeys(times, (k,))) for k in (0, 1)))
    assert later.different == 4 and later.first["time_ms"] == 990
    same = compare._scores(pc, pc)
    assert (same.compared, same.different, same.first) == (2, 0, None)


@pytest.mark.parametrize(("detections", "time_ms"), [([OFF], 2000), ([], 30)])
def test_a_score_that_only_the_target_has_names_a_window_of_the_pc(detections, time_ms):
    pc = Hearing(inferences={20: (1,), 30: (2,)}, detections=detections)
    stage = compare._scores(pc, Hearing(inferences={10: (9,), 20: (1,), 30: (2,)}))
    assert stage.first == {"time_ms": time_ms, "pc": None, "target": (9,)}
    assert stage.text == "inference at 10 ms: PC nothing, target (9,)"


def test_a_window_is_what_the_network_heard_at_that_time():
    pipeline = Pipeline("keyword_spotting_on_off")
    samples = np.random.default_rng(1).integers(-3000, 3000, 12_000).astype(np.int16)
    raw = pipeline.frontend.spectrogram(samples)
    time_of = compare._column_time(pipeline)
    assert [time_of(k) for k in (0, 1, 48)] == [30, 50, 990]
    heard = Hearing(spectrogram={k: tuple(column.tolist()) for k, column in enumerate(raw)})
    for time_ms, first in ((990, 0), (1009, 0), (1010, 1), (1490, 25)):
        window = compare._window(pipeline, heard, time_ms, time_of)
        features = pipeline.frontend.quantize(raw[first : first + 49])
        assert np.array_equal(window, features.reshape(pipeline.model.input.shape)), time_ms


def test_decisions():
    assert compare._decisions([ON, OFF], [ON, OFF]) == Stage("decisions", 2, 0)
    missed = compare._decisions([ON, OFF], [ON])
    assert (missed.compared, missed.different) == (2, 1)
    assert missed.first["pc"]["label"] == "off" and missed.first["target"] is None
    assert missed.text == f"PC: {OFF}; target: nothing"
    invented = compare._decisions([], [ON, OFF])
    assert (invented.compared, invented.different, invented.first["pc"]) == (2, 2, None)


def test_an_elements_place_and_the_largest_difference():
    expected = np.array([[1, -128], [3, 100]], np.int8)
    found = np.array([[1, 127], [3, 98]], np.int8)
    assert compare._element(expected, found.tobytes()) == {
        "element": [0, 1], "pc": -128, "target": 127, "elements": 2, "largest": 255,
    }  # fmt: skip
    assert compare._element(expected, b"123")["elements"] == 4
    zeros = np.array([0.0, 1.0], np.float32)
    first = compare._element(zeros, np.array([-0.0, 1.0], np.float32).tobytes())
    assert (first["element"], first["elements"], first["largest"]) == ([0], 1, 0)
    first = compare._element(zeros, np.array([0.0, 1.25], np.float32).tobytes())
    assert (first["element"], first["target"], first["largest"]) == ([1], 1.25, 0.25)


def test_a_layer_is_named_by_its_part_where_an_operator_has_several(monkeypatch):
    n = NetworkBuilder()
    x, y = n.tensor((1, 2, 2, 4), scale=0.1), n.tensor((1, 2, 2, 2), scale=0.1)
    weights = n.tensor((2, 1, 1, 2), scale=0.1, data=np.ones((2, 1, 1, 2)))  # two groups
    model = Model(single("CONV_2D", [x, weights], y, n, "Conv2DOptions", strideH=1, strideW=1))
    tensors = model.plan.graph.tensors
    right = {layer.output: np.zeros(tensors[layer.output].bytes, np.int8).tobytes() for layer in model.layers}
    wrong = {**right, model.layers[3].output: b"\1" * 4}
    by_number = {model.plan.number(tensor): data for tensor, data in wrong.items()}
    monkeypatch.setattr(compare.commands, "write_tensor", lambda *_: None)
    monkeypatch.setattr(compare.commands, "read_tensor", lambda device, number: by_number[number])
    head = next(view.lines(model.layers[3], model.plan, whole=True))
    assert head.startswith("== layer 0: conv_2d, step 3 of 5 1x2x2x2,")
    device = SimpleNamespace(request=lambda *_, **__: None)
    text = compare._layers(device, model, model.plan, np.zeros((1, 2, 2, 4), np.int8), "zeros", {}).text
    assert text.startswith("layer 0 (conv_2d, step 3 of 5), zeros, element [0, 0, 0, 0]: PC 0, target 1; ")


def test_settings_are_the_first_difference_only_where_nothing_shows_them():
    settings = Stage("settings", 6, 1, {"name": "latency_ms"}, "latency_ms is 1 on the PC, 2 on the target")
    same, scores = Stage("features", 9, 0), Stage("scores", 9, 4, {"time_ms": 10}, "inference at 10 ms")
    assert compare.result([settings, same, scores])["first"]["stage"] == "scores"
    value = compare.result([settings, same])
    assert not value["same"] and value["first"]["name"] == "latency_ms"
    assert compare.result([same]) == {
        "same": True, "first": None,
        "stages": [{"name": "features", "compared": 9, "different": 0, "first": None, "text": ""}],
    }  # fmt: skip
    assert compare.table([same]).endswith("\n\nPC and target are the same")
    assert compare.table([settings]).endswith(f"\n\nfirst difference: settings: {settings.text}")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--resample", "--resample is for --audio"),
        ("--image x.elf --device", "--image is for --simulate and --renode"),
        ("--image x.elf --replay x", "--image is for --simulate and --renode"),
        ("--port x", "--port is for --device"),
        ("--baud 115200 --simulate", "--baud is for --device"),
        ("--port x --replay x", "--port is for --device"),
        ("--record x --replay x", "--record is for a conversation with a target"),
        ("--simulate --renode", "not allowed with"),
    ],
)
def test_options_that_nothing_would_heed(options, said, capsys):
    assert cli.run(compare.main, ["keyword_spotting_on_off", *options.split()]) == 2
    heard = capsys.readouterr()
    assert said in heard.err and heard.err.count("\n") == 1 and not heard.out
