"""An evaluation for people, in plain text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from host.tables import text_table


def text(result: Mapping[str, Any]) -> str:
    """All parts of a result of host.evaluate, as its JSON has them."""
    parts = []
    if "confusion" in result:
        parts.append(_clips(result))
    if "streaming" in result:
        parts.append(_streaming("as it is", result["streaming"]))
    if "suggested" in result:
        parts.append(_suggested(result["suggested"]))
    return "\n\n".join(parts)


def _clips(result: Mapping[str, Any]) -> str:
    names, confusion = list(result["class_accuracy"]), np.array(result["confusion"])
    balanced, overall = 100 * result["balanced_accuracy"], 100 * result["accuracy"]
    rows = [
        (name, _percent(result["class_accuracy"][name]), *(int(n) for n in row))
        for name, row in zip(names, confusion, strict=True)
    ]
    return "\n".join(
        [
            f"{result['model']}: {result['samples']} clips of {result['split']}, {result['arithmetic']}",
            f"balanced accuracy {balanced:.1f} %, accuracy {overall:.1f} %",
            text_table(("", "recall", *names), rows),
        ]
    )


def _streaming(title: str, figures: Mapping[str, Any]) -> str:
    keywords, background = figures["keywords"], figures["background"]
    parts = [*keywords["streams"]] if len(keywords["streams"]) > 1 else []
    rows = list(_stream_rows([*parts, {"name": "all with keywords", **keywords}]))
    if background["hours"]:
        rows += _stream_rows([{"name": "no keyword said", **background}])
    columns = ("stream", "hours", "missed", "of", "false accepts", "an hour", "95 %", "repeats", "delay ms")
    return f"{figures['split']} streams, detector {title}\n" + text_table(columns, rows)


def _stream_rows(streams: list[Mapping[str, Any]]) -> Iterator[tuple[object, ...]]:
    for s in streams:
        low, high = s["false_accepts_per_hour_interval"]
        yield (
            s["name"], f"{s['hours']:.2f}", s["false_rejects"], s["spoken"], s["false_accepts"],
            f"{s['false_accepts_per_hour']:.2f}", f"{low:.2f}..{'' if high is None else f'{high:.2f}'}",
            s["repeats"], s["delay_ms"]["median"] if s["delay_ms"] else "",
        )  # fmt: skip


def _suggested(suggested: Mapping[str, Any]) -> str:
    where, values = suggested["found_on"], suggested["parameters"]
    lines = [
        "suggested: " + " ".join(f"{name}={_value(value)}" for name, value in values.items()),
        f"  found on {where['split']}: {where['false_rejects']} of {where['spoken']} missed, "
        f"{where['keyword_false_accepts']} false accepts in {where['keyword_hours']:.2f} h with keywords, "
        f"{where['background_false_accepts']} in {where['background_hours']:.2f} h without",
    ]
    if not suggested["feasible"]:
        lines.append("  NOT within the limits: no setting of the detector is")
    return "\n".join(lines) + "\n\n" + _streaming("as suggested", suggested["judged_on"])


def _value(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
