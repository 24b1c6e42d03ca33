"""The augmentation and the PC's front end under AddressSanitizer and UBSan, on the tests of both."""

from __future__ import annotations

from pathlib import Path

from tests import sanitized
from tests.places import ROOT


def test_augmentation_with_sanitizers(tmp_path: Path) -> None:
    frontend = ROOT / "firmware" / "frontend"
    sources = [*frontend.glob("*.c"), *(ROOT / "host" / "augmentation").glob("*.c")]
    sanitized.check(tmp_path, sources, frontend, ["tests/unit/test_augmentation.py"])
