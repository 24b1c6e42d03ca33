"""Requests that look into the network's memory, over the link, in the simulator."""

from __future__ import annotations

import numpy as np
import pytest

from host.device import commands
from host.device import messages as m
from host.device.device import DeviceError


def test_layers_and_network_as_on_the_pc(device, pipeline):
    model = pipeline.model
    x = np.random.default_rng(0).integers(-128, 128, model.input.shape, dtype=np.int8)
    device.request(m.SourceSet(source=m.Source.NONE))
    commands.inject_features(device, x)
    assert commands.run_network(device).tolist() == model.invoke(x).ravel().tolist()
    commands.inject_features(device, x)
    for position, (layer, expected) in enumerate(zip(model.layers, model.invoke_layers(x), strict=True)):
        device.request(m.RunLayer(layer=position), timeout_s=5)
        tensor = model.plan.number(layer.output)
        assert commands.read_tensor(device, tensor) == expected.tobytes(), layer
    commands.write_tensor(device, model.plan.input, bytes(range(200)))
    assert commands.read_tensor(device, model.plan.input)[:200] == bytes(range(200))


def test_memory_is_the_loops_while_it_listens(device):
    for request in (
        m.RunNetwork(),
        m.RunLayer(layer=0),
        m.InjectFeatures(values=(1,)),
        m.TensorWrite(data=b"1"),
    ):
        with pytest.raises(DeviceError, match="source to none"):
            device.request(request)


def test_memory_requests_stay_inside_their_tensor(device, pipeline):
    plan = pipeline.model.plan
    device.request(m.SourceSet(source=m.Source.NONE))
    size = pipeline.model.input.shape
    total = int(np.prod(size))
    for request in (
        m.InjectFeatures(offset=total, values=(1,)),
        m.InjectFeatures(offset=2**32 - 1, values=(1, 2)),
        m.TensorWrite(tensor=999, data=b"1"),
        m.TensorWrite(tensor=plan.input, offset=total - 1, data=b"12"),
        m.TensorRead(tensor=len(plan.tensors), count=1),
        m.TensorWrite(tensor=len(plan.tensors), data=b"1"),
        m.TensorRead(tensor=plan.input, offset=total + 1, count=1),
        m.RunLayer(layer=len(pipeline.model.layers)),
    ):
        with pytest.raises(DeviceError):
            device.request(request)
    assert device.request(m.TensorRead(tensor=plan.input, offset=total, count=10)).data == b""
    room = m.TensorData.room("data")
    assert len(device.request(m.TensorRead(tensor=plan.input, count=room)).data) == room
    with pytest.raises(DeviceError) as error:
        device.request(m.TensorRead(tensor=plan.input, count=room + 1))
    assert error.value.code == m.Result.BAD_VALUE
    device.request(m.TensorWrite(tensor=plan.input, offset=total - 2, data=b"12"))
    device.request(m.InjectFeatures(offset=total - 1, values=(3,)))
    assert commands.read_tensor(device, plan.input)[-2:] == b"1\3"
