"""The image for the accelerator: bit for bit what the PC gives, as fast as before, safe when it fails."""

from __future__ import annotations

import json
import re
import shutil
import struct
from collections.abc import Iterator

import numpy as np
import pytest

from host import board, demo, hearing, image, listening, profile, target
from host.audio import read_audio
from host.device import commands
from host.device import messages as m
from host.pipeline import Pipeline
from host.runtime import Model
from host.simulator.machine import Machine

MODEL = "keyword_spotting_on_off"
pytestmark = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed"
)


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> image.Image:
    return image.build(MODEL, board.load("brd2601b"), tmp_path_factory.mktemp("mvp"), accelerator="mvp")


@pytest.fixture(scope="module")
def where(built) -> Iterator[target.Target]:
    with target.simulate(built.elf, "brd2601b") as opened:
        opened.device.request(m.StreamSet(events=m.Stream(0)))
        opened.device.request(m.SourceSet(source=m.Source.NONE), timeout_s=2.0)
        yield opened


def started(built: image.Image) -> Machine:
    """The chip with its start behind it, and said."""
    machine = Machine(built.elf)
    machine.run(0.1)
    machine.uart_read()
    return machine


def test_every_layer_is_the_runtimes(where):
    model = Model(MODEL, "mvp")
    rng = np.random.default_rng(1)
    for _ in range(2):
        x = rng.integers(-128, 128, model.input.shape).astype(np.int8)
        commands.inject_features(where.device, x)
        for position, expected in enumerate(model.invoke_layers(x)):
            where.device.request(m.RunLayer(layer=position), timeout_s=2.0)
            layer = model.layers[position]
            data = commands.read_tensor(where.device, model.plan.number(layer.output))
            assert data == expected.tobytes(), layer
        commands.inject_features(where.device, x)
        np.testing.assert_array_equal(commands.run_network(where.device), model.invoke(x).ravel())


# Accelerator cycles by layer under each rule, then CPU cycles: estimates both. The programs are known
# exactly; a change of these numbers is a change of speed and has to be meant.
ACCELERATOR = {
    "ports": [17_703, 58_767, 59_019, 462, 0, 485, 0],
    "shared": [21_545, 58_960, 59_191, 462, 0, 485, 0],
}
CPU = [4_057, 2_815, 2_161, 315, 105, 584, 480]


@pytest.mark.parametrize("timing", ["ports", "shared"])
def test_profile(built, tmp_path, timing):
    out = tmp_path / "profile.json"
    options = ["--accelerator", "mvp", "--timing", timing, "--json", str(out)]
    assert profile.main([MODEL, *options]) == 0
    value = json.loads(out.read_text())
    assert [layer["accelerator_cycles"] for layer in value["layers"]] == ACCELERATOR[timing]
    for layer, expected in zip(value["layers"], CPU, strict=True):
        assert layer["cpu_cycles"] == pytest.approx(expected, rel=0.03, abs=60), layer
    assert value["cpu_cycles"] <= 12_000
    assert value["accelerator_cycles"] <= 150_000
    assert value["time_s"] <= 2.1e-3
    assert value["ram_bytes"] <= 12_000
    assert value["flash_bytes"] <= 15_000
    assert value["timing"] == timing
    assert [layer["opcode"] for layer in value["unsupported_layers"]] == ["softmax"]
    # What the runtime's driver counts on the PC are the accelerator's own counters in the chip.
    model = Model(MODEL, "mvp", timing=timing)
    model.invoke(np.zeros(model.input.shape, np.int8))
    counters = model.accelerator_counters()
    assert counters.programs == value["programs"] == 63
    assert counters.cycles == value["accelerator_cycles"]
    assert counters.stalls == value["accelerator_stalls"]


def test_a_profile_says_what_the_layers_run_on(where):
    profile = commands.profile(where.device, repetitions=1)
    assert profile.begin.accelerator == where.device.hello.accelerator == m.Accelerator.MVP
    assert [layer.programs > 0 for layer in profile.layers] == [c > 0 for c in ACCELERATOR["ports"]]


def test_a_part_without_an_accelerator_refuses(built):
    machine = Machine(built.elf, mvp=False)
    machine.run(0.2)
    text = machine.uart_read().decode(errors="replace")
    assert "Error: the model was compiled for the MVP, which this part does not have" in text
    assert not machine.faults


def test_a_program_is_done_once_the_accelerator_is_idle(built):
    """The simulator reports a program that is loaded before; what comes a little late is borne with."""
    machine = Machine(built.elf, mvp_idle_lag=2_000)
    machine.uart_write(b"profile 1\n")
    assert machine.run_until(b"Profile complete", 2)
    assert not machine.faults


def test_an_accelerator_that_does_not_become_idle_is_told_of_and_begun_anew(built):
    machine = Machine(built.elf, mvp_idle_lag=10_000_000)
    for _ in range(2):
        machine.uart_read()
        machine.uart_write(b"profile 1\n")
        assert machine.run_until(b"Error: accelerator, layer 0 program 0: did not end", 2)
    assert not machine.faults


