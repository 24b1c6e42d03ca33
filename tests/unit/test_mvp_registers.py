"""The accelerator as software sees it: registers, commands, interrupts, faults, time."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from codegen.mvp import isa
from codegen.mvp.assembler import Program
from codegen.mvp.isa import Type
from host.errors import TokayError
from host.simulator.mvp import Machine, alu, count, run_program

EN, SWRST, CFG, STATUS, PERF0, PERF1, IF, IEN = 0x004, 0x008, 0x00C, 0x010, 0x014, 0x018, 0x01C, 0x020
FAULTSTATUS, FAULTADDR, PC, ALU, CMD, DEBUGEN, DEBUGSTEPCNT = 0x024, 0x028, 0x02C, 0x064, 0x174, 0x200, 0x204
SET, CLR, TGL = 0x1000, 0x2000, 0x3000
START, HALT, STEP, INIT = 1, 2, 4, 8
RUNNING, PAUSED, IDLE = 1, 2, 4
PROGDONE = 1
RAM = 0x20000000


def doubler(count: int = 10, address: int = RAM) -> np.ndarray:
    """Doubles int8 numbers into the following bytes, one an instruction."""
    p = Program("doubler")
    x = p.array("x", address, Type.INT8, [(count, 1)])
    y = p.array("y", address + 64, Type.INT8, [(count, 1)])
    with p.loop(count):
        p.instruction("DBL", z=2, a=1, load0=x.to(1, 0), store=y.of(2, 0))
    return p.assemble()


def machine_with(words: np.ndarray, *, at_once: bool = False) -> tuple[Machine, np.ndarray]:
    machine = Machine("ports", at_once=at_once)
    memory = np.arange(128, dtype=np.uint8)
    machine.attach(RAM, memory)
    machine.write(EN + SET, 1)
    for i, word in enumerate(words[:-1]):
        machine.write(0x064 + 4 * i, int(word))
    return machine, memory


def test_aliases():
    machine = Machine()
    machine.write(IEN, 0x0F)
    machine.write(IEN + SET, 0x30)
    assert machine.read(IEN) == 0x0D | 0x30 | 0x02, "all these bits exist"
    machine.write(IEN + CLR, 0x05)
    machine.write(IEN + TGL, 0x03)
    assert machine.read(IEN) == (0x3A ^ 0x03)
    assert machine.read(IEN + SET) == machine.read(IEN)


def test_reserved_bits_read_zero():
    machine = Machine()
    for offset, mask in ((CFG, 0x00FF000F), (IEN, 0x1F0FFDFF), (0x088, 0x0FFF73FF), (0x11C, 0x9FF0FFFF)):
        machine.write(offset, 0xFFFFFFFF)
        assert machine.read(offset) == mask
    assert machine.read(0x000) == 1
    assert machine.read(0x088 + 16) == 0x2000, "a scalar binary16 array after reset"


def test_program_takes_its_time():
    machine, memory = machine_with(doubler())
    machine.write(IEN, PROGDONE)
    machine.write(CFG, 1 | 1 << 20)  # PERF1 counts instructions
    machine.write(CMD, INIT | START)
    assert machine.read(STATUS) == RUNNING and not machine.irq
    duration = machine.remaining
    assert duration == 10 + 14
    machine.advance(duration - 1)
    assert machine.read(STATUS) == RUNNING and machine.read(IF) == 0
    machine.advance(1)
    assert machine.read(STATUS) == IDLE and machine.irq and machine.remaining == 0
    assert machine.read(IF) & PROGDONE and machine.read(IF) & 2, "PROGDONE and LOOP0DONE"
    assert (machine.read(PERF0), machine.read(PERF1)) == (duration, 10)
    machine.write(IF + CLR, 0xFFFFFFFF)
    assert not machine.irq
    np.testing.assert_array_equal(memory[64:74], 2 * np.arange(10))


def test_performance_counters_count_what_they_are_set_to():
    """Ten times: an operation, one that waits a cycle for its result, and none."""
    p = Program("counted")
    with p.loop(10):
        p.instruction("DBL", z=2, a=1)
        p.instruction("ADDC", z=3, x=2, a=1)
        p.instruction()
    machine = Machine("vendor")
    for i, word in enumerate(p.assemble()[:-1]):
        machine.write(ALU + 4 * i, int(word))
    machine.write(EN, 1)
    counted = {}
    for what in range(13):
        machine.write(CFG, 1 | what << 16 | what << 20)
        machine.write(CMD, INIT | START)
        assert machine.read(PERF0) == machine.read(PERF1)
        counted[what] = machine.read(PERF0)
    assert counted == {0: 40, 1: 30, 2: 10, 3: 10, 4: 20, 5: 10, **dict.fromkeys(range(6, 13), 0)}
    machine.write(CFG, 0)
    machine.write(CMD, INIT | START)
    assert machine.read(PERF0) == 0, "not counted"


def test_halt_and_resume():
    machine, _ = machine_with(doubler())
    machine.write(CMD, INIT | START)
    machine.advance(4)
    machine.write(CMD, HALT)
    left = 20
    machine.advance(1000)
    assert machine.read(STATUS) == PAUSED
    machine.write(CMD, START)
    assert machine.read(STATUS) == RUNNING and machine.remaining == left
    machine.advance(left)
    assert machine.read(STATUS) == IDLE


def test_single_steps():
    machine, memory = machine_with(doubler(3))
    machine.write(CMD, INIT)
    for done in range(1, 4):
        machine.write(CMD, STEP)
        machine.advance(100)
        assert memory[64 : 64 + done].tolist() == [2 * i for i in range(done)]
        assert memory[64 + done] == 64 + done, "not yet"
        assert machine.read(STATUS) == (PAUSED if done < 3 else IDLE)
    assert machine.read(IF) & PROGDONE


def test_performance_counters_count_on_over_steps():
    machine, _ = machine_with(doubler(3), at_once=True)
    machine.write(CFG, 1 | 0 << 16 | 1 << 20)  # cycles, instructions
    for _ in range(2):
        machine.write(CMD, INIT)
        counted = []
        for _ in range(3):
            machine.write(CMD, STEP)
            counted.append((machine.read(PERF0), machine.read(PERF1)))
        assert counted == [(15, 1), (30, 2), (45, 3)]  # each step empties the pipeline


def test_steps_run_a_program_of_loops_and_dimensions_as_a_start_does():
    """What it is in the middle of is in registers between steps: indices, loops, results."""
    p = Program("nested")
    p.set(1, 3)
    x = p.array("x", RAM, Type.INT8, [(2, 1), (3, 2), (2, 6)])
    y = p.array("y", RAM + 64, Type.INT8, [(2, 6), (3, 2), (2, 1)])
    with p.loop(2), p.loop(3, increment=[x.dim(2), y.dim(0)]):
        p.instruction()
        with p.loop(2, increment=[x.dim(1), y.dim(1)]):
            p.instruction("ADDC", z=3, x=2, a=1, load0=x.to(2, 0), store=y.of(3, 2))
    words = p.assemble()
    whole, expected = machine_with(words, at_once=True)
    whole.write(CMD, INIT | START)
    machine, memory = machine_with(words, at_once=True)
    machine.write(CMD, INIT)
    steps = 0
    while not machine.read(IF) & PROGDONE:
        machine.write(CMD, STEP)
        steps += 1
        assert steps <= 18
    assert steps == 18
    np.testing.assert_array_equal(memory, expected)
    assert sorted(memory[64:76]) == [k + 3 for k in range(12)]


def test_start_goes_on_after_steps():
    machine, memory = machine_with(doubler(5), at_once=True)
    machine.write(CMD, INIT)
    machine.write(CMD, STEP)
    machine.write(CMD, START)
    assert memory[64:69].tolist() == [0, 2, 4, 6, 8]


def test_a_program_without_an_end_ends_behind_its_last_instruction():
    p = Program("endless")
    p.set(1, 1)
    for _ in range(isa.INSTRUCTIONS):
        p.instruction("ADDC", z=2, x=1, a=2)
    words = p.assemble()
    words[isa.INSTRUCTION_WORD + 3 * 7 + 2] &= ~np.uint32(1 << 31)
    machine, _ = machine_with(words, at_once=True)
    machine.write(CMD, INIT | START)
    assert machine.read(IF) & PROGDONE and machine.read(STATUS) == IDLE
    assert machine.read(ALU + 8) == half(8) | half(8) << 16


@pytest.mark.parametrize("begin", [0, 3, 7])
def test_a_program_can_begin_at_any_instruction(begin):
    p = Program("late")
    p.set(1, 1)
    for _ in range(isa.INSTRUCTIONS):
        p.instruction("ADDC", z=2, x=1, a=2)
    machine, _ = machine_with(p.assemble(), at_once=True)
    machine.write(PC, 0xFFFFFFF8 | begin)
    assert machine.read(PC) == begin
    machine.write(CMD, START)
    assert machine.read(ALU + 8) & 0xFFFF == half(8 - begin)


def test_breakpoint_and_step_count():
    machine, memory = machine_with(doubler(5), at_once=True)
    machine.write(DEBUGEN, 1 << 28)
    machine.write(DEBUGSTEPCNT, 2)
    machine.write(CMD, INIT | START)
    assert machine.read(STATUS) == PAUSED and memory[66] == 66
    machine.write(DEBUGEN, 1 << 30 | 2)  # any of: loop 0 done
    machine.write(CMD, START)
    assert memory[68] == 8


def test_disabled_does_nothing():
    machine, memory = machine_with(doubler(), at_once=True)
    machine.write(CFG, 1)
    machine.write(IEN, PROGDONE)
    machine.write(EN + CLR, 1)
    assert machine.read(CFG) == machine.read(IEN) == 0, "lost"
    machine.write(CMD, INIT | START)
    assert machine.read(STATUS) == IDLE and memory[65] == 65
    machine.write(EN, 1)
    machine.write(SWRST, 0)
    machine.write(STATUS, 1)
    assert machine.read(EN) == 1, "nothing is commanded"
    machine.write(SWRST, 1)
    assert machine.read(EN) == 0 and machine.read(0x064 + 4 * 28) == 0


@pytest.mark.parametrize(
    "word, value, flag, bus",
    [
        (8, 0x30000000, 25, 1),  # nothing there: bus error of load 0
        (12, 0x30000000, 25, 3),  # of the store
        (9, 0x6000 | 9 | 1 << 16, 26, 1),  # complex binary16 at RAM + 2: alignment
        (9, 0x3000 | 9 | 1 << 16, 28, 1),  # reserved type: array fault
        (46, 5 << 20 | 1 << 31 | 3, 27, 0),  # no such operation: ALU fault
    ],
)
def test_faults(word, value, flag, bus):
    words = doubler(address=RAM + (2 if flag == 26 else 0))
    words[word] = value
    machine, _ = machine_with(words, at_once=True)
    machine.write(IEN, 1 << flag)
    machine.write(CMD, INIT | START)
    assert machine.irq and not machine.read(IF) & PROGDONE
    assert machine.read(FAULTSTATUS) >> 12 & 3 == bus
    if flag == 25:
        assert machine.read(FAULTADDR) == value


@pytest.mark.parametrize(("config", "flags"), [(0, 1 << 24), (1 << 3, 1 << 24 | 1 << 1 | PROGDONE)])
def test_the_end_of_a_loop_that_has_not_begun(config, flags):
    """It halts where it stands, also in a loop that would go on; LOOPERRHALTDIS lets the program end."""
    words = doubler()
    words[46] |= 1 << 5  # loop 2 ends with loop 0
    machine, memory = machine_with(words, at_once=True)
    machine.write(CFG, config)
    machine.write(CMD, INIT | START)
    assert machine.read(IF) & (0x1F << 24 | 7) == flags
    assert machine.read(FAULTSTATUS) >> 16 & 15 == 2
    assert np.count_nonzero(memory[64:74] != np.arange(64, 74)) == (10 if config else 1)


def test_run_reports_faults():
    words = doubler(address=0x30000000)
    with pytest.raises(TokayError, match=r"BUSERRFAULT.*0x30000000"):
        run_program(words, np.zeros(64, np.uint8))


def test_programs_from_several_threads():
    def doubled(number: int) -> bool:
        memory = np.zeros(128, np.uint8)
        memory[:64] = number % 64
        after, _ = run_program(doubler(64), memory, RAM)
        return bool((after[64:] == number % 64 * 2).all())

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(doubled, range(2000)))


@pytest.mark.parametrize("word", [-1, 1 << 32, 0.5, float("nan"), "x", None, [0]])
def test_words_that_are_none(word):
    words = [word, *[0] * 68]
    with pytest.raises(TokayError, match="whole numbers of 32 bits"):
        run_program(words, np.zeros(64, np.uint8))


def test_memory():
    words = doubler(2)
    given = bytes([1, 2, *[0] * 126])
    signed = np.frombuffer(given, np.int8)
    for memory in (given, bytearray(given), signed, list(given)):
        after, _ = run_program(words, memory, RAM)
        assert after.dtype == np.uint8 and after[64:66].tolist() == [2, 4]
    for memory in ([256], [-1], [0.5], np.full(128, 300, np.int16), None, "x"):
        with pytest.raises(TokayError, match="whole numbers of 8 bits"):
            run_program(words, memory, RAM)
    for base in (-4, 1 << 32, (1 << 32) - 64):
        with pytest.raises(TokayError, match="32-bit address space"):
            run_program(words, given, base)


def test_what_cannot_be_counted():
    assert count(doubler()).instructions == 10
    words = doubler()
    words[9] = 0x3000 | 9 | 1 << 16  # a reserved type
    with pytest.raises(TokayError, match="program 1 cannot be counted"):
        count([doubler(), words])


def endless(moves: bool) -> np.ndarray:
    """Two loops that start each other anew: the first comes by the second's end before it is through."""
    words = doubler()
    words[44:68] = 0
    words[28:44] = 0
    words[[28, 30, 32]] = 3, 1, 1  # one less than their iterations
    begins, ends = [0, 0, 7, 0, 0, 5, 0, 0], [0, 0, 6, 0, 0, 0, 1, 2]
    for i, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        words[46 + 3 * i] = sum((begin >> k & 1) << 2 * k | (end >> k & 1) << 2 * k + 1 for k in range(3))
    if moves:
        words[45] = 1 | 1 << 3 | 1 << 7  # instruction 0 loads from x and moves its index on
        words[54] = 1 | 1 << 3 | 1 << 7  # and so does instruction 3
    return words


