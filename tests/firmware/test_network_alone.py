"""A network that no front end feeds: it cannot listen, but its image can be profiled and run by layer."""

from __future__ import annotations

import json
import shutil
from functools import partial
from typing import Any

import numpy as np
import pytest

from codegen.parameters import read_parameters, write_parameters
from host import board, cli, compare, image, model_files, profile, target
from host.device import commands
from host.device import messages as m
from host.device.device import DeviceError
from host.errors import TokayError
from host.media import wav
from host.runtime import Model
from tests.attention import attention
from tests.recurrent import backwards
from tests.tflite_builder import NetworkBuilder
from tests.unit.test_even_channels import odd_network

pytestmark = [
    pytest.mark.skipif(
        shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed"
    ),
    pytest.mark.xdist_group("network_alone"),  # networks of one name, so images in one folder
]


@pytest.fixture
def network(tmp_path):
    n = NetworkBuilder()
    x, y = n.tensor((1, 40), scale=0.1), n.tensor((1, 40), scale=0.1)
    n.operator("RELU", [x], [y])
    path = tmp_path / "network_alone.tflite"
    path.write_bytes(n.build([x], [y]))
    return path


def test_it_is_refused_where_it_should_listen(network, tmp_path):
    with pytest.raises(TokayError, match=r"network_alone .* no fe\.\* parameters"):
        image.build(str(network), board.load("brd2601b"), tmp_path / "image")


