"""An evaluation for people, in plain text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from host.metrics.sweep import Limits
from host.tables import percentage, span, text_table

_MOST_CONFUSED = 8


def text(result: Mapping[str, Any]) -> str:
    """All parts of a result of host.evaluate, as its JSON has them."""
    parts = []
    if "confusion" in result:
        parts += [_clips(result), _curves(result["curves"])]
    if "gap" in result:
        parts.append(_gap(result["gap"]))
    if "streaming" in result:
        parts.append(_streaming("as it is", result["streaming"]))
    if "suggested" in result:
        parts.append(_suggested(result["suggested"]))
    if "recordings" in result:
        parts.append(_recordings(result))
    return "\n\n".join(part for part in parts if part)


def _clips(result: Mapping[str, Any]) -> str:
    names, confusion = list(result["class_accuracy"]), np.array(result["confusion"])
    spans = result["intervals"]
    rows = [
        (name, percentage(result["class_accuracy"][name]), span(spans["class_accuracy"][name]), *row)
        for name, row in zip(names, confusion.tolist(), strict=True)
    ]
    part = "" if result["samples"] == result["clips_in_split"] else f" of {result['clips_in_split']:,}"
    lines = [
        f"{result['model']}: {result['samples']:,}{part} clips of {result['split']}, {result['arithmetic']}"
    ]
    if "simulated" in result:
        s = result["simulated"]
        equal = f"{s['equal_to_pc']} of {s['clips']} clips equal to the PC, bit for bit"
        lines.append(f"in the image, on the simulated {s['board']}: {equal}")
    lines += [
        f"balanced accuracy {percentage(result['balanced_accuracy'])} ({span(spans['balanced_accuracy'])}), "
        f"accuracy {percentage(result['accuracy'])} ({span(spans['accuracy'])}), 95 % intervals",
        text_table(("", "accuracy", "95 %", *names), rows),
    ]
    if "errors" in result:
        lines.append(f"misheard clips: {result['errors']}")
    return "\n".join(lines)


def _curves(curves: Mapping[str, Any]) -> str:
    rows = [(label, f"{c['auc']:.4f}", percentage(c["eer"])) for label, c in curves.items()]
    return text_table(("keyword", "area under ROC", "equal error rate"), rows) if rows else ""


def _gap(rows: Sequence[Mapping[str, Any]]) -> str:
    labels = list(rows[0]["class_accuracy"])
    same = f"same as {rows[0]['arithmetic']}"
    table = text_table(
        ("arithmetic", "balanced", "accuracy", *labels, same, "largest score change"),
        [
            (
                row["arithmetic"], percentage(row["balanced_accuracy"], 2), percentage(row["accuracy"], 2),
                *(percentage(row["class_accuracy"][label]) for label in labels),
                percentage(row["same_decision"], 2), row["largest_score_difference"],
            )
            for row in rows
        ],
    )  # fmt: skip
    if rows[0]["arithmetic"] == "float":
        return table
    return f"{table}\n(float is left out: no Keras model beside the .tflite, or it keeps state)"


def _streaming(title: str, figures: Mapping[str, Any]) -> str:
    keywords, background = figures["keywords"], figures.get("background")
    parts = [*keywords["streams"]] if len(keywords["streams"]) > 1 else []
    rows = list(_stream_rows([*parts, {**keywords, "name": "all with keywords"}]))
    if background and background["hours"]:
        rows += _stream_rows([{"name": "no keyword said", **background}])
    lines = [f"{figures['split']} streams, detector {title}", _stream_table(rows)]
    if "simulated_seconds" in figures:
        equal = "the same" if keywords["equal_to_pc"] else "NOT the same"
        lines.append(f"{figures['simulated_seconds']:g} s in the simulator: {equal} as on the PC")
    confused = figures.get("confusions", [])[:_MOST_CONFUSED]
    if confused:
        pairs = (f"{c['heard']} for {c['said'] or 'noise'} {c['times']}x" for c in confused)
        lines.append("false accepts: " + ", ".join(pairs))
    return "\n".join(lines)


def _recordings(result: Mapping[str, Any]) -> str:
    rows, details = [], []
    for r in result["recordings"]:
        rows += _stream_rows([r])
        events = [(d["time_ms"], f"{d['verdict']}: {d['label']}") for d in r["detections"]]
        events += [(m["start_ms"], f"missed: {m['label']}") for m in r["missed"]]
        details += [f"{r['name']} {at / 1000:8.2f} s  {what}" for at, what in sorted(events)]
        if r.get("equal_to_pc") is False:
            details.append(f"{r['name']}: the simulated image did NOT hear the same as the PC")
    return "\n".join([f"{result['model']}, {result['target']}, recordings", _stream_table(rows), *details])


def _stream_table(rows: Sequence[Sequence[object]]) -> str:
    columns = ("stream", "hours", "missed", "of", "false accepts", "an hour", "95 %", "repeats", "delay ms")
    return text_table(columns, rows)


def _stream_rows(streams: Sequence[Mapping[str, Any]]) -> Iterator[tuple[object, ...]]:
    for s in streams:
        low, high = s["false_accepts_per_hour_interval"]
        yield (
            s["name"], f"{s['hours']:.2f}", s["false_rejects"], s["spoken"], s["false_accepts"],
            f"{s['false_accepts_per_hour']:.2f}", f"{low:.2f}..{'' if high is None else f'{high:.2f}'}",
            s["repeats"], s["delay_ms"]["median"] if s["delay_ms"] else "",
        )  # fmt: skip


def _suggested(suggested: Mapping[str, Any]) -> str:
    where, values = suggested["found_on"], suggested["parameters"]
    limits = Limits.of(suggested["limits"])
    lines = [
        "suggested: " + " ".join(f"{name}={_value(value)}" for name, value in values.items()),
        f"  found on {where['split']}: {where['false_rejects']} of {where['spoken']} missed, "
        f"{where['keyword_false_accepts']} false accepts in {where['keyword_hours']:.2f} h with keywords, "
        f"{where['background_false_accepts']} in {where['background_hours']:.2f} h without",
        f"  at most {limits.words()} were asked for",
    ]
    if not suggested["feasible"]:
        lines.append(f"  NOT within the limits: no setting of the detector keeps to {limits.words()}")
    if suggested.get("hears_nothing"):
        lines.append("  of NO USE: it hears no keyword at all, and so never a false one either")
    return "\n".join(lines) + "\n\n" + _streaming("as suggested", suggested["judged_on"])


def _value(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
