"""Networks whose outputs are no probabilities: the detector takes them, and a build says so."""

from __future__ import annotations

import pytest

from codegen import application
from codegen.read import read_model
from host import image
from tests.tflite_builder import NetworkBuilder, single


@pytest.mark.parametrize(
    ("scale", "zero_point", "scores"), [(1 / 256, -128, True), (16 / 256, 127, False), (1 / 256, 0, False)]
)
def test_outputs_that_are_no_scores_are_told(scale, zero_point, scores):
    n = NetworkBuilder()
    x, y = n.tensor((1, 4), scale=0.1), n.tensor((1, 4), scale=scale, zero_point=zero_point)
    misfit = application.scores_misfit(read_model(single("LOGISTIC", [x], y, n)))
    assert misfit is None if scores else f"scale {scale:g} and zero point {zero_point}" in misfit


def test_a_build_warns_of_them(capsys):
    image.warn({"unlike_scores": "they are logarithms"})
    assert "warning: they are logarithms; thresholds count" in capsys.readouterr().err
    for known in (None, {}, {"unlike_scores": None}):
        image.warn(known)
    assert capsys.readouterr().err == ""
