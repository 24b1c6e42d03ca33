"""An evaluation as one HTML page: the figures as tables, the curves as SVG, nothing to load from elsewhere.

It is made of the JSON that host.evaluate gives, so a page can be made of a stored result too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from host.metrics.sweep import Limits
from host.report.svg import COLOURS, Axis, Plot, colours, height_for, linear, matrix, percent
from host.tables import percentage, span

_DET_LOW, _DET_HIGH = 0.001, 0.6
_DET_TICKS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6)
_ROW_S = 300  # of a timeline
_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;color:#222;max-width:1020px;margin:2em auto;padding:0 1em}
h1{font-size:1.5em}h2{font-size:1.2em;margin-top:2em;border-bottom:1px solid #ccc}
svg text{font:11px system-ui,sans-serif;fill:#333}svg text[fill]{fill:#fff}
table{border-collapse:collapse;margin:.6em 0}
td,th{padding:.2em .7em;text-align:right;border-bottom:1px solid #eee}
th{background:#f3f3f3}td:first-child,th:first-child{text-align:left}
.plots{display:flex;flex-wrap:wrap;gap:12px}figure{margin:0}figcaption{font-size:.9em;color:#555}
.bad{color:#b03020;font-weight:600}
"""


def html(result: Mapping[str, Any]) -> str:
    """The page of a result."""
    parts = [_head(result)]
    if "confusion" in result:
        parts += [_clips(result), _curves(result["curves"])]
    if "gap" in result:
        parts.append(_gap(result["gap"]))
    if "streaming" in result:
        parts.append(_streaming("Streams, detector as it is", result["streaming"]))
    if "suggested" in result:
        parts.append(_suggested(result["suggested"]))
    if "recordings" in result:
        parts.append(_recordings(result["recordings"]))
    title = f'<meta charset="utf-8"><title>{escape(result["name"])}</title>'
    return (
        f'<!doctype html>\n<html lang="en"><head>{title}'
        f"<style>{_STYLE}</style></head><body>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body></html>\n"
    )


def _head(result: Mapping[str, Any]) -> str:
    where = "in the shipped image, simulated" if result.get("target") == "simulator" else "on the PC"
    return (
        f"<h1>{escape(result['name'])}</h1><p>{escape(result['model'])}, {escape(result['arithmetic'])} "
        f"arithmetic, {where}. Intervals are of 95 %.</p>"
    )


# ---- Clips ----


def _clips(result: Mapping[str, Any]) -> str:
    names, spans = list(result["class_accuracy"]), result["intervals"]
    rows = [
        (
            label, percentage(result["class_accuracy"][label]), _span(spans["class_accuracy"][label]),
            result["class_samples"][label],
        )
        for label in names
    ]  # fmt: skip
    rows.append(("balanced", percentage(result["balanced_accuracy"]), _span(spans["balanced_accuracy"]), ""))
    rows.append(("all clips", percentage(result["accuracy"]), _span(spans["accuracy"]), result["samples"]))
    note = ""
    if result["samples"] != result["clips_in_split"]:
        note = f"<p>{result['samples']} of the split's {result['clips_in_split']} clips.</p>"
    if "simulated" in result:
        s = result["simulated"]
        bad = "" if s["equal_to_pc"] == s["clips"] else ' class="bad"'
        note += f"<p{bad}>{s['equal_to_pc']} of {s['clips']} clips are equal to the PC, bit for bit.</p>"
    table = _table(("class", "accuracy", "95 %", "clips"), rows)
    plot = matrix(names, names, result["confusion"])
    return _section(f"Clips of {escape(result['split'])}", note + f'<div class="plots">{table}{plot}</div>')


def _curves(curves: Mapping[str, Any]) -> str:
    if not curves:
        return ""
    height = height_for(len(curves))
    roc = Plot(
        linear("other clips accepted", 0, 1, form=percent),
        linear("keyword's clips accepted", 0, 1, form=percent), height=height,
    )  # fmt: skip
    det_x = Axis("other clips accepted", _DET_LOW, _DET_HIGH, _DET_TICKS, "normal", percent)
    det_y = Axis("keyword's clips missed", _DET_LOW, _DET_HIGH, _DET_TICKS, "normal", percent)
    det = Plot(det_x, det_y, height=height)
    det.line((_DET_LOW, _DET_HIGH), (_DET_LOW, _DET_HIGH), "#bbb", dashed=True)
    rows = []
    for (label, c), colour in zip(curves.items(), colours(len(curves)), strict=True):
        roc.line(c["false_positive_rate"], c["true_positive_rate"], colour, label)
        det.line(c["false_positive_rate"], [1 - rate for rate in c["true_positive_rate"]], colour, label)
        rows.append((label, f"{c['auc']:.4f}", percentage(c["eer"]), c["targets"], c["others"]))
    table = _table(("keyword", "area under ROC", "equal error rate", "clips", "others"), rows)
    figures = [_figure(roc, "ROC by the class's score"), _figure(det, "DET, on normal deviates")]
    figures += [
        _figure(_histogram(c), f"Scores of {label}, as a share of each kind") for label, c in curves.items()
    ]
    return _section("Scores", table + _plots(figures))