@pytest.mark.parametrize("moves", [False, True])
def test_a_program_that_never_ends_is_refused_at_once(moves):
    start = time.process_time()
    with pytest.raises(TokayError, match="BUSERRFAULT"):  # of a program before it
        run_program(doubler(address=0x30000000), np.zeros(64, np.uint8))
    with pytest.raises(TokayError) as caught:
        run_program(endless(moves), np.zeros(128, np.uint8), RAM)
    assert str(caught.value) == "MVP program 0: does not end"
    with pytest.raises(TokayError, match="program 0 cannot be counted: it faults or does not end"):
        count(endless(moves))
    assert time.process_time() - start < 2


def test_a_long_program_is_not_taken_for_one_that_never_ends():
    p = Program("long")
    x = p.array("x", RAM, Type.INT8, [(2, 1), (3, 2), (5, 6)])
    with p.loop(9), p.loop(1000), p.loop(1000):
        p.instruction("DBL", z=2, a=1, load0=x.to(1, 0, 1, 2))
    assert count(p.assemble()).instructions == 9_000_000
    assert run_program(p.assemble(), np.zeros(64, np.uint8), RAM)[1].instructions == 9_000_000


def test_flash_is_not_writable():
    machine = Machine()
    machine.attach(RAM, np.zeros(128, np.uint8), writable=False)
    with pytest.raises(TokayError, match="BUSERRFAULT"):
        machine.run(doubler())


