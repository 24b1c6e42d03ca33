"""Compares a target with the PC on the same audio: the first column, layer, score or decision that differs.

``python -m host.compare MODEL [--audio FILE] [--simulate | --renode | --device [--port P]] [--json FILE]``

The target gets the audio over its link in place of its microphone, and reports every column and every
score. Then one window goes through its network layer by layer. Without audio the layers alone are compared,
on random inputs, also of a network that no front end feeds. Exit status 1 if anything differs.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from codegen.plan import Plan
from host import cli, listening, target
from host.audio import read_audio
from host.device import commands
from host.device import messages as m
from host.device.device import Device, Gap
from host.errors import TokayError
from host.listening import Heard
from host.pipeline import Detection, Event, Pipeline
from host.runtime import Model
from host.tables import text_table

_ATTEMPTS = 3  # over a connection that loses frames
_LAYER_TRIES = 20  # of half a second: a request that comes again while the layer runs is not run again
_INPUTS = 3  # random ones


@dataclass(frozen=True)
class Stage:
    """One stage of the pipeline: how much of it was compared, and the first thing that differs."""

    name: str
    compared: int
    different: int
    first: dict[str, Any] | None = None
    text: str = ""


@dataclass
class Hearing:
    """What one side made of the audio."""

    spectrogram: dict[int, tuple[int, ...]] = field(default_factory=dict)
    features: dict[int, tuple[int, ...]] = field(default_factory=dict)
    inferences: dict[int, tuple[int, ...]] = field(default_factory=dict)  # scores by time
    detections: list[Detection] = field(default_factory=list)
    lost: int = 0

    def take(self, events: Iterable[Heard]) -> Hearing:
        for event in events:
            if isinstance(event, m.Spectrogram):
                self.spectrogram[event.column] = event.values
            elif isinstance(event, m.Features):
                self.features[event.column] = event.values
            elif isinstance(event, Gap):
                self.lost += event.frames
                break  # what is left to hear would be compared in vain
            elif isinstance(event, Event):
                self.inferences[event.time_ms] = event.scores
                if event.detection is not None:
                    self.detections.append(event.detection)
        return self


def main(argv: Sequence[str]) -> int:
    """The command."""
    p = cli.parser("compare", __doc__.splitlines()[0])
    p.add_argument("model", metavar="MODEL", help="a model's name or the path of a .tflite")
    p.add_argument("--audio", metavar="FILE", type=Path, help="a WAV or FLAC file (default: layers alone)")
    p.add_argument("--resample", action="store_true", help="convert a file of another rate or more channels")
    p.add_argument("--image", metavar="ELF", type=Path, help="an image to run, not a fresh one")
    p.add_argument(
        "--reference",
        choices=["none", "mvp"],
        help="what the PC computes like, if not like the --accelerator of the target",
    )
    cli.add_mvp_weights(p)
    target.add_options(p)
    args = p.parse_args(argv)
    chosen = target.options(p, args)
    if args.image and not chosen.boots:
        p.error("--image is for --simulate and --renode")
    if args.resample and args.audio is None:
        p.error("--resample is for --audio")
    kind, stages = _compare_layers(args, chosen) if args.audio is None else _compare_audio(args, chosen)
    value = result(stages) | {"target": kind, "audio": args.audio and str(args.audio)}
    if args.json != "-":
        print(table(stages))
    cli.emit_json(args.json, value)
    return 0 if value["same"] else 1


def _compare_audio(args: Namespace, chosen: target.Options) -> tuple[str, list[Stage]]:
    plan = Model(args.model, args.accelerator, mvp_weights=args.mvp_weights).plan
    reference = args.reference or args.accelerator
    pipeline = Pipeline(args.model, accelerator=reference, mvp_weights=args.mvp_weights)
    samples = read_audio(args.audio, pipeline.sample_rate_hz, resample=args.resample)
    with target.connect(chosen, plan.sha256, _image(args, chosen, listens=True)) as where:
        target.require_accelerator(where.device, args.accelerator)
        # A board may still have the options of an earlier command: both sides get the model's settings.
        with listening.applied(where.device, pipeline.settings):
            return where.kind, compare(where.device, pipeline, samples, plan)


def _compare_layers(args: Namespace, chosen: target.Options) -> tuple[str, list[Stage]]:
    plan = Model(args.model, args.accelerator, mvp_weights=args.mvp_weights).plan
    model = Model(args.model, args.reference or args.accelerator, mvp_weights=args.mvp_weights)
    with target.connect(chosen, plan.sha256, _image(args, chosen, listens=False)) as where:
        target.require_accelerator(where.device, args.accelerator)
        try:
            return where.kind, [compare_layers(where.device, model, plan)]
        finally:
            listening.stop(where.device)


def _image(args: Namespace, chosen: target.Options, *, listens: bool) -> Path | None:
    """The image to run, built if none was given; None where the target has one."""
    if args.image or not chosen.boots:
        return args.image
    return target.build_image(
        args.model, args.board, args.accelerator, mvp_weights=args.mvp_weights, listens=listens,
        verbose=args.verbose,
    )  # fmt: skip


def compare_layers(device: Device, model: Model, plan: Plan) -> Stage:
    """Every layer on the same few random inputs, the first of them extreme; ``plan`` is the target's."""
    stages = [
        _layers(device, model, plan, values, f"random input {k}", {"input": k})
        for k, values in enumerate(_random_inputs(model))
    ]
    first = next((stage for stage in stages if stage.different), stages[0])
    compared, different = sum(v.compared for v in stages), sum(v.different for v in stages)
    return Stage("layers", compared, different, first.first, first.text)