def _histogram(c: Mapping[str, Any]) -> Plot:
    shares = [[n / max(sum(c[key]), 1) for n in c[key]] for key in ("target_histogram", "other_histogram")]
    plot = Plot(linear("score", 0, 256), Axis("share", 1e-4, 1, (1e-4, 1e-3, 1e-2, 0.1, 1), "log", percent))
    edges = [256 * k / len(shares[0]) for k in range(len(shares[0]) + 1)]
    plot.bars(edges, shares[1], COLOURS[1], "other clips")
    plot.bars(edges, shares[0], COLOURS[0], "keyword's clips")
    return plot


def _gap(rows: Sequence[Mapping[str, Any]]) -> str:
    labels = list(rows[0]["class_accuracy"])
    cells = [
        (
            row["arithmetic"], percentage(row["balanced_accuracy"], 2), percentage(row["accuracy"], 2),
            *(percentage(row["class_accuracy"][label]) for label in labels),
            percentage(row["same_decision"], 2),
        )
        for row in rows
    ]  # fmt: skip
    columns = ("arithmetic", "balanced", "accuracy", *labels, f"same decision as {rows[0]['arithmetic']}")
    return _section("Float, int8, MVP", _table(columns, cells))


# ---- Streams ----


def _streaming(title: str, figures: Mapping[str, Any]) -> str:
    keywords, background = figures["keywords"], figures.get("background")
    rows = [*keywords["streams"], {**keywords, "name": "all with keywords"}]
    if background and background["hours"]:
        rows.append({**background, "name": "no keyword said"})
    body = f"<p>Made of the clips of {escape(figures['split'])}.</p>" + _stream_table(rows)
    if "simulated_seconds" in figures:
        body += _held_against_pc(keywords)
    confused = [(c["heard"], c["said"] or "(noise)", c["times"]) for c in figures.get("confusions", ())]
    if confused:
        body += "<p>False accepts:</p>" + _table(("heard", "said", "times"), confused[:12])
    return _section(title, body) + _timelines(keywords["streams"])


def _recordings(recordings: Sequence[Mapping[str, Any]]) -> str:
    body = _stream_table(recordings)
    body += "".join(_held_against_pc(r, f"{r['name']}: the image") for r in recordings if "equal_to_pc" in r)
    return _section("Recordings", body) + _timelines(recordings)


def _held_against_pc(heard: Mapping[str, Any], who: str = "The image") -> str:
    """Whether an image heard in a stream what the PC hears."""
    if heard["equal_to_pc"]:
        return f"<p>{escape(who)} heard the same as the PC.</p>"
    return f"<p class=bad>{escape(who)} did NOT hear the same as the PC.</p>"


def _stream_table(streams: Sequence[Mapping[str, Any]]) -> str:
    columns = ("stream", "hours", "missed", "of", "miss rate", "95 %", "false accepts", "an hour", "95 %",
               "repeats", "delay, median")  # fmt: skip
    rows = []
    for s in streams:
        low, high = s["false_accepts_per_hour_interval"]
        rows.append(
            (
                s["name"], f"{s['hours']:.2f}", s["false_rejects"], s["spoken"], percentage(s["miss_rate"]),
                _span(s["miss_rate_interval"]) if s["spoken"] else "-", s["false_accepts"],
                f"{s['false_accepts_per_hour']:.2f}", f"{low:.2f} to {'' if high is None else f'{high:.2f}'}",
                s["repeats"], f"{s['delay_ms']['median']} ms" if s["delay_ms"] else "-",
            )
        )  # fmt: skip
    return _table(columns, rows)


def _timelines(streams: Sequence[Mapping[str, Any]]) -> str:
    figures = [
        _figure(_timeline(s, start), f"{s['name']}, from {start / 60:g} min" if start else str(s["name"]))
        for s in streams
        for start in range(0, max(1, round(3600 * s["hours"])), _ROW_S)
    ]
    return "<details open><summary>Timelines</summary>" + "".join(figures) + "</details>"


