"""Whole models, layer by layer: against TensorFlow Lite Micro, and against recorded outputs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codegen.plan_memory import plan_memory
from host.runtime import Model
from tests.places import ROOT, SHARED

SHIPPED = sorted((ROOT / "host" / "models").glob("*.tflite"))
GIVEN = sorted((SHARED / "models").glob("*.tflite"))
needs_given = pytest.mark.skipif(not GIVEN, reason=f"no models in {SHARED}/models")
# Bytes of the arena for activations alone. It and the arena with the scratch of the Cortex-M33 kernels
# are at their lower bounds: what is alive together at one layer.
ACTIVATIONS = {
    "audio_example1": 10032,
    "keyword_spotting": 16000,
    "keyword_spotting_mobilenetv2": 76176,
    "keyword_spotting_on_off": 4864,
    "tflite_micro_speech": 5960,
}


def named(path: Path) -> str:
    return f"{path.parent.parent.name}-{path.stem}"


def random_inputs(model: Model, count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(len(model.tflite))
    if model.input.dtype == np.float32:
        return [rng.normal(0, 30, model.input.shape).astype(np.float32) for _ in range(count)]
    return [rng.integers(-128, 128, model.input.shape, np.int8) for _ in range(count)]


@pytest.mark.parametrize("path", SHIPPED + GIVEN, ids=named)
def test_every_layer_is_the_reference_on_random_inputs(path: Path):
    runtime = pytest.importorskip("tflite_micro").runtime
    model = Model(path)
    preserve = runtime.InterpreterConfig.kPreserveAllTensors
    theirs = runtime.Interpreter.from_file(str(path), intrepreter_config=preserve, arena_size=1 << 21)
    for x in random_inputs(model, 4):
        theirs.set_input(x, 0)
        theirs.invoke()
        layers = model.invoke_layers(x)
        for layer, actual in zip(model.layers, layers, strict=True):
            expected = theirs.GetTensor(layer.output, 0)["tensor_data"].reshape(actual.shape)
            np.testing.assert_array_equal(actual, expected, err_msg=f"layer {layer.index}")
        np.testing.assert_array_equal(model.invoke(x), layers[-1])


@needs_given
@pytest.mark.parametrize("path", GIVEN, ids=named)
def test_every_layer_is_the_recorded_reference(path: Path):
    """The recordings were made with the vendor's build of TensorFlow Lite Micro, which rounds once where
    its own builds round twice: they are compared with our kernels built to round once."""
    recorded = np.load(SHARED / "vectors" / "models" / f"{path.stem}.npz")
    model = Model(path, rounding="single")
    for x, expected in zip(recorded["inputs"], recorded["outputs_ref"], strict=True):
        np.testing.assert_array_equal(model.invoke(x), expected)
    for k in range(len(recorded["layer000_ref"])):
        for layer, actual in zip(model.layers, model.invoke_layers(recorded["inputs"][k]), strict=True):
            expected = recorded[f"layer{layer.index:03d}_ref"][k]
            np.testing.assert_array_equal(actual, expected, err_msg=f"layer {layer.index}")


@needs_given
@pytest.mark.parametrize("path", GIVEN, ids=named)
def test_rounding_twice_stays_near_the_recorded_reference(path: Path):
    """The kernels of the image round twice: few values of the first layer with weights differ, by one."""
    recorded = np.load(SHARED / "vectors" / "models" / f"{path.stem}.npz")
    model = Model(path)
    first = next(layer for layer in model.layers if layer.macs)
    actual = model.invoke_layers(recorded["inputs"][0])[first.index].astype(int)
    difference = np.abs(actual - recorded[f"layer{first.index:03d}_ref"][0])
    assert difference.max() <= 1 and (difference > 0).mean() < 0.005


@needs_given
@pytest.mark.parametrize("path", GIVEN, ids=named)
def test_costs_are_counted_as_the_vendor_counts_them(path: Path):
    recorded = np.load(SHARED / "vectors" / "models" / f"{path.stem}.npz")
    model = Model(path)
    assert [layer.macs for layer in model.layers] == recorded["macs"].tolist()
    assert [layer.ops for layer in model.layers] == recorded["ops"].tolist()
    assert model.macs == recorded["macs"].sum()


@needs_given
@pytest.mark.parametrize("path", GIVEN, ids=named)
def test_arena_meets_its_lower_bound(path: Path):
    plan = Model(path).plan
    bare = plan_memory(plan.graph, [replace(layer, scratch_bytes=0) for layer in plan.layers])
    assert bare.arena_bytes == bare.bound_bytes
    assert plan.memory.arena_bytes == plan.memory.bound_bytes <= bare.bound_bytes + 4096
    assert bare.arena_bytes == ACTIVATIONS[path.stem]


def test_wrong_inputs_are_refused():
    model = Model(SHIPPED[0])
    with pytest.raises(Exception, match="the model takes int8"):
        model.invoke(np.zeros(model.input.shape, np.float32))
    with pytest.raises(Exception, match="the model takes int8"):
        model.invoke(np.zeros(3, np.int8))
