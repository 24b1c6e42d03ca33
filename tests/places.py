"""Where things are: the repository, and the shared material that some tests use and skip without."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "host" / "models" / "keyword_spotting_on_off.tflite"
"""A model that is shipped."""
SHARED = Path(os.environ.get("TOKAY_SHARED", ROOT.parent / "shared"))
"""Vendor models, recorded vectors and speech; never needed to build, run or test Tokay."""
