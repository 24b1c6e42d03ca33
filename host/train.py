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
from typing import TYPE_CHECKING, Any

from host import cli
from host.dataset import find, synthetic
from host.dataset.store import Store
from host.errors import TokayError
from host.training import specification, work
from host.training.specification import LoadedModel
from host.training.work import Work

if TYPE_CHECKING:
    from host.training.choose import Chosen
    from host.training.loop import Epoch, Stage


def main(argv: Sequence[str]) -> int:
    """The command."""
    p = cli.parser("train", "Train a model from its specification and write it as .tflite.")
    p.add_argument("model", metavar="MODEL", help="name in host/models, NAME-test (a dry run) or a .py file")
    p.add_argument("--dataset", metavar="DIR", help="folder of word folders with the official lists")
    p.add_argument("--epochs", type=int, metavar="N", help="instead of the specification's")
    p.add_argument("--seed", type=int, default=1, metavar="S", help="same seed, same model (default 1)")
    p.add_argument("-o", "--output", metavar="OUT", help="the .tflite to write (default: beside MODEL)")
    p.add_argument("--work", metavar="DIR", help="where a killed training goes on from (default: the cache)")
    p.add_argument("--fresh", action="store_true", help="start anew, whatever a killed training left")
    args = p.parse_args(argv)
    loaded = _with_epochs(specification.load(args.model), args.epochs)
    if args.seed < 0:
        raise TokayError(f"--seed {args.seed} is negative")
    output = Path(args.output) if args.output else loaded.path.parent / f"{loaded.spec.name}.tflite"
    if output.suffix != ".tflite":
        raise TokayError(f"{output}: the output is a .tflite", hint="-o NAME.tflite")
    store = find.load(args.dataset, loaded.spec)
    folder = work.folder_of(loaded, store.key, args.seed, args.work)
    with work.Work(folder, args.fresh) as state:
        card = train(loaded, store, args.seed, output, state)
        state.remove()
    cli.emit_json(args.json, card)
    return 0


def train(loaded: LoadedModel, store: Store, seed: int, output: Path, state: Work) -> dict[str, Any]:
    """Trains, quantizes, evaluates and writes; returns the model card."""
    from host.training import choose, convert, examples, fit
    from host.training.evaluation import evaluate_float, evaluate_int8
    from host.training.validation import Validator

    spec, started = loaded.spec, time.monotonic()
    fit.import_keras(seed)  # first: where TensorFlow is missing, say so before the work
    if spec.augmentation.synthetic_voices and not synthetic.available():
        print("espeak-ng is not installed: training without synthetic voices", file=sys.stderr)
    source = examples.Source(spec, store, seed)
    validator = Validator(spec, store, examples.validation(spec, store, seed))
    trained = fit.fit(loaded, source, validator, seed, state, _report, _resumed)
    sample = source.epoch(0)
    chosen = choose.choose(trained, spec, loaded.path, sample, validator)
    tflite = convert.with_parameters(chosen.tflite, spec)
    minutes = (time.monotonic() - started) / 60
    print(f"trained in {minutes:.1f} minutes, best epoch {chosen.epoch.number}", file=sys.stderr)
    accuracy = {}
    for split in ("validation", "testing"):
        recorded = examples.recorded(spec, store, split)
        accuracy[split] = {
            "float": evaluate_float(chosen.model, spec, recorded),
            "int8": evaluate_int8(tflite, spec.classes, recorded),
            "mvp": evaluate_int8(tflite, spec.classes, recorded, "mvp"),
        }
        print(f"{split}: {_line(accuracy[split]['mvp'])}", file=sys.stderr)
    card = _card(loaded, store, seed, len(source), chosen, accuracy)
    card_text = json.dumps(card, indent=2) + "\n"
    keras_file = convert.keras_bytes(chosen.model)
    names = output.with_suffix(".keras"), output.with_suffix(".json"), output
    cli.write_all(dict(zip(names, (keras_file, card_text, tflite), strict=True)))
    print(f"wrote {output}", file=sys.stderr)
    return card


def _report(stage: Stage, epoch: Epoch) -> None:
    validation = epoch.validation
    line = f"{stage.name}: epoch {epoch.number}/{stage.schedule.epochs}: loss {epoch.loss:.3f}, "
    line += f"validation {100 * validation.balanced_accuracy:.1f} %"
    if validation.false_accepts_per_hour is not None and validation.miss_rate is not None:
        line += f", {validation.false_accepts_per_hour:.1f} false accepts an hour, "
        line += f"{100 * validation.miss_rate:.0f} % missed"
    print(line, file=sys.stderr)


def _resumed(stage: Stage, epoch: Epoch) -> None:
    print(f"{stage.name}: resuming at epoch {epoch.number + 1}", file=sys.stderr)


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
    loaded: LoadedModel, store: Store, seed: int, examples: int, chosen: Chosen, accuracy: dict[str, Any]
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
        "training": {
            "seed": seed,
            "best_epoch": chosen.epoch.number,
            "class_bias": list(chosen.bias),
            **dataclasses.asdict(spec.recipe),
        },
        "accuracy": accuracy,
        "frontend": dataclasses.asdict(spec.frontend),
        "detector": dataclasses.asdict(spec.detector),
        "augmentation": dataclasses.asdict(spec.augmentation),
    }


if __name__ == "__main__":
    sys.exit(cli.run(main))