def half(x) -> int:
    with np.errstate(over="ignore"):
        return int(np.array(x, np.float16).view(np.uint16))


def test_arithmetic_against_numpy():
    """Sums and products of random bit patterns, numpy's binary16 as the judge (numbers only)."""
    rng = np.random.default_rng(5)
    bits = rng.integers(0, 1 << 16, (20000, 3), dtype=np.uint16)
    bits = bits[np.isfinite(bits.view(np.float16)).all(axis=1)]
    x, y, a = bits.view(np.float16).T
    with np.errstate(all="ignore"):
        product = x * y
        expected = {
            "ADDC": x + a, "MULR2A": product, "MACR2A": product + a, "DBL": a + a,
            "MAX2A": np.maximum(x, a), "CLIP2A": np.minimum(np.maximum(a, x), y),
        }  # fmt: skip
    for name, values in expected.items():
        for k in range(0, len(bits), 7):
            result = alu(isa.OPCODES[name], *(int(b) for b in bits[k])) & 0xFFFF
            got = np.array(result, np.uint16).view(np.float16)
            assert got == values[k] or (np.isnan(got) and np.isnan(values[k])), (name, bits[k])


NAN, OVERFLOW, UNDERFLOW, R0_POSITIVE = 1 << 10, 1 << 12, 1 << 13, 1 << 11