def _random_inputs(model: Model) -> list[np.ndarray]:
    rng, shape = np.random.default_rng(0), model.input.shape
    if model.input.dtype == np.float32:
        return [rng.normal(0, 10.0**k, shape).astype(np.float32) for k in range(_INPUTS)]
    extreme = rng.choice(np.array([-128, 127], np.int8), shape)
    return [extreme, *(rng.integers(-128, 128, shape, np.int8) for _ in range(_INPUTS - 1))]


def compare(
    device: Device, pipeline: Pipeline, samples: np.ndarray, plan: Plan | None = None
) -> list[Stage]:
    """Runs int16 samples through both; the stages in their order, the settings first. ``plan`` is the
    target's, where it is not the pipeline's."""
    settings = pipeline.frontend.settings
    needed = settings.window_samples + (settings.frames - 1) * settings.step_samples
    if samples.size < needed:
        raise TokayError(
            f"the audio has {samples.size} samples, the network hears {needed} at once", hint="a longer file"
        )
    streams = m.Stream.DETECTIONS | m.Stream.SCORES | m.Stream.SPECTROGRAM
    if not settings.quantize_dynamic_scale_enable:
        streams |= m.Stream.FEATURES
    expected = Hearing().take(listening.on_pc(pipeline, samples, streams))
    told = listening.reported(streams, settings.channels)
    found = _hear(device, samples, told, pipeline.labels)
    time_of = _column_time(pipeline)
    scores = _scores(expected, found)
    at_ms = scores.first["time_ms"] if scores.first else _interesting(expected)
    window = _window(pipeline, expected, at_ms, time_of)
    return [
        _settings(device, pipeline),
        _columns("spectrogram", expected.spectrogram, found.spectrogram, time_of)
        if told & m.Stream.SPECTROGRAM
        else _untold("spectrogram", settings.channels),
        _columns("features", expected.features, found.features, time_of)
        if told & m.Stream.FEATURES or not streams & m.Stream.FEATURES
        else _untold("features", settings.channels),
        _layers(
            device, pipeline.model, plan or pipeline.model.plan, window,
            f"window at {at_ms} ms", {"time_ms": at_ms},
        ),
        scores,
        _decisions(expected.detections, found.detections),
    ]


