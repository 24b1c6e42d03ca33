"""Small plots as SVG text: axes with ticks, lines, bars, marks, and a matrix of counts.

Written here rather than with a plotting library: a report must open anywhere, weigh little, look the
same on each machine, and need nothing that ``make setup`` does not install.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from statistics import NormalDist

COLOURS = ("#1f6f8b", "#c8553d", "#5b8e55", "#8963ba", "#b58900", "#476072", "#a23b72", "#2a9d8f")
_WIDTH, _HEIGHT = 420, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 14, 46
_LEGEND_ROW = 15
_LETTER = 7  # the width of a wide one
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Axis:
    """A range of values, where its ticks are, and the scale: "linear", "log" or "normal" (deviates)."""

    label: str
    low: float
    high: float
    ticks: Sequence[float] = ()
    scale: str = "linear"
    form: Callable[[float], str] = "{:g}".format

    def place(self, value: float) -> float:
        """0 at ``low``, 1 at ``high``; values outside are put at the ends."""
        forward = _SCALES[self.scale]
        clipped = min(max(value, min(self.low, self.high)), max(self.low, self.high))
        low, high = forward(self.low), forward(self.high)
        return (forward(clipped) - low) / (high - low)


_SCALES: dict[str, Callable[[float], float]] = {
    "linear": float,
    "log": math.log10,
    "normal": _NORMAL.inv_cdf,
}


def percent(value: float) -> str:
    """A share as a tick's text."""
    return f"{100 * value:g} %"


def colours(count: int) -> list[str]:
    """So many colours, no two alike: those above, then hues a golden angle apart, dark and light by turns."""
    more = (f"hsl({137.5 * k % 360:.0f},65%,{30 if k % 2 else 55}%)" for k in range(count - len(COLOURS)))
    return [*COLOURS[:count], *more]


def height_for(lines: int) -> int:
    """The height of a plot that has room to name so many lines."""
    return max(_HEIGHT, _TOP + _LEGEND_ROW * (lines + 1) + _BOTTOM)


def linear(
    label: str, low: float, high: float, count: int = 5, form: Callable[[float], str] = "{:g}".format
) -> Axis:
    """An axis with ticks at round values."""
    step = _round_step((high - low) / max(count, 1))
    first = math.ceil(low / step - 1e-9)
    ticks = [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]
    return Axis(label, low, high, ticks, form=form)


def _round_step(rough: float) -> float:
    if rough <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return power * next(m for m in (1, 2, 5, 10) if power * m >= rough * (1 - 1e-9))


