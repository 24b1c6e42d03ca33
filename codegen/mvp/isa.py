"""The accelerator's program image: where its fields are, and its operations.

An image is the 69 words of the registers 0x064 to 0x174: 8 ALU registers, 5 arrays of 4 words, 8 loops
of 2, 8 instructions of 3, and the command that starts it.
"""

from __future__ import annotations

import enum

PROGRAM_WORDS = 69
REGISTERS, ARRAYS, LOOPS, INSTRUCTIONS, DIMENSIONS = 8, 5, 8, 8, 3
ARRAY_WORD, LOOP_WORD, INSTRUCTION_WORD, COMMAND_WORD = 8, 28, 44, 68  # register n is word n
START = 0x9  # INIT | START

MAX_COUNT = 1024  # of a dimension and of a loop
MIN_STRIDE, MAX_STRIDE = -2048, 2047

RAM_BASE, FLASH_BASE = 0x20000000, 0x08000000


class Type(enum.IntEnum):
    """What an array holds; a complex array holds pairs of it."""

    UINT8 = 0
    INT8 = 1
    HALF = 2

    @property
    def bytes(self) -> int:
        return 2 if self is Type.HALF else 1


OPCODES = {
    "NOOP": 0, "CLEAR": 1, "COPY": 65, "SWAP": 66, "DBL": 67, "FANA": 68, "FANB": 69, "RELU2": 70,
    "NRELU2": 71, "INC2": 72, "DEC2": 73, "ADDR": 74, "MAX": 75, "MIN": 76, "RSQR2B": 292, "ADDC": 334,
    "MAX2A": 339, "MIN2A": 340, "XREALC2": 350, "XIMAGC2": 351, "ADDR2B": 353, "MAX2B": 354, "MIN2B": 355,
    "MULC": 397, "MULR2A": 407, "MULR2B": 408, "ADDR4": 410, "MAX4": 411, "MIN4": 412, "SQRMAGC2": 413,
    "PRELU2B": 416, "MACC": 461, "AACC": 462, "ELU2A": 463, "ELU2B": 464, "IFR2A": 465, "IFR2B": 466,
    "MAXAC2": 467, "MINAC2": 468, "CLIP2A": 469, "CLIP2B": 470, "MACR2A": 471, "MACR2B": 472, "IFC": 473,
}  # fmt: skip
NAMES = {code: name for name, code in OPCODES.items()}

_A_ONLY = ("COPY", "SWAP", "DBL", "FANA", "FANB", "RELU2", "NRELU2", "INC2", "DEC2", "ADDR", "MAX", "MIN")
_X_AND_A = ("ADDC", "MAX2A", "MIN2A", "XREALC2", "XIMAGC2", "ADDR2B", "MAX2B", "MIN2B")
_X_AND_Y = ("MULC", "MULR2A", "MULR2B", "ADDR4", "MAX4", "MIN4", "SQRMAGC2", "PRELU2B")


def operands(name: str) -> str:
    """Which of X, Y and A an operation reads."""
    if name in ("NOOP", "CLEAR"):
        return ""
    if name == "RSQR2B":
        return "x"
    if name in _A_ONLY:
        return "a"
    if name in _X_AND_A:
        return "xa"
    return "xy" if name in _X_AND_Y else "xya"


def signed_stride(word: int) -> int:
    """The stride of a dimension's configuration word."""
    return ((word >> 16 & 0xFFF) ^ 0x800) - 0x800
