"""What the runner refuses when a plan is bound to memory, and what it does with a layer that fails."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import numpy as np
import pytest

from codegen.plan import KERNELS
from host.runtime import Model
from tests import streaming_network

SHIPPED = "keyword_spotting_on_off"
OK, VERSION, ARENA, KERNEL, ACCELERATOR = range(5)  # nn_status_t


class Binding:
    """Everything that nn_init is given, of a model that runs; a test changes one thing."""

    def __init__(self, accelerator: str = "none", model: str | bytes = SHIPPED) -> None:
        self.model = Model(model, accelerator)
        self.plan = self.model._memory.c
        library = self.model._library
        all_kernels = (ctypes.c_void_p * len(KERNELS)).in_dll(library, "nn_native_kernels")
        self.kernels = (ctypes.c_void_p * len(KERNELS))(*all_kernels)
        self.arena: int | None = self.model._arena.ctypes.data
        self.bytes = self.plan.arena_bytes
        self.accelerator = self.model._mvp.handle if self.model._mvp else None

    def status(self) -> int:
        return self.model._library.nn_init(
            self.model.nn, self.plan, ctypes.addressof(self.kernels), self.arena, self.bytes, self.accelerator
        )


@pytest.fixture
def binding() -> Iterator[Binding]:
    made = Binding()
    assert made.status() == OK
    yield made


@pytest.mark.parametrize("by", [-1, 1])
def test_a_plan_of_another_version(binding, by):
    binding.plan.version += by
    assert binding.status() == VERSION


def test_an_arena_that_is_missing_or_misaligned_or_too_small(binding):
    start, size = binding.arena, binding.bytes
    for arena, count, expected in (
        (None, size, ARENA), (start + 4, size, ARENA), (start, size - 1, ARENA), (start, size + 1, OK),
        (start, size, OK),
    ):  # fmt: skip
        binding.arena, binding.bytes = arena, count
        assert binding.status() == expected


@pytest.mark.parametrize("which", [0, 1, 2])
def test_layers_of_a_reset_are_checked_like_others(which):
    binding = Binding(model=streaming_network.network())
    assert binding.plan.reset_count == 3 and binding.status() == OK
    layer = binding.plan.layers[binding.plan.layer_count + which]
    for field, wrong, expected in (
        ("kernel", len(KERNELS), KERNEL), ("output", binding.plan.tensor_count, ARENA),
        ("scratch_bytes", 1 << 30, ARENA),
    ):  # fmt: skip
        right = getattr(layer, field)
        setattr(layer, field, wrong)
        assert binding.status() == expected
        setattr(layer, field, right)
    assert binding.status() == OK


def test_binding_resets():
    binding = Binding(model=streaming_network.network())
    x = np.full(binding.model.input.shape, 50, np.int8)
    first = binding.model.invoke(x)
    assert not np.array_equal(binding.model.invoke(x), first)
    assert binding.status() == OK
    np.testing.assert_array_equal(binding.model.invoke(x), first)


@pytest.mark.parametrize("which", ["input", "output"])
def test_an_input_or_output_that_is_no_tensor(binding, which):
    last = binding.plan.tensor_count - 1
    for number, expected in ((last, OK), (last + 1, ARENA), (0xFFFF, ARENA)):
        setattr(binding.plan, which, number)
        assert binding.status() == expected


@pytest.mark.parametrize("place", [0, 1])
def test_tensors_end_where_the_arena_does(binding, place):
    size, tensor = binding.plan.arena_bytes, binding.plan.tensors[place * (binding.plan.tensor_count - 1)]
    for offset, count, expected in (
        (size - 8, 8, OK), (size - 8, 9, ARENA), (size, 0, OK), (size + 1, 0, ARENA), (8, 2**32 - 8, ARENA),
        (2**32 - 8, 16, ARENA),
    ):  # fmt: skip
        tensor.offset, tensor.bytes = offset, count
        assert binding.status() == expected
    tensor.constant = binding.arena  # elsewhere: its offset means nothing
    binding.plan.layer_count = 0  # no layer writes it
    assert binding.status() == OK


@pytest.mark.parametrize("place", [0, 1])
def test_scratch_ends_where_the_arena_does(binding, place):
    size, layer = binding.plan.arena_bytes, binding.plan.layers[place * (binding.plan.layer_count - 1)]
    for offset, count, expected in ((size - 8, 8, OK), (size - 8, 9, ARENA), (size + 1, 0, ARENA)):
        layer.scratch_offset, layer.scratch_bytes = offset, count
        assert binding.status() == expected


@pytest.mark.parametrize("place", [0, 1])
def test_layers_lead_to_tensors_and_write_no_constant(binding, place):
    count, layer = binding.plan.tensor_count, binding.plan.layers[place * (binding.plan.layer_count - 1)]
    given = layer.output
    for output, expected in ((count, ARENA), (given, OK)):
        layer.output = output
        assert binding.status() == expected
    binding.plan.tensors[given].constant = binding.arena
    assert binding.status() == ARENA
    binding.plan.tensors[given].constant = None
    layer.inputs[layer.input_count - 1] = count
    assert binding.status() == ARENA


def test_kernels_that_the_table_does_not_have(binding):
    layer = binding.plan.layers[binding.plan.layer_count - 1]
    given = layer.kernel
    for number in (len(KERNELS), 0xFFFF):
        layer.kernel = number
        assert binding.status() == KERNEL
    layer.kernel = given
    binding.kernels[given] = None
    assert binding.status() == KERNEL


def test_programs_without_an_accelerator():
    binding = Binding("mvp")
    assert binding.status() == OK
    binding.accelerator = None
    assert binding.status() == ACCELERATOR


@pytest.mark.parametrize("accelerator", ["none", "mvp"])
def test_a_twin_has_memory_of_its_own(accelerator):
    model = Model(SHIPPED, accelerator)
    twin, rng = model.twin(), np.random.default_rng(1)
    x, other = rng.integers(-128, 128, (2, *model.input.shape)).astype(np.int8)
    outputs = model.invoke_layers(x)
    programs = model.accelerator_counters().programs
    twin.invoke(other)
    for found, expected in zip(twin.twin().invoke_layers(x), outputs, strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(model._read(model.layers[-1].output), outputs[-1])
    assert model.accelerator_counters().programs == 0
    assert twin.accelerator_counters().programs == programs and twin.plan is model.plan


def test_a_layer_that_fails_ends_the_run(binding):
    """With its status; the layers behind it do not run."""
    ran = []

    def kernel(call: int) -> int:
        ran.append(call)
        return ACCELERATOR if len(ran) == 2 else OK

    called = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(kernel)
    for number in range(len(KERNELS)):
        binding.kernels[number] = ctypes.cast(called, ctypes.c_void_p).value
    assert binding.status() == OK
    assert binding.model._library.nn_run(binding.model.nn) == ACCELERATOR
    assert len(ran) == 2
