"""Compiles a .tflite to C for an image: layers with packed weights, a memory plan, settings.

``python -m host.compile MODEL -o DIR [--accelerator none|mvp] [--json FILE]``
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from codegen.check import rules
from host import cli, generation
from host.summary import layer_table, summary, totals


def main(argv: Sequence[str]) -> int:
    """The command."""
    p = cli.parser("compile", __doc__.splitlines()[0])
    p.add_argument("model", metavar="MODEL", nargs="?", help="a model's name or the path of a .tflite")
    p.add_argument(
        "-o", "--output", metavar="DIR", type=Path, help="folder to write (default: build/compiled/MODEL)"
    )
    cli.add_accelerator(p)
    cli.add_mvp_weights(p)
    p.add_argument("--operators", action="store_true", help="list what can be compiled")
    args = p.parse_args(argv)
    if args.operators:
        every = rules()
        if args.json != "-":
            print(_operators(every))
        cli.emit_json(args.json, every)
        return 0
    if args.model is None:
        p.error("MODEL is missing")
    if args.output and args.output.suffix == ".tflite":
        p.error(f"--output {args.output} is called like a model; it names a folder for C files")
    generated = generation.generate(args.model, args.accelerator, args.mvp_weights)
    directory = args.output or Path("build") / "compiled" / generated.plan.name
    generation.write(generated.files, directory)
    value = summary(generated.plan, generated.parameters, generated.model_bytes)
    value |= {"directory": str(directory), "files": sorted(generated.files)}
    if args.json != "-":
        print(f"{layer_table(value)}\n\n{totals(value)}")
        print(f"{'written':8} {directory}: {', '.join(value['files'])}")
    cli.emit_json(args.json, value)
    return 0


def _operators(every: dict[str, list[str]]) -> str:
    lines = ["Every operator:", *(f"  - {rule}" for rule in every["*"])]
    for name in sorted(every.keys() - {"*"}):
        lines += [f"{name}:", *(f"  - {rule}" for rule in every[name])]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(cli.run(main))
