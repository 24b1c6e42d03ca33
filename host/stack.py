"""The worst-case stack of an image: frames and calls as the compiler reports them.

GCC writes a `.ci` file beside each object (`-fcallgraph-info=su`): a node a function with its frame,
an edge a call. What has none, the compiler's own library, is read from its instructions. A call
through a pointer may reach what `INDIRECT` says, else any function whose address the same object file
takes; if there is none, and for recursion and frames of unbounded size (in the library: a register that is
subtracted from the stack pointer), there is an error instead of a number, so a number is a bound.

All interrupts have one priority, so at most one handler lies on top of the deepest thread, with the
eight words that the core pushes (the FPU's are not pushed, see startup.c) and a word of alignment.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from host.errors import TokayError

EXCEPTION_FRAME_BYTES = 8 * 4 + 4
THREAD = "startup_reset"
_FAULTS = frozenset({"fault_entry", THREAD})
FAULT_ROOM_BYTES = 640  # what fault_entry (firmware/chips/efr32mg24/fault.c) wants below the fault

# Who calls through a pointer, and what the pointer can be. Patterns match whole names.
INDIRECT: tuple[tuple[str, str], ...] = (
    ("nn_run|nn_run_layer|nn_reset", "nn_kernel_.*"),
    ("nn_kernel_mvp", "mvp_wait|mvp_address"),
    ("audio_loop_process|infer|now", "hal_cycles"),
    ("profiler_.*", "hal_cycles|hal_interrupts"),
)

_NODE = re.compile(r'node: \{ title: "([^"]+)" label: "([^"]*)"')
_EDGE = re.compile(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')
_FRAME = re.compile(r"(\d+) bytes \(([^)]*)\)")
# Also an addition, of what may be negative. The frame pointer is put back where it was.
_STACK_BY_REGISTER = re.compile(r"(sub|add|mov)\S* sp, (sp, )?(?!sp, |r7$)[a-z].*")
_ADDRESS_RELOCATIONS = (2, 47, 48)  # R_ARM_ABS32, R_ARM_THM_MOVW_ABS_NC, R_ARM_THM_MOVT_ABS
_INDIRECT_NAME = "__indirect_call"
_OBJDUMP = "arm-none-eabi-objdump"


@dataclass(frozen=True)
class Function:
    """One function's own frame and whom it calls, by name."""

    frame: int
    calls: frozenset[str]
    pointers: frozenset[str] = frozenset()  # functions whose address its object file takes
    unbounded: str | None = None  # the instruction that takes as much stack as a register says


@dataclass(frozen=True)
class StackBound:
    """The bound in bytes, and the calls that reach it from the outside in."""

    total: int
    thread: int
    interrupt: int
    thread_path: tuple[str, ...]
    interrupt_path: tuple[str, ...]


def bound(elf: Path, objects: Path) -> StackBound:
    """The worst case of the image `elf`, whose objects and `.ci` files lie under `objects`."""
    found = functions(elf, objects)
    thread, thread_path = deepest(THREAD, found)
    if deepest("fault_report", found)[0] > FAULT_ROOM_BYTES:
        raise TokayError(f"a fault's report takes more than {FAULT_ROOM_BYTES} bytes of stack")
    handlers = [h for h in _handlers(elf) if h not in _FAULTS]
    interrupt, interrupt_path = max((deepest(name, found) for name in handlers), default=(0, ()))
    interrupt += EXCEPTION_FRAME_BYTES if interrupt_path else 0
    return StackBound(thread + interrupt, thread, interrupt, thread_path, interrupt_path)


def functions(elf: Path, objects: Path) -> dict[str, Function]:
    """Every function of the image, as the compiler describes it or as its instructions are."""
    disassembly = subprocess.run(
        [_OBJDUMP, "-d", "--no-show-raw-insn", str(elf)], capture_output=True, text=True, check=True
    ).stdout
    linked = _from_instructions(disassembly)
    return linked | _from_compiler(objects, set(linked))


def _from_compiler(folder: Path, linked: set[str]) -> dict[str, Function]:
    """The functions that the compiler described and the linker kept."""
    frames: dict[str, int] = {}
    calls: dict[str, set[str]] = {}
    pointers: dict[str, set[str]] = {}
    for path in sorted(folder.rglob("*.ci")):
        if not path.with_suffix(".obj").is_file():
            continue  # of a source that is no longer built
        text = path.read_text()
        local: dict[str, str] = {}
        taken = _addresses_taken(path.with_suffix(".obj")) if _INDIRECT_NAME in text else frozenset()
        for title, label in _NODE.findall(text):
            name = title.rsplit(":", 1)[-1]
            local[title] = name
            match = _FRAME.search(label)
            if match is None or name not in linked:
                continue
            if "dynamic" in match[2] and "bounded" not in match[2]:
                raise TokayError(f"the stack of {name} has no bound ({path.name}: {match[0]})")
            # Two static functions of one name: the larger frame and both their calls.
            frames[name] = max(frames.get(name, 0), int(match[1]))
            calls.setdefault(name, set())
            pointers.setdefault(name, set()).update(taken)
        for source, target in _EDGE.findall(text):
            if local.get(source) in calls:
                calls[local[source]].add(local.get(target, target.rsplit(":", 1)[-1]))
    return {
        name: Function(frame, frozenset(calls[name]), frozenset(pointers[name]))
        for name, frame in frames.items()
    }


def _elf(stream: Any) -> Any:
    from elftools.elf.elffile import ELFFile  # here: most commands need this module's results only

    return ELFFile(stream)


