"""From a .tflite to a plan: the passes in order."""

from __future__ import annotations

import hashlib

from codegen.accelerate import (
    WEIGHTS,
    Chooser,
    build_programs,
    described_as,
    give_to_mvp,
    with_even_channels,
)
from codegen.check import check_graph
from codegen.errors import TokayError
from codegen.expand import expand
from codegen.lower import lower, lower_resets
from codegen.mvp.kernels.layer import Cycles
from codegen.network import read_network
from codegen.order import assign_early
from codegen.plan import Plan, build_plan
from codegen.plan_memory import plan_memory

ACCELERATORS = ("none", "mvp")


def compile_model(
    tflite: bytes,
    *,
    name: str,
    accelerator: str = "none",
    mvp_weights: str = "ram",
    rounding: str = "double",
    mvp_cycles: Cycles | None = None,
) -> Plan:
    """Compiles a model; TokayError if it is damaged or holds what is not supported.

    ``mvp_weights`` "ram" has the accelerator's weights copied to RAM layer by layer, "flash" leaves them
    there; ``mvp_cycles``, needed with "mvp", tells what its programs take. ``rounding`` is "double" for
    images; "single" is for kernels built with NN_SINGLE_ROUNDING.
    """
    _check_choice("accelerator", accelerator, ACCELERATORS)
    _check_choice("place for the accelerator's weights", mvp_weights, WEIGHTS)
    try:
        graph = read_network(tflite)
        check_graph(graph)
        graph = assign_early(expand(graph))
        layers = lower(graph, rounding)
    except TokayError as error:
        raise TokayError(f"{name}: {error.message}", hint=error.hint) from error
    builds = {}
    if accelerator == "mvp":
        assert mvp_cycles is not None, "choosing among programs needs their cycles"
        chooser = Chooser(mvp_weights, mvp_cycles)
        wide = with_even_channels(graph, chooser)
        if wide is not graph:
            layers = described_as(layers, lower(wide, rounding), wide)
            graph = wide
        layers, builds = give_to_mvp(graph, layers, chooser)
    memory = plan_memory(graph, layers)
    return build_plan(
        graph,
        build_programs(layers, builds, memory),
        lower_resets(graph),
        memory,
        name=name,
        sha256=hashlib.sha256(tflite).hexdigest(),
        accelerator=accelerator,
    )


def _check_choice(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise TokayError(f"no {what} named {value!r}", hint=f"one of {', '.join(choices)}")
