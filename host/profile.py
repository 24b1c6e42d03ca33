"""Profiles a model on its image: cycles, time and memory by layer.

``python -m host.profile MODEL [--accelerator none|mvp] [--simulate | --renode | --device [--port P]]
[--json FILE]``
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from codegen.frontend import FrontendSettings
from host import board as boards
from host import cli, image, target
from host.device import commands
from host.device import messages as m
from host.errors import TokayError
from host.simulator.mvp import SILICON
from host.tables import text_table
from host.verdict import Conditions, judge

_MOST_CYCLES_A_MAC, _CLOCK_HZ = 50, 78e6  # far from what any kernel takes
_ESTIMATES = {
    "simulator": "CPU cycles come from the simulator's instruction-cost model: an estimate, not silicon",
    "renode": "Renode counts a cycle for every instruction: CPU cycles and times are neither the simulator's "
    "nor silicon's",
}


def main(argv: Sequence[str]) -> int:
    """The command."""
    p = cli.parser("profile", __doc__.splitlines()[0])
    p.add_argument("model", metavar="MODEL", help="a model's name or the path of a .tflite")
    target.add_options(p)
    p.add_argument(
        "-n", "--repetitions", type=int, default=3, help="runs of each layer (default: %(default)s)"
    )
    p.add_argument(
        "--timing", choices=SILICON, default=SILICON[0],
        help="in the simulator and in Renode, how memory costs the accelerator time (default: %(default)s)",
    )  # fmt: skip
    cli.add_mvp_weights(p)
    args = p.parse_args(argv)
    chosen = target.options(p, args)
    if not 1 <= args.repetitions <= 1000:
        p.error("--repetitions takes 1 to 1000")
    value = profile(
        args.model, chosen, mvp_weights=args.mvp_weights, repetitions=args.repetitions, timing=args.timing,
        verbose=args.verbose,
    )  # fmt: skip
    if args.json != "-":
        print(table(value))
    cli.emit_json(args.json, value)
    return 0


def profile(
    model: str, chosen: target.Options, *, mvp_weights: str = "ram", repetitions: int = 3,
    timing: str = SILICON[0], verbose: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Profiles a model's image on the chosen target, running each layer ``repetitions`` times; returns the
    result as ``--json`` gives it."""
    if chosen.boots:
        static, elf = _built(model, chosen, mvp_weights, verbose)
    else:
        static, elf = _static(model, chosen.accelerator, mvp_weights), None
    with target.connect(chosen, static["sha256"], elf, timing) as where:
        target.require_accelerator(where.device, chosen.accelerator)
        run_s = max(1.0, static["macs"] * _MOST_CYCLES_A_MAC / _CLOCK_HZ)
        board = boards.load(chosen.board)
        measured, asked = measure(where, board, chosen.accelerator, repetitions, run_s)
    if len(measured.layers) != len(static["layers"]):
        raise TokayError(
            f"{where.device.transport.name} has {len(measured.layers)} layers, the model "
            f"{len(static['layers'])}",
            hint="build and flash the image anew",
        )
    verdict = judge(_numbered(measured, static["layers"]), asked)
    value = result(static, where.kind, measured)
    if chosen.accelerator == "mvp" and where.kind in _ESTIMATES:
        value["timing"] = timing
    return {**value, "verdict": verdict.verdict, "reasons": list(verdict.reasons)}


def _built(
    model: str, chosen: target.Options, mvp_weights: str, verbose: bool
) -> tuple[dict[str, Any], Path]:
    """The image to run, and what it knows of the model: so nothing is compiled twice or in vain."""
    built = image.build(
        model, boards.load(chosen.board), accelerator=chosen.accelerator, mvp_weights=mvp_weights,
        listens=False, verbose=verbose,
    )  # fmt: skip
    assert built.summary is not None
    if (reason := built.summary["unused_frontend"]) is not None:
        print(f"warning: the network is profiled without its front end: {reason}", file=sys.stderr)
    return built.summary, built.elf


