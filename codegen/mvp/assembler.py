"""A builder of programs that refuses what the accelerator cannot do.

    p = Program("scale")
    x = p.array("x", address, Type.INT8, complex=True, dims=[(n, 1)])
    y = p.array("y", target, Type.HALF, complex=True, dims=[(n, 1)])
    with p.loop(n):
        p.instruction("MACR2A", z=3, x=2, y=0, a=1, load0=x.to(2, 0), store=y.of(3, 0))
    words = p.assemble()

An array is moved on by what loads or stores it (the dimensions named after the register) or, on a
loop's exit, by the loop. An operand is a register number or a :class:`Source` with modifiers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from codegen.errors import TokayError
from codegen.mvp import isa
from codegen.mvp.isa import Type


@dataclass(frozen=True)
class Source:
    """An operand: a register whose parts may be zeroed, then negated."""

    register: int
    real_zero: bool = False
    real_negate: bool = False
    imag_zero: bool = False
    imag_negate: bool = False

    @property
    def bits(self) -> int:
        return (
            self.register | self.real_zero << 4 | self.real_negate << 5 | self.imag_zero << 6
            | self.imag_negate << 7
        )  # fmt: skip


@dataclass(frozen=True)
class Array:
    """Memory as a program sees it; strides count elements."""

    number: int
    name: str
    address: int
    type: Type
    complex: bool
    dims: tuple[tuple[int, int], ...]

    @property
    def element_bytes(self) -> int:
        return self.type.bytes * (2 if self.complex else 1)

    def to(self, register: int, *increments: int) -> Stream:
        """Loads the present element into a register, then moves these dimensions on."""
        return Stream(self, register, increments)

    def of(self, register: int, *increments: int) -> Stream:
        """Stores a register to the present element, then moves these dimensions on."""
        return Stream(self, register, increments)

    def dim(self, dimension: int) -> Dim:
        return Dim(self, dimension)


@dataclass(frozen=True)
class Dim:
    """A dimension of an array, for loops to move on or to reset."""

    array: Array
    dimension: int


@dataclass(frozen=True)
class Stream:
    array: Array
    register: int
    increments: tuple[int, ...]


@dataclass(frozen=True)
class _Instruction:
    operation: str
    z: int
    sources: dict[str, Source]
    load0: Stream | None
    load1: Stream | None
    store: Stream | None


@dataclass
class _Loop:
    count: int
    increments: tuple[Dim, ...]
    resets: tuple[Dim, ...]
    begin: int
    end: int = -1


@dataclass
class Program:
    """A program under construction."""

    name: str
    registers: dict[int, complex] = field(default_factory=dict)
    arrays: list[Array] = field(default_factory=list)
    _loops: list[_Loop] = field(default_factory=list)
    _instructions: list[_Instruction] = field(default_factory=list)

    def _refuse(self, what: str, hint: str | None = None) -> TokayError:
        return TokayError(f"MVP program {self.name}: {what}", hint=hint)

    def set(self, register: int, real: float, imag: float | None = None) -> None:
        """A register's value at the start; both parts alike if ``imag`` is not given."""
        self._check_register(register, "constant")
        self.registers[register] = complex(real, real if imag is None else imag)

    def array(
        self, name: str, address: int, type: Type, dims: Sequence[tuple[int, int]], *, complex: bool = False
    ) -> Array:
        """An array of up to three dimensions, each (size, stride in elements)."""
        if len(self.arrays) == isa.ARRAYS:
            raise self._refuse(f"array {name} is one too many", f"there are {isa.ARRAYS}")
        if not 1 <= len(dims) <= isa.DIMENSIONS:
            raise self._refuse(f"array {name} has {len(dims)} dimensions", f"1 to {isa.DIMENSIONS}")
        for d, (size, stride) in enumerate(dims):
            if not 1 <= size <= isa.MAX_COUNT:
                raise self._refuse(f"array {name}: size {size} of dimension {d}", f"1 to {isa.MAX_COUNT}")
            if size > 1 and not isa.MIN_STRIDE <= stride <= isa.MAX_STRIDE:
                raise self._refuse(
                    f"array {name}: stride {stride} of dimension {d}", f"{isa.MIN_STRIDE} to {isa.MAX_STRIDE}"
                )
        dims = tuple((size, stride if size > 1 else 0) for size, stride in dims)
        array = Array(len(self.arrays), name, address, Type(type), complex, dims)
        if not 0 <= address < 1 << 32:
            raise self._refuse(f"array {name}: address {address:#x} is no 32-bit address")
        if address % array.element_bytes:
            raise self._refuse(
                f"array {name}: address {address:#x} is not aligned to {array.element_bytes} bytes"
            )
        self.arrays.append(array)
        return array

    @contextlib.contextmanager
    def loop(self, count: int, *, increment: Sequence[Dim] = (), reset: Sequence[Dim] = ()) -> Iterator[None]:
        """The instructions inside run ``count`` times; then the dimensions are moved on or reset."""
        if len(self._loops) == isa.LOOPS:
            raise self._refuse("a loop too many", f"there are {isa.LOOPS}")
        if not 1 <= count <= isa.MAX_COUNT:
            raise self._refuse(f"a loop of {count}", f"1 to {isa.MAX_COUNT}")
        for dim in (*increment, *reset):
            self._check_dims(dim.array, (dim.dimension,))
        loop = _Loop(count, tuple(increment), tuple(reset), len(self._instructions))
        self._loops.append(loop)
        yield
        loop.end = len(self._instructions) - 1
        if loop.end < loop.begin:
            raise self._refuse("a loop without instructions")

    def instruction(
        self, operation: str = "NOOP", *, z: int | None = None, x: int | Source | None = None,
        y: int | Source | None = None, a: int | Source | None = None, load0: Stream | None = None,
        load1: Stream | None = None, store: Stream | None = None,
    ) -> None:  # fmt: skip
        """Up to two loads, one ALU operation z = operation(x, y, a), one store, in that order."""
        if len(self._instructions) == isa.INSTRUCTIONS:
            raise self._refuse("an instruction too many", f"there are {isa.INSTRUCTIONS}")
        if operation not in isa.OPCODES:
            raise self._refuse(f"no operation {operation!r}")
        given = {name: value for name, value in (("x", x), ("y", y), ("a", a)) if value is not None}
        if set(given) != set(isa.operands(operation)):
            reads = isa.operands(operation) or "nothing"
            raise self._refuse(f"{operation} reads {reads}, given {''.join(given)}")
        if (z is None) != (operation == "NOOP"):
            raise self._refuse(f"{operation} {'needs' if z is None else 'has no'} result register")
        sources = {k: v if isinstance(v, Source) else Source(v) for k, v in given.items()}
        for label, source in sources.items():
            self._check_register(source.register, f"{operation} operand {label}")
        if z is not None:
            self._check_register(z, f"{operation} result")
        for stream in (load0, load1, store):
            if stream is not None:
                self._check_register(stream.register, f"{stream.array.name}")
                self._check_dims(stream.array, stream.increments)
        self._instructions.append(_Instruction(operation, z or 0, sources, load0, load1, store))

    def _check_register(self, register: int, where: str) -> None:
        if not 0 <= register < isa.REGISTERS:
            raise self._refuse(f"{where}: no register R{register}", f"R0 to R{isa.REGISTERS - 1}")

    def _check_dims(self, array: Array, dims: Sequence[int]) -> None:
        if array.number >= len(self.arrays) or self.arrays[array.number] is not array:
            raise self._refuse(f"array {array.name} belongs to another program")
        for d in dims:
            if not 0 <= d < len(array.dims):
                raise self._refuse(f"array {array.name} has no dimension {d}")

    def assemble(self) -> NDArray[np.uint32]:
        """The image."""
        if not self._instructions:
            raise self._refuse("no instructions")
        if any(loop.end < 0 for loop in self._loops):
            raise self._refuse("assembled inside a loop")
        words = np.zeros(isa.PROGRAM_WORDS, np.uint32)
        for register, value in self.registers.items():
            words[register] = _half_pair(value.real, value.imag)
        for a in range(isa.ARRAYS):
            words[isa.ARRAY_WORD + 4 * a + 1] = 0x2000  # as after reset
        for array in self.arrays:
            words[isa.ARRAY_WORD + 4 * array.number :][:4] = _array_words(array)
        for number, loop in enumerate(self._loops):
            words[isa.LOOP_WORD + 2 * number :][:2] = (
                loop.count - 1 | _dim_bits(loop.increments), _dim_bits(loop.resets)
            )  # fmt: skip
        idle = self._idle_register()
        for number, instruction in enumerate(self._instructions):
            at = isa.INSTRUCTION_WORD + 3 * number
            words[at : at + 3] = self._instruction_words(number, instruction, idle)
        words[isa.COMMAND_WORD] = isa.START
        return words

    def _idle_register(self) -> int:
        """A register for fields that an operation ignores: the accelerator waits for a result that
        such a field names, so it should be one that no operation writes."""
        written = {i.z for i in self._instructions if i.operation != "NOOP"}
        return next((r for r in reversed(range(isa.REGISTERS)) if r not in written), 0)

    def _instruction_words(self, number: int, instruction: _Instruction, idle: int) -> tuple[int, int, int]:
        cfg0 = (instruction.z if instruction.operation != "NOOP" else idle) << 28
        for position, label in enumerate("xya"):
            cfg0 |= instruction.sources.get(label, Source(idle)).bits << 8 * position
        cfg1 = sum(
            _stream_bits(stream) << 10 * s
            for s, stream in enumerate((instruction.load0, instruction.load1, instruction.store))
            if stream is not None
        )
        cfg2 = isa.OPCODES[instruction.operation] << 20
        for l, loop in enumerate(self._loops):
            cfg2 |= (loop.begin == number) << 2 * l | (loop.end == number) << 2 * l + 1
        cfg2 |= (number == len(self._instructions) - 1) << 31
        return cfg0, cfg1, cfg2


