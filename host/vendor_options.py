"""Options of the vendor's toolkit that commands here have by another name, or need not have.

Where the meaning is the same to the letter, a command takes the vendor's option itself; this table is for
the others, so that whoever types one is told what to type instead.
"""

from __future__ import annotations

from collections.abc import Sequence

_ALWAYS = "leave it out: that is always so"
_NO_HOOKS = "leave it out: a specification has no hooks to run afterwards"
_ARCHIVE = "leave it out: no archive is kept, what is found goes to --json FILE"
_UNTRAINED = "python -m host.quantize MODEL --build -o FILE.tflite makes one to give instead of MODEL"
_OWN_APP = "python -m host.flash IMAGE puts it onto the board, then --device"
_DRY_RUN = "the model is called MODEL-test"
_GRAPH = "python -m host.summarize MODEL lists layers; any viewer of .tflite files draws them"

INSTEAD: dict[str, dict[tuple[str, ...], str]] = {
    "train": {
        ("--clean",): "use --fresh",
        ("--evaluate",): _ALWAYS,
        ("--no-evaluate",): "leave it out: the card beside the model always has its accuracy",
        ("--post",): _NO_HOOKS,
        ("--resume",): "leave it out: a training that was killed goes on where it was",
        ("--resume-epoch",): "leave it out: a training goes on after the last epoch that it finished",
        ("--show",): "use --tensorboard DIR",
        ("--test",): _DRY_RUN,
        ("--weights", "-w"): "build_model in the specification can load weights to start from",
    },
    "evaluate": {
        ("--classes", "--dump"): "leave it out: it is for autoencoders",
        ("--count", "-c"): "use --limit N, for all classes together",
        ("--post",): _NO_HOOKS,
        ("--show",): "use --report FILE.html",
        ("--test",): _DRY_RUN,
        ("--update-archive", "--no-update-archive"): _ARCHIVE,
        ("--weights", "-w"): "give the .keras file instead of MODEL",
    },
    "quantize": {
        ("--update-archive", "--no-update-archive"): "-o FILE.tflite says where to write",
    },
    "summarize": {
        ("--build", "-b"): _UNTRAINED,
        ("--output", "-o"): "use --json FILE, or > FILE for the text",
    },
    "profile": {
        ("--app",): _OWN_APP,
        ("--build", "-b"): _UNTRAINED,
        ("--estimates",): _ALWAYS,
        ("--no-estimates",): "leave it out: a profile in the simulator always has them",
        ("--full-summary",): "python -m host.view MODEL --mvp for programs, host.summarize for memory",
        ("--no-format",): "use --json -",
        ("--output", "-o"): "use --json FILE, or > FILE for the text",
        ("--post",): _NO_HOOKS,
    },
    "classify": {
        ("--app",): _OWN_APP,
        ("-x",): "use --dump-audio DIR",
        ("-z",): "use --dump-spectrograms DIR",
    },
    "update_params": {
        ("--accelerator", "-a"): "leave it out: no parameter depends on it here",
        ("--device",): "python -m host.flash MODEL --model-only, afterwards",
    },
    "view": {("--tflite", "--build", "-b", "--host", "--port", "-p"): _GRAPH},
    "flash": {
        ("--device",): "use --part PART",
        ("--platform",): "use --board BOARD",
        ("--model",): "give MODEL instead of IMAGE: it is built, then flashed",
        ("--serial_number",): "use --probe SERIAL",
    },
}


def instead_of(command: str, arguments: Sequence[str]) -> str:
    """What to type to ``command`` instead of arguments that it does not know; "" if none is the vendor's."""
    table = {option: text for options, text in INSTEAD.get(command, {}).items() for option in options}
    found: dict[str, list[str]] = {}
    for option in dict.fromkeys(argument.partition("=")[0] for argument in arguments):
        if option in table:
            found.setdefault(table[option], []).append(option)
    return "; ".join(f"{', '.join(options)}: {text}" for text, options in found.items())
