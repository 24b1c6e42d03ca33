"""Accuracy of a model on a dataset, through the firmware's front end and kernels.

    tokay evaluate keyword_spotting_on_off --dataset DIR --split testing
    tokay evaluate model.tflite --accelerator mvp --dataset DIR --json -
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from codegen.frontend import FrontendSettings
from codegen.parameters import read_parameters
from host import cli, model_files
from host.dataset import find
from host.dataset.folder import SPLITS
from host.errors import TokayError
from host.metrics.classification import summary
from host.training import examples, specification
from host.training.examples import Examples
from host.training.specification import Specification


def main(argv: Sequence[str]) -> int:
    """The command."""
    p = cli.parser("evaluate", "Accuracy of a model on a dataset, in the arithmetic of the device.")
    p.add_argument("model", metavar="MODEL", help="name in host/models, .tflite, archive, or .keras")
    what = p.add_mutually_exclusive_group()
    what.add_argument("--tflite", action="store_true", help="the int8 model (the default)")
    what.add_argument("--float", action="store_true", help="the Keras model it was made from")
    p.add_argument("--accelerator", choices=("none", "mvp"), default="none", help="default none")
    p.add_argument("--dataset", metavar="DIR", help="folder of word folders with the official lists")
    p.add_argument("--split", choices=(*SPLITS, "all"), default="testing", help="default testing")
    args = p.parse_args(argv)
    if args.float or args.model.endswith(".keras"):
        result = _evaluate_float(args.model, args.dataset, args.split)
    else:
        result = _evaluate_tflite(args.model, args.dataset, args.split, args.accelerator)
    if args.json != "-":
        _print(result)
    cli.emit_json(args.json, result)
    return 0


def specification_of(tflite: bytes, name: str) -> Specification:
    """What a model's own parameters say of its front end and classes."""
    params = read_parameters(tflite)
    classes = params.get("classes")
    if not isinstance(classes, list) or not any(key.startswith("fe.") for key in params):
        raise TokayError(
            f"{name} carries no classes or no front-end settings", hint="add them with host.update_params"
        )
    return Specification(
        name="model",
        description=str(params.get("name", name)),
        classes=tuple(str(label) for label in classes),
        frontend=FrontendSettings.from_parameters(params),
    )


def _evaluate_tflite(model: str, dataset: str | None, split: str, accelerator: str) -> dict[str, Any]:
    from host.training.evaluation import int8_outputs

    file = model_files.read(model)
    spec = specification_of(file.tflite, str(file.path))
    recorded = _recorded(dataset, spec, split)
    outputs = int8_outputs(file.tflite, recorded.features, accelerator)
    return {
        "name": file.name,
        "model": str(file.path),
        "arithmetic": "int8" if accelerator == "none" else accelerator,
        "accelerator": accelerator,
        "split": split,
        **summary(recorded.labels, outputs.argmax(axis=1), spec.classes),
    }


def _evaluate_float(model: str, dataset: str | None, split: str) -> dict[str, Any]:
    from host.training import fit
    from host.training.evaluation import evaluate_float

    keras = fit.import_keras(0)
    loaded = specification.load(model.removesuffix(".keras"))
    path = loaded.path.with_suffix(".keras")
    if not path.is_file():
        raise TokayError(f"{path}: no such Keras model", hint=f"run: python -m host.train {loaded.spec.name}")
    recorded = _recorded(dataset, loaded.spec, split)
    return {
        "name": loaded.spec.name,
        "model": str(path),
        "arithmetic": "float",
        "accelerator": "none",
        "split": split,
        **evaluate_float(keras.models.load_model(path), loaded.spec, recorded),
    }


def _recorded(dataset: str | None, spec: Specification, split: str) -> Examples:
    recorded = examples.recorded(spec, find.load(dataset, spec), split)
    if not len(recorded):
        raise TokayError(f"the {split} split has no clip of the model's classes", hint="try another")
    return recorded


def _print(result: dict[str, Any]) -> None:
    names, confusion = list(result["class_accuracy"]), np.array(result["confusion"])
    width = max(10, *(len(name) for name in names))
    print(f"{result['model']}: {result['samples']} clips of {result['split']}, {result['arithmetic']}")
    balanced, overall = 100 * result["balanced_accuracy"], 100 * result["accuracy"]
    print(f"balanced accuracy {balanced:.1f} %, accuracy {overall:.1f} %")
    print(f"{'':{width}} {'recall':>7}  " + " ".join(f"{name:>{width}}" for name in names))
    for name, row in zip(names, confusion, strict=True):
        recall = result["class_accuracy"][name]
        shown = "-" if recall is None else f"{100 * recall:.1f} %"
        print(f"{name:{width}} {shown:>7}  " + " ".join(f"{count:>{width}}" for count in row))


if __name__ == "__main__":
    sys.exit(cli.run(main))
