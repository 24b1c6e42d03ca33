"""Builds a board image from a model and prints what it needs of flash, RAM and stack.

The model is compiled to C, CMake runs with the board's toolchain.

``python -m host.build MODEL [--board brd2601b] [-o DIR] [--accelerator none|mvp] [--swappable]``
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from host import board, cli, image


def main(argv: Sequence[str]) -> int:
    """The command."""
    p = cli.parser("build", __doc__.splitlines()[0])
    p.add_argument("model", metavar="MODEL", nargs="?", help="model to build in; not with --bringup")
    p.add_argument(
        "--bringup", action="store_true", help="build the image without a model that tests a board"
    )
    board.add_option(p)
    p.add_argument(
        "-o", "--output", metavar="DIR", type=Path,
        help="build folder (default: BOARD/MODEL in build, or in the cache folder if installed)",
    )  # fmt: skip
    cli.add_accelerator(p)
    cli.add_mvp_weights(p)
    p.add_argument(
        "--swappable", action="store_true",
        help="with all kernels and all free RAM, so that host.flash --model-only can change the model",
    )  # fmt: skip
    args = p.parse_args(argv)
    if (args.model is None) != args.bringup:
        p.error("give a MODEL, or --bringup")
    if args.bringup and args.swappable:
        p.error("--swappable needs a MODEL, the one that runs until there is another")
    result = image.build(
        args.model, board.load(args.board), args.output, accelerator=args.accelerator,
        mvp_weights=args.mvp_weights, swappable=args.swappable, verbose=args.verbose,
    )  # fmt: skip
    image.warn(result.summary)
    if args.json != "-":
        print(image.describe(result))
    cli.emit_json(args.json, result.as_json())
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main))
