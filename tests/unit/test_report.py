"""The report's plots of many classes with long names: what is drawn can be told apart and is not cut off."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from host.report.svg import Plot, colours, height_for, linear, matrix

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
