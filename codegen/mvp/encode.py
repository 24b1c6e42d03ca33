"""A layer's programs as data for the driver: the first one whole, then only the words that change.

The words of :func:`encode` are uint32 and read from the front:

* 68 words: registers 0x064 to 0x170 of the first program.
* for each further program a head word, then as many values. The head's low byte is their number n; its
  upper bits say which words they are for: 0 means the same ones as for the program before, else
  ceil(n / 4) words with four register numbers (offset 0x064 + 4 * number) follow the head first.

Programs of a layer mostly change the same few words, so that a program costs the processor a head, three
or four values and the start. Where a value is an address, :func:`address_positions` says so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codegen.mvp import isa
from codegen.mvp.kernels.layer import ADDRESS_WORDS, MvpLayer

_LISTED = 0x100  # the head says that register numbers follow
_FIRST = isa.PROGRAM_WORDS - 1


def encode(layer: MvpLayer) -> NDArray[np.uint32]:
    return np.array([value for value, _ in _items(layer)], np.uint32)


def address_positions(layer: MvpLayer) -> tuple[int, ...]:
    """Positions in :func:`encode` of values that are addresses, to be given as symbols plus offsets.
    An array that no instruction uses has address 0, which stays."""
    return tuple(k for k, (value, word) in enumerate(_items(layer)) if word in ADDRESS_WORDS and value)


def _items(layer: MvpLayer) -> list[tuple[int, int | None]]:
    """(value, number of the word that it is for, None for heads and numbers)."""
    items: list[tuple[int, int | None]] = [(int(v), k) for k, v in enumerate(layer.programs[0][:_FIRST])]
    before: tuple[int, ...] = ()
    for changes in layer.changes():
        numbers = tuple(k for k, _ in changes)
        items.append((len(numbers) | (_LISTED if numbers != before else 0), None))
        if numbers != before:
            padded = bytes(numbers) + b"\0" * (-len(numbers) % 4)
            items += [(int.from_bytes(padded[k : k + 4], "little"), None) for k in range(0, len(padded), 4)]
        items += [(value, number) for number, value in changes]
        before = numbers
    return items


def decode(words: NDArray[np.uint32], programs: int) -> NDArray[np.uint32]:
    """What the driver loads, program by program, except for registers that running one changes."""
    image = np.append(words[:_FIRST], np.uint32(isa.START)).astype(np.uint32)
    images, at, numbers = [image.copy()], _FIRST, b""
    for _ in range(programs - 1):
        head = int(words[at])
        at += 1
        count = head & 0xFF
        if head & _LISTED:
            size = -(-count // 4)
            numbers = words[at : at + size].astype("<u4").tobytes()[:count]
            at += size
        for number in numbers:
            image[number] = words[at]
            at += 1
        images.append(image.copy())
    assert at == len(words)
    return np.stack(images)