def _timeline(stream: Mapping[str, Any], start_s: int) -> Plot:
    levels = {"hit": 4.0, "missed": 3.0, "false accept": 2.0, "repeat": 1.0}
    end_s = min(start_s + _ROW_S, 3600 * stream["hours"])
    names = {value: key for key, value in levels.items()}
    plot = Plot(
        linear("seconds", start_s, max(end_s, start_s + 1), 10),
        Axis("", 0.5, 4.5, tuple(levels.values()), form=lambda value: names[value].removesuffix(" accept")),
        width=960, height=150,
    )  # fmt: skip
    events = [
        (d["time_ms"], d["verdict"], d["label"] + (f" (said: {d['said']})" if d["said"] else ""))
        for d in stream["detections"]
    ]
    events += [(m["end_ms"], "missed", m["label"]) for m in stream["missed"]]
    inks = {"hit": COLOURS[2], "missed": COLOURS[4], "false accept": COLOURS[1], "repeat": COLOURS[5]}
    for kind, level in levels.items():
        shown = [(at / 1000, label) for at, verdict, label in events if verdict == kind]
        shown = [(at, label) for at, label in shown if start_s <= at < start_s + _ROW_S]
        titles = [f"{at:.2f} s {label}" for at, label in shown]
        plot.marks([at for at, _ in shown], [level] * len(shown), inks[kind], radius=4, titles=titles)
    return plot


# ---- The operating point ----


def _suggested(suggested: Mapping[str, Any]) -> str:
    found = suggested["found_on"]
    values = "".join(
        f"<li><code>{escape(k)}={escape(str(v))}</code></li>" for k, v in suggested["parameters"].items()
    )
    note = "" if suggested["feasible"] else '<p class="bad">No setting keeps to the limits.</p>'
    if suggested.get("hears_nothing"):
        note += '<p class="bad">Of no use: it hears no keyword at all.</p>'
    text = (
        f"<ul>{values}</ul>{note}<p>Found on {escape(found['split'])}: {found['false_rejects']} of "
        f"{found['spoken']} missed, {found['keyword_false_accepts']} false accepts in "
        f"{found['keyword_hours']:.2f} h with keywords, {found['background_false_accepts']} in "
        f"{found['background_hours']:.2f} h without. At most "
        f"{Limits.of(suggested['limits']).words()} were asked for.</p>"
    )
    if found["background_hours"]:  # else there is no rate to draw
        text += _plots([_figure(_sweep(suggested), _SWEEP_CAPTION)])
    judged = _streaming("Streams, detector as suggested", suggested["judged_on"])
    return _section("Suggested operating point", text) + judged


_SWEEP_CAPTION = "Misses against false accepts an hour without keywords: a line for each averaging window"


def _sweep(suggested: Mapping[str, Any]) -> Plot:
    points, found = suggested["sweep"], suggested["found_on"]
    floor = 0.5 / found["background_hours"]  # where none was counted
    ceiling = max([10.0, 10 * floor, *(p["background_false_accepts_per_hour"] for p in points)])
    decades = [d for d in (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0) if floor <= d <= ceiling]
    plot = Plot(
        Axis("false accepts an hour (none: at the left edge)", floor, ceiling, decades, "log"),
        linear("missed", 0, 1, form=percent), width=620, height=400,
    )  # fmt: skip
    windows = sorted({p["average_window_duration_ms"] for p in points})
    for window, colour in zip(windows, colours(len(windows)), strict=True):
        own = [p for p in points if p["average_window_duration_ms"] == window]
        alarms = [p["background_false_accepts_per_hour"] for p in own]
        misses = [p["false_rejects"] / max(p["spoken"], 1) for p in own]
        plot.line(alarms, misses, colour, f"{window} ms")
    limit = suggested["limits"]["background_false_accepts_per_hour"]
    if limit > floor:
        plot.line((limit, limit), (0, 1), "#999", "limit", dashed=True)
    share = found["false_rejects"] / max(found["spoken"], 1)
    plot.marks([found["background_false_accepts_per_hour"]], [share], "#000", "suggested", radius=5)
    return plot


# ---- Pieces of HTML ----


def _section(title: str, body: str) -> str:
    return f"<h2>{title}</h2>{body}"


def _figure(plot: Plot, caption: str) -> str:
    return f"<figure>{plot.svg()}<figcaption>{escape(caption)}</figcaption></figure>"


def _plots(figures: Sequence[str]) -> str:
    return f'<div class="plots">{"".join(figures)}</div>'


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _span(interval: Sequence[float] | None) -> str:
    return span(interval, " to ")
