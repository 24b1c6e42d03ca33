"""Trains a model from its specification, quantizes it and writes the ``.tflite``, a Keras file and a card.

    tokay train keyword_spotting_on_off --dataset DIR
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from host import cli
from host.dataset import find, synthetic
from host.dataset.store import Store
from host.errors import TokayError
from host.progress import progress
from host.training import specification
from host.training.specification import LoadedModel


def main(argv: Sequence[str]) -> int:
    """The command."""
    p = cli.parser("train", "Train a model from its specification and write it as .tflite.")
    p.add_argument("model", metavar="MODEL", help="name in host/models, NAME-test (a dry run) or a .py file")
    p.add_argument("--dataset", metavar="DIR", help="folder of word folders with the official lists")
    p.add_argument("--epochs", type=int, metavar="N", help="instead of the specification's")
    p.add_argument("--seed", type=int, default=1, metavar="S", help="same seed, same model (default 1)")
    p.add_argument("-o", "--output", metavar="OUT", help="the .tflite to write (default: beside MODEL)")
    args = p.parse_args(argv)
    loaded = _with_epochs(specification.load(args.model), args.epochs)
    if args.seed < 0:
        raise TokayError(f"--seed {args.seed} is negative")
    output = Path(args.output) if args.output else loaded.path.parent / f"{loaded.spec.name}.tflite"
    if output.suffix != ".tflite":
        raise TokayError(f"{output}: the output is a .tflite", hint="-o NAME.tflite")
    store = find.load(args.dataset, loaded.spec)
    card = train(loaded, store, args.seed, output)
    cli.emit_json(args.json, card)
    return 0


def train(loaded: LoadedModel, store: Store, seed: int, output: Path) -> dict[str, Any]:
    """Trains, quantizes, evaluates and writes; returns the model card."""
    from host.training import convert, examples, fit
    from host.training.evaluation import evaluate_float, evaluate_int8

    spec, started = loaded.spec, time.monotonic()
    fit.import_keras(seed)  # first: where TensorFlow is missing, say so before the work
    for line in synthetic.missing(spec.augmentation.synthetic_voices):
        print(f"warning: without its voices the model will be another: {line}", file=sys.stderr)
    with progress("examples") as bar:
        training = examples.augmented(spec, store, seed, bar)
    validation = examples.validation(spec, store, seed)

    with progress("epochs") as bar:

        def report(epoch: fit.Epoch, of: int) -> None:
            bar(epoch.number, of)
            accuracy = f"validation {100 * epoch.validation_balanced_accuracy:.1f} %"
            print(f"epoch {epoch.number}/{of}: loss {epoch.loss:.3f}, {accuracy}", file=sys.stderr)

        result = fit.fit(loaded, training, validation, seed, report)
    tflite = convert.to_int8(result.model, spec, training.features, training.labels)
    tflite = convert.with_parameters(tflite, spec)
    minutes = (time.monotonic() - started) / 60
    print(f"trained in {minutes:.1f} minutes, best epoch {result.best.number}", file=sys.stderr)
    accuracy = {}
    for split in ("validation", "testing"):
        recorded = examples.recorded(spec, store, split)
        accuracy[split] = {
            "float": evaluate_float(result.model, spec, recorded),
            "int8": evaluate_int8(tflite, spec.classes, recorded),
        }
        print(f"{split}: {_line(accuracy[split]['int8'])}", file=sys.stderr)
    card = _card(loaded, store, seed, len(training), result.best.number, accuracy)
    cli.write_atomic(output, tflite)
    cli.write_atomic(output.with_suffix(".json"), json.dumps(card, indent=2) + "\n")
    convert.save_keras(result.model, output.with_suffix(".keras"))
    print(f"wrote {output}", file=sys.stderr)
    return card


def _with_epochs(loaded: LoadedModel, epochs: int | None) -> LoadedModel:
    if epochs is None:
        return loaded
    schedule = dataclasses.replace(loaded.spec.schedule, epochs=epochs)
    return dataclasses.replace(loaded, spec=dataclasses.replace(loaded.spec, schedule=schedule))


def _line(summary: dict[str, Any]) -> str:
    classes = ", ".join(
        f"{name} {100 * value:.1f}" for name, value in summary["class_accuracy"].items() if value is not None
    )
    return f"balanced accuracy {100 * summary['balanced_accuracy']:.1f} % ({classes})"


def _card(
    loaded: LoadedModel, store: Store, seed: int, examples: int, epoch: int, accuracy: dict[str, Any]
) -> dict[str, Any]:
    """What a reader of the model should know; nothing in it varies between two equal trainings."""
    spec = loaded.spec
    counts = {split: len(store.select(split)) for split in ("training", "validation", "testing")}
    return {
        "name": spec.name,
        "version": spec.version,
        "description": spec.description,
        "classes": list(spec.classes),
        "data": {
            "clips": counts,
            "contents": store.key,
            "synthetic_voices": synthetic.used(spec.augmentation.synthetic_voices),
            "training_examples": examples,
        },
        "training": {"seed": seed, "epochs": spec.schedule.epochs, "best_epoch": epoch},
        "accuracy": accuracy,
        "frontend": dataclasses.asdict(spec.frontend),
        "detector": dataclasses.asdict(spec.detector),
        "augmentation": dataclasses.asdict(spec.augmentation),
    }


if __name__ == "__main__":
    sys.exit(cli.run(main))
