"""Models in the flash behind the firmware: one runs, proves itself, or gives way to the one before it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("pyocd", reason="pyOCD is not installed (extra flash)")

from codegen.parameters import read_parameters, write_parameters
from codegen.plan import KERNELS
from host import board as boards
from host import cli, flash, flash_model, image, model_files, model_image, model_layout
from host.device import commands
from host.device import messages as m
from host.device.device import Device
from host.device.simulator import SimulatorTransport
from host.errors import TokayError
from host.flashing import connection, images, programmer, slots
from host.flashing.core_debug import PowerCut
from host.flashing.simulated_probe import SimulatedProbe
from host.memory_map import FLASH_BASE, RAM_BYTES, SECTOR, SLOTS
from host.model_layout import BLANK
from host.runtime import Model
from host.simulator.machine import Machine
from tests import streaming_network
from tests.places import ROOT
from tests.simulator.flashing import PART, silent

MODEL = "keyword_spotting_on_off"
SLOT_A, SLOT_B = SLOTS
BOOTED_S = 0.15
TRIED, PROVEN = 8, 12  # offsets in model_header_t


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    return tmp_path_factory.mktemp("slots")


@pytest.fixture(scope="module")
def firmware(folder) -> image.Image:
    """For the accelerator, so that it has every kernel."""
    board = boards.load("brd2601b")
    return image.build(MODEL, board, folder / "firmware", accelerator="mvp", swappable=True)


@pytest.fixture(scope="module")
def other_file(folder) -> str:
    """The shipped network with other settings."""
    tflite = model_files.read(MODEL).tflite
    parameters = read_parameters(tflite)
    parameters["name"] = "other"
    parameters["latency_ms"] = 40
    parameters["minimum_count"] = 5
    (folder / "other.tflite").write_bytes(write_parameters(tflite, parameters))
    return str(folder / "other.tflite")


@pytest.fixture(scope="module")
def other(folder, other_file) -> model_image.ModelImage:
    return model_image.build(other_file, boards.load("brd2601b"), folder / "other")


@pytest.fixture(scope="module")
def accelerated(folder, other_file) -> model_image.ModelImage:
    board = boards.load("brd2601b")
    return model_image.build(other_file, board, folder / "accelerated", accelerator="mvp")


@pytest.fixture
def machine(firmware):
    made = Machine(firmware.elf, stop_on_fault=False)
    made.debug_attach()
    yield made
    made.close()


def place(machine: Machine, model: model_image.ModelImage, cut: PowerCut | None = None) -> slots.Placed:
    with connection.connect(SimulatedProbe(machine, cut=cut), PART) as chip:
        return slots.place(chip, model, silent)


def put(machine: Machine, slot: int, data: bytes) -> None:
    """As if it had been flashed."""
    machine.write(slot, data + b"\xff" * (-len(data) % SECTOR))


def booted(machine: Machine, seconds: float = BOOTED_S) -> str:
    """What the firmware says in a while after power-on."""
    machine.reset()
    machine.uart_read()
    machine.run(seconds)
    return machine.uart_read().decode("latin-1")


def running(machine: Machine) -> str:
    """The model that the hello names."""
    with Device(SimulatorTransport(machine), session_id=1) as device:
        return device.connect().model


def word(machine: Machine, address: int) -> int:
    return int.from_bytes(machine.read(address, 4), "little")


def until_proven(machine: Machine, slot: int) -> None:
    for _ in range(40):
        if word(machine, slot + PROVEN) == 0:
            return
        machine.run(0.1)
    pytest.fail("the model was not proven")


def test_own_model_runs_while_the_slots_are_empty(machine):
    log = booted(machine)
    assert f"Model: {MODEL}" in log and "slot" not in log
    assert running(machine) == MODEL


def test_a_model_runs_is_proven_and_stays(machine, other):
    placed = place(machine, other)
    assert (placed.slot, placed.sequence) == (SLOT_A, 1)
    with Device(SimulatorTransport(machine), session_id=1) as device:
        hello = device.connect()
    assert hello.model == "other" and other.sha256.startswith(hello.model_hash.hex())
    assert word(machine, SLOT_A + TRIED) == 0 and word(machine, SLOT_A + PROVEN) == BLANK
    until_proven(machine, SLOT_A)
    assert "The model has proven itself" in machine.uart_read().decode("latin-1")
    log = booted(machine)
    assert "Model from slot A, proven" in log and "Model: other" in log
    assert "minimum_count=5 latency_ms=40" in log
    assert running(machine) == "other"


def test_the_firmware_does_not_run_while_a_model_is_put_beside_it(machine, other):
    """It would try the model that is there, or prove it after a look said that it is not."""
    put(machine, SLOT_A, other.sealed(SLOT_A, 1))
    with connection.connect(SimulatedProbe(machine), PART) as chip:
        assert slots.place(chip, other, silent).slot == SLOT_A
        assert machine.uart_read() == b""


def test_it_proves_itself_with_inferences_and_not_with_time(machine, other):
    put(machine, SLOT_A, other.sealed(SLOT_A, 1))
    machine.reset()
    with Device(SimulatorTransport(machine), session_id=1) as device:
        device.connect()
        device.transport.write(b"mic off\n")
        machine.run(4.0)
    assert word(machine, SLOT_A + PROVEN) == BLANK


def test_a_second_model_takes_the_other_slot_and_the_next_the_older_one(machine, other):
    for number, slot in ((1, SLOT_A), (2, SLOT_B), (3, SLOT_A)):
        before = {s: machine.read(s, SLOTS[s]) for s in SLOTS if s != slot}
        placed = place(machine, other)
        assert (placed.slot, placed.sequence) == (slot, number)
        assert before == {s: machine.read(s, SLOTS[s]) for s in before}
        until_proven(machine, slot)
    assert "Model from slot A, proven" in booted(machine)


def test_a_reset_before_it_is_proven_brings_the_old_one_back(machine, other):
    place(machine, other)
    until_proven(machine, SLOT_A)
    place(machine, other)
    machine.run(BOOTED_S)
    assert word(machine, SLOT_B + TRIED) == 0
    log = booted(machine)
    assert "the model in slot B is refused: it stopped before it had proven itself" in log
    assert "Model from slot A, proven" in log and running(machine) == "other"
    assert place(machine, other).slot == SLOT_B  # which nobody needs


def proven(sealed: bytes) -> bytes:
    """A model image as the firmware leaves it that has seen it work."""
    return sealed[:TRIED] + bytes(8) + sealed[TRIED + 8 :]


def damaged(model: model_image.ModelImage) -> bytes:
    data = bytearray(model.sealed(SLOT_A, 9))
    data[-1] ^= 1
    return bytes(data)


@pytest.mark.parametrize(
    "make", [damaged, lambda model: sealed_for_another_layout(model, 9)], ids=["damaged", "layout"]
)
def test_what_the_firmware_would_refuse_is_overwritten_and_not_the_model_that_runs(machine, other, make):
    """Though it is newer and was proven once."""
    put(machine, SLOT_A, proven(make(other)))
    put(machine, SLOT_B, proven(other.sealed(SLOT_B, 1)))
    before = machine.read(SLOT_B, SLOTS[SLOT_B])
    placed = place(machine, other)
    assert (placed.slot, placed.sequence) == (SLOT_A, 2) and machine.read(SLOT_B, SLOTS[SLOT_B]) == before


def test_the_last_number_is_followed_by_none(machine, other):
    put(machine, SLOT_A, proven(other.sealed(SLOT_A, 0xFFFFFFFE)))
    placed = place(machine, other)
    assert (placed.slot, placed.sequence) == (SLOT_B, 0xFFFFFFFF)
    before = machine.read(SLOT_A, SLOTS[SLOT_A])
    with pytest.raises(TokayError, match="numbers are used up"):
        place(machine, other)
    assert machine.read(SLOT_A, SLOTS[SLOT_A]) == before


def pointer(data: bytes, slot: int, address: int, index: int) -> int:
    """The word number `index` of the structure at `address`."""
    at = address - slot + 4 * index
    return int.from_bytes(data[at : at + 4], "little")


def patched(model: model_image.ModelImage, slot: int, address: int, value: int) -> bytes:
    """The image with another word, its CRC right."""
    linked = model.linked[slot]
    data = bytearray(linked.data)
    data[address - slot : address - slot + 4] = value.to_bytes(4, "little")
    return model_layout.seal(bytes(data), slot, linked.model, 9)


def plan_of(model: model_image.ModelImage, slot: int) -> int:
    linked = model.linked[slot]
    return pointer(linked.data, slot, linked.model, 1)


def layers_of(model: model_image.ModelImage, slot: int) -> int:
    return pointer(model.linked[slot].data, slot, plan_of(model, slot), 5)


def test_a_model_that_crashes_gives_way(machine, other):
    """Its second layer's options are where nothing answers."""
    put(machine, SLOT_A, other.sealed(SLOT_A, 1))
    machine.reset()
    until_proven(machine, SLOT_A)
    put(machine, SLOT_B, patched(other, SLOT_B, layers_of(other, SLOT_B) + 24 + 12, 0xA0000000))
    log = booted(machine, 1.7)
    assert "Model from slot B, on trial" in log
    assert "restarted after a fault" in log
    assert "the model in slot B is refused" in log and "Model from slot A, proven" in log
    assert running(machine) == "other"