def _static(model: str, accelerator: str, mvp_weights: str) -> dict[str, Any]:
    """What is known of the model without running it."""
    from codegen.parameters import read_parameters  # here: an image that is known needs none of it
    from host.compiled import compiled
    from host.summary import summary

    file, plan = compiled(model, accelerator, mvp_weights)
    return summary(plan, read_parameters(file.tflite), len(file.tflite))


def measure(
    where: target.Target, board: boards.Board, accelerator: str, repetitions: int, run_s: float = 1.0
) -> tuple[commands.Profile, Conditions]:
    """Asks a device for the profile of all layers, each run ``repetitions`` times; what it gave, and how that
    went. ``run_s`` is what the network takes at most, run as a whole."""
    device = where.device
    before, counted = commands.statistics(device), replace(device.counters)
    # Renode may be many times slower than the chip, in real time.
    patience_s = 20.0 if where.kind == "renode" else 5.0
    measured = commands.profile(device, repetitions=repetitions, run_s=run_s, timeout_s=patience_s)
    after = commands.statistics(device)
    now = device.counters
    return measured, Conditions(
        repetitions=repetitions,
        core_clock_hz=int(board.sections["clocks"]["core_hz"]),
        accelerator=accelerator,
        on_board=where.kind == "device",
        frames_lost=now.lost - counted.lost + after.frames_lost - before.frames_lost,
        frames_damaged=now.corrupt - counted.corrupt + after.frames_corrupt - before.frames_corrupt,
        dropped=after.frames_dropped - before.frames_dropped,
        overruns=before.overruns,
    )


def _numbered(measured: commands.Profile, known: Sequence[dict[str, Any]]) -> commands.Profile:
    """With the layers' numbers of the tables, operators of the .tflite; a device counts what it runs."""
    pairs = zip(measured.layers, known, strict=True)
    return replace(measured, layers=tuple(replace(r, index=layer["index"]) for r, layer in pairs))


def result(static: dict[str, Any], kind: str, measured: commands.Profile) -> dict[str, Any]:
    """Joins what is known of the model with what was measured.

    ``cpu_cycles`` are those in which the core works; waiting for the accelerator counts as its own
    cycles, and a layer takes the time of both.
    """
    clock, end = measured.begin.core_clock_hz, measured.end
    pairs = zip(static["layers"], measured.layers, strict=True)
    layers = [_joined(known, r, clock) for known, r in pairs]
    sums = ("time_s", "cpu_cycles", "accelerator_cycles", "stall_cycles", "programs")
    time_s, cpu, accelerator, stalls, programs = (sum(layer[name] for layer in layers) for name in sums)
    cycles = time_s * clock
    return {
        "name": static["name"],
        "accelerator": static["accelerator"],
        "target": kind,
        "repetitions": measured.begin.repetitions,
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
        "accelerator_cycles": accelerator,
        "cpu_cycles": cpu,
        "clock_hz": clock,
        "time_s": time_s,
        "inferences_per_s": _ratio(1, time_s),
        "cpu_utilization": _ratio(cpu, cycles),
        "macs_per_cycle": _ratio(static["macs"], cycles),
        "accelerator_stalls": stalls,
        "programs": programs,
        "accelerator_utilization": _ratio(accelerator, cycles),
        "unsupported_layers": [
            {"index": layer["index"], "opcode": layer["opcode"], "reason": layer["reason"]}
            for layer in layers
            if layer["reason"] and layer["kernel"] != "mvp"
        ],
        "layers": layers,
        "network_cycles": end.network_cycles,
        "frontend": {
            "cpu_cycles_per_step": end.frontend_cycles,
            "cpu_cycles_per_step_max": end.frontend_cycles_max,
            "step_ms": _step_ms(static["parameters"], end),
        },
        "detector": {"cpu_cycles": end.detector_cycles},
    }


