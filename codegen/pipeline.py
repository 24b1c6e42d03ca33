"""From a .tflite to a plan: the passes in order."""

from __future__ import annotations

import hashlib

from codegen.check import check_graph
from codegen.errors import TokayError
from codegen.layers import Layer
from codegen.lower import lower
from codegen.plan import Plan, build_plan
from codegen.plan_memory import plan_memory
from codegen.prune import prune
from codegen.read import read_model

ACCELERATORS = ("none", "mvp")


def compile_model(tflite: bytes, *, name: str, accelerator: str = "none", rounding: str = "double") -> Plan:
    """Compiles a model; TokayError if it is damaged or holds what is not supported.

    ``rounding`` is "double" for images; "single" is for kernels built with NN_SINGLE_ROUNDING.
    """
    try:
        graph = prune(read_model(tflite))
        check_graph(graph)
        layers = lower(graph, rounding)
    except TokayError as error:
        raise TokayError(f"{name}: {error.message}", hint=error.hint) from error
    layers = choose_kernels(layers, accelerator)
    memory = plan_memory(graph, layers)
    return build_plan(
        graph,
        layers,
        memory,
        name=name,
        sha256=hashlib.sha256(tflite).hexdigest(),
        accelerator=accelerator,
    )


def choose_kernels(layers: tuple[Layer, ...], accelerator: str) -> tuple[Layer, ...]:
    """Gives layers to the accelerator where it has kernels for them."""
    if accelerator == "none":
        return layers
    if accelerator == "mvp":
        raise TokayError("accelerator mvp is not available in this version", hint="use --accelerator none")
    raise TokayError(f"no accelerator named {accelerator!r}", hint=f"one of {', '.join(ACCELERATORS)}")
