"""A network that no front end feeds: it cannot listen, but its image can be profiled."""

from __future__ import annotations

import json
import shutil

import pytest

from host import board, cli, image, profile
from host.errors import TokayError
from tests.tflite_builder import NetworkBuilder

pytestmark = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed"
)


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


def test_it_can_be_profiled(network, tmp_path, capsys):
    out = tmp_path / "profile.json"
    assert cli.run(profile.main, [str(network), "--json", str(out)]) == 0
    value = json.loads(out.read_text())
    assert [layer["opcode"] for layer in value["layers"]] == ["relu"]
    assert value["cpu_cycles"] > 0 and value["verdict"] == "valid"
    assert value["frontend"] == {"cpu_cycles_per_step": 0, "cpu_cycles_per_step_max": 0, "step_ms": 0}
    assert "none: this network's features come from elsewhere" in capsys.readouterr().out
