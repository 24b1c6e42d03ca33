"""Plain text tables for the terminal, and how figures stand in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def text_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns aligned to their widest cell, numbers to the right; lines have no trailing spaces."""
    cells = [[_cell(value) for value in row] for row in rows]
    numeric = [_is_numeric(row[i] for row in cells) for i in range(len(columns))]
    widths = [max([len(name), *(len(row[i]) for row in cells)]) for i, name in enumerate(columns)]

    def line(row: Sequence[str]) -> str:
        parts = (c.rjust(w) if n else c.ljust(w) for c, w, n in zip(row, widths, numeric, strict=True))
        return "  ".join(parts).rstrip()

    return "\n".join([line(columns), line(["-" * w for w in widths]), *(line(row) for row in cells)])


def percentage(share: float | None, digits: int = 1) -> str:
    """A share of 1 in percent; "-" where it is not known."""
    return "-" if share is None else f"{100 * share:.{digits}f} %"


def span(interval: Sequence[float] | None, dash: str = "..") -> str:
    """Two shares of 1 in percent; "-" where they are not known."""
    return "-" if interval is None else f"{100 * interval[0]:.1f}{dash}{100 * interval[1]:.1f}"


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _is_numeric(cells: Iterable[str]) -> bool:
    return all(cell == "" or (cell[0] in "-0123456789" and "x" not in cell) for cell in cells)
