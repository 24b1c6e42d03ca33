"""Images of random words, and random register accesses: any outcome but a crash or a stray write."""

from __future__ import annotations

import numpy as np

from codegen.mvp import isa
from codegen.mvp.disassembler import disassemble
from host.simulator.mvp import Machine

RAM = 0x20000000
STATUS_BITS = 7


def machine(memory: np.ndarray) -> Machine:
    m = Machine("shared", at_once=True)
    m.attach(RAM, memory[64:-64])
    m.write(0x004, 1)
    m.write(0x00C, 8)  # an unmatched loop end does not halt
    m.write(0x200, 1 << 28)  # at most so many instructions
    m.write(0x204, 3000)
    return m


def test_random_images():
    rng = np.random.default_rng(11)
    memory = rng.integers(0, 256, 4096 + 128, dtype=np.uint8)
    guard = memory[:64].tobytes(), memory[-64:].tobytes()
    m = machine(memory)
    ended = 0
    for _ in range(1500):
        words = rng.integers(0, 1 << 32, isa.PROGRAM_WORDS, dtype=np.uint64).astype(np.uint32)
        words[isa.ARRAY_WORD : isa.LOOP_WORD : 4] = RAM + rng.integers(-8, 4096 + 8, isa.ARRAYS)
        if rng.random() < 0.7:  # likelier to go on: aligned, short strides, real operations
            words[isa.ARRAY_WORD : isa.LOOP_WORD : 4] &= ~np.uint32(3)
            for a in range(isa.ARRAYS):
                words[isa.ARRAY_WORD + 4 * a + 1 :][:3] &= np.uint32(0x001F401F)
            codes = rng.choice(list(isa.OPCODES.values()), isa.INSTRUCTIONS)
            words[isa.INSTRUCTION_WORD + 2 : isa.COMMAND_WORD : 3] &= np.uint32(0x8000000F)
            words[isa.INSTRUCTION_WORD + 2 : isa.COMMAND_WORD : 3] |= codes.astype(np.uint32) << 20
        assert disassemble(words)
        for index, word in enumerate(words[:-1]):
            m.write(0x064 + 4 * index, int(word))
        m.write(0x01C, 0)
        m.write(0x174, isa.START)
        ended += m.read(0x01C) & 1
        assert m.read(0x010) & STATUS_BITS
    assert ended > 20, "some programs must come to their end"
    assert (memory[:64].tobytes(), memory[-64:].tobytes()) == guard


def test_random_accesses():
    """What is read may be anything; a sanitized library notices what is read or written out of bounds."""
    rng = np.random.default_rng(12)
    memory = np.full(4096 + 128, 0xA5, np.uint8)
    m = machine(memory)
    for _ in range(20000):
        offset = int(rng.integers(0, 0x4000)) & ~3
        if rng.random() < 0.5:
            m.write(offset, int(rng.integers(1 << 32)))
            m.write(0x204, 100)
            m.write(0x200, 1 << 28)
        else:
            m.read(offset)
        if rng.random() < 0.1:
            m.advance(int(rng.integers(1000)))
    assert np.all(memory[:64] == 0xA5) and np.all(memory[-64:] == 0xA5)