def _half_pair(real: float, imag: float) -> int:
    with np.errstate(over="ignore"):
        pair = np.array([real, imag], np.float16)
    return int(pair.view(np.uint32)[0])


def _array_words(array: Array) -> tuple[int, int, int, int]:
    dims = [*array.dims, *[(1, 0)] * (isa.DIMENSIONS - len(array.dims))]
    words = [size - 1 | (stride & 0xFFF) << 16 for size, stride in dims]
    words[0] |= array.type << 12 | array.complex << 14
    return (array.address, *words)


def _dim_bits(dims: Sequence[Dim]) -> int:
    return sum({1 << 12 + 4 * d.array.number + d.dimension for d in dims})


def _stream_bits(stream: Stream) -> int:
    return stream.register | 8 | stream.array.number << 4 | sum(1 << 7 + d for d in set(stream.increments))


def _streams(words: NDArray[np.uint32]) -> Iterator[tuple[int, int, int]]:
    """(instruction, stream, fields) of the streams that are on."""
    for i in range(instruction_count(words)):
        cfg1 = int(words[isa.INSTRUCTION_WORD + 3 * i + 1])
        for s in range(3):
            if cfg1 >> 10 * s & 8:
                yield i, s, cfg1 >> 10 * s & 0x3FF


def instruction_count(words: NDArray[np.uint32]) -> int:
    """Instructions up to the one that ends the program."""
    for i in range(isa.INSTRUCTIONS):
        if int(words[isa.INSTRUCTION_WORD + 3 * i + 2]) >> 31:
            return i + 1
    return isa.INSTRUCTIONS


