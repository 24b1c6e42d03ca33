"""Changes the parameters inside a .tflite, in place or into another file.

    tokay update_params keyword_spotting_on_off detection_threshold=180 suppression_ms=900
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from codegen.application import ApplicationSettings, settings_of
from codegen.frontend import FrontendSettings, has_frontend
from codegen.graph import Graph
from codegen.network import read_network
from codegen.parameters import Parameters, read_parameters, write_parameters
from host import cli, model_files
from host.detector import never_detects
from host.errors import TokayError
from host.files import write_atomic
from host.specification import Detector

_FFT_LENGTH = "fe.fft_length"
_LISTS = {"str_list": str, "int32_list": int, "float_list": float}
_BY_CLASS = "detection_threshold_list"  # where a model has it, detection_threshold is not looked at


def main(argv: Sequence[str]) -> int:
    """The command."""
    p = cli.parser("update_params", "Change the parameters inside a .tflite.")
    p.add_argument("model", metavar="MODEL", help="name in host/models or a .tflite")
    p.add_argument("assignments", metavar="KEY=VALUE", nargs="*", help="lists are a,b,c or JSON")
    p.add_argument(
        "-p", "--params", metavar="FILE", help="a dictionary in JSON, or YAML where PyYAML is installed"
    )
    p.add_argument("--remove", metavar="KEY", action="append", default=[], help="take a parameter out")
    p.add_argument("-d", "--description", metavar="TEXT", help="the model's own description")
    p.add_argument("-o", "--output", metavar="FILE", help="write here instead of changing MODEL")
    args = p.parse_intermixed_args(argv)  # KEY=VALUE may come after options
    model = model_files.read(args.model)
    params = read_parameters(model.tflite)
    given = _from_file(Path(args.params)) if args.params else {}
    given |= _assignments(args.assignments, params)
    if not (given or args.remove or args.description is not None or args.output):
        _show(params, args.json)
        return 0
    output = Path(args.output or model.path)
    if output.suffix == ".zip":
        raise TokayError(f"{output} is an archive", hint="--output FILE.tflite says where to write")
    changed = params.updated(given, args.remove)
    followed = _follow_frontend(changed, given)
    _require_usable(model.tflite, params, changed)
    tflite = write_parameters(model.tflite, changed, description=args.description)
    write_atomic(output, tflite)
    cli.emit_json(args.json, _jsonable(changed))
    for key in (*given, *followed):
        print(f"{key}={changed[key]!r} ({changed.types[key]})", file=sys.stderr)
    for line in _misspelt(given, params):
        print(f"warning: {line}", file=sys.stderr)
    if "detection_threshold" in given and _BY_CLASS not in given and changed.get(_BY_CLASS):
        print(
            f"warning: {_BY_CLASS}={changed[_BY_CLASS]!r} stays and decides (--remove {_BY_CLASS})",
            file=sys.stderr,
        )
    return 0


def _misspelt(given: Mapping[str, Any], before: Parameters) -> list[str]:
    """A line for each new parameter whose name is nearly that of one which is read. A model may carry any
    others, for code of its user's own; those of the front end are refused where they are not known."""
    known = {"classes", "sensitivity", *(field.name for field in dataclasses.fields(Detector)), *before}
    new = [key for key in given if key not in known and not key.startswith("fe.")]
    close = {key: difflib.get_close_matches(key, known, n=1, cutoff=0.8) for key in new}
    return [
        f"{key} is a new parameter, which nothing here reads: did you mean {names[0]}? (--remove {key})"
        for key, names in close.items() if names
    ]  # fmt: skip


def _follow_frontend(changed: Parameters, given: Mapping[str, Any]) -> list[str]:
    """Sets what is recorded beside the front end's settings and follows from them, where they were changed;
    the names of what had another value. Refuses a value of it that contradicts them."""
    recorded = changed.get(_FFT_LENGTH)
    if recorded is None or not any(key.startswith("fe.") for key in given):
        return []
    try:
        length = FrontendSettings.from_parameters(changed).fft_length
    except TokayError:
        return []  # told in _require_usable, where it was not so before
    if recorded == length:
        return []
    if _FFT_LENGTH in given:
        raise TokayError(
            f"{_FFT_LENGTH} is {length}: it follows from fe.sample_rate_hz and fe.window_size_ms",
            hint="change those",
        )
    changed.put(_FFT_LENGTH, length)
    return [_FFT_LENGTH]


def _require_usable(tflite: bytes, before: Parameters, after: Parameters) -> None:
    """Refuses a change that makes a model that the other commands take one that they do not."""
    try:
        graph = read_network(tflite)
    except TokayError:
        return  # they do not take it anyway
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        return
    if (reason := _unusable(graph, after)) and not _unusable(graph, before):
        raise TokayError(f"nothing was changed: {reason.message}", hint=reason.hint)


def _unusable(graph: Graph, params: Parameters) -> TokayError | None:
    """Why a device could not listen with these parameters."""
    try:
        if has_frontend(params):
            frontend, detector = settings_of(graph, params)
            reason = never_detects(detector, frontend)
            return TokayError(reason, hint="set what belongs together in one command") if reason else None
        else:
            ApplicationSettings.from_parameters(params, graph.tensors[graph.outputs[0]].elements)
    except TokayError as error:
        return error
    return None


def parse_value(text: str, type_name: str | None) -> Any:
    """The value a user typed, as the type the parameter has; JSON where it has none, else text."""
    if type_name in _LISTS and not text.lstrip().startswith("["):
        items = [item.strip() for item in text.split(",") if item.strip()]
        return [_LISTS[type_name](item) for item in items]
    if type_name == "str":
        return text
    if type_name == "bin":
        return bytes.fromhex(text)
    if type_name == "bool":
        return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[text.lower()]
    if type_name is None:
        try:
            value = json.loads({"True": "true", "False": "false"}.get(text, text))
        except json.JSONDecodeError:
            return text
        return value if isinstance(value, bool | int | float | str | list) else text
    value = json.loads(text)
    return float(value) if type_name in ("f32", "f64") and isinstance(value, int) else value


def _assignments(assignments: Sequence[str], params: Parameters) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for text in assignments:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise TokayError(f"{text!r} is not KEY=VALUE")
        try:
            values[key] = parse_value(value, params.type_of(key))
        except (ValueError, KeyError, OverflowError) as error:
            raise TokayError(f"{key}={value}: not a value of its type {params.type_of(key)}") from error
    return values


def _from_file(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TokayError(f"cannot read {path}: {error}") from error
    if path.suffix in (".yaml", ".yml"):
        try:
            import yaml
        except ImportError as error:
            raise TokayError(f"{path}: reading YAML needs PyYAML", hint="or use JSON") from error
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise TokayError(f"{path}: not YAML: {error}") from error
    else:
        try:
            value = json.loads(text)
        except json.JSONDecodeError as error:
            raise TokayError(f"{path}:{error.lineno}: not JSON: {error.msg}") from error
        except (ValueError, RecursionError) as error:  # a number too long, or lists nested too deep
            raise TokayError(f"{path}: not JSON that can be read: {error}") from error
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise TokayError(f"{path}: not a dictionary of parameters")
    return value


def _jsonable(params: Parameters) -> dict[str, Any]:
    return {key: value.hex() if isinstance(value, bytes) else value for key, value in params.items()}


def _show(params: Parameters, target: str | None) -> None:
    if target is not None:
        cli.emit_json(target, _jsonable(params))
        return
    for key, value in _jsonable(params).items():
        print(f"{key}={value} ({params.types[key]})")


if __name__ == "__main__":
    sys.exit(cli.run(main))
