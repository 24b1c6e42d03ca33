"""The kernels under AddressSanitizer and UBSan, on random models of every operator."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import sanitized
from tests.places import ROOT

NN = ROOT / "firmware" / "nn"


def test_random_models_with_sanitizers(tmp_path: Path):
    sanitized.address_sanitizer()
    pytest.importorskip("tflite_micro")
    kernels = [*(NN / "kernels" / "portable").glob("*.c"), *(NN / "kernels" / "mvp").glob("*.c")]
    sources = [NN / "nn.c", NN / "native" / "nn_native.c", *sorted(kernels)]
    tests = sorted(str(path.relative_to(ROOT)) for path in Path(__file__).parent.glob("test_single_*.py"))
    sanitized.check(tmp_path, sources, NN, tests, {"TOKAY_EXAMPLES": "12"})
