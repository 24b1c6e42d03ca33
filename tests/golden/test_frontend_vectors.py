"""Every recorded clip of the vendor's front end, bit for bit: uint16, int8, float32 and activity."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from codegen.frontend import FrontendSettings
from host.features import Frontend
from tests.places import SHARED

FILES = sorted((SHARED / "vectors" / "frontend").glob("*.npz"))


@pytest.mark.skipif(not FILES, reason=f"no recorded front-end vectors in {SHARED}")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_difference(path: Path) -> None:
    recorded = np.load(path)
    frontend = Frontend(json.loads(str(recorded["settings_json"])))
    signals = [name.removeprefix("audio__") for name in recorded.files if name.startswith("audio__")]
    assert signals
    for signal in signals:
        audio = recorded[f"audio__{signal}"]
        for kind in ("uint16", "int8", "float32"):
            features = frontend.features(audio, dtype=np.dtype(kind))
            np.testing.assert_array_equal(features, recorded[f"{kind}__{signal}"], err_msg=f"{signal} {kind}")
        stream = frontend.stream()
        chunks = [stream.process(audio[i : i + 97]) for i in range(0, len(audio), 97)]
        np.testing.assert_array_equal(np.concatenate(chunks), recorded[f"uint16__{signal}"])
        if f"activity__{signal}" in recorded.files:
            assert stream.activity() == bool(recorded[f"activity__{signal}"]), signal


@pytest.mark.skipif(not FILES, reason=f"no recorded front-end vectors in {SHARED}")
def test_defaults_are_the_vendors() -> None:
    (path,) = (path for path in FILES if path.stem == "mltk_default")
    recorded = json.loads(str(np.load(path)["settings_json"]))
    assert FrontendSettings.from_parameters(recorded) == FrontendSettings()
    assert FrontendSettings().to_parameters() == recorded  # and what is ours alone is left out