@pytest.mark.parametrize("memory, length", [("RAM", 300_000), ("FLASH", 1_100_000)])
def test_one_that_is_too_large_says_of_what(memory, length, tmp_path):
    n = NetworkBuilder()
    if memory == "RAM":
        x, y = n.tensor((1, length), scale=0.1), n.tensor((1, length), scale=0.1)
        n.operator("RELU", [x], [y])
    else:
        x, y = n.tensor((1, 1000), scale=0.1), n.tensor((1, length // 1000), scale=1.0)
        weights = n.tensor((length // 1000, 1000), scale=0.1, data=np.ones((length // 1000, 1000)))
        n.operator("FULLY_CONNECTED", [x, weights], [y], "FullyConnectedOptions")
    path = tmp_path / "large.tflite"
    path.write_bytes(n.build([x], [y]))
    said = rf"^the image needs [\d,]+ bytes more of {memory} than the chip has"
    with pytest.raises(TokayError, match=said):
        image.build(str(path), board.load("brd2601b"), tmp_path / "image", listens=False)


def test_it_can_be_profiled(network, tmp_path, capsys):
    out = tmp_path / "profile.json"
    assert cli.run(profile.main, [str(network), "--json", str(out)]) == 0
    value = json.loads(out.read_text())
    assert [layer["opcode"] for layer in value["layers"]] == ["relu"]
    assert value["cpu_cycles"] > 0 and value["verdict"] == "valid"
    assert value["frontend"] == {"cpu_cycles_per_step": 0, "cpu_cycles_per_step_max": 0, "step_ms": 0}
    printed = capsys.readouterr()
    assert "none: this network's features come from elsewhere" in printed.out and not printed.err


def test_floats_that_are_quantized_in_their_place_take_one_time(tmp_path):
    """Repeated runs of that layer read what the first one wrote."""
    n = NetworkBuilder()
    x, q = n.tensor((1, 49, 16, 1), "float32"), n.tensor((1, 49, 16, 1), scale=0.05, zero_point=-5)
    flat, scores = n.tensor((1, 784), scale=0.05, zero_point=-5), n.tensor((1, 4), scale=0.2)
    y = n.tensor((1, 4), "float32")
    n.operator("QUANTIZE", [x], [q])
    n.operator("RESHAPE", [q], [flat], "ReshapeOptions")
    weights = n.tensor((4, 784), scale=0.001, data=np.random.default_rng(1).integers(-127, 128, (4, 784)))
    n.operator("FULLY_CONNECTED", [flat, weights], [scores], "FullyConnectedOptions")
    n.operator("DEQUANTIZE", [scores], [y])
    path, out = tmp_path / "network_alone.tflite", tmp_path / "profile.json"
    path.write_bytes(n.build([x], [y]))
    memory = Model(path).plan.memory
    assert memory.offsets[x] == memory.offsets[q]
    assert cli.run(profile.main, [str(path), "--json", str(out)]) == 0
    value = json.loads(out.read_text())
    assert value["verdict"] == "valid" and not value["reasons"]
    assert value["layers"][0]["cycles_least"] == value["layers"][0]["cycles_most"]


def test_one_whose_front_end_does_not_fit_is_profiled_without(network, tmp_path, capsys):
    data = network.read_bytes()
    network.write_bytes(write_parameters(data, {**read_parameters(data), "fe.sample_rate_hz": 16000}))
    for _ in range(2):  # the second image is the first
        assert cli.run(profile.main, [str(network), "--json", str(tmp_path / "profile.json")]) == 0
        printed = capsys.readouterr()
        assert "none: this network's features come from elsewhere" in printed.out
        assert printed.err.startswith("warning: the network is profiled without its front end: the front end")
        assert printed.err.count("\n") == 1
    with pytest.raises(TokayError, match="the network takes 1x40"):
        image.build(str(network), board.load("brd2601b"), tmp_path / "image")


@pytest.mark.parametrize("shape", [(1, 1, 49, 32), (1, 1568)])
def test_features_in_another_shape_are_compared(shape, tmp_path, capsys):
    """As other converters than Keras' export the same order of values: NCHW, or flat."""
    n = NetworkBuilder()
    features, x, y = n.tensor(shape, scale=1.0), n.tensor((1, 1568), scale=1.0), n.tensor((1, 4), scale=0.2)
    n.operator("RESHAPE", [features], [x], "ReshapeOptions")
    weights = np.random.default_rng(1).integers(-127, 128, (4, 1568))
    weights = n.tensor((4, 1568), scale=0.001, data=weights)
    n.operator("FULLY_CONNECTED", [x, weights], [y], "FullyConnectedOptions")
    path = tmp_path / "network_alone.tflite"
    parameters = read_parameters(model_files.read("keyword_spotting_on_off").tflite)
    path.write_bytes(write_parameters(n.build([features], [y]), parameters))
    audio = tmp_path / "noise.wav"
    audio.write_bytes(wav(np.random.default_rng(2).integers(-9999, 9999, 12000, np.int16), 8000))
    out = tmp_path / "compare.json"
    assert cli.run(compare.main, [str(path), "--audio", str(audio), "--json", str(out)]) == 0
    stages = {stage["name"]: stage for stage in json.loads(out.read_text())["stages"]}
    assert stages["layers"]["compared"] == 2 and stages["scores"]["compared"]


def unusual_layers() -> bytes:
    """Operators that the shipped models do not have, floats in and out."""
    n = NetworkBuilder()
    x, y = n.tensor((1, 6, 5, 8), "float32"), n.tensor((1, 8), "float32")
    q, l, h, d = (n.tensor((1, 6, 5, 8), scale=scale) for scale in (0.02, 0.02, 0.03, 0.05))
    a, b = (n.tensor((1, 6, 5, 4), scale=0.05) for _ in range(2))
    e, r = n.tensor((1, 6, 5, 8), scale=0.05), n.tensor((1, 8), scale=0.05)
    g, p, c = (n.tensor((1, 6, 5, 8), scale=0.05) for _ in range(3))
    rng = np.random.default_rng(2)
    grouped = n.tensor((8, 3, 3, 4), scale=0.002, data=rng.integers(-127, 128, (8, 3, 3, 4)))
    slopes = n.tensor((1, 1, 8), scale=0.01, data=rng.integers(-127, 128, 8))
    limit = n.tensor((), scale=0.05, data=np.array(60))
    n.operator("QUANTIZE", [x], [q])
    n.operator("LEAKY_RELU", [q], [l], "LeakyReluOptions", alpha=0.3)
    n.operator("HARD_SWISH", [q], [h])
    n.operator("SUB", [l, h], [d], "SubOptions")
    n.operator("SPLIT", [n.tensor((), "int32", data=np.array(3)), d], [a, b], "SplitOptions", numSplits=2)
    n.operator("CONCATENATION", [b, a], [e], "ConcatenationOptions", axis=3)
    n.operator("CONV_2D", [e, grouped], [g], "Conv2DOptions", strideW=1, strideH=1)
    n.operator("PRELU", [g, slopes], [p])
    n.operator("MINIMUM", [p, limit], [c], "MaximumMinimumOptions")
    n.operator("REDUCE_MAX", [c, n.tensor((2,), "int32", data=np.array([1, 2]))], [r], "ReducerOptions")
    n.operator("DEQUANTIZE", [r], [y])
    return n.build([x], [y])


@pytest.mark.parametrize(
    "layers",
    [unusual_layers, partial(attention, divides=True), backwards],
    ids=["unusual", "attention", "recurrent"],
)
def test_its_layers_are_the_runtimes(layers, tmp_path):
    path = tmp_path / "layers.tflite"
    path.write_bytes(layers())
    model = Model(path)
    built = image.build(str(path), board.load("brd2601b"), tmp_path / "image", listens=False)
    with target.simulate(built.elf, "brd2601b") as where:
        device = where.device
        device.request(m.SourceSet(source=m.Source.NONE))
        with pytest.raises(DeviceError, match="source"):
            device.request(m.SourceSet(source=m.Source.MICROPHONE))
        x = np.random.default_rng(1).normal(0, 2, model.input.shape).astype(model.input.dtype)
        commands.write_tensor(device, model.plan.input, x.tobytes())
        for position, expected in enumerate(model.invoke_layers(x)):
            device.request(m.RunLayer(layer=position), timeout_s=2.0)
            layer = model.layers[position]
            assert commands.read_tensor(device, model.plan.number(layer.output)) == expected.tobytes(), layer
        with pytest.raises(DeviceError, match="the network gives no scores"):
            commands.run_network(device)


def test_its_layers_can_be_compared(tmp_path, capsys, monkeypatch):
    path, out = tmp_path / "layers.tflite", tmp_path / "compare.json"
    path.write_bytes(unusual_layers())
    assert cli.run(compare.main, [str(path), "--json", str(out)]) == 0
    value = json.loads(out.read_text())
    assert value["same"] and value["audio"] is None
    assert [(stage["name"], stage["compared"]) for stage in value["stages"]] == [("layers", 48)]

    simulate = target.simulate

    def damaged(*arguments: Any) -> target.Target:
        opened = simulate(*arguments)
        table = opened.machine.symbol_info("layer_1_table").address
        opened.machine.write(table, bytes(b ^ 1 for b in opened.machine.read(table, 256)))
        return opened

    monkeypatch.setattr(target, "simulate", damaged)
    assert cli.run(compare.main, [str(path), "--json", str(out)]) == 1
    first = json.loads(out.read_text())["first"]
    assert (first["stage"], first["layer"], first["opcode"], first["input"]) == ("layers", 1, "leaky_relu", 0)
    assert (first["elements"], first["largest"]) == (240, 1)
    assert "layer 1 (leaky_relu), random input 0, element [0, 0, 0, 0]" in capsys.readouterr().out
    assert cli.run(compare.main, [str(path), "--resample"]) == 2


def test_layers_of_odd_channels_can_be_compared(tmp_path):
    """The image stores them with one more; what is compared are the network's own."""
    path, out = tmp_path / "odd.tflite", tmp_path / "compare.json"
    path.write_bytes(odd_network())
    assert cli.run(compare.main, [str(path), "-a", "mvp", "--json", str(out)]) == 0
    assert cli.run(compare.main, [str(path), "-a", "mvp", "--mvp-weights", "flash"]) == 0
    # Whoever feeds each layer what the core's gave finds no value more than one off.
    cli.run(compare.main, [str(path), "-a", "mvp", "--reference", "none", "--json", str(out)])
    first = json.loads(out.read_text())["first"]
    assert (first["opcode"], first["largest"]) == ("conv_2d", 1)
