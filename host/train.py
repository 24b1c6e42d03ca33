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

import numpy as np

from host import cli, model_files, specification
from host.dataset import find, synthetic
from host.dataset.store import Store
from host.files import require_writable, write_all
from host.specification import LoadedModel, Specification
from host.training import work
from host.training.work import Work


def main(argv: Sequence[str]) -> int:
    """The command."""
    p = cli.parser("train", "Train a model from its specification and write it as .tflite.")
    p.add_argument("model", metavar="MODEL", help="name in host/models, NAME-test (a dry run) or a .py file")
    p.add_argument("--dataset", metavar="DIR", help="folder of word folders with the official lists")
    p.add_argument("-e", "--epochs", type=int, metavar="N", help="instead of the specification's")
    cli.add_seed(p, "same seed, same model")
    p.add_argument("-o", "--output", metavar="OUT", help="the .tflite to write (default: beside MODEL)")
    p.add_argument(
        "--work", metavar="DIR",
        help="where a killed training goes on from, and where its history stays (default: the cache)",
    )  # fmt: skip
    p.add_argument("--fresh", action="store_true", help="start anew, whatever a killed training left")
    p.add_argument("--tensorboard", metavar="DIR", help="write logs for TensorBoard below DIR")
    args = p.parse_args(argv)
    loaded = _with_epochs(specification.load(args.model), args.epochs)
    output = Path(args.output) if args.output else loaded.trained(".tflite")
    model_files.require_output(output)
    for path in _files(output):
        require_writable(path)
    store = find.load(args.dataset, loaded.spec)
    folder = work.folder_of(loaded, store.key, args.seed, args.work)
    with work.Work(folder, args.fresh) as state:
        card = train(loaded, store, args.seed, output, state, args.tensorboard)
        state.finish(keep_history=args.work is not None)
    cli.emit_json(args.json, card)
    return 0


def train(
    loaded: LoadedModel, store: Store, seed: int, output: Path, state: Work, tensorboard: str | None = None
) -> dict[str, Any]:
    """Trains, quantizes, evaluates and writes; returns the model card."""
    from host.training import backend, card, choose, convert, examples, fit, keras_file
    from host.training.journal import Journal
    from host.training.validation import Validator

    spec, started = loaded.spec, time.monotonic()
    backend.import_keras(seed)  # first: where TensorFlow is missing, say so before the work
    if not examples.of_a_class(spec, store, "testing"):  # the other splits are asked for where they are used
        raise examples.without_clips("testing")
    _require_network(loaded)
    for line in synthetic.missing(spec.augmentation.synthetic_voices):
        print(f"warning: without these voices the model will be a different one: {line}", file=sys.stderr)
    source = examples.Source(spec, store, seed)
    validator = Validator(spec, store, examples.validation(spec, store, seed))
    journal = Journal(tensorboard)
    trained = fit.fit(loaded, source, validator, seed, state, journal.note, journal.resumed)
    chosen = choose.choose(trained, spec, loaded.path, source.epoch(0), validator)
    tflite = convert.with_parameters(chosen.tflite, spec)
    minutes = (time.monotonic() - started) / 60
    which = f"epoch {chosen.epoch.number} of stage {chosen.stage!r}"
    print(f"trained (this run: {minutes:.1f} minutes), best: {which}", file=sys.stderr)
    accuracy = _accuracy(spec, store, chosen.model, tflite)
    about = card.card(spec, store, seed, len(source), trained, chosen, tflite, accuracy)
    files = keras_file.keras_bytes(chosen.model), json.dumps(about, indent=2) + "\n", tflite
    write_all(dict(zip(_files(output), files, strict=True)))
    print(f"wrote {output}", file=sys.stderr)
    return about


def _require_network(loaded: LoadedModel) -> None:
    """Refuses a network that the device cannot run, or that lacks what a later stage asks for, before it has
    learnt: one with random weights (those it starts from may be zeros, of which no ranges can be taken)."""
    from host.runtime import Model
    from host.training import choose, convert, fit, network, quantization_aware

    spec, path = loaded.spec, loaded.path
    model, sample = network.build(loaded), convert.unlabelled(spec)
    convert.require_no_loops(model, spec)
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(0, 0.1, weight.shape))
    Model(convert.to_int8(model, spec, sample.features, sample.labels), "mvp")
    if spec.quantization_aware.epochs:
        quantization_aware.rounded(model, spec, sample, path)
    if spec.class_bias:
        choose.add_bias(model, [0.0] * len(spec.classes), path)
    network.take_apart(model, int(fit.learns_words(spec)), path)


def _files(output: Path) -> tuple[Path, Path, Path]:
    """What a training writes: the Keras model, the card, the model."""
    return output.with_suffix(".keras"), output.with_suffix(".json"), output


def _accuracy(spec: Specification, store: Store, model: Any, tflite: bytes) -> dict[str, Any]:
    """By split, and by arithmetic."""
    from host.training import examples
    from host.training.accuracy import evaluate_float, evaluate_int8

    found: dict[str, Any] = {}
    for split in ("validation", "testing"):
        recorded = examples.recorded(spec, store, split)
        found[split] = {
            "float": evaluate_float(model, spec, recorded),
            "int8": evaluate_int8(tflite, spec.classes, recorded),
            "mvp": evaluate_int8(tflite, spec.classes, recorded, "mvp"),
        }
        print(f"{split}: {_line(found[split]['mvp'])}", file=sys.stderr)
    return found


def _with_epochs(loaded: LoadedModel, epochs: int | None) -> LoadedModel:
    if epochs is None:
        return loaded
    schedule = loaded.spec.schedule.of(epochs)
    return dataclasses.replace(loaded, spec=dataclasses.replace(loaded.spec, schedule=schedule))


def _line(summary: dict[str, Any]) -> str:
    classes = ", ".join(
        f"{name} {100 * value:.1f}" for name, value in summary["class_accuracy"].items() if value is not None
    )
    return f"balanced accuracy {100 * summary['balanced_accuracy']:.1f} % ({classes})"


if __name__ == "__main__":
    sys.exit(cli.run(main))
