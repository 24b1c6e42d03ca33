"""``tokay NAME ...``: the same commands as ``python -m host.NAME``, from any folder."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Sequence

from host import cli
from host.errors import TokayError
from host.places import package_version

COMMANDS = {
    "train": "train a model from its specification",
    "dataset": "fetch Speech Commands, examine a folder of words, list synthetic voices",
    "quantize": "int8-quantize a trained Keras model into a .tflite",
    "evaluate": "accuracy on a dataset, on the deployed arithmetic",
    "summarize": "layers, sizes and parameters of a model",
    "compile": "generate C from a .tflite",
    "build": "compile a model and build a board image",
    "profile": "cycles, time and memory by layer, on the image",
    "view": "programs of the accelerator, layer by layer",
    "view_audio": "show and play what augmentation does to a clip",
    "flash": "put an image onto a board through its debug probe, and verify it",
    "classify": "hear keywords on the PC or on a target",
    "compare": "the same audio on the PC and on a target: the first difference",
    "update_params": "change the parameters inside a .tflite",
    "device": "find boards, ask one who it is, show a recorded conversation",
    "doctor": "what each job needs of this machine, and what is missing",
    "demo": "the main job from the .tflite to a heard keyword",
}

_OF_MLTK = {
    "classify_audio": "classify",
    "program_app": "flash",
    "commander": "flash --commander",
    "tensorboard": "train --tensorboard DIR",
    "custom": "train PATH.py",
}
"""What the vendor's toolkit calls by another name."""


def main(argv: Sequence[str]) -> int:
    """Dispatches to the command's own ``main``."""
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: tokay COMMAND ... | --version\n")
        for name, what in COMMANDS.items():
            print(f"  {name:14} {what}")
        return 0
    if argv[0] == "--version":
        print(f"tokay {package_version()}")
        return 0
    name, *rest = argv
    if name not in COMMANDS:
        raise TokayError(f"no command named {name!r}", hint=_instead_of(name))
    return importlib.import_module(f"host.{name}").main(rest)


def _instead_of(name: str) -> str:
    """What to type instead of a command that there is not."""
    close = difflib.get_close_matches(name, COMMANDS, n=1)
    meant = _OF_MLTK.get(name) or (close[0] if close else None)
    return f"did you mean: tokay {meant}?" if meant else "tokay --help lists them"


def entry() -> int:
    """The console script."""
    return cli.run(main)


if __name__ == "__main__":
    sys.exit(entry())
