"""The builder of accelerator programs: what it refuses, what it prints, what changes between programs."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.errors import TokayError
from codegen.mvp import isa, stream
from codegen.mvp.assembler import Program, Source
from codegen.mvp.disassembler import disassemble
from codegen.mvp.isa import Type
from host.simulator.mvp import Machine, alu

RAM = 0x20000000


def one_array(**change) -> None:
    arguments = {"name": "x", "address": RAM, "type": Type.HALF, "dims": [(4, 1)], "complex": True, **change}
    Program("test").array(**arguments)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"address": RAM + 2}, "not aligned to 4"),
        ({"address": RAM + 1, "type": Type.INT8}, "not aligned to 2"),
        ({"address": 1 << 32}, "32-bit"),
        ({"dims": [(1025, 1)]}, "size 1025"),
        ({"dims": [(0, 1)]}, "size 0"),
        ({"dims": [(2, 2048)]}, "stride 2048"),
        ({"dims": [(2, -2049)]}, "stride -2049"),
        ({"dims": []}, "dimensions"),
        ({"dims": [(1, 1)] * 4}, "dimensions"),
    ],
)
def test_array_refusals(change, message):
    with pytest.raises(TokayError, match=message):
        one_array(**change)


def test_limits_are_allowed():
    one_array(dims=[(1024, 2047), (1024, -2048), (1, 99999)])
    one_array(address=RAM + 1, type=Type.INT8, complex=False)


def test_too_many():
    p = Program("test")
    for k in range(5):
        p.array(f"a{k}", RAM, Type.INT8, [(1, 1)])
    with pytest.raises(TokayError, match="one too many"):
        p.array("a5", RAM, Type.INT8, [(1, 1)])
    for _ in range(8):
        p.instruction()
    with pytest.raises(TokayError, match="instruction too many"):
        p.instruction()
    q = Program("loops")
    with contextlib.ExitStack() as nest:
        for _ in range(8):
            nest.enter_context(q.loop(2))
        with pytest.raises(TokayError, match="loop too many"), q.loop(1):
            pass
        q.instruction()
    assert Machine().run(q.assemble()).instructions == 2**8


@pytest.mark.parametrize("count", [0, 1025])
def test_loop_counts(count):
    with pytest.raises(TokayError, match=f"loop of {count}"), Program("test").loop(count):
        pass


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"operation": "DIV", "z": 1}, "no operation 'DIV'"),
        ({"operation": "MACR2A", "z": 1, "x": 2, "y": 3}, "reads xya"),
        ({"operation": "COPY", "z": 1, "x": 2}, "reads a"),
        ({"operation": "COPY", "a": 2}, "needs"),
        ({"z": 1}, "has no result"),
        ({"operation": "COPY", "z": 8, "a": 2}, "no register R8"),
        ({"operation": "COPY", "z": 1, "a": Source(-1)}, "no register R-1"),
    ],
)
def test_instruction_refusals(arguments, message):
    with pytest.raises(TokayError, match=message):
        Program("test").instruction(**arguments)


def test_other_refusals():
    p, q = Program("p"), Program("q")
    x = p.array("x", RAM, Type.INT8, [(4, 1)])
    with pytest.raises(TokayError, match="another program"):
        q.instruction(load0=x.to(1, 0))
    with pytest.raises(TokayError, match="no dimension 1"):
        p.instruction(load0=x.to(1, 1))
    with pytest.raises(TokayError, match="without instructions"), p.loop(2):
        pass
    with pytest.raises(TokayError, match="no instructions"):
        q.assemble()


def test_idle_fields_avoid_results():
    """Fields that an operation ignores must not name a register just written: that would stall."""
    p = Program("test")
    with p.loop(100):
        p.instruction("COPY", z=0, a=1)
        p.instruction("COPY", z=7, a=2)
    machine = Machine("ports")
    assert machine.run(p.assemble()).stalls == 0


def test_listing():
    p = Program("scale")
    p.set(0, 2.0**-15)
    p.set(1, 3.0, -4.0)
    x = p.array("x", RAM, Type.INT8, [(6, 1)], complex=True)
    y = p.array("y", 0x08000100, Type.HALF, [(2, -3), (5, 7)])
    with p.loop(3, increment=[y.dim(1)], reset=[x.dim(0)]), p.loop(6):
        p.instruction(
            "MACR2A", z=3, x=Source(2, real_zero=True, imag_negate=True), y=0, a=1, load0=x.to(2, 0),
            store=y.of(3, 0, 1),
        )  # fmt: skip
    assert disassemble(p.assemble()).splitlines() == [
        "R0 = 3.0517578e-05",
        "R1 = 3, -4i",
        "A0 = complex int8 at 0x20000000, 6(+1) x 1(+0) x 1(+0)",
        "A1 = half at 0x08000100, 2(-3) x 5(+7) x 1(+0)",
        "L0 = 3 times I0..I0, then next A1.1, reset A0.0",
        "L1 = 6 times I0..I0",
        "I0  R2 <- A0 +0; R3 = MACR2A(R2[r0i-], R0, R1); A1 +0 +1 <- R3 ; end",
    ]


def test_operands_are_what_the_accelerator_reads():
    """An operation's result depends on these of X, Y and A, and on no other; NOOP has none."""
    rng = np.random.default_rng(6)
    for name, code in isa.OPCODES.items():
        read = set()
        for _ in range(200):
            given = {label: int(rng.integers(0, 1 << 32)) & 0xBFFFBFFF for label in "xya"}  # no NaN
            for label in "xya":
                other = given | {label: int(rng.integers(0, 1 << 32)) & 0xBFFFBFFF}
                if alu(code, **other) != alu(code, **given):
                    read.add(label)
        assert read == set(isa.operands(name)), name


