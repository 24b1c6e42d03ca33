"""What a specification's build_model may return, and what becomes of its last layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from host.errors import TokayError
from tests.unit.small_training import needs_tensorflow

pytestmark = pytest.mark.xdist_group("tensorflow")  # one process pays for the import


@needs_tensorflow
@pytest.mark.parametrize("end", ["dense", "layer", "activation", "none", "convolution"])
def test_what_a_network_may_end_in(end: str) -> None:
    import keras
    from keras import layers

    from host.training import network

    inputs = keras.Input((4, 4, 1))
    x = layers.Dense(3, activation="softmax" if end == "dense" else None)(layers.Flatten()(inputs))
    if end == "convolution":
        x = layers.Flatten()(layers.Conv2D(3, 4)(inputs))
    last = {"layer": layers.Softmax, "activation": lambda: layers.Activation("softmax")}.get(end)
    if end == "convolution":
        last = layers.Softmax
    model = keras.Model(inputs, last()(x) if last else x)
    given = np.random.default_rng(1).normal(size=(5, 4, 4, 1)).astype(np.float32)
    before = model.predict(given, verbose=0)
    if end in ("none", "convolution"):
        message = "is not a softmax" if end == "none" else "no Dense layer"
        with pytest.raises(TokayError, match=message):
            network.take_apart(model, 7, Path("m.py"))
        return
    apart = network.take_apart(model, 7, Path("m.py"))
    logits, words = apart.outputs.predict(given, verbose=0)
    assert words.shape == (5, 7)
    assert np.allclose(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), before, atol=1e-5)
    assert np.allclose(apart.finish().predict(given, verbose=0), before, atol=1e-6)


def test_an_error_in_build_model_is_placed(tmp_path: Path) -> None:
    from host import places, specification
    from host.training import network

    shipped = places.MODELS / "keyword_spotting_on_off.py"
    text = shipped.read_text()
    start = text.index("def build_model")
    path = tmp_path / "mine.py"
    path.write_text(text[:start] + "def build_model(spec):\n    return 1 / 0\n")
    line = text[:start].count("\n") + 2
    with pytest.raises(TokayError, match=rf"mine\.py:{line}: build_model: ZeroDivisionError"):
        network.build(specification.load(str(path)))
    path.write_text(text[:start] + "def build_model(spec):\n    return 5\n")
    with pytest.raises(TokayError, match=r"returned int"):
        network.build(specification.load(str(path)))