def test_a_model_that_crashes_gives_way_to_the_firmwares_own(machine, other):
    put(machine, SLOT_A, patched(other, SLOT_A, layers_of(other, SLOT_A) + 24 + 12, 0xA0000000))
    assert "the model in slot A is refused" in booted(machine, 1.7)
    assert running(machine) == MODEL


@pytest.mark.parametrize("accelerator", ["none", "mvp"])
def test_its_network_computes_what_it_does_on_the_pc(machine, other_file, accelerator, request):
    placed = place(machine, request.getfixturevalue("other" if accelerator == "none" else "accelerated"))
    model = Model(other_file, accelerator)
    x = np.random.default_rng(5).integers(-128, 128, model.input.shape, dtype=np.int8)
    with Device(SimulatorTransport(machine), session_id=1) as device:
        assert device.connect().model == "other"
        device.request(m.SourceSet(source=m.Source.NONE))
        commands.inject_features(device, x)
        assert commands.run_network(device).tolist() == model.invoke(x).ravel().tolist()
        device.request(m.SourceSet(source=m.Source.MICROPHONE))
    until_proven(machine, placed.slot)


def test_its_profile_names_the_kernels(machine, other, other_file):
    """Also of those that the firmware's own model, all on the accelerator, does not call."""
    place(machine, other)
    booted(machine)
    machine.uart_write(b"profile 1\n")
    assert machine.run_until(b"Profile complete", 10)
    kernels = re.findall(r"^Layer \d+: .* kernel=(\w+) ", machine.uart_read().decode(), re.MULTILINE)
    assert kernels == [layer.kernel for layer in Model(other_file).layers] and "conv_2d" in kernels


