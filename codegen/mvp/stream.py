"""A layer's programs as the stream of words that firmware/nn/kernels/mvp reads.

A program sets only what it needs: registers that no instruction uses keep what they hold, and so do
those that already hold the right value, from a program before. For each program:

* a head: how many addresses follow (bits 0 to 7), how many fours of other values (8 to 15), how many
  words of register numbers the addresses have (16 to 23) and all of them (24 to 31), the last 0 if the
  numbers are those of the program before and are left out;
* the register numbers, a byte each, those of addresses first, filled up to whole words: register n is at
  offset 0x064 + 4 n;
* the addresses, then the other values in fours, of which the last repeats a value to fill up.

An address is an offset into the arena, or with the top bit set into the layer's constants, so that the
stream is the same wherever those are.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from codegen.mvp import isa
from codegen.mvp.assembler import clobbered_registers, instruction_count, used_registers
from codegen.mvp.kernels.layer import ADDRESS_WORDS

IN_CONSTANTS = 1 << 31


def encode(programs: NDArray[np.uint32], arena: int, constants: int) -> NDArray[np.uint32]:
    """The stream of programs [N, 69] that were built for these addresses, ``constants`` below ``arena``."""
    stream: list[int] = []
    holds: dict[int, int] = {}
    before = (0, b"")
    for words in programs:
        wanted = {k: int(words[k]) for k in sorted(used_words(words)) if holds.get(k) != int(words[k])}
        addresses = [k for k in wanted if k in ADDRESS_WORDS]
        others = [k for k in wanted if k not in ADDRESS_WORDS]
        others += others[-1:] * (-len(others) % 4)
        filled = bytes(addresses) + b"\0" * (-len(addresses) % 4)
        numbers = (len(addresses), filled + bytes(others))
        listed = b"" if numbers == before else numbers[1]
        stream.append(
            len(addresses) | len(others) // 4 << 8 | len(filled) // 4 << 16 | len(listed) // 4 << 24
        )
        stream += np.frombuffer(listed, "<u4").tolist()
        stream += [_relative(wanted[k], arena, constants) for k in addresses]
        stream += [wanted[k] for k in others]
        before = numbers
        holds |= wanted
        for register in clobbered_registers(words):
            holds.pop(register, None)
    return np.array(stream, np.uint32)


def _relative(address: int, arena: int, constants: int) -> int:
    return address - arena if address >= arena else address - constants | IN_CONSTANTS


def decode(
    stream: NDArray[np.uint32], programs: int, arena: int, constants: int
) -> Iterator[NDArray[np.uint32]]:
    """What the registers hold when each program starts, except for what running one changes."""
    image = np.zeros(isa.PROGRAM_WORDS, np.uint32)
    image[isa.COMMAND_WORD] = isa.START
    at, numbers = 0, b""
    for _ in range(programs):
        head, at = int(stream[at]), at + 1
        addresses, fours, skipped, listed = (head >> shift & 0xFF for shift in (0, 8, 16, 24))
        if listed:
            numbers, at = stream[at : at + listed].astype("<u4").tobytes(), at + listed
        for number in numbers[:addresses]:
            value, at = int(stream[at]), at + 1
            image[number] = (value & ~IN_CONSTANTS) + (constants if value & IN_CONSTANTS else arena)
        for number in numbers[4 * skipped : 4 * (skipped + fours)]:
            image[number], at = stream[at], at + 1
        yield image.copy()
    assert at == len(stream)


def used_words(words: NDArray[np.uint32]) -> frozenset[int]:
    """The words that a program depends on, but for the command."""
    used = set(used_registers(words))
    count = instruction_count(words)
    used |= set(range(isa.INSTRUCTION_WORD, isa.INSTRUCTION_WORD + 3 * count))
    for i in range(count):
        _, streams, flow = (int(w) for w in words[isa.INSTRUCTION_WORD + 3 * i :][:3])
        for s in range(3):
            if streams >> 10 * s & 8:
                array = isa.ARRAY_WORD + 4 * (streams >> 10 * s + 4 & 7)
                used |= set(range(array, array + 4))
        for loop in range(isa.LOOPS):
            if flow >> 2 * loop & 3:
                used |= {isa.LOOP_WORD + 2 * loop, isa.LOOP_WORD + 2 * loop + 1}
    return frozenset(used)
