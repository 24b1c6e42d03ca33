"""From a model to the accelerator's programs: choice, and a whole network on the model."""

from __future__ import annotations

import numpy as np

from codegen.mvp.kernels.layer import MvpLayer, Placement, Refusal
from codegen.mvp.select import Choice, select
from codegen.read import read_model
from host.simulator.mvp import Machine, cycles, worst_cycles
from tests.places import MODEL

RAM, FLASH = 0x20000000, 0x08000000


def choices() -> list[tuple[str, Choice | Refusal]]:
    graph = read_model(MODEL.read_bytes())
    return [(op.name, select(graph, op, worst_cycles)) for op in graph.operators]


def test_shipped_model():
    found = choices()
    refused = [name for name, choice in found if isinstance(choice, Refusal)]
    assert refused == ["reshape", "softmax"]
    layers = [choice.nominal for _, choice in found if isinstance(choice, Choice)]
    for timing in ("ports", "shared"):
        assert sum(cycles(layer.programs, timing) for layer in layers) < 150_000
    assert sum(layer.flash_bytes for layer in layers) <= 12_000


def _run(machine: Machine, ram: np.ndarray, flash: np.ndarray, layer: MvpLayer, at: Placement) -> None:
    data = np.frombuffer(layer.constants, np.uint8)
    memory, base = (flash, FLASH) if at.copy is None else (ram, RAM)
    memory[at.tables - base :][: data.size] = data
    machine.run(layer.programs)


def test_whole_network():
    """Every layer of the shipped model but reshape and softmax, each fed by the one before, activations
    converted in place: a decision like the reference's and small differences."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    graph = read_model(MODEL.read_bytes())
    reference = Interpreter(
        str(MODEL), experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
    )  # fmt: skip
    reference.allocate_tensors()
    ram, flash = np.zeros(0x10000, np.uint8), np.zeros(0x4000, np.uint8)
    machine = Machine()
    machine.attach(RAM, ram)
    machine.attach(FLASH, flash, writable=False)
    rng = np.random.default_rng(0)
    details = reference.get_input_details()[0]
    for _ in range(3):
        x = rng.integers(-128, 128, details["shape"]).astype(np.int8)
        reference.set_tensor(details["index"], x)
        reference.invoke()
        where, other = RAM, RAM + 0x3000
        ram[: x.size] = x.reshape(-1).view(np.uint8)
        for op in graph.operators:
            choice = select(graph, op, worst_cycles)
            if isinstance(choice, Refusal):
                continue
            scratch = where if choice.in_place else RAM + 0x8000
            at = Placement((where,), other, scratch, FLASH, RAM + 0xA000 if choice.copy else None)
            _run(machine, ram, flash, choice.build(at), at)
            where, other = other, where
            size = graph.output(op).elements
            got = ram[where - RAM :][:size].view(np.int8).astype(int)
            want = reference.get_tensor(op.outputs[0]).reshape(-1).astype(int)
            assert np.abs(got - want).max() <= 3, op
        assert got.argmax() == want.argmax()
