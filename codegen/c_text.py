"""Pieces of C source that every generated file is made of."""

from __future__ import annotations

from collections.abc import Iterable

_LINE = 100  # columns of a generated line


def rows(words: Iterable[str], indent: int) -> str:
    """An array's elements with commas between, as many a line as fit, ``indent`` spaces in front."""
    width = _LINE - indent
    lines: list[str] = []
    line = ""
    for word in words:
        if line and len(line) + len(word) + 2 > width:
            lines.append(line)
            line = ""
        line = f"{line} {word}," if line else f"{word},"
    return "\n".join(" " * indent + line for line in (*lines, line))


def string(text: str) -> str:
    """A string literal; each byte that is not plain ASCII as three octal digits."""
    plain = (chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in text.encode())
    return f'"{"".join(plain)}"'


def quoted(text: str) -> str:
    """Any text in quotes, such that it can stand in a comment."""
    return ascii(text).replace("*/", "* /")