def _hear(device: Device, samples: np.ndarray, streams: m.Stream, labels: Sequence[str]) -> Hearing:
    for _ in range(_ATTEMPTS):
        found = Hearing().take(listening.injected(device, samples, streams, labels=labels))
        if not found.lost:
            return found
    raise TokayError(
        f"{device.transport.name}: frames were lost on the way, {_ATTEMPTS} times over",
        hint="check the connection",
    )


def _column_time(pipeline: Pipeline) -> Callable[[int], int]:
    """When a column was complete, in ms."""
    s = pipeline.frontend.settings
    return lambda column: 1000 * (s.window_samples + column * s.step_samples) // s.sample_rate_hz


def _interesting(expected: Hearing) -> int:
    """The time of a window worth a look: of the first detection, else the last."""
    return expected.detections[0].time_ms if expected.detections else max(expected.inferences)


def _window(pipeline: Pipeline, expected: Hearing, time_ms: int, time_of: Callable[[int], int]) -> np.ndarray:
    """The network's input at an inference."""
    last = next(column for column in sorted(expected.spectrogram, reverse=True) if time_of(column) <= time_ms)
    columns = range(last - pipeline.frontend.settings.frames + 1, last + 1)
    spectrogram = np.array([expected.spectrogram[column] for column in columns], np.uint16)
    return pipeline.frontend.quantize(spectrogram).reshape(pipeline.model.input.shape)


# ---- Stages ----


def _settings(device: Device, pipeline: Pipeline) -> Stage:
    present = commands.parameters(device)
    wanted = listening.device_values(pipeline.settings)
    del wanted["sensitivity"]  # of an LED: it decides nothing
    different = {
        name: {"pc": value, "target": present.get(name)}
        for name, value in wanted.items()
        if present.get(name) != value
    }
    if not different:
        return Stage("settings", len(wanted), 0)
    name, values = next(iter(different.items()))
    text = f"{name} is {values['pc']} on the PC, {values['target']} on the target"
    return Stage("settings", len(wanted), len(different), {"name": name, **values, "all": different}, text)


def _columns(
    name: str,
    expected: Mapping[int, tuple[int, ...]],
    found: Mapping[int, tuple[int, ...]],
    time_of: Callable[[int], int],
) -> Stage:
    numbers = sorted(expected.keys() | found.keys())
    different = [n for n in numbers if expected.get(n) != found.get(n)]
    if not different:
        return Stage(name, len(numbers), 0)
    n = different[0]
    pc, other = expected.get(n), found.get(n)
    first: dict[str, Any] = {"column": n, "time_ms": time_of(n)}
    if pc is None or other is None:
        side = "target" if other is None else "PC"
        text = f"column {n} (at {time_of(n)} ms) is missing on the {side}"
    else:
        channel = next(i for i, (a, b) in enumerate(zip(pc, other, strict=True)) if a != b)
        first |= {"channel": channel, "pc": pc[channel], "target": other[channel]}
        text = (
            f"column {n} (at {time_of(n)} ms), channel {channel}: PC {pc[channel]}, target {other[channel]}"
        )
    return Stage(name, len(numbers), len(different), first, text)


def _untold(name: str, channels: int) -> Stage:
    return Stage(name, 0, 0, text=f"none known: a column of {channels} channels does not fit into a message")


def _layers(
    device: Device, model: Model, plan: Plan, values: np.ndarray, name: str, place: Mapping[str, int]
) -> Stage:
    """Each layer on the PC's input of it, so that one wrong layer does not make all later ones look so.
    ``name`` and ``place`` tell which ``values`` the network was given."""
    commands.take_over(device)
    commands.write_tensor(device, plan.input, values.tobytes())
    first: dict[str, Any] | None = None
    text, different = "", 0
    model.reset()  # as the target was when its source was set
    outputs = model.invoke_layers(values)
    for position, (layer, expected) in enumerate(zip(model.layers, outputs, strict=True)):
        device.request(m.RunLayer(layer=position), timeout_s=0.5, retries=_LAYER_TRIES - 1)
        number, tensor = plan.number(layer.output), plan.graph.tensors[layer.output]
        data = commands.read_tensor(device, number)
        if len(data) == tensor.bytes:
            data = tensor.values_of(np.frombuffer(data, expected.dtype)).tobytes()
        if data == expected.tobytes():
            continue
        different += 1
        commands.write_tensor(device, number, tensor.stored_of(expected).tobytes())
        if first is None:
            first = {"layer": layer.index, "opcode": layer.name, **place, **_element(expected, data)}
            text = (
                f"layer {layer.index} ({layer.title}), {name}, element {first['element']}: "
                f"PC {first['pc']}, target {first['target']}; {first['elements']} of {expected.size} differ"
            )
    return Stage("layers", len(outputs), different, first, text)