@pytest.mark.parametrize("name", [name for name in isa.OPCODES if name != "NOOP"])
def test_a_constant_that_a_program_overwrites_is_written_again(name):
    p = Program("test")
    p.set(3, 5)
    p.instruction("COPY", z=2, a=3)
    p.instruction(name, z=3, **dict.fromkeys(isa.operands(name), 3))
    q = Program("test")
    q.set(3, 5)
    q.instruction("COPY", z=2, a=3)
    stored = stream.encode(np.stack([p.assemble(), q.assemble()]), 0, 0)
    _, rest, numbers = writes_of(stored, b"")
    assert 3 in dict(writes_of(rest, numbers)[0])


@st.composite
def programs(draw) -> np.ndarray:
    """Programs that run anywhere in 4 kB, of any operations."""
    p = Program("random")
    for r in range(isa.REGISTERS):
        p.set(r, draw(st.integers(-8, 8)))
    arrays = [
        p.array(
            f"a{k}", RAM + 4 * draw(st.integers(64, 128)), draw(st.sampled_from(Type)),
            [(draw(st.integers(1, 4)), draw(st.integers(-4, 4))) for _ in range(3)],
            complex=draw(st.booleans()),
        )
        for k in range(draw(st.integers(1, 4)))
    ]  # fmt: skip
    register, array, dimension = st.integers(0, 7), st.sampled_from(arrays), st.integers(0, 2)
    with p.loop(draw(st.integers(1, 5)), increment=[draw(array).dim(draw(dimension))]):
        for _ in range(draw(st.integers(1, 4))):
            name = draw(st.sampled_from(list(isa.OPCODES)))
            sources = {label: draw(register) for label in isa.operands(name)}
            p.instruction(
                name, z=None if name == "NOOP" else draw(register), **sources,
                load0=draw(array).to(draw(register), draw(dimension)) if draw(st.booleans()) else None,
                store=draw(array).of(draw(register)) if draw(st.booleans()) else None,
            )  # fmt: skip
    return p.assemble()


def writes_of(words: np.ndarray, numbers: bytes) -> tuple[list[tuple[int, int]], np.ndarray, bytes]:
    """What the kernel writes for the program at the front of a stream, and what follows it."""
    head, words = int(words[0]), words[1:]
    addresses, fours, skipped, listed = (head >> shift & 0xFF for shift in (0, 8, 16, 24))
    if listed:
        numbers, words = words[:listed].astype("<u4").tobytes(), words[listed:]
    order = [*numbers[:addresses], *numbers[4 * skipped : 4 * (skipped + fours)]]
    written = [(k, int(v)) for k, v in zip(order, words[: len(order)], strict=True)]
    return written, words[len(order) :], numbers


@settings(max_examples=60, deadline=None)
@given(st.lists(programs(), min_size=2, max_size=4))
def test_a_stream_runs_the_programs(images):
    """Writing only what a stream says before each start is running the programs whole."""
    whole, partial = np.full(4096, 3, np.uint8), np.full(4096, 3, np.uint8)
    machine, other = Machine(), Machine()
    machine.attach(RAM, whole)
    other.attach(RAM, partial)
    words, numbers = stream.encode(np.stack(images), 0, 0), b""
    for image in images:
        machine.run(image)
        other.write(0x004, 1)
        written, words, numbers = writes_of(words, numbers)
        for number, value in written:
            other.write(0x064 + 4 * number, value)
        other.write(0x01C, 0)
        other.write(0x174, isa.START)
        assert other.read(0x01C) & 1
    assert not len(words)
    np.testing.assert_array_equal(whole, partial)


def test_what_stays_is_not_written_again():
    words = Program("test")
    words.set(1, 1)
    words.instruction("COPY", z=2, a=1)
    image = words.assemble()
    words = stream.encode(np.stack([image, image]), 0, 0)
    first, rest, numbers = writes_of(words, b"")
    assert {number for number, _ in first} == {1, *range(isa.INSTRUCTION_WORD, isa.INSTRUCTION_WORD + 3)}
    assert writes_of(rest, numbers)[0] == []
    assert "R1 = 1" in disassemble(image)
