"""How good a model is: on clips, and on long streams through the firmware's own detector.

tokay evaluate keyword_spotting_on_off --dataset DIR --split testing
tokay evaluate model.tflite --accelerator mvp --dataset DIR --json -
tokay evaluate model.tflite --dataset DIR --gap                 # float, int8 and MVP side by side
tokay evaluate model.tflite --dataset DIR --simulate --limit 50 # in the image that is shipped
tokay evaluate model.tflite --dataset DIR --stream              # misses, false accepts an hour
tokay evaluate model.tflite --audio FILE --labels FILE          # on a recording of one's own
tokay evaluate model.tflite --dataset DIR --suggest --write     # find and keep an operating point
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from host import board as boards
from host import cli
from host.dataset import find
from host.dataset.folder import SPLITS
from host.dataset.store import Store
from host.detector import detector_settings
from host.errors import TokayError
from host.evaluation import clips, operating_point, subject, tables
from host.evaluation.subject import Subject
from host.files import require_writable, write_atomic
from host.metrics import recordings, simulated, streams, trials
from host.metrics.scoring import clip_scores, feature_stream, streaming_scores
from host.metrics.streams import KeywordStream, Stream
from host.metrics.sweep import Limits, Suggestion, suggest
from host.pipeline import Pipeline
from host.progress import progress
from host.target import Target

_SIMULATED_CLIPS, _SIMULATED_SECONDS = 100, 60.0
_ERRORS = "errors.csv"


def main(argv: Sequence[str]) -> int:
    """The command."""
    args = _parser().parse_args(argv)
    _check(args)
    with ExitStack() as stack:
        model = _subject(args)
        if args.write:
            operating_point.require_writable(model)
        where = None
        if args.simulate:
            where = stack.enter_context(simulated.booted(args.model, args.board, args.accelerator))
        result, suggestion = _evaluate(model, where, args)
    if args.json != "-":
        print(tables.text(result))
    cli.emit_json(args.json, result)
    if args.report:
        from host.report import page

        write_atomic(args.report, page.html(result))
        print(f"wrote {args.report}", file=sys.stderr)
    if args.write and suggestion is not None:
        operating_point.write(model, suggestion, Limits(background=args.false_accepts))
        print(f"wrote {model.path}", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    p = cli.parser("evaluate", "How good a model is, on clips and on streams, in the device's arithmetic.")
    p.add_argument("model", metavar="MODEL", help="name in host/models, .tflite, archive, or .keras")
    what = p.add_mutually_exclusive_group()
    what.add_argument("--tflite", action="store_true", help="the int8 model (the default)")
    what.add_argument("--float", action="store_true", help="the Keras model it was made from")
    what.add_argument("--gap", action="store_true", help="compare float, int8 and the accelerator too")
    what.add_argument("--simulate", action="store_true", help="in the shipped image, in the simulator")
    cli.add_accelerator(p)
    boards.add_option(p, "with --simulate")
    p.add_argument("--dataset", metavar="DIR", help="folder of word folders with the official lists")
    p.add_argument("--split", choices=(*SPLITS, "all"), default="testing", help="default testing")
    p.add_argument("--limit", type=int, metavar="N",
                   help=f"so many clips (default all; with --simulate {_SIMULATED_CLIPS})")  # fmt: skip
    p.add_argument("--report", metavar="HTML", type=Path, help="one page with plots, needs nothing else")
    p.add_argument("--output-dir", metavar="DIR", type=Path, help="errors.csv: the clips that were misheard")
    g = p.add_argument_group("recordings")
    g.add_argument("--audio", metavar="FILE", nargs="+", type=Path, help="WAV or FLAC")
    g.add_argument("--labels", metavar="FILE", nargs="+", type=Path,
                   help="lines 'start end word' in seconds, or JSON; none: nothing is said")  # fmt: skip
    g.add_argument("--resample", action="store_true", help="convert recordings of another rate")
    g = p.add_argument_group("streams, generated from the split's clips")
    g.add_argument("--stream", action="store_true", help="misses and false accepts with the real detector")
    g.add_argument("--seeds", type=int, default=3, metavar="N", help="streams with keywords (default 3)")
    g.add_argument("--seed", type=int, default=1, metavar="S", help="of the first stream (default 1)")
    g.add_argument("--minutes", type=float, default=20, help="of a stream with keywords (default 20)")
    g.add_argument("--keywords", type=int, default=50, metavar="N", help="in each (default 50)")
    g.add_argument("--others", type=int, default=150, metavar="N", help="other words in each (default 150)")
    g.add_argument("--snr", type=float, nargs=2, default=(10.0, 20.0), metavar=("LOW", "HIGH"),
                   help="dB of words above noise (default 10 20)")  # fmt: skip
    g.add_argument("--hours", type=float, default=4, help="without any keyword (default 4)")
    g.add_argument("--seconds", type=float, default=_SIMULATED_SECONDS,
                   help="with --simulate: of the first stream (default 60)")  # fmt: skip
    g = p.add_argument_group("operating point")
    g.add_argument("--suggest", action="store_true",
                   help="the detector's settings with the fewest misses on the validation split")  # fmt: skip
    g.add_argument("--false-accepts", type=float, default=Limits.background, metavar="N",
                   help=f"an hour without keywords, at most (default {Limits.background:g}); "
                   f"where keywords are said, {Limits.keywords:g} at most")  # fmt: skip
    g.add_argument("--write", action="store_true", help="with --suggest: into the model's parameters")
    return p


def _check(args: Any) -> None:
    def require(condition: bool, message: str, hint: str | None = None) -> None:
        if not condition:
            raise TokayError(message, hint=hint)

    is_float = args.float or args.model.endswith(".keras")
    require(args.suggest or not args.write, "--write writes what --suggest finds", "--suggest --write")
    require(not (is_float and args.write), "--write needs a .tflite: a Keras model carries no parameters")
    require(not (is_float and args.gap), "--gap starts from a .tflite, with the Keras model beside it")
    require(not (is_float and args.accelerator == "mvp"), "--float runs on no accelerator")
    require(not (is_float and args.simulate), "--simulate runs an image, which is made of a .tflite")
    require(not (args.simulate and args.suggest), "--suggest takes hours of audio: leave out --simulate")
    for name, least in (("seeds", 1), ("keywords", 1), ("others", 0), ("seed", 0), ("limit", 1)):
        value = getattr(args, name)
        require(value is None or value >= least, f"--{name} takes a number from {least}")
    require(0 < args.minutes <= 600 and 0 <= args.hours <= 100, "--minutes goes to 600 and --hours to 100")
    require(0 < args.seconds < math.inf, "--seconds takes a time above 0")
    require(
        -20 <= args.snr[0] <= args.snr[1] <= 60, "--snr takes two levels from -20 to 60 dB, the lower first"
    )
    require(args.false_accepts >= 0, "--false-accepts takes a number from 0")
    require(not args.labels or bool(args.audio), "--labels belong to recordings", "--audio FILE")
    counts = (len(args.audio or ()), len(args.labels or ()))
    require(not args.labels or counts[0] == counts[1], f"{counts[0]} recordings and {counts[1]} label files")
    for path in (args.report, args.output_dir and args.output_dir / _ERRORS):
        if path:
            require_writable(path)


def _subject(args: Any) -> Subject:
    if args.float or args.model.endswith(".keras"):
        return subject.in_float(args.model)
    return subject.quantized(args.model, args.accelerator)


def _evaluate(model: Subject, where: Target | None, args: Any) -> tuple[dict[str, Any], Suggestion | None]:
    result: dict[str, Any] = {
        "name": model.name,
        "model": str(model.path),
        "arithmetic": model.arithmetic,
        "accelerator": model.accelerator,
        "target": "simulator" if where else "pc",
    }
    suggestion = None
    if args.audio:
        labels = args.labels or [None] * len(args.audio)
        result["recordings"] = [
            _recording(model, where, audio, labelled, args.resample)
            for audio, labelled in zip(args.audio, labels, strict=True)
        ]
    if args.audio and not (args.dataset or args.stream or args.suggest or args.gap):
        return result, None
    store = find.load(args.dataset, model.clips)
    result |= {"split": args.split, **_clips(model, where, store, args)}
    plan = _plan(args)
    if where is not None and args.stream:
        result["streaming"] = _simulated_stream(model, where, store, args.split, plan, args.seconds)
    elif args.stream or args.suggest:
        scored = _scored(model, store, args.split, plan)
        result["streaming"] = trials.report(scored, detector_settings(model.settings))
    if args.suggest:
        limits = Limits(background=args.false_accepts)
        suggestion = _suggest(model, store, limits, plan)
        result["suggested"] = operating_point.as_json(suggestion, "validation", limits, scored)
    return result, suggestion


def _clips(model: Subject, where: Target | None, store: Store, args: Any) -> dict[str, Any]:
    limit = args.limit or (_SIMULATED_CLIPS if where else 0)
    chosen = clips.load(model.clips, store, args.split, limit, model.spec.frontend.frames)
    scores = clip_scores(model.network, chosen.features)
    value: dict[str, Any] = {}
    if where is not None:
        with progress("clips in the simulator") as bar:
            found = clip_scores(simulated.network(where, model.network), chosen.features, bar)
        value["simulated"] = {
            "board": args.board, "clips": len(chosen), "of": chosen.of,
            "equal_to_pc": int(np.all(found == scores, axis=1).sum()),
        }  # fmt: skip
        scores = found
    value |= {"clips_in_split": chosen.of, **clips.evaluate(chosen, scores, model.spec.classes)}
    if args.gap:
        value["gap"] = clips.gap(chosen, subject.arithmetics(model), model.spec.classes)
    if args.output_dir:
        path = args.output_dir / _ERRORS
        write_atomic(path, clips.errors_csv(chosen, scores, model.spec.classes))
        value["errors"] = str(path)
    return value


def _plan(args: Any) -> trials.Plan:
    made = KeywordStream(args.minutes, args.keywords, args.others, tuple(args.snr))
    return trials.Plan(tuple(range(args.seed, args.seed + args.seeds)), args.hours, made)


def _scored(model: Subject, store: Store, split: str, plan: trials.Plan) -> trials.ScoredTrials:
    spec = model.spec
    with progress(f"{split} streams") as bar:
        made = trials.prepare(store, split, spec.classes, spec.frontend, model.settings, plan, bar)
    with progress(f"{split} inferences") as bar:
        return trials.score(made, model.network, bar)


def _suggest(model: Subject, store: Store, limits: Limits, plan: trials.Plan) -> Suggestion:
    """On streams of the validation split with seeds of their own."""
    plan = dataclasses.replace(plan, seeds=tuple(seed + 500 for seed in plan.seeds))
    scored = _scored(model, store, "validation", plan)
    return suggest(scored.with_keywords, scored.without, detector_settings(model.settings), limits)


def _recording(
    model: Subject, where: Target | None, audio: Path, labelled: Path | None, resample: bool
) -> dict[str, Any]:
    """The figures of one recording."""
    rate, keywords = model.spec.sample_rate_hz, model.spec.keywords
    stream = recordings.load(audio, labelled, rate, resample=resample, keywords=keywords)
    return {"file": str(audio), **_heard(model, where, stream)}


def _simulated_stream(
    model: Subject, where: Target, store: Store, split: str, plan: trials.Plan, seconds: float
) -> dict[str, Any]:
    """The start of the first stream with keywords, through the image's whole audio loop."""
    spec, wanted = model.spec, plan.keyword_stream
    source = trials.material(store, split, spec.classes, spec.sample_rate_hz, wanted)
    made = streams.keyword_stream(source, plan.seeds[0], wanted)
    stream = streams.cut(made, seconds, source.rate)
    detail = _heard(model, where, stream)
    return {
        "split": split,
        "simulated_seconds": len(stream.audio) / source.rate,
        "keywords": {**detail, "streams": [detail]},
    }


def _heard(model: Subject, where: Target | None, stream: Stream) -> dict[str, Any]:
    if where is None:
        made = feature_stream(stream, model.spec.frontend, model.settings)
        [scored] = streaming_scores(model.network, [made])
        return trials.detail(scored, detector_settings(model.settings))
    assert model.tflite is not None  # an image is made of one
    heard = simulated.hear(where, Pipeline(model.tflite, model.accelerator), stream)
    return {
        **trials.judged(heard.scored, heard.detections, model.spec.keywords),
        "equal_to_pc": heard.same_as_pc,
    }


if __name__ == "__main__":
    sys.exit(cli.run(main))
