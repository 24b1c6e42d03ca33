"""The image that ships, booted in the simulator: what it says, hears, counts and survives."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from codegen.parameters import read_parameters, write_parameters
from host import board, build, cli, image, model_files
from host.device import commands
from host.device import messages as m
from host.device.device import Device, DeviceError
from host.device.simulator import SimulatorTransport
from host.pipeline import Pipeline
from host.runtime import Model
from host.simulator.machine import Machine, SimulatorFault
from tests.sounds import RATE, bursts

pytestmark = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed"
)
MODEL = "keyword_spotting_on_off"
WAKE_UP = 4096  # frames that the board drops while the microphone settles


def play(machine: Machine, audio: np.ndarray) -> None:
    """Sound from the microphone's first useful frame on."""
    machine.set_audio(np.concatenate([np.zeros(WAKE_UP, np.int16), audio]), at=0)


def text_of(machine: Machine) -> str:
    """The lines sent since the last look, without the frames between them."""
    return re.sub(rb"\0[^\0]+\0", b"", machine.uart_read()).decode()


def scores_in(text: str) -> list[tuple[int, tuple[int, ...]]]:
    lines = re.findall(r"^\[ *(\d+)\] \( *\d+\)((?: +\d+)+)$", text, re.MULTILINE)
    return [(int(time), tuple(map(int, scores.split()))) for time, scores in lines]


