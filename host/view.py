"""Shows the inside of a compiled model: for now, the accelerator's programs of its layers.

``python -m host.view MODEL --mvp [--layer N] [--all] [--mvp-weights ram|flash] [--json FILE]``
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from codegen.layers import Layer
from codegen.mvp import isa, stream
from codegen.mvp.disassembler import disassemble
from codegen.plan import Plan
from host import cli
from host.compiled import compiled
from host.errors import TokayError
from host.simulator.mvp import SILICON, count, cycles


def main(argv: Sequence[str]) -> int:
    """The command."""
    p = cli.parser("view", __doc__.splitlines()[0])
    p.add_argument("model", metavar="MODEL", help="a model's name or the path of a .tflite")
    p.add_argument("--mvp", action="store_true", help="programs of the accelerator")
    p.add_argument("--layer", metavar="N", type=int, help="only this layer")
    p.add_argument("--all", action="store_true", help="every program whole, not only what changes")
    cli.add_mvp_weights(p)
    args = p.parse_args(argv)
    if not args.mvp:
        raise TokayError(
            "view shows the accelerator's programs, with --mvp", hint="host.summarize MODEL lists layers"
        )
    file, plan = compiled(args.model, "mvp", args.mvp_weights)
    layers = [layer for layer in plan.layers if args.layer in (None, layer.index)]
    if not layers:
        raise TokayError(f"{file.name} has no layer {args.layer}", hint=f"0 to {plan.layers[-1].index}")
    if args.json != "-":
        for layer in layers:
            print("\n".join(lines(layer, plan, whole=args.all)))
    cli.emit_json(args.json, {"name": file.name, "layers": [as_json(layer) for layer in layers]})
    return 0


def lines(layer: Layer, plan: Plan, *, whole: bool) -> Iterator[str]:
    """A layer's programs to read. Addresses are those of an arena at the start of RAM."""
    yield f"== layer {layer.index}: {layer.title} {layer.input_shape} -> {layer.output_shape}"
    if layer.mvp is None:
        yield f"   not on the accelerator: {layer.reason or _copying(layer, plan)}"
        return
    taken = " or ".join(f"{cycles(layer.mvp.programs, rule):,} ({rule})" for rule in SILICON)
    yield (
        f"   {layer.mvp.variant}; {len(layer.mvp.programs)} programs, {taken} cycles, both estimates; "
        f"{len(layer.mvp.constants):,} bytes of constants"
    )
    before = None
    for number, words in enumerate(layer.mvp.programs):
        yield f"-- program {number}: {count(words).cycles:,} cycles"
        if before is None or whole or not _alike(before, words):
            yield disassemble(words)
        else:
            changed = [k for k in sorted(stream.used_words(words)) if before[k] != words[k]]
            yield "   as before, but " + ", ".join(_word(k, int(words[k])) for k in changed)
        before = words


def _copying(layer: Layer, plan: Plan) -> str:
    """What is done for a layer that only hands its input on."""
    places = plan.memory.offsets
    if places.get(layer.inputs[0]) == places[layer.output]:
        return "no work, its output lies where its input does"
    return "a copy, which the core makes"


def _alike(before: np.ndarray, words: np.ndarray) -> bool:
    """Whether two programs have the same instructions."""
    at = slice(isa.INSTRUCTION_WORD, isa.COMMAND_WORD)
    return bool((before[at] == words[at]).all())


def _word(number: int, value: int) -> str:
    if number < isa.ARRAY_WORD:
        return f"R{number} = {value:#x}"
    if number < isa.LOOP_WORD:
        array, field = divmod(number - isa.ARRAY_WORD, 4)
        if field == 0:
            return f"A{array} at {value:#010x}"
        return f"A{array}.{field - 1} {(value & 1023) + 1}({isa.signed_stride(value):+d})"
    loop, reset = divmod(number - isa.LOOP_WORD, 2)
    return f"L{loop} reset {value >> 12:#x}" if reset else f"L{loop} {(value & 1023) + 1} times"


def as_json(layer: Layer) -> dict[str, Any]:
    """A layer's programs as `--json` gives them."""
    known = {"index": layer.index, "opcode": layer.name, "kernel": layer.kernel, "reason": layer.reason}
    if layer.mvp is None:
        return known
    return known | {
        "variant": layer.mvp.variant,
        "cycles": {rule: cycles(layer.mvp.programs, rule) for rule in SILICON},
        "constant_bytes": len(layer.mvp.constants),
        "scratch_bytes": layer.mvp.scratch_bytes,
        "largest_sum": layer.mvp.largest_sum,
        "programs": [[int(word) for word in words] for words in layer.mvp.programs],
        "listings": [disassemble(words) for words in layer.mvp.programs],
    }


if __name__ == "__main__":
    sys.exit(cli.run(main))