def test_a_network_that_keeps_state_begins_and_goes_on(machine, folder):
    path = folder / "streaming.tflite"
    path.write_bytes(streaming_network.network())
    place(machine, model_image.build(str(path), boards.load("brd2601b"), folder / "streaming"))
    ours, rng = Model(str(path)), np.random.default_rng(1)
    with Device(SimulatorTransport(machine), session_id=1) as device:
        assert device.connect().model == "streaming"
        device.request(m.SourceSet(source=m.Source.NONE), timeout_s=2.0)
        for x in rng.integers(-128, 128, (3, *ours.input.shape), np.int8):
            commands.inject_features(device, x)
            np.testing.assert_array_equal(commands.run_network(device), ours.invoke(x).reshape(-1))


def test_a_model_whose_layer_fails_gives_way(machine, other, accelerated):
    """A program of the accelerator stores beyond the end of RAM."""
    put(machine, SLOT_A, other.sealed(SLOT_A, 1))
    machine.reset()
    until_proven(machine, SLOT_A)
    data = accelerated.linked[SLOT_B].data
    options = pointer(data, SLOT_B, layers_of(accelerated, SLOT_B) + 24, 3)
    programs = pointer(data, SLOT_B, options, 2)
    named = pointer(data, SLOT_B, programs, 0) >> 24
    put(machine, SLOT_B, patched(accelerated, SLOT_B, programs + 4 * (1 + named + 1), 0x0010_0000))
    log = booted(machine, 1.9)
    assert "the model on trial has failed; going back" in log
    assert "the model in slot B is refused" in log and "Model from slot A, proven" in log


