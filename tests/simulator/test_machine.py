"""The Python side of the simulator: images, calls into them, single steps, profiles, and what is refused."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest

from host.errors import TokayError
from host.simulator.machine import Machine, SimulatorError, SimulatorFault

_FUNCTIONS = """
uint32_t stack_arguments(uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e, uint32_t g) {
    return a + 2*b + 3*c + 4*d + 5*e + 6*g;
}
uint32_t variable = 1234, zero;
uint32_t initialised(void) { return variable++ + zero; }
void forever(void) { for (;;) { } }
uint32_t broken(void) { return REG(0x70000000); }
uint32_t callee(uint32_t a) { return a + 1; }
uint32_t caller(uint32_t a) { return callee(callee(a)) + 1; }
int main(void) { return 0; }
"""


def test_calls_before_the_first_run(build_image):
    machine = Machine(build_image(_FUNCTIONS))
    result = machine.call("stack_arguments", 1, 2, 3, 4, 5, 6)
    assert result.value == 91
    assert result.instructions > 8 and result.cycles >= result.instructions
    assert machine.call("stack_arguments", 1, 2, 3, 4, 5, 6) == result
    machine.reset()
    assert machine.call("initialised").value == 1234
    assert machine.call("initialised").value == 1235
    assert machine.call("initialised", stack=0x20020000).value == 1236
    with pytest.raises(SimulatorFault, match="does not return"):
        machine.call("forever", max_cycles=1000)
    machine.reset()
    with pytest.raises(SimulatorFault, match="no memory") as caught:
        machine.call("broken")
    assert caught.value.function == "broken"


def test_calls_leave_a_booted_firmware_as_it_was(build_image):
    machine = Machine(build_image(_FUNCTIONS))
    machine.run(0.001)
    before = [machine.register(i) for i in range(20)]
    assert machine.call("stack_arguments", 1, 1, 1, 1, 1, 1).value == 21
    assert [machine.register(i) for i in range(20)] == before
    machine.run(0.001)


def test_a_call_without_a_stack_does_not_wake_the_firmware(build_image):
    machine = Machine(build_image(_FUNCTIONS))
    machine.run(0.001)
    asleep = machine.instructions
    with pytest.raises(SimulatorError, match="no stack at"):
        machine.call("stack_arguments", 1, 2, 3, 4, 5, 6, stack=0x100)
    machine.run(0.001)
    assert machine.instructions == asleep


@pytest.mark.parametrize("before", [0, 1, 2, 3])
def test_code_that_was_written_costs_what_it_is(build_image, before):
    """Wherever the piece begins that a debugger writes: LDM of one register becomes one of three."""
    source = """
    __attribute__((naked)) uint32_t loads(uint32_t *p) { __asm volatile("ldmia r0!, {r1}\\n bx lr"); }
    uint32_t words[3];
    int main(void) { return loads(words) == 0; }
    """
    machine = Machine(build_image(source))
    words, code = machine.symbol("words"), machine.symbol("loads")
    assert machine.read(code, 2) == b"\x02\xc8"
    one = machine.call("loads", words)
    machine.write(code - before, machine.read(code - before, before) + b"\x0e")
    three = machine.call("loads", words)
    assert (one.value, three.value) == (words + 4, words + 12)
    assert three.cycles == one.cycles + 2


def test_single_steps_count_what_they_run(build_image):
    source = """
    volatile uint32_t sum;
    int main(void) {
        for (uint32_t i = 0; i < 20; i++) {
            uint32_t x = i * 3;
            __asm volatile("cmp %0, #9\\n itt hi\\n addhi %0, %0, #1\\n eorhi %0, %0, #5" : "+r"(x) :: "cc");
            sum += x;
        }
        return 0;
    }
    """
    running, stepping = Machine(build_image(source)), Machine(build_image(source))
    running.run(cycles=250)
    while stepping.instructions < running.instructions:
        before = stepping.instructions
        assert stepping.debug_step() == "limit"
        assert stepping.instructions - before <= 3, "an instruction, or an IT block as a whole"
    counts = [(m.instructions, m.cycles, m.profile) for m in (running, stepping)]
    assert counts[0] == counts[1]
    state = [[m.register(i) for i in range(17)] for m in (running, stepping)]
    assert state[0] == state[1]


def test_a_profile_has_the_cycles_of_each_function(build_image):
    machine = Machine(build_image(_FUNCTIONS))
    machine.run(0.001)
    assert "startup" in machine.profile
    machine.clear_profile()
    assert machine.profile == {}
    total = sum(machine.call("stack_arguments", 1, 2, 3, 4, 5, 6).cycles for _ in range(3))
    once = machine.call("caller", 9).cycles
    profile = machine.profile
    assert profile.pop("stack_arguments") == total
    assert set(profile) == {"caller", "callee"} and sum(profile.values()) == once


def test_a_step_after_a_run_is_one_instruction(build_image):
    machine = Machine(build_image("int main(void) { for (uint32_t i = 0;;) { done = i++; done = i * i; } }"))
    for _ in range(2):
        machine.run(0.0001)
        before = machine.instructions
        assert [machine.debug_step() for _ in range(5)] == ["limit"] * 5
        assert machine.instructions - before == 5


def test_a_closed_machine_says_so(build_image):
    machine = Machine(build_image(_FUNCTIONS))
    machine.close()
    machine.close()
    with pytest.raises(TokayError, match="closed"):
        machine.run(0.1)


def test_what_no_machine_can_do(build_image):
    machine = Machine(build_image(_FUNCTIONS))
    for seconds in (-0.001, float("nan"), float("inf")):
        with pytest.raises(TokayError, match="cannot run for"):
            machine.run(seconds)
    for rate in (0, -8000):
        with pytest.raises(TokayError, match="sample rate"):
            machine.set_audio(np.zeros(8, np.int16), sample_rate=rate, mode="linear")
    for begin in (-1.0, float("nan")):
        with pytest.raises(TokayError, match="audio cannot begin at"):
            machine.set_audio(np.zeros(8, np.int16), at=begin)
    for use in (machine.uart_read, lambda port: machine.uart_write(b"x", port)):
        assert not use(1) or machine.uart_read(1) == b""
        with pytest.raises(TokayError, match="there is no EUSART2"):
            use(2)
    for port, pin in (("E", 0), ("A", 16), ("", 1)):
        with pytest.raises(TokayError, match=f"there is no pin P{port}{pin}"):
            machine.drive_pin(port, pin, True)
    with pytest.raises(TokayError, match="MVP timing 'fast'"):
        Machine(mvp_timing="fast")


def test_bad_images_are_refused(tmp_path):
    text = tmp_path / "x.elf"
    text.write_text("hello")
    with pytest.raises(TokayError, match="not an ELF file"):
        Machine(text)
    with pytest.raises(TokayError, match="No such file"):
        Machine(tmp_path / "none.elf")
    with pytest.raises(TokayError, match="not an image for Arm"):
        Machine("/bin/true") if shutil.which("true") else None


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed")
def test_an_object_file_is_no_image(tmp_path):
    (tmp_path / "code.c").write_text("int code;\n")
    subprocess.run(["arm-none-eabi-gcc", "-c", "code.c"], cwd=tmp_path, check=True)
    with pytest.raises(TokayError, match=r"code\.o: not a linked program"):
        Machine(tmp_path / "code.o")
