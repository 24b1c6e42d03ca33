"""What a profile says, of records as a device sends them."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest

from codegen.parameters import read_parameters
from host import board, profile, target
from host.compiled import compiled
from host.device import commands
from host.device import messages as m
from host.errors import TokayError
from host.summary import layer_table, summary, totals
from host.verdict import Conditions, judge
from tests.unit.fake_device import FakeMachine, connected

MODEL = "keyword_spotting_on_off"
CLOCK = 78_000_000


@pytest.fixture(scope="module", params=["none", "mvp"])
def static(request) -> dict[str, Any]:
    file, plan = compiled(MODEL, request.param)
    return summary(plan, read_parameters(file.tflite), len(file.tflite))


@pytest.fixture(scope="module")
def measured(static) -> commands.Profile:
    """Layer k takes 1000 * (k + 1) cycles, of which the core waits for a tenth."""
    layers = tuple(
        m.ProfileLayer(
            index=k, cpu_cycles=1000 * (k + 1), cpu_cycles_min=900 * (k + 1), cpu_cycles_max=1100 * (k + 1),
            wait_cycles=100 * (k + 1), accelerator_cycles=80 * (k + 1), stall_cycles=k, programs=2,
        )
        for k in range(len(static["layers"]))
    )  # fmt: skip
    end = m.ProfileEnd(network_cycles=30_000, frontend_cycles=13_000, frontend_step_ms=20, detector_cycles=7)
    return commands.Profile(m.ProfileBegin(repetitions=5, core_clock_hz=CLOCK), layers, end)


def test_sums_and_ratios(static, measured):
    value = profile.result(static, "simulator", measured)
    layers = len(static["layers"])
    every = layers * (layers + 1) // 2  # the sum of 1 to layers
    assert value["cpu_cycles"] == 900 * every and value["accelerator_cycles"] == 80 * every
    assert value["time_s"] == pytest.approx(1000 * every / CLOCK)
    assert value["inferences_per_s"] == pytest.approx(CLOCK / (1000 * every))
    assert value["cpu_utilization"] == pytest.approx(0.9)
    assert value["accelerator_utilization"] == pytest.approx(0.08)
    assert value["macs_per_cycle"] == pytest.approx(static["macs"] / (1000 * every))
    assert value["accelerator_stalls"] == layers * (layers - 1) // 2 and value["programs"] == 2 * layers
    assert (value["repetitions"], value["clock_hz"], value["network_cycles"]) == (5, CLOCK, 30_000)
    second = value["layers"][1]
    assert (second["cpu_cycles"], second["cycles_least"], second["cycles_most"]) == (1800, 1800, 2200)
    assert second["time_s"] == pytest.approx(2000 / CLOCK)


def test_layers_that_the_accelerator_leaves_are_named(static, measured):
    value = profile.result(static, "simulator", measured)
    left = [u["index"] for u in value["unsupported_layers"]]
    wanted = [k["index"] for k in static["layers"] if k["reason"] and k["kernel"] != "mvp"]
    assert left == wanted
    said = profile.table(value | {"verdict": "valid", "reasons": []})
    assert ("Not on the accelerator:" in said) == bool(left)
    head = next(line for line in said.splitlines() if " opcode " in line)
    assert ("stalls" in head and "programs" in head) == (static["accelerator"] == "mvp")


@pytest.mark.parametrize(("kind", "note"), [("simulator", "not silicon"), ("renode", "Renode counts")])
def test_an_estimate_is_called_one_and_a_measurement_not(kind, note, static, measured):
    value = profile.result(static, kind, measured) | {"verdict": "suspect", "reasons": ["a", "b"]}
    said = profile.table(value)
    assert value["estimate"] and note in said and "memory rule" not in said
    assert "Measurement         suspect; a; b\n" in said
    assert "Front end           13,000 CPU cycles a step of 20 ms\n" in said
    assert "memory rule 'ports': an estimate too" in profile.table(value | {"timing": "ports"})
    board = profile.result(static, "device", measured) | {"verdict": "valid", "reasons": []}
    assert not board["estimate"] and not profile.table(board).endswith(")")


def test_a_network_whose_features_come_from_elsewhere_has_no_front_end(static, measured):
    value = profile.result(static, "simulator", measured) | {"verdict": "valid", "reasons": []}
    value["frontend"]["step_ms"] = 0
    assert "Front end           none: this network's features" in profile.table(value)


def test_a_step_of_no_whole_samples_has_the_length_that_the_model_says(static, measured):
    parameters = {**static["parameters"], "fe.sample_rate_hz": 11025, "fe.window_step_ms": 15}
    of_device = 1000 * (15 * 11025 // 1000) // 11025
    assert of_device == 14
    measured = replace(measured, end=replace(measured.end, frontend_step_ms=of_device))
    value = profile.result(static | {"parameters": parameters}, "simulator", measured)
    assert value["frontend"]["step_ms"] == 15


class Counting(FakeMachine):
    """A device whose counters stand at 100 and more, and go up by ``steps`` while it profiles."""

    def __init__(self, **steps: int) -> None:
        self.steps = dict.fromkeys(("frames_lost", "frames_corrupt", "frames_dropped"), 0) | steps
        super().__init__()

    def do_statistics_get(self, request: m.StatisticsGet, number: int) -> None:
        profiled = self.done.count("profile_run")
        counts = {name: 100 + profiled * step for name, step in self.steps.items()}
        self.send(m.Statistics(request=number, overruns=3 + 50 * profiled, **counts))


@pytest.mark.parametrize(
    ("steps", "conditions"),
    [
        ({}, {}),
        ({"frames_lost": 2}, {"frames_lost": 2}),
        ({"frames_corrupt": 3}, {"frames_damaged": 3}),
        ({"frames_dropped": 4}, {"dropped": 4}),
    ],
)
def test_only_what_is_lost_meanwhile_counts_against_a_profile(steps, conditions):
    machine = Counting(**steps)
    device = connected(machine)
    device.counters.lost, device.counters.corrupt = 7, 9  # by an earlier command, say
    where = target.Target("device", device)
    measured, asked = profile.measure(where, board.load("brd2601b"), "mvp", repetitions=2)
    assert len(measured.layers) == 3 and measured.begin.repetitions == 2
    none = {"frames_lost": 0, "frames_damaged": 0, "dropped": 0, "overruns": 3}
    assert asked == Conditions(2, CLOCK, "mvp", on_board=True, **{**none, **conditions})


def test_the_verdict_calls_layers_what_the_tables_call_them(static, measured, monkeypatch):
    """By the operator, though the device counts what it runs: what nothing needs is left out there."""
    first, second, *rest = (replace(r, repetitions=5) for r in measured.layers)
    spoilt = replace(measured, layers=(first, replace(second, wait_cycles=second.cpu_cycles + 1), *rest))
    known = [{**layer, "index": 3 * k} for k, layer in enumerate(static["layers"])]
    monkeypatch.setattr(profile, "_static", lambda *_: static | {"layers": known})
    monkeypatch.setattr(target, "connect", lambda *_: target.Target("device", connected(FakeMachine())))
    monkeypatch.setattr(target, "require_accelerator", lambda *_: None)
    asked = Conditions(5, CLOCK, "none", on_board=True)
    monkeypatch.setattr(profile, "measure", lambda *_: (spoilt, asked))
    value = profile.profile(MODEL, target.Options("device"))
    assert value["layers"][1]["index"] == 3
    assert "layer 3 waited longer than it ran" in value["reasons"]


def test_a_counter_that_stands_still_is_judged_and_told(static, measured):
    nothing = dict.fromkeys(("cpu_cycles", "cpu_cycles_min", "cpu_cycles_max", "wait_cycles"), 0)
    end = replace(measured.end, network_cycles=0, frontend_cycles=0, frontend_cycles_max=0)
    still = replace(measured, layers=tuple(replace(r, **nothing) for r in measured.layers), end=end)
    verdict = judge(still, Conditions(5, CLOCK, "none", on_board=True))
    assert verdict.verdict == "invalid"
    value = profile.result(static, "device", still) | {"verdict": "invalid", "reasons": verdict.reasons}
    assert (value["time_s"], value["inferences_per_s"], value["macs_per_cycle"]) == (0, 0, 0)
    assert "did the counter run?" in profile.table(value)
    assert value["frontend"]["step_ms"] == 20 and "come from elsewhere" not in profile.table(value)


@pytest.mark.parametrize(("runs", "refused"), [(0, True), (1, False), (1000, False), (1001, True)])
def test_repetitions(runs, refused, monkeypatch):
    asked = []
    monkeypatch.setattr(profile, "profile", lambda *_, repetitions, **more: asked.append(repetitions) or {})
    monkeypatch.setattr(profile, "table", str)
    with pytest.raises(TokayError, match="--repetitions takes 1 to 1000") if refused else nullcontext():
        profile.main([MODEL, "-n", str(runs)])
    assert asked == ([] if refused else [runs])


def test_a_summary_adds_its_layers_up(static):
    assert static["macs"] == sum(layer["macs"] for layer in static["layers"])
    assert static["ops"] == sum(layer["ops"] for layer in static["layers"]) > static["macs"] > 0
    assert layer_table(static).count("\n") == len(static["layers"]) + 1
    assert static["input"] == {"shape": [1, 49, 32, 1], "dtype": "int8", "scale": 1 / 64, "zero_point": 0}
    assert "input    int8 1x49x32x1, scale 0.015625, zero point 0\n" in totals(static)
    floats = {"shape": [1, 4], "dtype": "float32", "scale": None, "zero_point": None}
    assert "output   float32 1x4\n" in totals(static | {"output": floats})
    bound = static["arena_bound_bytes"]
    assert "(the lower bound)" in totals(static | {"arena_bytes": bound})
    assert f"(lower bound {bound:,})" in totals(static | {"arena_bytes": bound + 1})