def test_a_part_without_the_accelerator_runs_a_model_that_does_not_need_it(firmware, other, accelerated):
    machine = Machine(firmware.elf, mvp=False)
    put(machine, SLOT_A, other.sealed(SLOT_A, 1))
    put(machine, SLOT_B, accelerated.sealed(SLOT_B, 2))
    log = booted(machine)
    assert (
        "compiled for the MVP, which this part does not have" in log and "Model from slot A, on trial" in log
    )
    assert running(machine) == "other"
    machine.close()


@pytest.mark.parametrize("where", ["layout", "length", "start", "middle", "end"])
@pytest.mark.parametrize("bit", [0, 7])
def test_one_wrong_bit_is_refused(machine, other, where, bit):
    put(machine, SLOT_A, other.sealed(SLOT_A, 1))
    data = bytearray(other.sealed(SLOT_B, 2))
    at = {"layout": 16, "length": 25, "start": 40, "middle": len(data) // 2, "end": len(data) - 1}[where]
    data[at] ^= 1 << bit
    put(machine, SLOT_B, bytes(data))
    log = booted(machine)
    assert "the model in slot B is refused" in log and "Model from slot A, on trial" in log
    assert word(machine, SLOT_B + TRIED) == BLANK


def sealed_for_another_layout(model: model_image.ModelImage, sequence: int = 1) -> bytes:
    linked = model.linked[SLOT_A]
    number = model_layout.layout() ^ 1
    return model_layout.seal(linked.data, SLOT_A, linked.model, sequence, layout_number=number)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (sealed_for_another_layout, "refused: it was compiled for another firmware"),
        (lambda model: model.sealed(SLOT_B, 1), "refused: it does not lie where it was linked for"),
        (
            lambda model: patched(model, SLOT_A, model.linked[SLOT_A].model + 4, 0x20000000),
            "refused: it leads outside of itself",
        ),
        (  # a kernel that there is not
            lambda model: patched(model, SLOT_A, layers_of(model, SLOT_A), len(KERNELS)),
            "Error: the model was compiled for another firmware or does not fit its memory",
        ),
        (  # 2 MB of arena
            lambda model: patched(model, SLOT_A, plan_of(model, SLOT_A) + 4, 1 << 21),
            "Error: the model was compiled for another firmware or does not fit its memory",
        ),
    ],
    ids=["layout", "slot", "pointer", "kernel", "memory"],
)  # fmt: skip
def test_what_does_not_fit_is_refused(machine, other, make, reason):
    put(machine, SLOT_A, make(other))
    assert reason in booted(machine)
    assert running(machine) == MODEL


@pytest.mark.parametrize("after_s", [0.0, 12e-6, 0.006], ids=["before", "in a word", "amid"])
def test_power_cut_in_a_write_leaves_the_old_model(machine, other, after_s):
    put(machine, SLOT_A, other.sealed(SLOT_A, 1))
    machine.reset()
    until_proven(machine, SLOT_A)
    put(machine, SLOT_B, bytes(SECTOR))  # what was there before does not matter
    call, old, seen = 0, machine.read(SLOT_A, SLOTS[SLOT_A]), []
    while True:
        try:
            place(machine, other, PowerCut(call, after_s))
        except TokayError:
            call += 1
        else:
            break  # the flash was through before this call
        log = booted(machine)
        seen.append("B" if "Model from slot B, on trial" in log else "A")
        assert seen[-1] == "B" or "Model from slot A, proven" in log, call
        assert machine.read(SLOT_A, SLOTS[SLOT_A]) == old
    # The model's size in pages to erase and write, opening and closing the flash, then the first words: only
    # once those are there is it the new one's turn.
    assert len(seen) >= 8 and set(seen[:-2]) == {"A"}
    until_proven(machine, SLOT_B)


