"""Hears keywords: on the PC, or on the image in the simulator or on a board.

``python -m host.classify MODEL [--audio FILE...] [--simulate | --device [--port P]] [--json FILE]``
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from codegen.pipeline import compile_model
from host import cli, model_files, target
from host.audio import read_audio
from host.device import messages as m
from host.device.device import Device, Gap, Restarted
from host.errors import TokayError
from host.pipeline import Detection, Event, Pipeline

_CHUNK_MS = 20


def main(argv: Sequence[str]) -> int:
    """The command."""
    p = cli.parser("classify", __doc__.splitlines()[0])
    p.add_argument("model", metavar="MODEL", help="a model's name or the path of a .tflite")
    p.add_argument(
        "--audio", metavar="FILE", nargs="+", type=Path, help="WAV or FLAC files instead of a microphone"
    )
    p.add_argument("--resample", action="store_true", help="convert files of another rate or more channels")
    p.add_argument("--seconds", type=float, help="stop listening to a microphone after so long")
    target.add_options(p)
    args = p.parse_args(argv)
    if args.target == "simulator" and not args.audio:
        p.error("--simulate needs --audio FILE")
    if args.target == "device" and args.audio:
        p.error("a board listens with its own microphone: leave out --audio, or use --simulate")
    value = classify(args, quiet=args.json == "-")
    cli.emit_json(args.json, value)
    return 0


def classify(args: Any, *, quiet: bool = False) -> dict[str, Any]:
    """Listens as told, printing detections as they come; returns the result as ``--json`` gives it."""
    say: Callable[[str], None] = (lambda text: None) if quiet else print
    pipeline = Pipeline(args.model, accelerator=args.accelerator)
    value: dict[str, Any] = {
        "model": model_files.read(args.model).name,
        "target": args.target or "pc",
        "accelerator": args.accelerator,
        "labels": list(pipeline.labels),
        "latency_ms": pipeline.settings.latency_ms,
    }
    if args.target == "device":
        value["files"] = [_listen_device(args, say)]
    elif args.audio:
        audio = [
            (path, read_audio(path, pipeline.sample_rate_hz, resample=args.resample)) for path in args.audio
        ]
        elf = target.build_image(args.model, args.board, args.accelerator) if args.target else None
        value["files"] = []
        for path, samples in audio:
            if len(audio) > 1:
                say(f"{path}:")
            if elf is None:
                pipeline.reset()
                found = collect(on_pc(pipeline, samples), say, args.verbose)
            else:
                found = hear_simulated(elf, args.board, samples, pipeline.sample_rate_hz, say, args.verbose)
            duration = round(1000 * samples.size / pipeline.sample_rate_hz)
            value["files"].append({"audio": str(path), "duration_ms": duration, **found})
    else:
        value["files"] = [
            {"audio": "microphone", **collect(_microphone(pipeline, args.seconds), say, args.verbose)}
        ]
    return value


def collect(events: Iterator[Event], say: Callable[[str], None], verbose: bool = False) -> dict[str, Any]:
    """Prints events as they come, in the vendor's format, and gathers them."""
    detections, inferences = [], []
    for event in events:
        inferences.append({"time_ms": event.time_ms, "scores": list(event.scores)})
        if verbose:
            say(f"[{event.time_ms:6d}] " + " ".join(f"{score:3d}" for score in event.scores))
        if event.detection is not None:
            say(str(event.detection))
            d = event.detection
            detections.append(
                {"class": d.class_index, "label": d.label, "score": d.score, "time_ms": d.time_ms}
            )
    return {"detections": detections, "inferences": inferences}


def on_pc(pipeline: Pipeline, samples: np.ndarray) -> Iterator[Event]:
    """Inferences of the PC's pipeline over int16 samples."""
    step = pipeline.sample_rate_hz * _CHUNK_MS // 1000
    for start in range(0, samples.size, step):
        yield from pipeline.process(samples[start : start + step])


def _microphone(pipeline: Pipeline, seconds: float | None) -> Iterator[Event]:
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        raise TokayError(
            "no way to listen to a microphone", hint="pip install tokay[mic], apt-get install libportaudio2"
        ) from error
    rate = pipeline.sample_rate_hz
    step = rate * _CHUNK_MS // 1000
    try:
        with sounddevice.InputStream(samplerate=rate, channels=1, dtype="int16", blocksize=step) as stream:
            heard = 0
            while seconds is None or heard < seconds * rate:
                block, lost = stream.read(step)
                if lost:
                    print("warning: the microphone lost samples", file=sys.stderr)
                yield from pipeline.process(np.ascontiguousarray(block[:, 0]))
                heard += step
    except sounddevice.PortAudioError as error:
        raise TokayError(f"microphone: {error}", hint="choose one with --audio FILE instead") from error


def hear_simulated(
    elf: Path,
    board: str,
    samples: np.ndarray,
    sample_rate_hz: int,
    say: Callable[[str], None] = print,
    verbose: bool = False,
) -> dict[str, Any]:
    """Plays int16 samples to an image in the simulator until it has heard all of them."""
    with target.simulate(elf, board, samples) as where:
        assert where.machine is not None
        end_ms = 1000 * samples.size // sample_rate_hz
        found = collect(_device_events(where.device, end_ms), say, verbose)
        statistics = where.device.request(m.StatisticsGet(), timeout_s=2.0)
        machine = where.machine
        found["statistics"] = {k: v for k, v in asdict(statistics).items() if k != "request"}
        found["simulator"] = {
            "seconds": machine.time_s,
            "instructions": machine.instructions,
            "cycles": machine.cycles,
            "sleep_cycles": machine.sleep_cycles,
        }
    return found


def _listen_device(args: Any, say: Callable[[str], None]) -> dict[str, Any]:
    file = model_files.read(args.model)
    plan = compile_model(file.tflite, name=file.name, accelerator=args.accelerator)
    with target.attach(args.port, args.baud, plan.sha256) as where:
        end_ms = None if args.seconds is None else int(args.seconds * 1000)
        found = collect(_device_events(where.device, end_ms), say, args.verbose)
    return {"audio": "microphone", **found}


def _device_events(device: Device, end_ms: int | None) -> Iterator[Event]:
    """Inferences of a device as it reports them, up to ``end_ms`` of its audio (None: for ever).

    A detection precedes the scores of its inference or follows them; the two are joined by time.
    """
    device.request(m.StreamSet(events=m.Stream.DETECTIONS | m.Stream.SCORES), timeout_s=2.0)
    waiting: m.Scores | None = None
    for event in device.events(timeout_s=5.0):
        if isinstance(event, m.Scores):
            if waiting is not None:
                yield Event(waiting.time_ms, tuple(waiting.values), None)
            waiting = event
            if end_ms is not None and event.time_ms > end_ms:
                return
        elif isinstance(event, m.Detection):
            if waiting is None or waiting.time_ms != event.time_ms:
                continue
            detection = Detection(event.class_index, event.label, event.score, event.time_ms)
            yield Event(waiting.time_ms, tuple(waiting.values), detection)
            waiting = None
        elif isinstance(event, Gap):
            print(f"warning: {event.frames} frames of the device were lost", file=sys.stderr)
        elif isinstance(event, Restarted):
            raise TokayError(
                f"{device.transport.name} started again while listening", hint="host.device show fault"
            )
    if end_ms is not None:
        raise TokayError(f"{device.transport.name} stopped reporting", hint="reset the board")


if __name__ == "__main__":
    sys.exit(cli.run(main))