def statistics(machine: Machine) -> dict[str, int]:
    machine.uart_read()
    machine.uart_write(b"stats\n")
    assert machine.run_until(b"stack=", 1) and machine.run_until(b"/4096\n", 1)
    return {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", text_of(machine))}


def test_banner(machine):
    assert machine.run_until(b"detection_threshold=", 1)
    text = text_of(machine)
    assert text.startswith("Tokay on BRD2601B (EFR32MG24B310F1536IM48), 78 MHz\n")
    assert f"Model: {MODEL}" in text and "classes: on off" in text
    assert "sample_rate_hz=8018" in text
    assert "Warning" not in text and "Error" not in text


def test_hears_what_the_pc_hears(machine):
    audio = bursts(4 * RATE, seed=7)
    pipeline = Pipeline(MODEL, overrides={"detection_threshold": 1})
    expected = [(e.time_ms, e.scores) for e in pipeline.process(audio)]
    assert len({scores for _, scores in expected}) > 10
    play(machine, audio)
    machine.uart_write(b"verbose on\n")
    machine.run((WAKE_UP + audio.size) / RATE + 0.1)
    heard = scores_in(text_of(machine))
    assert len(expected) - 1 <= len(heard)
    assert heard[: len(expected)] == expected[: len(heard)]


def test_nothing_is_lost_in_a_minute(machine):
    play(machine, bursts(60 * RATE, seed=7))
    machine.run(60)
    s = statistics(machine)
    assert s["overruns"] == s["skipped"] == 0
    assert abs(s["samples"] - (60 * 8018 - WAKE_UP)) < 1000
    assert s["inferences"] == (s["columns"] - 49) // 5 + 1
    assert 0 < s["load"] < 200
    assert s["stack"] < 4096


def test_stack_stays_within_its_bound(machine, built):
    play(machine, bursts(2 * RATE, seed=7))
    machine.uart_write(b"verbose on\nstats\nprofile 1\nhelp\n")
    machine.run(3)
    assert 300 < statistics(machine)["stack"] <= built.stack.total


def test_overruns_are_counted_to_the_sample(machine):
    audio = bursts(8 * RATE, seed=7)
    play(machine, audio)
    machine.uart_write(b"verbose on\n")
    machine.run(3)
    machine.uart_write(b"stall 1500\n")
    machine.run((WAKE_UP + audio.size) / RATE - 3 + 0.1)
    text = text_of(machine)
    warnings = re.findall(r"Warning: (\d+) samples of audio lost @(\d+)ms", text)
    assert len(warnings) == 1
    lost, time_ms = map(int, warnings[0])
    # 1.5 s at 8018 Hz, less the ring.
    assert abs(lost - (1.5 * 8018 - 4096)) < 600
    counted = statistics(machine)
    assert counted["overruns"] == lost and 12 <= counted["skipped"] <= 16  # in 1.5 s, one in 100 ms
    # The PC, told of exactly this gap, hears the same from then on: the count is exact. Everything
    # moves in blocks of 128 samples, which makes the gap's place exact too.
    gap_end = round(time_ms * RATE / 1000 / 128) * 128
    pipeline = Pipeline(MODEL)
    before = pipeline.process(audio[: gap_end - lost])
    pipeline.loop.lost(lost)
    after = pipeline.process(audio[gap_end:])
    heard = scores_in(text)
    by_time = dict(heard)
    shared = [e for e in (*before, *after) if e.time_ms in by_time]
    assert len(shared) > len(before) + 10
    assert all(by_time[e.time_ms] == e.scores for e in shared)
    # What was lost before is not lost once more from a microphone that is switched on again.
    machine.uart_write(b"mic off\nmic on\n")
    machine.run(0.7)
    assert "lost" not in text_of(machine) and statistics(machine)["overruns"] == 0


def test_capture_goes_on_after_a_bus_error(machine):
    machine.run(1.0)
    text_of(machine)
    block = machine.symbol("s_left") + 16 * 5  # a descriptor of the ring: control, source, destination, link
    machine.write(block + 8, (0x30000000).to_bytes(4, "little"))
    machine.run(2.5)
    assert text_of(machine) == "Warning: capture stopped by a bus error; starting it again\n"
    heard = statistics(machine)
    assert heard["samples"] > 8000 and heard["inferences"] > 0 and heard["overruns"] == 0


def test_a_board_whose_crystal_does_not_start_runs_and_says_so(built):
    machine = Machine(built.elf)
    machine._c.simulator_set_crystal(machine._handle, 0)
    machine.run(0.6)
    assert machine.status.core_hz == 20_000_000
    text = text_of(machine)
    assert re.match(r"Tokay on BRD2601B .*, 20 MHz\nWarning: the crystal or the PLL did not start", text)
    assert "Error: the microphone cannot run within 1 % of the model's sample rate" in text
    with Device(SimulatorTransport(machine), session_id=1) as device:
        device.connect()
        assert device.hello.core_clock_hz == 20_000_000
        device.request(m.StreamSet(events=m.Stream.LOG | m.Stream.SCORES))
        with pytest.raises(DeviceError, match="cannot run within 1 %"):
            device.request(m.SourceSet(source=m.Source.MICROPHONE))
        device.request(m.SourceSet(source=m.Source.AUDIO))
        audio = bursts(2 * RATE, seed=7)
        commands.inject_audio(device, audio)
        events = list(device.events(timeout_s=0.5))
    (log,) = [e for e in events if isinstance(e, m.Log)]
    assert log.level == m.LogLevel.ERROR and "1 % of the model's sample rate" in log.text
    expected = [(e.time_ms, e.scores) for e in Pipeline(MODEL).process(audio)]
    assert [(e.time_ms, tuple(e.values)) for e in events if isinstance(e, m.Scores)] == expected


def test_fault_is_one_readable_line_and_a_restart(machine):
    machine.run(0.2)
    machine.uart_read()
    machine.uart_write(b"stats\nhelp\npeek 0x30000000\n")
    assert machine.run_until(b"Fault:", 1)
    assert machine.leds["fault"]
    assert machine.run_until(b"Restarting.", 1)
    text = text_of(machine)
    *before, line, _ = text.splitlines()
    assert line.startswith("Fault: ") and text.count("Fault: ") == 1
    assert len(before) == 4 and before[2].endswith("peek ADDRESS, reset")  # whole, and before it
    assert "bus fault at a data access" in line and "address=0x30000000" in line
    pc = int(re.search(r"pc=0x([0-9a-f]{8})", line)[1], 16)
    assert machine.image.function_at(pc) in ("peek", "execute", "application_turn")
    assert machine.run_until(b"detection_threshold=", 1)
    text = text_of(machine)
    assert "Tokay on BRD2601B" in text and f"pc=0x{pc:08x}" in text and "restarted after a fault" in text


def test_a_fault_tells_the_registers_that_were_pushed(built):
    machine = Machine(built.elf)
    machine.run(0.2)
    machine.uart_write(b"peek 0x30000000\n")
    with pytest.raises(SimulatorFault) as fault:
        machine.run(0.2)
    stack = machine.register(13)  # r0 to r3, r12, lr, pc, xpsr
    assert int.from_bytes(machine.read(stack + 24, 4), "little") == fault.value.pc
    machine.write(stack + 20, (0x12345678).to_bytes(4, "little"))
    assert machine.run_until(b"Restarting.", 0.2)
    assert f" pc=0x{fault.value.pc:08x} lr=0x12345678 " in text_of(machine)


def test_faults_in_a_row_end_in_a_halt(machine):
    for _ in range(3):
        machine.run(0.2)
        machine.uart_write(b"peek 0x30000000\n")
        machine.run(0.2)
    text = text_of(machine)
    assert text.count("Restarting.") == 2 and text.count("Halted.") == 1
    machine.run(1)
    assert machine.uart_read() == b""
    machine.reset()  # by hand: the row is at its end
    machine.run(0.2)
    machine.uart_write(b"peek 0x30000000\n")
    assert machine.run_until(b"Restarting.", 0.2)


def test_faults_far_from_each_other_do_not_end_in_a_halt(machine):
    for _ in range(3):
        machine.run(0.2)
        machine.uart_write(b"mic off\n")
        machine.run(10.5)
        machine.uart_write(b"peek 0x30000000\n")
        assert machine.run_until(b"Restarting.", 0.2)
        text_of(machine)


@pytest.mark.parametrize("words", [(0x7A6B01F5, 0), (0, 0x8594FE0A), (0x7A6B01F5, 0x7A6B01F5)])
def test_what_memory_holds_after_power_on_is_no_fault(built, words):
    """The record begins with a magic number and ends with its complement."""
    machine = Machine(built.elf)
    record = machine.symbol_info("s_record")
    for address, word in zip((record.address, record.address + record.size - 4), words, strict=True):
        machine.write(address, word.to_bytes(4, "little"))
    assert machine.run_until(b"detection_threshold=", 1)
    assert "fault" not in text_of(machine)


def test_the_serial_port_takes_as_much_as_it_has_room_for(machine):
    machine.run(0.2)
    machine.uart_read()
    place = machine.symbol("s_arena")
    text = bytes(range(33, 127)) * 60
    machine.write(place, text)
    room = machine.call("hal_uart_space").value
    taken = machine.call("hal_uart_write", place, len(text)).value
    assert room <= taken < len(text) == 5640
    machine.run(0.6)
    assert machine.uart_read() == text[:taken]


@pytest.mark.parametrize(
    ("token", "xi", "xo"),
    [(10, 10, 50), (214, 214, 254), (216, 216, 255), (255, 255, 255), (256, 140, 180), (0xFFFF, 140, 180)],
)
def test_the_crystal_is_tuned_as_its_maker_wrote(built, token, xi, xo):
    """XO by 40 more than XI, both in eight bits. Where its maker wrote nothing, as the board is described."""
    assert board.load("brd2601b").sections["clocks"]["hfxo_ctune"] == 140
    machine = Machine(built.elf)
    machine.write(0x0FE00100, token.to_bytes(2, "little"))
    machine.run(0.01)
    tuning = machine.peripheral(0x4A004018)
    assert (tuning >> 8 & 0xFF, tuning >> 16 & 0xFF) == (xi, xo)


def test_stack_overflow_is_named(machine):
    machine.run(0.2)
    machine.uart_read()
    with pytest.raises(SimulatorFault, match="stack overflow"):
        machine.call("application_turn", stack=machine.symbol("stack_bottom") + 96)
    machine.run_until(b"Restarting.", 1)
    text = text_of(machine)
    assert "Fault: stack overflow" in text
    pc = int(re.search(r"pc=0x([0-9a-f]{8})", text)[1], 16)
    assert machine.image.function_at(pc) == "application_turn"


def test_commands(machine):
    machine.run(0.2)
    machine.uart_read()
    machine.uart_write(b"mic off\nnonsense\npeek 0x08000000\n")
    machine.run(0.2)
    text = text_of(machine)
    assert "Commands: help" in text and "0x08000000: 0x20001000" in text
    samples = statistics(machine)["samples"]
    machine.run(1)
    assert statistics(machine)["samples"] == samples
    machine.uart_write(b"mic on\n")
    machine.run(1)
    assert 0 < statistics(machine)["samples"] < 1.2 * RATE
    machine.uart_read()
    machine.uart_write(b"reset\n")
    machine.run(0.3)
    text = text_of(machine)
    assert "Tokay on BRD2601B" in text and "fault" not in text


def test_profile_measures_every_layer(machine):
    machine.run(0.2)
    machine.uart_write(b"profile 2\n")
    assert machine.run_until(b"Profile complete", 10)
    text = text_of(machine)
    layers = [int(c) for c in re.findall(r"^Layer \d+: .* cpu_cycles=(\d+) ", text, re.MULTILINE)]
    network = int(re.search(r"^Network: cpu_cycles=(\d+)", text, re.MULTILINE)[1])
    assert len(layers) == int(re.search(r"Profile: layers=(\d+)", text)[1])
    assert 0.95 * network < sum(layers) < 1.1 * network
    kernels = re.findall(r"^Layer \d+: opcode=\d+ kernel=(\w+) ", text, re.MULTILINE)
    assert kernels == [layer.kernel for layer in Model(MODEL).layers]
    assert "Frontend: cpu_cycles=" in text


def test_a_line_is_whole_or_missing_and_the_missing_are_counted(machine):
    machine.run(0.2)
    machine.uart_read()
    machine.uart_write(b"stats\n" * 40)  # 40 * 250 bytes, more than the port takes meanwhile
    machine.run(3)
    machine.uart_write(b"stats\n")  # the first line that goes out again says what was missing before it
    machine.run(0.2)
    text = text_of(machine)
    whole = r"^(?:Statistics: uptime_ms=\d+ .* skipped=\d+|Cycles .*/4096)$"
    complete = re.findall(whole, text, re.MULTILINE)
    dropped = sum(map(int, re.findall(r"^Warning: (\d+) lines not sent$", text, re.MULTILINE)))
    others = [line for line in text.splitlines() if not re.match(r"Statistics|Cycles|Warning", line)]
    assert others == []
    assert len(complete) + dropped == 82 and dropped > 0


@pytest.mark.parametrize("length", [197, 198, 199, 200, 1000])
def test_a_line_that_is_too_long_is_cut_off_but_ends(machine, length):
    machine.run(0.2)
    machine.uart_read()
    place = machine.symbol("s_arena")
    machine.write(place, b"x" * length + b"\0")
    machine.call("report_line", machine.symbol("s_app"), place)
    machine.run(0.1)
    assert text_of(machine) == "x" * min(length, 198) + "\n"


def test_a_board_without_a_microphone_says_so(tmp_path):
    built = image.build(MODEL, board.load("brd2703a"), tmp_path)
    machine = Machine(built.elf, board="brd2703a")
    machine.run(0.5)
    text = text_of(machine)
    assert "Tokay on BRD2703A (EFR32MG24B210F1536IM48), 78 MHz" in text
    assert "Error: this board has no microphone" in text
    machine.uart_write(b"profile 1\n")
    assert machine.run_until(b"Profile complete", 1)


def at_rate(rate: int, folder: Path) -> Path:
    """The model, asking for another sample rate."""
    tflite = model_files.read(MODEL).tflite
    path = folder / "odd_rate.tflite"
    path.write_bytes(write_parameters(tflite, {**read_parameters(tflite), "fe.sample_rate_hz": rate}))
    return path


@pytest.mark.parametrize(("rate", "nearest"), [(11025, "10882 or 11285"), (12000, "11719 or 12187")])
def test_a_sample_rate_that_the_clocks_cannot_make_is_refused(rate, nearest, tmp_path, capsys):
    # 39 MHz / 128 / 28 = 10882 Hz is 1.3 % below 11025 Hz, the 25th part 1.6 % above 12 kHz.
    path = at_rate(rate, tmp_path)
    assert cli.run(build.main, [str(path), "-o", str(tmp_path / "image")]) == 0
    warning = f"does not run within 1 % of the model's {rate} Hz: the nearest are {nearest} Hz; it hears only"
    assert warning in capsys.readouterr().err
    machine = Machine(tmp_path / "image" / "tokay.elf")
    machine.run(0.5)
    reason = "the microphone cannot run within 1 % of the model's sample rate"
    assert f"Error: {reason}" in text_of(machine)
    with Device(SimulatorTransport(machine), session_id=1) as device:
        device.connect()
        with pytest.raises(DeviceError, match=f"source_set: failed: {reason}"):
            device.request(m.SourceSet(source=m.Source.MICROPHONE))
        device.request(m.SourceSet(source=m.Source.AUDIO))


def test_the_build_knows_what_the_clocks_make(machine):
    machine.run(0.1)
    described = board.load("brd2601b")
    rates = [6249, 6250, 18750, 18751, *range(6000, 19000, 37)]
    actual = machine.symbol("s_arena")
    runs = {rate: machine.call("hal_microphone_start", rate, actual).value == 0 for rate in rates}
    assert runs == {rate: described.microphone_misfit(rate) is None for rate in rates}
    assert 0.4 < np.mean(list(runs.values())) < 0.6