def test_ordinary_firmware_is_told_apart(built_without, other):
    before = built_without.read(SLOT_A, SLOTS[SLOT_A])
    with pytest.raises(TokayError, match="takes no models from flash"):
        place(built_without, other)
    assert built_without.read(SLOT_A, SLOTS[SLOT_A]) == before


@pytest.fixture
def built_without(build_image: Callable):
    made = Machine(build_image("int main(void) { return 0; }"))
    made.debug_attach()
    yield made
    made.close()


def test_the_firmware_says_what_it_takes(firmware):
    taker = model_layout.find_taker(images.read(firmware.elf).sectors[FLASH_BASE])
    assert taker is not None and taker.layout == model_layout.layout()
    assert taker.optional_kernels == 1 << KERNELS.index("mvp")
    assert 0 <= RAM_BYTES - firmware.ram_bytes - taker.memory_bytes < 8
    # What it costs: a rise means that something came in.
    assert firmware.flash_bytes <= 74_104 and firmware.ram_bytes <= 26_000


def test_flashing_the_firmware_empties_the_slots(machine, firmware, other):
    put(machine, SLOT_A, other.sealed(SLOT_A, 1))
    whole = images.firmware_image(images.read(firmware.elf))
    with connection.connect(SimulatedProbe(machine), PART) as chip:
        programmer.program(chip, whole, silent)
    assert machine.read(SLOT_A, SECTOR) == b"\xff" * SECTOR
    machine.run(BOOTED_S)
    assert running(machine) == MODEL


@pytest.mark.parametrize("options", [[], ["-a", "mvp", "--mvp-weights", "flash"]], ids=" ".join)
def test_command(options, firmware, other_file, capsys):
    arguments = [other_file, "--model-only", "--simulate", "--firmware", str(firmware.elf), *options]
    assert cli.run(flash.main, arguments) == 0
    said = capsys.readouterr()
    assert "in slot A (0x08100000), number 1, verified" in said.out and not said.err
    assert "the chip runs other, and has proven it" in said.out


def test_a_model_that_is_not_proven_in_time_is_told_so():
    """Or whose slot has something else in it."""
    fresh = model_layout.seal(bytes(40), SLOT_A, SLOT_A + 36, 7)

    class Chip:
        time_s = 0.0

        def __init__(self, *slot: bytes) -> None:
            self.slot = list(slot)  # what is in it, each time that one looks

        def read(self, address: int, count: int) -> bytes:
            assert address == SLOT_A
            return (self.slot.pop(0) if len(self.slot) > 1 else self.slot[0]).ljust(count, b"\xff")

        def run(self, seconds: float) -> None:
            self.time_s += seconds

    chip = Chip(fresh, fresh, proven(fresh))
    assert flash_model._prove(chip, SLOT_A) and chip.time_s == pytest.approx(0.2)
    for still in (fresh, b"", b"\0" * 64):
        chip = Chip(still)
        assert not flash_model._prove(chip, SLOT_A) and chip.time_s >= flash_model._PROOF_S