def test_a_fault_is_told_and_does_no_harm(built):
    machine = started(built)
    stream = machine.symbol("layer_1_programs")
    head = struct.unpack("<I", machine.read(stream, 4))[0]
    at = stream + 4 * (1 + (head >> 24) + 1)  # the second address of the first program: where it stores
    good = machine.read(at, 4)
    machine.write(at, struct.pack("<I", 0x0010_0000))  # beyond RAM
    machine.uart_write(b"profile 1\n")
    machine.run(0.2)
    text = machine.uart_read().decode(errors="replace")
    line = re.search(r"^Error: accelerator, layer 1 program 0: bus error at (.*)$", text, re.MULTILINE)
    assert line, text
    assert (
        line[1]
        == f"instruction 0, array 1, store stream, address 0x{machine.symbol('s_arena') + (1 << 20):08x}"
    )
    machine.write(at, good)
    machine.uart_write(b"profile 1\n")
    assert machine.run_until(b"Profile complete", 2)


def test_after_a_program_that_never_ends_it_is_set_up_again(built):
    machine = started(built)
    machine.uart_write(b"profile 1\n")
    for _ in range(20_000):
        machine.run(1e-5)
        if machine.debug_read(0x4D000010, 4) & 1:  # STATUS: running
            break
    machine.debug_write(0x4D000174, 4, 2)  # halted, by nobody that the firmware knows of
    assert machine.run_until(b"Error: accelerator", 3)
    cfg, ien = (machine.debug_read(0x4D000000 + at, 4) for at in (0x00C, 0x020))
    assert (cfg, ien) == (1 | 2 << 20, 0x1F000001)
    machine.uart_write(b"profile 1\n")
    assert machine.run_until(b"Profile complete", 2)


def test_a_program_that_never_ends_is_told_and_the_next_one_runs(built):
    """After a second; here it does not even begin, since the accelerator is switched off."""
    machine = started(built)
    assert machine.debug_write(0x4D000004, 4, 0)  # EN
    machine.uart_write(b"profile 1\n")
    begun = machine.time_s
    assert machine.run_until(b"a layer failed", 2)
    assert 1.0 < machine.time_s - begun < 1.3
    assert "Error: accelerator, layer 0 program 0: did not end at" in machine.uart_read().decode()
    machine.uart_write(b"profile 1\n")
    assert machine.run_until(b"Profile complete", 1)


def test_other_interrupts_are_served_while_it_runs(where):
    """The wait wakes for the serial port too; what arrives while programs run is answered afterwards."""
    machine = where.machine
    model = Model(MODEL, "mvp")
    x = np.full(model.input.shape, 7, np.int8)
    expected = model.invoke(x).ravel()
    commands.inject_features(where.device, x)
    machine.uart_write(b"stats\n" * 3)
    np.testing.assert_array_equal(commands.run_network(where.device), expected)
    statistics = where.device.request(m.StatisticsGet(), timeout_s=2.0)
    assert statistics.frames_lost == 0


def test_the_load_is_the_time_that_the_core_does_not_sleep(built):
    """Be it for the accelerator or for audio."""
    machine = Machine(built.elf)
    machine.run(2.0)
    cycles, asleep = machine.cycles, machine.sleep_cycles
    machine.run(1.0)
    busy = 1 - (machine.sleep_cycles - asleep) / (machine.cycles - cycles)
    machine.uart_read()
    machine.uart_write(b"stats\n")
    assert machine.run_until(b"/1000 ", 0.1)
    load = int(re.search(rb" load=(\d+)/", machine.uart_read())[1])
    assert abs(load - 1000 * busy) < 5  # an inference more or less; those of a second wait for 18


def test_statistics_tell_what_of_an_inference_was_the_accelerators(built):
    with target.simulate(built.elf, "brd2601b") as where:
        where.machine.run(3.0)
        statistics = where.device.request(m.StatisticsGet(), timeout_s=2.0)
        programs = sum(ACCELERATOR["ports"])
        assert programs * 0.98 < statistics.accelerator_cycles < programs * 1.02
        assert programs + sum(CPU) - 1_500 < statistics.network_cycles < programs + sum(CPU) + 1_500


def test_the_dialogue_is_heard_as_on_the_pc(built):
    """The audio loop around it: microphone, serial port and clock interrupt while programs run."""
    pipeline = Pipeline(MODEL, accelerator="mvp")
    samples = read_audio(demo.DEMO.with_suffix(".wav"), pipeline.sample_rate_hz)
    on_chip = hearing.hear_simulated(built.elf, "brd2601b", samples, pipeline.frontend, lambda text: None)
    on_pc = hearing.collect(listening.on_pc(pipeline, samples), lambda text: None)
    assert on_chip["inferences"] == on_pc["inferences"]
    assert on_chip["detections"] == on_pc["detections"] != []
    counts = on_chip["statistics"]
    assert counts["overruns"] == counts["late_inferences"] == counts["frames_dropped"] == 0
