"""The one exception that commands turn into a line for the user and exit status 2."""

from __future__ import annotations

from codegen.errors import TokayError

__all__ = ["TokayError"]
