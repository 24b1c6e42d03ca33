"""The report's plots: what is drawn is in its place, can be told apart, and is not cut off."""

from __future__ import annotations

import re
from statistics import NormalDist
from xml.etree import ElementTree

import numpy as np
import pytest

from host.report.svg import Axis, Plot, colours, height_for, linear, matrix

SVG = "{http://www.w3.org/2000/svg}"


def test_thirty_keywords_are_named_in_colours_of_their_own() -> None:
    names = [f"keyword {k}" for k in range(30)]
    plot = Plot(linear("x", 0, 1), linear("y", 0, 1), height=height_for(len(names)))
    for name, colour in zip(names, colours(len(names)), strict=True):
        plot.line((0, 1), (0, 1), colour, name)
    drawn = ElementTree.fromstring(plot.svg())
    lines = [line.get("stroke") for line in drawn.iter(f"{SVG}polyline")]
    assert len(set(lines)) == len(names)
    assert all(re.fullmatch(r"#[0-9a-f]{6}|hsl\(\d{1,3},\d{2}%,\d{2}%\)", str(colour)) for colour in lines)
    heights = {text.text: float(text.get("y", 0)) for text in drawn.iter(f"{SVG}text")}
    frame = next(shape for shape in drawn.iter(f"{SVG}rect") if shape.get("fill") == "none")
    bottom = float(frame.get("y", 0)) + float(frame.get("height", 0))
    assert all(heights[name] < bottom <= plot.height for name in names)


def test_few_keywords_keep_the_size_and_the_colours() -> None:
    assert height_for(2) == Plot(linear("x", 0, 1), linear("y", 0, 1)).height
    assert colours(2) == colours(30)[:2] and len(colours(2)) == 2


def test_long_names_have_room_in_a_matrix() -> None:
    name, letter = "turn the lamp in the kitchen on", 6  # of 11 px sans-serif, on average
    drawn = ElementTree.fromstring(matrix([name, "b"], [name, "other lamp"], [[3, 1], [0, 2]]))
    placed = [(t.text, float(t.get("x", 0)), t.get("text-anchor")) for t in drawn.iter(f"{SVG}text")]
    beside = next(x for text, x, anchor in placed if text == name and anchor == "end")
    assert beside >= letter * len(name)
    above = next(x for text, x, anchor in placed if text == name and anchor == "middle")
    following = next(x for text, x, _ in placed if text == "other lamp")
    assert following - above >= letter * (len(name) + len("other lamp")) / 2


def test_plots_draw_inside_their_axes_from_the_bottom_up() -> None:
    plot = Plot(linear("x", 10, 20), Axis("y", 0.01, 1, (0.01, 0.1, 1), "log"))
    plot.line((10, 15, 20), (0.01, 0.1, 1), "#000", "rising")
    plot.line((5, 25), (0.001, 2), "#000", dashed=True)  # ends at the edges
    plot.bars((10, 12, 20), (1, 0.1), "#111")
    drawn = ElementTree.fromstring(plot.svg())
    lines = [shape.get("points", "").split() for shape in drawn.iter() if shape.tag.endswith("polyline")]
    corners = [tuple(map(float, point.split(","))) for point in (lines[0][0], lines[0][2])]
    (left, bottom), (right, top) = corners
    assert 0 < left < right < plot.width and 0 < top < bottom < plot.height
    assert lines[0][1] == f"{(left + right) / 2:.1f},{(bottom + top) / 2:.1f}"
    assert lines[1] == [lines[0][0], lines[0][2]]
    bars = [shape for shape in drawn.iter() if shape.get("fill") == "#111"]
    starts = [float(bar.get("x", 0)) for bar in bars]
    assert starts == pytest.approx([left, left + (right - left) / 5], abs=0.1)
    heights = [float(bar.get("height", 0)) for bar in bars]
    assert heights == pytest.approx([bottom - top, (bottom - top) / 2], abs=0.1)
    assert all(
        float(bar.get("y", 0)) + height == pytest.approx(bottom, abs=0.1)
        for bar, height in zip(bars, heights, strict=True)
    )
    # A class without a clip is a row of nothing.
    cells = ElementTree.fromstring(matrix(("on", "off"), ("on", "off"), ((0, 0), (1, 3))))
    shares = [float(cell.get("fill-opacity", 0)) for cell in cells.iter() if cell.tag.endswith("rect")]
    assert shares[0] == shares[1] < shares[2] < shares[3]


def test_normal_deviate_axes_are_straight_for_normal_scores() -> None:
    axis, normal = Axis("", 0.01, 0.99, scale="normal"), NormalDist()
    assert axis.place(0.5) == pytest.approx(0.5) and (axis.place(0.01), axis.place(0.99)) == (0, 1)
    assert axis.place(0.0) == 0 and axis.place(1.0) == 1
    steps = np.diff([axis.place(normal.cdf(z)) for z in (-2, -1, 0, 1, 2)])
    assert np.allclose(steps, steps[0])
