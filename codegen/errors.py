"""What went wrong, where, and what to do: the exception every command reports in one line."""

from __future__ import annotations


class TokayError(Exception):
    """An error of the user's input or environment.

    ``message`` says what is wrong and where, ``hint`` what to do about it. Commands print
    ``error: MESSAGE (HINT)`` to stderr and exit with status 2; anything else is a bug and keeps
    its traceback.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message