def _addresses_taken(path: Path) -> frozenset[str]:
    """Functions that an object file refers to otherwise than by calling them."""
    names = set()
    with path.open("rb") as stream:
        elf = _elf(stream)
        for section in elf.iter_sections("SHT_REL"):
            if section.name.startswith((".rel.debug", ".rel.ARM")):
                continue
            symbols = elf.get_section(section["sh_link"])
            for relocation in section.iter_relocations():
                if relocation["r_info_type"] in _ADDRESS_RELOCATIONS:
                    symbol = symbols.get_symbol(relocation["r_info_sym"])
                    names.add(symbol.name or elf.get_section(symbol["st_shndx"]).name)
    # With a section for each function, a static one is referred to by its section.
    code = [name for name in names if not name.startswith(".") or name.startswith(".text.")]
    return frozenset(name.removeprefix(".text.") for name in code)


def _from_instructions(disassembly: str) -> dict[str, Function]:
    """Every function of the image by its instructions: pushes, stack arithmetic, branches out."""
    functions: dict[str, Function] = {}
    for block in re.split(r"\n(?=[0-9a-f]{8} <)", disassembly):
        head = re.match(r"\s*[0-9a-f]{8} <([^>]+)>:", block)
        if head is None:
            continue
        frame, calls, unbounded = 0, set(), None
        for line in block.splitlines()[1:]:
            parts = line.split("\t")
            if len(parts) < 2:
                continue
            operation, operands = parts[1].strip(), parts[2] if len(parts) > 2 else ""
            frame += _pushed(operation, operands)
            if _STACK_BY_REGISTER.fullmatch(f"{operation} {operands.strip()}"):
                unbounded = f"{operation} {operands.strip()}"
            target = re.search(r"<([^>+]+)>", operands)
            # A branch to the function's own beginning is a loop, a call of itself a recursion.
            if operation[0] == "b" and target and (operation == "bl" or target[1] != head[1]):
                calls.add(target[1])
            if operation == "blx" or (operation == "bx" and operands.strip() != "lr"):
                calls.add(_INDIRECT_NAME)
        functions[head[1]] = Function(frame, frozenset(calls), unbounded=unbounded)
    return functions


def _pushed(operation: str, operands: str) -> int:
    """Bytes that one instruction takes off the stack pointer, 0 for most."""
    registers = re.search(r"\{([^}]*)\}", operands)
    if operation.startswith("vpush") and registers:
        size = 8 if registers[1].startswith("d") else 4
        return size * _register_count(registers[1])
    if operation.startswith("push") or (operation.startswith("stmdb") and operands.startswith("sp!")):
        return 4 * _register_count(registers[1]) if registers else 4
    step = re.search(r"\[sp, #-(\d+)\]!", operands)
    if step and operation.startswith("str"):
        return int(step[1])
    taken = re.match(r"sp, (?:sp, )?#(\d+)", operands)
    return int(taken[1]) if taken and operation.startswith("sub") else 0


def _register_count(text: str) -> int:
    count = 0
    for item in text.split(","):
        first, _, last = item.strip().partition("-")
        count += int(last.strip("srd")) - int(first.strip("srd")) + 1 if last else 1
    return count


def _handlers(elf: Path) -> set[str]:
    """The functions that the vector table names."""
    with elf.open("rb") as stream:
        file = _elf(stream)
        symbols = list(file.get_section_by_name(".symtab").iter_symbols())
        table = next(s for s in symbols if s.name == "vectors")
        text = file.get_section_by_name(".text")
        start = table["st_value"] - text["sh_addr"]
        data = text.data()[start : start + table["st_size"]]
    words = {int.from_bytes(data[i : i + 4], "little") & ~1 for i in range(4, len(data), 4)}
    return {s.name for s in symbols if s["st_info"]["type"] == "STT_FUNC" and s["st_value"] & ~1 in words}


def _callees(name: str, functions: dict[str, Function]) -> list[str]:
    named = [call for call in functions[name].calls if call in functions]
    if _INDIRECT_NAME not in functions[name].calls:
        return named
    for caller, callee in INDIRECT:
        if re.fullmatch(caller, name.split(".")[0]):
            targets = [f for f in functions if re.fullmatch(callee, f.split(".")[0])]
            if targets:
                return named + targets
    targets = [f for f in functions if f in functions[name].pointers]
    if targets:
        return named + targets
    raise TokayError(
        f"the stack has no known bound: {name} calls through a pointer",
        hint="say in host/stack.py what it may call",
    )


def deepest(root: str, functions: dict[str, Function]) -> tuple[int, tuple[str, ...]]:
    """The deepest stack below and with `root`, and the calls that make it."""
    known: dict[str, tuple[int, tuple[str, ...]]] = {}

    def visit(name: str, above: tuple[str, ...]) -> tuple[int, tuple[str, ...]]:
        if name in above:
            raise TokayError(f"the stack has no bound: recursion {' > '.join((*above, name))}")
        if name not in known:
            if functions[name].unbounded:
                raise TokayError(f"the stack of {name} has no bound ({functions[name].unbounded})")
            deepest: tuple[int, tuple[str, ...]] = (0, ())
            for callee in sorted(set(_callees(name, functions))):
                deepest = max(deepest, visit(callee, (*above, name)), key=lambda d: d[0])
            known[name] = functions[name].frame + deepest[0], (name, *deepest[1])
        return known[name]

    return visit(root, ())
