"""For all tests: an example of hypothesis may take as long as it does, also on a machine that is busy."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("busy", deadline=None)
settings.load_profile("busy")
