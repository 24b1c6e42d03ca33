"""What a profile says, of records as a device sends them."""

from __future__ import annotations

from typing import Any

import pytest

from codegen.parameters import read_parameters
from host import profile
from host.compiled import compiled
from host.device import commands
from host.device import messages as m
from host.summary import layer_table, summary, totals

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


def test_a_summary_adds_its_layers_up(static):
    assert static["macs"] == sum(layer["macs"] for layer in static["layers"])
    assert static["ops"] == sum(layer["ops"] for layer in static["layers"]) > static["macs"] > 0
    assert layer_table(static).count("\n") == len(static["layers"]) + 1
    bound = static["arena_bound_bytes"]
    assert "(the lower bound)" in totals(static | {"arena_bytes": bound})
    assert f"(lower bound {bound:,})" in totals(static | {"arena_bytes": bound + 1})
