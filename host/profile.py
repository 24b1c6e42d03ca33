"""Profiles a model on its image: cycles, time and memory by layer.

``python -m host.profile MODEL [--accelerator none|mvp] [--simulate | --device [--port P]] [--json FILE]``
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from codegen.parameters import read_parameters
from codegen.pipeline import compile_model
from host import cli, model_files, target
from host.device import messages as m
from host.device.device import Device
from host.errors import TokayError
from host.summary import summary
from host.tables import text_table

_ESTIMATE = "CPU cycles come from the simulator's instruction-cost model: an estimate, not silicon"


def main(argv: Sequence[str]) -> int:
    """The command."""
    p = cli.parser("profile", __doc__.splitlines()[0])
    p.add_argument("model", metavar="MODEL", help="a model's name or the path of a .tflite")
    target.add_options(p)
    p.add_argument(
        "-n", "--repetitions", type=int, default=3, help="runs of each layer (default: %(default)s)"
    )
    args = p.parse_args(argv)
    if not 1 <= args.repetitions <= 1000:
        p.error("--repetitions takes 1 to 1000")
    value = profile(args)
    if args.json != "-":
        print(table(value))
    cli.emit_json(args.json, value)
    return 0


def profile(args: Any) -> dict[str, Any]:
    """Runs the profile and returns the result as ``--json`` gives it."""
    file = model_files.read(args.model)
    plan = compile_model(file.tflite, name=file.name, accelerator=args.accelerator)
    static = summary(plan, read_parameters(file.tflite), len(file.tflite))
    if args.target == "device":
        where = target.attach(args.port, args.baud, plan.sha256)
    else:
        elf = target.build_image(args.model, args.board, args.accelerator, verbose=args.verbose)
        where = target.simulate(elf, args.board)
    with where:
        begin, layers, end = measure(where.device, args.repetitions)
    if len(layers) != len(static["layers"]) or [r.index for r in layers] != list(range(len(layers))):
        raise TokayError(
            f"{where.device.transport.name} reported {len(layers)} of {len(static['layers'])} layers",
            hint="try again; if it stays so, build and flash the image anew",
        )
    return result(static, where.kind, begin, layers, end)


def measure(device: Device, repetitions: int) -> tuple[m.ProfileBegin, list[m.ProfileLayer], m.ProfileEnd]:
    """Asks a device for the profile of all layers."""
    begin, layers, end = None, [], None
    for answer in device.converse(m.ProfileRun(repetitions=repetitions), m.ProfileEnd, timeout_s=20.0):
        if isinstance(answer, m.ProfileBegin):
            begin = answer
        elif isinstance(answer, m.ProfileLayer):
            layers.append(answer)
        elif isinstance(answer, m.ProfileEnd):
            end = answer
    assert begin is not None and end is not None  # converse ends with the last answer or raises
    if end.code != m.Result.OK:
        raise TokayError(f"{device.transport.name} could not profile: {end.text or end.code}")
    return begin, layers, end


def result(
    static: dict[str, Any], kind: str, begin: m.ProfileBegin, records: list[m.ProfileLayer], end: m.ProfileEnd
) -> dict[str, Any]:
    """Joins what is known of the model with what was measured.

    ``cpu_cycles`` are those in which the core works; waiting for the accelerator counts as its own
    cycles, and a layer takes the time of both.
    """
    clock = begin.core_clock_hz
    layers = []
    for known, r in zip(static["layers"], records, strict=True):
        layers.append(
            {
                "index": known["index"],
                "opcode": known["opcode"],
                "ops": known["ops"],
                "macs": known["macs"],
                "accelerator_cycles": r.accelerator_cycles,
                "cpu_cycles": r.cpu_cycles - r.wait_cycles,
                "time_s": r.cpu_cycles / clock,
                "input_shape": known["input_shape"],
                "output_shape": known["output_shape"],
                "options": known["options"],
                "kernel": known["kernel"],
                "programs": r.programs,
                "stall_cycles": r.stall_cycles,
            }
        )
    time_s = sum(layer["time_s"] for layer in layers)
    cpu = sum(layer["cpu_cycles"] for layer in layers)
    return {
        "name": static["name"],
        "accelerator": static["accelerator"],
        "target": kind,
        "estimate": kind != "device",
        "input_shape": static["input"]["shape"],
        "input_dtype": static["input"]["dtype"],
        "output_shape": static["output"]["shape"],
        "output_dtype": static["output"]["dtype"],
        "model_bytes": static["model_bytes"],
        "flash_bytes": static["flash_bytes"],
        "ram_bytes": static["arena_bytes"],
        "ops": static["ops"],
        "macs": static["macs"],
        "accelerator_cycles": sum(layer["accelerator_cycles"] for layer in layers),
        "cpu_cycles": cpu,
        "clock_hz": clock,
        "time_s": time_s,
        "inferences_per_s": 1 / time_s,
        "cpu_utilization": cpu / (time_s * clock),
        "macs_per_cycle": static["macs"] / (time_s * clock),
        "unsupported_layers": [],
        "layers": layers,
        "network_cycles": end.network_cycles,
        "frontend": {
            "cpu_cycles_per_step": end.frontend_cycles,
            "cpu_cycles_per_step_max": end.frontend_cycles_max,
            "step_ms": end.frontend_step_ms,
        },
        "detector": {"cpu_cycles": end.detector_cycles},
    }


def table(value: dict[str, Any]) -> str:
    """The result for people, in the vendor's columns."""
    step = value["frontend"]
    head = [
        ("Name", value["name"]),
        ("Accelerator", value["accelerator"]),
        ("Target", value["target"]),
        ("Input", f"{value['input_dtype']} {'x'.join(map(str, value['input_shape']))}"),
        ("Output", f"{value['output_dtype']} {'x'.join(map(str, value['output_shape']))}"),
        (
            "Model file",
            f"{value['model_bytes']:,} bytes (weights and tables in flash {value['flash_bytes']:,})",
        ),
        ("RAM", f"{value['ram_bytes']:,} bytes"),
        ("Operations", f"{value['ops']:,}"),
        ("MACs", f"{value['macs']:,} ({value['macs_per_cycle']:.3f} per cycle)"),
        ("Accelerator cycles", f"{value['accelerator_cycles']:,}"),
        ("CPU cycles", f"{value['cpu_cycles']:,} ({value['cpu_utilization']:.1%} of the time)"),
        ("Clock", f"{value['clock_hz'] / 1e6:g} MHz"),
        ("Time", f"{value['time_s'] * 1e3:.3f} ms, {value['inferences_per_s']:.1f} inferences/s"),
        (
            "Front end",
            f"{step['cpu_cycles_per_step']:,} CPU cycles a step of {step['step_ms']} ms",
        ),
    ]
    rows = [
        (
            layer["index"], layer["opcode"], layer["ops"], layer["macs"], layer["accelerator_cycles"],
            layer["cpu_cycles"], f"{layer['time_s'] * 1e3:.3f}", layer["input_shape"], layer["output_shape"],
            layer["kernel"], layer["options"],
        )
        for layer in value["layers"]
    ]  # fmt: skip
    columns = (
        "#", "opcode", "ops", "MACs", "acc cycles", "CPU cycles", "time ms", "input", "output", "kernel",
        "options",
    )  # fmt: skip
    lines = [f"{name:19} {text}" for name, text in head] + ["", text_table(columns, rows)]
    return "\n".join([*lines, "", f"({_ESTIMATE}.)"] if value["estimate"] else lines)


if __name__ == "__main__":
    sys.exit(cli.run(main))
