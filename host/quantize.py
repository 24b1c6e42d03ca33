"""Quantizes a trained Keras model to an int8 .tflite with the specification's parameters inside.

    tokay quantize keyword_spotting_on_off --dataset DIR
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from codegen.application import scores_misfit
from host import cli, model_files, specification
from host.dataset import find
from host.errors import TokayError
from host.files import require_writable, write_atomic


def main(argv: Sequence[str]) -> int:
    """The command."""
    p = cli.parser("quantize", "Quantize a trained Keras model to int8, with its parameters inside.")
    p.add_argument("model", metavar="MODEL", help="name in host/models or a specification's .py file")
    p.add_argument("-w", "--weights", metavar="FILE", help="the trained .keras file (default: beside MODEL)")
    p.add_argument("-b", "--build", action="store_true", help="untrained weights, to see the size")
    p.add_argument("--dataset", metavar="DIR", help="whose training clips set the ranges; not with --build")
    cli.add_seed(p, "of the clips' augmentation")
    p.add_argument("-o", "--output", metavar="OUT", help="the .tflite to write (default: beside MODEL)")
    args = p.parse_args(argv)
    loaded = specification.load(args.model)
    spec = loaded.spec
    output = Path(args.output) if args.output else loaded.trained(".tflite")
    model_files.require_output(output)
    if args.build and not args.output:
        raise TokayError("--build would overwrite the trained model", hint="-o FILE.tflite")
    require_writable(output)
    weights = Path(args.weights) if args.weights else loaded.made(".keras")
    if not args.build and not weights.is_file():
        raise TokayError(f"{weights}: no such Keras model", hint=f"run: python -m host.train {args.model}")

    from host.training import backend, convert, examples, keras_file, network

    if args.build:
        backend.import_keras(args.seed)
        model, sample = network.build(loaded), convert.unlabelled(spec)
    else:
        store = find.load(args.dataset, spec)
        model = keras_file.load_trained(weights, spec, args.seed)
        sample = examples.augmented(spec, store, args.seed)
        examples.examples_by_class(spec, sample.labels)  # ranges are those of all classes
    convert.require_no_loops(model, spec)
    tflite = convert.to_int8(model, spec, sample.features, sample.labels)
    if not args.build:  # untrained weights may be zeros, of which no ranges can be taken
        _require_runs(tflite, weights)
    tflite = convert.with_parameters(tflite, spec)
    write_atomic(output, tflite)
    print(f"wrote {output}: {len(tflite)} bytes", file=sys.stderr)
    cli.emit_json(args.json, {"name": spec.name, "output": str(output), "model_bytes": len(tflite)})
    return 0


def _require_runs(tflite: bytes, weights: Path) -> None:
    """Refuses what the device cannot run, or whose outputs the detector would take for what they are not."""
    from host.runtime import Model

    try:
        misfit = scores_misfit(Model(tflite).plan.graph)
    except TokayError as error:
        what = f"{weights}: quantized, the device cannot run it: {error.message}"
        raise TokayError(what, hint=error.hint) from error
    if misfit:
        raise TokayError(f"{weights}: its outputs are no scores from 0 to 1", hint="end with softmax")


if __name__ == "__main__":
    sys.exit(cli.run(main))