def test_command_with_a_board(machine, other_file, other, monkeypatch, tmp_path, capsys):
    """Through a debug probe: a board is let run and not asked whether the model has proven itself."""
    probe = SimulatedProbe(machine, serial="000440111")
    found = staticmethod(lambda **options: [probe])
    monkeypatch.setattr(connection.ConnectHelper, "get_all_connected_probes", found)
    path = tmp_path / "result.json"
    assert cli.run(flash.main, [other_file, "--model-only", "--probe", "0004", "--json", str(path)]) == 0
    said = capsys.readouterr().out
    assert "in slot A (0x08100000), number 1, verified" in said
    assert "through probe 000440111; the model is on trial" in said
    result = json.loads(path.read_text())
    assert (result["target"], result["slot"], result["sequence"]) == ("device", "A", 1)
    assert result["model"] == "other" and result["model_sha256"] == other.sha256
    assert running(machine) == "other" and word(machine, SLOT_A + PROVEN) == BLANK


def test_command_with_a_board_from_elsewhere(firmware, other_file, tmp_path, capsys):
    shutil.copytree(boards.folder("brd2601b"), tmp_path / "mine")
    description = tmp_path / "mine" / "board.toml"
    slowest = re.sub("minimum_hz = [0-9]+", "minimum_hz = 8001", description.read_text(encoding="utf-8"))
    description.write_text(slowest, encoding="utf-8")
    arguments = [other_file, "--model-only", "--simulate", "--firmware", str(firmware.elf)]
    assert cli.run(flash.main, [*arguments, "--board", str(tmp_path / "mine")]) == 0
    said = capsys.readouterr()
    assert "the chip runs other, and has proven it" in said.out
    assert said.err.startswith("warning: the microphone of") and "it hears only audio that comes" in said.err


@pytest.mark.parametrize("keep", [0, 10_000, None], ids=["empty", "cut off", "one byte"])
def test_a_damaged_model_image_is_linked_again(keep, folder, other_file, other):
    for path in (folder / "other").glob("model_*.elf"):
        data = bytearray(path.read_bytes())
        data[data.index(next(iter(other.linked.values())).data[1024:1088])] ^= 1
        path.write_bytes(data[:keep])
    assert model_image.build(other_file, boards.load("brd2601b"), folder / "other").linked == other.linked


def test_a_model_larger_than_a_slot_is_refused(folder, other, monkeypatch):
    path, data = folder / "other" / f"model_0x{SLOT_B:08x}.elf", other.linked[SLOT_B].data
    monkeypatch.setitem(SLOTS, SLOT_B, len(data))
    assert model_image._linked(path, SLOT_B) == other.linked[SLOT_B]
    monkeypatch.setitem(SLOTS, SLOT_B, len(data) - 1)
    said = rf"takes {len(data)} bytes of flash, a slot has {len(data) - 1} \(build it into the firmware"
    with pytest.raises(TokayError, match=said):
        model_image._linked(path, SLOT_B)


def test_an_image_is_built_where_a_model_image_was(folder, other_file):
    """As those of models called a-model and a are."""
    board = boards.load("brd2601b")
    made = [model_image.build(other_file, board, folder / "shared")]
    assert image.build(None, board, folder / "shared").flash_bytes
    made.append(model_image.build(other_file, board, folder / "shared"))
    assert made[0] == made[1]


def test_the_readme_says_what_firmware_that_takes_models_costs(folder, firmware):
    text = (ROOT / "host" / "flashing" / "README.md").read_text(encoding="utf-8")
    (said,) = re.findall(r"\((\d+) kB with `--accelerator mvp`", text)
    own = image.build(MODEL, boards.load("brd2601b"), folder / "own", accelerator="mvp")
    assert firmware.flash_bytes - own.flash_bytes == pytest.approx(1000 * int(said), abs=1000)


def test_weights_that_stay_in_flash_take_less_ram(folder, other_file, accelerated):
    made = model_image.build(
        other_file, boards.load("brd2601b"), folder / "in_flash", accelerator="mvp", mvp_weights="flash"
    )
    assert made.memory_bytes < accelerated.memory_bytes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model-only", "--swappable"], "leaves that alone"),
        (["--model-only", "--firmware", "x.elf"], "goes with --model-only --simulate"),
    ],
)
def test_options_that_do_not_go_together(arguments, message, capsys):
    assert cli.run(flash.main, [MODEL, *arguments]) == 2
    assert message in capsys.readouterr().err
