"""Parameters that a host reads and sets over the link, in the simulator."""

from __future__ import annotations

import pytest

from codegen.application import MAX_MS, MAX_REAL, MAX_SAMPLES
from host.device import commands
from host.device import messages as m
from host.device.device import DeviceError


def test_parameters(device):
    values = commands.parameters(device)
    assert set(values) >= {"detection_threshold_list", "suppression_ms", "latency_ms", "volume_gain"}
    assert commands.set_parameter(device, "suppression_ms", 1234) == 1234
    assert commands.set_parameter(device, "volume_gain", 0) == 1.0  # as it comes
    assert commands.set_parameter(device, "volume_gain", 0.001) == 1 / 256  # and not as it comes
    assert commands.set_parameter(device, "volume_gain", 1.5) == 1.5
    assert commands.parameters(device) == {**values, "suppression_ms": 1234, "volume_gain": 1.5}
    for name, value in (
        ("suppression_ms", -1), ("suppression_ms", 2.0), ("detection_threshold_list", (1, 2)),
        ("detection_threshold_list", (1, 2, 3, 256)), ("minimum_count", 65), ("volume_gain", float("nan")),
        ("volume_gain", 257.0), ("no_such_parameter", 1),
    ):  # fmt: skip
        with pytest.raises(DeviceError):
            commands.set_parameter(device, name, value)
    device.reset()
    assert commands.parameters(device) == values


def test_parameters_reach_to_their_bounds(device):
    def refused(request: m.ParameterSet | m.ParameterGet) -> m.Result:
        with pytest.raises(DeviceError) as error:
            device.request(request)
        return m.Result(error.value.code)

    integer, real = m.ParameterKind.INTEGER, m.ParameterKind.REAL
    most = {"average_window_duration_ms": MAX_MS, "suppression_ms": MAX_MS, "latency_ms": MAX_MS,
            "minimum_count": MAX_SAMPLES}  # fmt: skip
    for name, largest in most.items():
        for value in (0, largest):
            assert commands.set_parameter(device, name, value) == value
        for request in (
            m.ParameterSet(name=name, kind=integer, integers=(largest + 1,)),
            m.ParameterSet(name=name, kind=integer, integers=(-1,)),
            m.ParameterSet(name=name, kind=integer, integers=(1, 1)),
            m.ParameterSet(name=name, kind=integer),
            m.ParameterSet(name=name, kind=m.ParameterKind.BOOLEAN, integers=(1,)),
        ):
            assert refused(request) == m.Result.BAD_VALUE
        assert commands.parameters(device)[name] == largest
    for thresholds in ((0,) * 4, (255,) * 4):
        assert commands.set_parameter(device, "detection_threshold_list", thresholds) == thresholds
    for value in (0.0, float(MAX_REAL), 1.999, 3):  # kept in 1/256, to the nearest
        assert commands.set_parameter(device, "sensitivity", value) == round(value * 256) / 256
    for request in (
        m.ParameterSet(name="sensitivity", kind=integer, integers=(1, 1)),
        m.ParameterSet(name="sensitivity", kind=integer),
        m.ParameterSet(name="sensitivity", kind=m.ParameterKind.BOOLEAN, integers=(1,)),
        m.ParameterSet(name="sensitivity", kind=real, real=-0.01),
        m.ParameterSet(name="sensitivity", kind=real, real=float(MAX_REAL) + 0.01),
    ):
        assert refused(request) == m.Result.BAD_VALUE
    for value in (True, False):
        assert commands.set_parameter(device, "verbose_model_output_logs", value) is value
    count = device.request(m.ParameterGet(name="sensitivity")).count
    assert device.request(m.ParameterGet(index=count - 1)).index == count - 1
    assert refused(m.ParameterGet(index=count)) == m.Result.NOT_FOUND
    assert refused(m.ParameterSet(name="no_such", kind=integer, integers=(1,))) == m.Result.NOT_FOUND