def _joined(known: dict[str, Any], r: m.ProfileLayer, clock: int) -> dict[str, Any]:
    """What is known of a layer, and what was measured of it."""
    told = ("input_shape", "output_shape", "options", "kernel", "variant", "reason")
    return {
        **{name: known[name] for name in ("index", "opcode", "ops", "macs")},
        "accelerator_cycles": r.accelerator_cycles,
        "cpu_cycles": r.cpu_cycles - r.wait_cycles,
        "time_s": r.cpu_cycles / clock,
        **{name: known[name] for name in told},
        "programs": r.programs,
        "stall_cycles": r.stall_cycles,
        "cycles_least": r.cpu_cycles_min,
        "cycles_most": r.cpu_cycles_max,
        "disturbances": r.disturbances,
    }


def _ratio(value: float, by: float) -> float:
    """0 where a counter of cycles stood still, which the verdict says."""
    return value / by if by else 0.0


def _step_ms(parameters: dict[str, Any], end: m.ProfileEnd) -> int:
    """The front end's step as the model says it, 0 where the target has no front end. The target counts it in
    samples, which are not always whole milliseconds: 15 ms are 165 samples at 11,025 Hz, 14.97 ms."""
    has_frontend = end.frontend_step_ms or end.frontend_cycles  # a step may be short, a counter stand still
    return FrontendSettings.from_parameters(parameters).window_step_ms if has_frontend else 0


def _per_step(step: dict[str, Any]) -> str:
    if step["step_ms"] == 0:
        return "none: this network's features come from elsewhere"
    return f"{step['cpu_cycles_per_step']:,} CPU cycles a step of {step['step_ms']} ms"


def table(value: dict[str, Any]) -> str:
    """The result for people, in the vendor's columns."""
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
        ("Accelerator cycles", _accelerator(value)),
        ("CPU cycles", f"{value['cpu_cycles']:,} ({value['cpu_utilization']:.1%} of the time)"),
        ("Clock", f"{value['clock_hz'] / 1e6:g} MHz"),
        ("Time", f"{value['time_s'] * 1e3:.3f} ms, {value['inferences_per_s']:.1f} inferences/s"),
        ("Front end", _per_step(value["frontend"])),
        ("Measurement", "; ".join([value["verdict"], *value["reasons"]])),
    ]
    lines = [f"{name:19} {text}" for name, text in head] + ["", _layers(value)]
    if value["unsupported_layers"]:
        lines += ["", "Not on the accelerator:"]
        lines += [f"  {u['index']} {u['opcode']}: {u['reason']}" for u in value["unsupported_layers"]]
    notes = [_ESTIMATES[value["target"]]] if value["estimate"] else []
    if "timing" in value:
        notes.append(
            f"Accelerator cycles come from a model fitted to published measurements of silicon, memory rule "
            f"{value['timing']!r}: an estimate too"
        )
    return "\n".join([*lines, *(["", *(f"({note}.)" for note in notes)] if notes else [])])


def _accelerator(value: dict[str, Any]) -> str:
    if not value["programs"]:
        return f"{value['accelerator_cycles']:,}"
    return (
        f"{value['accelerator_cycles']:,} ({value['accelerator_utilization']:.1%} of the time) in "
        f"{value['programs']} programs, {value['accelerator_stalls']:,} of them stalls"
    )


def _layers(value: dict[str, Any]) -> str:
    """The layers, one a line, with the accelerator's columns where it is used."""
    used = value["accelerator"] != "none"
    columns = ["#", "opcode", "ops", "MACs", "acc cycles", "CPU cycles", "time ms"]
    columns += ["programs", "stalls"] if used else []
    rows = []
    for layer in value["layers"]:
        row = [layer[k] for k in ("index", "opcode", "ops", "macs", "accelerator_cycles", "cpu_cycles")]
        row += [f"{layer['time_s'] * 1e3:.3f}", *([layer["programs"], layer["stall_cycles"]] if used else [])]
        kernel = f"{layer['kernel']}: {layer['variant']}" if layer["variant"] else layer["kernel"]
        rows.append((*row, layer["input_shape"], layer["output_shape"], kernel, layer["options"]))
    return text_table((*columns, "input", "output", "kernel", "options"), rows)


if __name__ == "__main__":
    sys.exit(cli.run(main))
