"""Summarizes a .tflite: layers, multiply-accumulates, memory, and the parameters it carries.

``python -m host.summarize MODEL [--json FILE]``
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from codegen.parameters import read_parameters
from host import cli
from host.compiled import compiled
from host.summary import layer_table, parameter_lines, summary, totals


def main(argv: Sequence[str]) -> int:
    """The command."""
    p = cli.parser("summarize", __doc__.splitlines()[0])
    p.add_argument("model", metavar="MODEL", help="a model's name or the path of a .tflite")
    p.add_argument("--tflite", action="store_true", help="accepted for the vendor's command line; always so")
    cli.add_accelerator(p)
    args = p.parse_args(argv)
    file, plan = compiled(args.model, args.accelerator)
    value = summary(plan, read_parameters(file.tflite), len(file.tflite))
    if args.json != "-":
        print(f"{value['name']}\n\n{layer_table(value)}\n\n{totals(value)}\n\n{parameter_lines(value)}")
    cli.emit_json(args.json, value)
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main))