@pytest.mark.parametrize(
    ("operation", "first", "second", "raised"),
    [
        ("ADDC", 65504, 15, 0),  # rounds down to the largest number
        ("ADDC", 65504, 16, OVERFLOW),
        ("ADDC", -65504, -65504, OVERFLOW),
        ("ADDC", np.inf, 1, 0),
        ("ADDC", np.inf, -np.inf, NAN),
        ("ADDC", np.nan, 1, NAN),
        ("MULR2A", 2**-14, 0.5, 0),  # a subnormal number, exactly
        ("MULR2A", 2**-14, 2**-14, UNDERFLOW),
        ("MULR2A", 256, 256, OVERFLOW),
        ("MULR2A", 0, np.inf, NAN),
        ("MAX2A", np.nan, 1, NAN),
        ("MAX2A", np.inf, 1, 0),
    ],
)
def test_events_of_arithmetic(operation, first, second, raised):
    p = Program("event")
    other = "y" if operation == "MULR2A" else "a"
    p.instruction(operation, z=3, x=1, **{other: 2})
    words = p.assemble()
    words[1], words[2] = half(first), half(second)
    machine, _ = machine_with(words, at_once=True)
    machine.write(CMD, INIT | START)
    assert machine.read(IF) & (NAN | OVERFLOW | UNDERFLOW | R0_POSITIVE) == raised