@dataclass
class Plot:
    """Axes to draw on; ``svg()`` gives the text."""

    x: Axis
    y: Axis
    width: int = _WIDTH
    height: int = _HEIGHT
    _shapes: list[str] = field(default_factory=list)
    _legend: list[tuple[str, str]] = field(default_factory=list)

    def line(
        self, xs: Sequence[float], ys: Sequence[float], colour: str, name: str = "", dashed: bool = False
    ) -> None:
        points = " ".join(f"{self._x(x):.1f},{self._y(y):.1f}" for x, y in zip(xs, ys, strict=True))
        dash = ' stroke-dasharray="4 3"' if dashed else ""
        self._shapes.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.6"{dash}/>'
        )
        self._named(name, colour)

    def marks(
        self, xs: Sequence[float], ys: Sequence[float], colour: str, name: str = "", radius: float = 2.5,
        titles: Sequence[str] = (),
    ) -> None:  # fmt: skip
        for i, (x, y) in enumerate(zip(xs, ys, strict=True)):
            title = f"<title>{escape(titles[i])}</title>" if i < len(titles) else ""
            self._shapes.append(
                f'<circle cx="{self._x(x):.1f}" cy="{self._y(y):.1f}" r="{radius:g}" fill="{colour}" '
                f'fill-opacity="0.75">{title}</circle>'
            )
        self._named(name, colour)

    def bars(self, edges: Sequence[float], values: Sequence[float], colour: str, name: str = "") -> None:
        """Bars between successive edges, from the bottom up."""
        bottom = self._y(self.y.low)
        for low, high, value in zip(edges[:-1], edges[1:], values, strict=True):
            if value > 0:
                top = self._y(value)
                self._shapes.append(
                    f'<rect x="{self._x(low):.1f}" y="{top:.1f}" width="{self._x(high) - self._x(low):.1f}" '
                    f'height="{max(bottom - top, 0):.1f}" fill="{colour}" fill-opacity="0.55"/>'
                )
        self._named(name, colour)

    def svg(self) -> str:
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'width="{self.width}" height="{self.height}" role="img">'
            + "".join([*self._grid(), *self._shapes, *self._names()])
            + "</svg>"
        )

    def _x(self, value: float) -> float:
        return _LEFT + self.x.place(value) * (self.width - _LEFT - _RIGHT)

    def _y(self, value: float) -> float:
        return self.height - _BOTTOM - self.y.place(value) * (self.height - _TOP - _BOTTOM)

    def _named(self, name: str, colour: str) -> None:
        if name and (name, colour) not in self._legend:
            self._legend.append((name, colour))

    def _grid(self) -> list[str]:
        right, bottom = self.width - _RIGHT, self.height - _BOTTOM
        parts = []
        for tick in self.x.ticks:
            at = self._x(tick)
            parts.append(_rule(at, _TOP, at, bottom))
            parts.append(_text(at, bottom + 15, self.x.form(tick), "middle"))
        for tick in self.y.ticks:
            at = self._y(tick)
            parts.append(_rule(_LEFT, at, right, at))
            parts.append(_text(_LEFT - 6, at + 4, self.y.form(tick), "end"))
        parts.append(
            f'<rect x="{_LEFT}" y="{_TOP}" width="{right - _LEFT}" height="{bottom - _TOP}" fill="none" '
            'stroke="#888"/>'
        )
        parts.append(_text((_LEFT + right) / 2, self.height - 8, self.x.label, "middle"))
        middle = (_TOP + bottom) / 2
        parts.append(_text(14, middle, self.y.label, "middle", f' transform="rotate(-90 14 {middle:.1f})"'))
        return parts

    def _names(self) -> list[str]:
        parts = []
        for i, (name, colour) in enumerate(self._legend):
            y = _TOP + 16 + _LEGEND_ROW * i
            parts.append(
                f'<rect x="{self.width - _RIGHT - 18}" y="{y - 9}" width="10" height="10" fill="{colour}"/>'
            )
            parts.append(_text(self.width - _RIGHT - 24, y, name, "end"))
        return parts


def matrix(rows: Sequence[str], columns: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """A matrix of counts, each cell as dark as its share of the row, as wide as the longest names ask for."""
    cell = max([74, *(10 + _LETTER * len(name) for name in columns)])
    left, top = max([104, *(16 + _LETTER * len(name) for name in rows)]), 34
    width, height = left + cell * len(columns) + 8, top + 40 * len(rows) + 26
    parts = [_text(left + cell * (j + 0.5), top - 8, name, "middle") for j, name in enumerate(columns)]
    for i, (name, row) in enumerate(zip(rows, counts, strict=True)):
        total = max(sum(row), 1)
        parts.append(_text(left - 8, top + 40 * i + 24, name, "end"))
        for j, count in enumerate(row):
            share = count / total
            colour = COLOURS[0] if i == j else COLOURS[1]
            parts.append(
                f'<rect x="{left + cell * j}" y="{top + 40 * i}" width="{cell - 2}" height="38" '
                f'fill="{colour}" fill-opacity="{0.08 + 0.92 * share:.3f}"/>'
            )
            ink = ' fill="#fff"' if share > 0.55 else ""
            parts.append(_text(left + cell * (j + 0.5) - 1, top + 40 * i + 17, f"{count}", "middle", ink))
            parts.append(
                _text(left + cell * (j + 0.5) - 1, top + 40 * i + 31, percent(round(share, 3)), "middle", ink)
            )
    parts.append(_text(left + cell * len(columns) / 2, height - 6, "heard as", "middle"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img">' + "".join(parts) + "</svg>"
    )


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#ddd"/>'


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(text)}</text>'
