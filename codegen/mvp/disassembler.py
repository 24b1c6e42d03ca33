"""Prints a program image so that people can read it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codegen.mvp import isa
from codegen.mvp.assembler import instruction_count, used_registers

_TYPES = {0: "uint8", 1: "int8", 2: "half", 3: "reserved"}


def disassemble(words: NDArray[np.uint32]) -> str:
    """A listing: constants, arrays, loops, instructions."""
    w = [int(x) for x in words]
    count = instruction_count(words)
    lines = [*_registers(w, used_registers(words)), *_arrays(w, count), *_loops(w, count)]
    for i in range(count):
        lines.append(f"I{i}  {_instruction(w, i)}")
    return "\n".join(lines)


def _registers(w: list[int], used: frozenset[int]) -> list[str]:
    lines = []
    for r in sorted(used):
        real, imag = np.array([w[r]], np.uint32).view(np.float16)
        lines.append(f"R{r} = {real:.8g}" + ("" if real == imag else f", {imag:.8g}i"))
    return lines


def _arrays(w: list[int], count: int) -> list[str]:
    used = set()
    for i in range(count):
        cfg1 = w[isa.INSTRUCTION_WORD + 3 * i + 1]
        used |= {cfg1 >> 10 * s + 4 & 7 for s in range(3) if cfg1 >> 10 * s & 8}
    lines = []
    for a in sorted(used & set(range(isa.ARRAYS))):
        base, *dims = w[isa.ARRAY_WORD + 4 * a :][:4]
        kind = ("complex " if dims[0] >> 14 & 1 else "") + _TYPES[dims[0] >> 12 & 3]
        shape = " x ".join(f"{(d & 1023) + 1}({isa.signed_stride(d):+d})" for d in dims)
        lines.append(f"A{a} = {kind} at {base:#010x}, {shape}")
    return lines


def _dims(bits: int) -> str:
    return " ".join(f"A{a}.{d}" for a in range(isa.ARRAYS) for d in range(3) if bits >> 12 + 4 * a + d & 1)


def _loops(w: list[int], count: int) -> list[str]:
    lines = []
    for l in range(isa.LOOPS):
        ends = [i for i in range(count) if w[isa.INSTRUCTION_WORD + 3 * i + 2] >> 2 * l + 1 & 1]
        begins = [i for i in range(count) if w[isa.INSTRUCTION_WORD + 3 * i + 2] >> 2 * l & 1]
        if not begins and not ends:
            continue
        config, reset = w[isa.LOOP_WORD + 2 * l :][:2]
        begin, end = (f"I{at[0]}" if at else "?" for at in (begins, ends))
        text = f"L{l} = {(config & 1023) + 1} times {begin}..{end}"
        text += f", then next {_dims(config)}" if config >> 12 else ""
        text += f", reset {_dims(reset)}" if reset >> 12 else ""
        lines.append(text)
    return lines


def _source(bits: int) -> str:
    marks = "".join(mark for bit, mark in ((4, "r0"), (5, "r-"), (6, "i0"), (7, "i-")) if bits >> bit & 1)
    return f"R{bits & 7}" + (f"[{marks}]" if marks else "")


def _stream(fields: int) -> str:
    increments = "".join(f" +{d}" for d in range(3) if fields >> 7 + d & 1)
    return f"A{fields >> 4 & 7}{increments}"


def _instruction(w: list[int], i: int) -> str:
    cfg0, cfg1, cfg2 = w[isa.INSTRUCTION_WORD + 3 * i :][:3]
    code = cfg2 >> 20 & 0x1FF
    name = isa.NAMES.get(code, f"operation {code}")
    parts = []
    for s in (0, 1):
        if cfg1 >> 10 * s & 8:
            parts.append(f"R{cfg1 >> 10 * s & 7} <- {_stream(cfg1 >> 10 * s & 0x3FF)}")
    reads = isa.operands(name) if name in isa.OPCODES else "xya"
    sources = ", ".join(_source(cfg0 >> 8 * k & 0xFF) for k, label in enumerate("xya") if label in reads)
    parts.append(name if name == "NOOP" else f"R{cfg0 >> 28 & 7} = {name}({sources})")
    if cfg1 >> 20 & 8:
        parts.append(f"{_stream(cfg1 >> 20)} <- R{cfg1 >> 20 & 7}")
    return "; ".join(parts) + (" ; end" if cfg2 >> 31 else "")
