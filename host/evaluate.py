"""How good a model is: on clips, and on long streams through the firmware's own detector.

tokay evaluate keyword_spotting_on_off --dataset DIR --split testing
tokay evaluate model.tflite --accelerator mvp --dataset DIR --json -
tokay evaluate model.tflite --dataset DIR --stream              # misses, false accepts an hour
tokay evaluate model.tflite --dataset DIR --suggest --write     # a better operating point
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from host import cli
from host.dataset import find
from host.dataset.folder import SPLITS
from host.dataset.store import Store
from host.errors import TokayError
from host.metrics import operating_point, tables, trials
from host.metrics.classification import summary
from host.metrics.streams import KeywordStream
from host.metrics.subject import Subject, in_float, quantized, specification_of
from host.metrics.sweep import Limits, Suggestion, detector_settings
from host.metrics.sweep import suggest as sweep_suggest
from host.progress import progress
from host.training import examples

__all__ = ["main", "specification_of"]


def main(argv: Sequence[str]) -> int:
    """The command."""
    args = _parser().parse_args(argv)
    _check(args)
    subject = _subject(args)
    store = find.load(args.dataset, subject.spec)
    result = _clips(subject, store, args)
    suggestion = None
    if args.stream or args.suggest:
        scored = _scored(subject, store, args.split, _plan(args))
        result["streaming"] = trials.report(scored, detector_settings(subject.settings))
    if args.suggest:
        limits = Limits(background=args.false_accepts)
        suggestion = _suggest(subject, store, limits, args)
        result["suggested"] = operating_point.as_json(suggestion, "validation", limits, scored)
    if args.json != "-":
        print(tables.text(result))
    cli.emit_json(args.json, result)
    if args.write and suggestion is not None:
        operating_point.write(subject, suggestion)
        print(f"wrote {subject.path}", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    p = cli.parser("evaluate", "How good a model is, on clips and on streams, in the device's arithmetic.")
    p.add_argument("model", metavar="MODEL", help="name in host/models, .tflite, archive, or .keras")
    what = p.add_mutually_exclusive_group()
    what.add_argument("--tflite", action="store_true", help="the int8 model (the default)")
    what.add_argument("--float", action="store_true", help="the Keras model it was made from")
    p.add_argument("-a", "--accelerator", choices=("none", "mvp"), default="none", help="default none")
    p.add_argument("--dataset", metavar="DIR", help="folder of word folders with the official lists")
    p.add_argument("--split", choices=(*SPLITS, "all"), default="testing", help="default testing")
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
    g = p.add_argument_group("operating point")
    g.add_argument("--suggest", action="store_true",
                   help="the detector's settings with the fewest misses on the validation split")  # fmt: skip
    g.add_argument("--false-accepts", type=float, default=0.5, metavar="N",
                   help="an hour without keywords, at most (default 0.5)")  # fmt: skip
    g.add_argument("--write", action="store_true", help="with --suggest: into the model's parameters")
    return p


def _check(args: Any) -> None:
    if args.write and not args.suggest:
        raise TokayError("--write writes what --suggest finds", hint="--suggest --write")
    for name in ("seeds", "keywords"):
        if getattr(args, name) < 1:
            raise TokayError(f"--{name} takes a number from 1")
    for name in ("others", "seed"):
        if getattr(args, name) < 0:
            raise TokayError(f"--{name} takes a number from 0")
    if not (0 < args.minutes <= 600 and 0 <= args.hours <= 100):
        raise TokayError("--minutes goes to 600 and --hours to 100")
    if not -20 <= args.snr[0] <= args.snr[1] <= 60:
        raise TokayError("--snr takes two levels from -20 to 60 dB, the lower one first")
    if args.false_accepts < 0:
        raise TokayError("--false-accepts takes a number from 0")


def _subject(args: Any) -> Subject:
    if args.float or args.model.endswith(".keras"):
        if args.write:
            raise TokayError("--write needs a .tflite: a Keras model carries no parameters")
        return in_float(args.model)
    return quantized(args.model, args.accelerator)


def _clips(subject: Subject, store: Store, args: Any) -> dict[str, Any]:
    recorded = examples.recorded(subject.spec, store, args.split)
    if not len(recorded):
        raise TokayError(f"the {args.split} split has no clip of the model's classes", hint="try another")
    outputs = subject.network(recorded.features)
    return {
        "name": subject.name,
        "model": str(subject.path),
        "arithmetic": subject.arithmetic,
        "accelerator": subject.accelerator,
        "split": args.split,
        **summary(recorded.labels, np.asarray(outputs).argmax(axis=1), subject.spec.classes),
    }


def _plan(args: Any) -> trials.Plan:
    streams = KeywordStream(args.minutes, args.keywords, args.others, tuple(args.snr))
    return trials.Plan(tuple(range(args.seed, args.seed + args.seeds)), args.hours, streams)


def _scored(subject: Subject, store: Store, split: str, plan: trials.Plan) -> trials.ScoredTrials:
    spec = subject.spec
    with progress(f"{split} streams") as bar:
        made = trials.prepare(store, split, spec.classes, spec.frontend, subject.settings, plan, bar)
    with progress(f"{split} inferences") as bar:
        return trials.score(made, subject.network, bar)


def _suggest(subject: Subject, store: Store, limits: Limits, args: Any) -> Suggestion:
    """On streams of the validation split with seeds of their own."""
    plan = _plan(args)
    plan = dataclasses.replace(plan, seeds=tuple(seed + 500 for seed in plan.seeds))
    scored = _scored(subject, store, "validation", plan)
    settings = detector_settings(subject.settings)
    return sweep_suggest(scored.with_keywords, scored.without, settings, limits)


if __name__ == "__main__":
    sys.exit(cli.run(main))