def _element(expected: np.ndarray, data: bytes) -> dict[str, Any]:
    if len(data) != expected.nbytes:
        return {"element": None, "pc": expected.size, "target": len(data), "elements": expected.size}
    found = np.frombuffer(data, expected.dtype).reshape(expected.shape)
    bits = f"i{expected.itemsize}"  # which differ where floats that are equal do not
    places = np.argwhere(found.view(bits) != expected.view(bits))
    place = tuple(int(i) for i in places[0])
    wide = np.int64 if expected.dtype == np.int8 else np.float64
    return {
        "element": list(place),
        "pc": expected[place].item(),
        "target": found[place].item(),
        "elements": len(places),
        "largest": np.abs(found.astype(wide) - expected.astype(wide)).max().item(),
    }


def _scores(expected: Hearing, found: Hearing) -> Stage:
    times = sorted(expected.inferences.keys() | found.inferences.keys())
    different = [t for t in times if expected.inferences.get(t) != found.inferences.get(t)]
    if not different:
        return Stage("scores", len(times), 0)
    shared = [t for t in different if t in expected.inferences]
    t = shared[0] if shared else different[0]
    pc, other = expected.inferences.get(t), found.inferences.get(t)
    first = {"time_ms": t if shared else _interesting(expected), "pc": pc, "target": other}
    return Stage(
        "scores", len(times), len(different), first,
        f"inference at {t} ms: PC {_or_none(pc)}, target {_or_none(other)}",
    )  # fmt: skip


def _decisions(expected: Sequence[Detection], found: Sequence[Detection]) -> Stage:
    count = max(len(expected), len(found))
    pairs = [
        (expected[i] if i < len(expected) else None, found[i] if i < len(found) else None)
        for i in range(count)
    ]
    different = [pair for pair in pairs if pair[0] != pair[1]]
    if not different:
        return Stage("decisions", count, 0)
    pc, other = different[0]
    first = {"pc": asdict(pc) if pc else None, "target": asdict(other) if other else None}
    return Stage("decisions", count, len(different), first, f"PC: {_or_none(pc)}; target: {_or_none(other)}")


def _or_none(value: object) -> str:
    return "nothing" if value is None else str(value)


# ---- The result ----


def result(stages: Sequence[Stage]) -> dict[str, Any]:
    """As ``--json`` gives it. ``first`` is the first stage that computes something else; other settings
    are the cause of what they change, and the first only if nothing shows them."""
    computed = [stage for stage in stages if stage.different and stage.name != "settings"]
    first = (computed or [stage for stage in stages if stage.different] or [None])[0]
    return {
        "same": first is None,
        "first": None if first is None else {"stage": first.name, "text": first.text, **(first.first or {})},
        "stages": [asdict(stage) for stage in stages],
    }


def table(stages: Sequence[Stage]) -> str:
    """The result for people."""
    rows = [(stage.name, stage.compared, stage.different, stage.text) for stage in stages]
    first = result(stages)["first"]
    end = (
        "PC and target are the same"
        if first is None
        else f"first difference: {first['stage']}: {first['text']}"
    )
    return text_table(("stage", "compared", "different", "first difference"), rows) + "\n\n" + end


if __name__ == "__main__":
    sys.exit(cli.run(main))