def clobbered_registers(words: NDArray[np.uint32]) -> frozenset[int]:
    """ALU registers that running a program changes."""
    loaded = {fields & 7 for _, s, fields in _streams(words) if s < 2}
    for i in range(instruction_count(words)):
        cfg0, _, cfg2 = (int(w) for w in words[isa.INSTRUCTION_WORD + 3 * i :][:3])
        if cfg2 >> 20 & 0x1FF:
            loaded.add(cfg0 >> 28 & 7)
    return frozenset(loaded)


def used_registers(words: NDArray[np.uint32]) -> frozenset[int]:
    """ALU registers whose value at the start a program reads, taking its instructions in order."""
    used: set[int] = set()
    written: set[int] = set()
    streams = {(i, s): fields & 7 for i, s, fields in _streams(words)}
    for i in range(instruction_count(words)):
        cfg0, _, cfg2 = (int(w) for w in words[isa.INSTRUCTION_WORD + 3 * i :][:3])
        name = isa.NAMES.get(cfg2 >> 20 & 0x1FF, "IFC")
        written |= {streams[i, s] for s in (0, 1) if (i, s) in streams}
        for position, label in enumerate("xya"):
            if label in isa.operands(name) and cfg0 >> 8 * position & 7 not in written:
                used.add(cfg0 >> 8 * position & 7)
        if name != "NOOP":
            written.add(cfg0 >> 28 & 7)
        if (i, 2) in streams and streams[i, 2] not in written:
            used.add(streams[i, 2])
    return frozenset(used)