@pytest.mark.parametrize(
    ("value", "result", "raised"), [(1, 0, True), (0, 0, False), (-1, 0, False), (1, 3, False)]
)
def test_a_positive_result_in_r0_is_an_event(value, result, raised):
    p = Program("event")
    p.set(1, value)
    p.instruction("COPY", z=result, a=1)
    machine, _ = machine_with(p.assemble(), at_once=True)
    machine.write(CMD, INIT | START)
    assert bool(machine.read(IF) & R0_POSITIVE) == raised


@pytest.mark.parametrize(
    ("value", "type", "bit"),
    [
        (300, Type.INT8, 14), (-129, Type.INT8, 15), (np.inf, Type.INT8, 16), (-np.inf, Type.INT8, 16),
        (np.nan, Type.INT8, 17), (127, Type.INT8, None), (-128, Type.INT8, None),
        (256, Type.UINT8, 14), (-1, Type.UINT8, 15), (255, Type.UINT8, None), (0, Type.UINT8, None),
        (np.nan, Type.HALF, None),
    ],
)  # fmt: skip
def test_stores_of_what_does_not_fit_are_events(value, type, bit):
    p = Program("store")
    out = p.array("out", RAM, type, [(1, 1)])
    p.instruction("COPY", z=2, a=1, store=out.of(2))
    words = p.assemble()
    words[1] = half(value)
    machine, _ = machine_with(words, at_once=True)
    machine.write(CMD, INIT | START)
    assert machine.read(IF) >> 14 & 0xF == (0 if bit is None else 1 << bit - 14)


@pytest.mark.parametrize(
    "value, stored",
    [(2.5, 2), (3.5, 4), (-2.5, -2), (127.4, 127), (300, 127), (-129, -128), (np.inf, 127), (-np.inf, -128),
     (np.nan, 127)],
)  # fmt: skip
def test_store_rounds_to_even_and_saturates(value, stored):
    p = Program("store")
    p.registers[1] = complex(0 if np.isnan(value) else value, 0)
    out = p.array("out", 0, Type.INT8, [(1, 1)])
    p.instruction("COPY", z=2, a=1, store=out.of(2))
    words = p.assemble()
    words[1] = half(value)
    memory, _ = run_program(words, np.zeros(4, np.uint8))
    assert memory.view(np.int8)[0] == stored
