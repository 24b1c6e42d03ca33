"""Hears keywords: on the PC, or on the image in the simulator or on a board.

``python -m host.classify MODEL [--audio FILE...] [--simulate | --renode | --device [--port P]]
[--json FILE]``

The options of the detector replace what the model says, on the PC and on a running target alike; the
target keeps them until its next reset.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codegen.application import MAX_MS, MAX_REAL, MAX_SAMPLES
from host import board as boards
from host import cli, listening, model_files, target
from host.audio import read_audio
from host.detector import inference_columns, never_detects, period_samples
from host.device import messages as m
from host.device.codec import Message
from host.device.framing import Encoder
from host.display import Display
from host.dumps import Folders, Recording
from host.errors import TokayError
from host.hearing import gather, statistics
from host.listening import Heard, on_pc
from host.pipeline import Pipeline

_CHUNK_MS = 20
_LEVELS_A_SECOND, _AUDIO_PIECE = 10, 128  # as firmware/app/events.c and application.c send them


def main(argv: Sequence[str]) -> int:
    """The command."""
    p = cli.parser("classify", __doc__.splitlines()[0])
    p.add_argument("model", metavar="MODEL", help="a model's name or the path of a .tflite")
    p.add_argument(
        "--audio",
        metavar="FILE",
        nargs="+",
        type=Path,
        help="WAV or FLAC files instead of a microphone; a board gets them over its serial port",
    )
    p.add_argument("--resample", action="store_true", help="convert files of another rate or more channels")
    p.add_argument(
        "-m", "--microphone", metavar="NAME", help="of this PC: its name, part of it, or its number"
    )
    p.add_argument("--seconds", type=float, help="stop listening to a microphone after so long")
    target.add_options(p)
    _detector_options(p)
    _dump_options(p)
    args = p.parse_args(argv)
    chosen = target.options(p, args)
    if chosen.kind in ("simulator", "renode") and not args.audio:
        p.error(f"--{'simulate' if chosen.kind == 'simulator' else 'renode'} needs --audio FILE")
    if chosen.record and not chosen.named:
        p.error("--record needs --simulate, --renode or --device")
    cli.check_seconds(p, args.seconds)
    if args.seconds is not None and args.audio:
        p.error("--seconds is for a microphone, --audio ends with its files")
    if args.microphone is not None and (chosen.named or args.audio):
        p.error("--microphone is of this PC: leave out --audio, --simulate, --renode, --device and --replay")
    value = _classify(args, chosen)
    cli.emit_json(args.json, value)
    # Ctrl-C is how listening without an end ends.
    cut_short = any(file.get("interrupted") for file in value["files"]) and (args.audio or args.seconds)
    return 130 if cut_short else 0


def _detector_options(p: argparse.ArgumentParser) -> None:
    g = p.add_argument_group("instead of what the model says")
    ms = _number(int, 0, MAX_MS)
    g.add_argument(
        "-w", "--window_duration", "--window-duration", metavar="MS", type=ms,
        dest="average_window_duration_ms", help="averaging window of the scores",
    )  # fmt: skip
    g.add_argument(
        "-c", "--count", metavar="N", dest="minimum_count", type=_number(int, 0, MAX_SAMPLES),
        help="inferences that the window must hold",
    )  # fmt: skip
    g.add_argument(
        "-t", "--threshold", metavar="SCORE[,SCORE...]", dest="detection_threshold_list", type=_thresholds,
        help="0 to 255, one for all classes or one for each: a detection's mean score is above it",
    )  # fmt: skip
    g.add_argument(
        "-s", "--suppression", metavar="MS", dest="suppression_ms", type=ms,
        help="how long the same word is not detected again",
    )  # fmt: skip
    g.add_argument(
        "-l", "--latency", metavar="MS", dest="latency_ms", type=ms, help="time between inferences"
    )
    g.add_argument(
        "-u", "--volume", metavar="GAIN", dest="volume_gain", type=_number(float, 0, MAX_REAL),
        help="samples are multiplied by it (0: as they come)",
    )  # fmt: skip
    g.add_argument(
        "-i", "--sensitivity", metavar="CHANGE", type=_number(float, 0, MAX_REAL),
        help="the activity LED lights when a score changes by more than this in a millisecond",
    )  # fmt: skip


def _dump_options(p: argparse.ArgumentParser) -> None:
    g = p.add_argument_group("what was heard, on disk")
    g.add_argument("--dump-audio", metavar="DIR", type=Path, help="NAME.wav, after the gain")
    g.add_argument(
        "--dump-spectrograms", metavar="DIR", type=Path, help="NAME.npy, int8 [columns, channels], and .png"
    )
    g.add_argument(
        "--dump-raw-spectrograms", metavar="DIR", type=Path, help="NAME.raw.npy, uint16, and .raw.png"
    )


def _number(kind: type, low: float, high: float) -> Callable[[str], float]:
    def convert(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            what = "an integer" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text} is not {what} from {low} to {high}")
        return value

    return convert


def _thresholds(text: str) -> list[int]:
    return [int(_number(int, 0, 255)(part)) for part in text.split(",")]


def _overrides(args: argparse.Namespace) -> dict[str, Any]:
    """The parameters that the options replace, by their names in the model."""
    names = (
        "average_window_duration_ms", "minimum_count", "detection_threshold_list", "suppression_ms",
        "latency_ms", "volume_gain", "sensitivity",
    )  # fmt: skip
    values = {name: getattr(args, name) for name in names}
    values = {name: value for name, value in values.items() if value is not None}
    thresholds = values.get("detection_threshold_list")
    if thresholds is not None and len(thresholds) == 1:
        values |= {"detection_threshold_list": None, "detection_threshold": thresholds[0]}
    return values


def _require_detections(pipeline: Pipeline, replaced: Mapping[str, Any]) -> None:
    """Refuses options with which the averaging window never holds as many inferences as are asked for."""
    decide = {"average_window_duration_ms", "minimum_count", "latency_ms"}
    reason = never_detects(pipeline.settings, pipeline.frontend.settings)
    if reason and decide & replaced.keys():
        hint = "a longer window (-w), a smaller count (-c) or more inferences (-l)"
        if pipeline.settings.each_column_once:  # of a network that keeps state, which has its own pace
            hint = "a longer window (-w) or a smaller count (-c)"
        raise TokayError(reason, hint=hint)


def _classify(args: argparse.Namespace, chosen: target.Options) -> dict[str, Any]:
    """Listens as told, showing detections as they come; returns the result as ``--json`` gives it."""
    quiet = args.json == "-"
    say: Callable[[str], None] = (lambda text: None) if quiet else print
    replaced = _overrides(args)
    pipeline = Pipeline(args.model, accelerator=args.accelerator, overrides=replaced)
    _require_detections(pipeline, replaced)
    folders = Folders(args.dump_audio, args.dump_spectrograms, args.dump_raw_spectrograms)
    if folders.spectrograms and pipeline.frontend.settings.quantize_dynamic_scale_enable:
        raise TokayError(
            "--dump-spectrograms: this model scales each window as a whole, so a column has no features "
            "of its own",
            hint="--dump-raw-spectrograms",
        )
    channels = pipeline.frontend.settings.channels
    if chosen.named and listening.reported(folders.streams, channels) != folders.streams:
        raise TokayError(
            f"a target does not report spectrograms of {channels} channels: a column does not fit into a "
            "message",
            hint="dump them on the PC: --audio FILE without --simulate, --renode, --device and --replay",
        )
    names = [path.stem for path in args.audio or ()]
    twice = next((name for name in names if names.count(name) > 1), None)
    if folders.streams and twice is not None:
        raise TokayError(
            f"two files are called {twice}: one's dumps would overwrite the other's", hint="one at a time"
        )
    files = [
        (path, read_audio(path, pipeline.sample_rate_hz, resample=args.resample)) for path in args.audio or ()
    ]
    value: dict[str, Any] = {
        "model": model_files.read(args.model).name,
        "target": chosen.kind or ("replay" if chosen.replay else "pc"),
        "accelerator": args.accelerator,
        "labels": list(pipeline.labels),
        "latency_ms": pipeline.settings.latency_ms,
        "settings": listening.device_values(pipeline.settings),
        "files": [],
    }
    session = _Session(
        pipeline, folders, chosen, args.microphone, args.seconds, say, args.verbose,
        live=not quiet and sys.stdout.isatty(),
    )  # fmt: skip
    if chosen.kind and (not files or session.plays_to(chosen.kind)):
        boards.load(chosen.board).require_microphone(pipeline.sample_rate_hz)
    folders.make()
    if chosen.named:
        elf = None
        if chosen.boots:
            elf = target.build_image(args.model, chosen.board, chosen.accelerator, verbose=args.verbose)
        with target.connect(chosen, pipeline.model.plan.sha256, elf) as where:
            value["accelerator"] = target.accelerator(where.device)
            with listening.applied(where.device, pipeline.settings) as changed:
                if args.verbose and changed:
                    say("Set: " + " ".join(f"{name}={text}" for name, text in changed.items()))
                value["files"] = session.all(files, functools.partial(session.on_target, where))
    else:
        value["files"] = session.all(files, session.on_pc)
    return value


@dataclass(frozen=True)
class _Session:
    """Listening with one set of options, to one or more files or to a microphone."""

    pipeline: Pipeline
    folders: Folders
    chosen: target.Options
    microphone: str | None  # of this PC
    seconds: float | None  # with a microphone; None: without an end
    say: Callable[[str], None]
    verbose: bool
    live: bool

    @property
    def streams(self) -> m.Stream:
        return listening.RESULTS | self.folders.streams

    def all(
        self,
        files: Sequence[tuple[Path, np.ndarray]],
        hear: Callable[[Path | None, np.ndarray | None], dict[str, Any]],
    ) -> list[dict[str, Any]]:
        """What was heard in each file, or with the microphone if there is none; Ctrl-C ends it with the file
        that it fell into."""
        results = []
        for path, samples in files or [(None, None)]:
            if len(files) > 1:
                self.say(f"{path}:")
            results.append(hear(path, samples))
            if results[-1].get("interrupted"):
                break
        return results

    def on_pc(self, path: Path | None, samples: np.ndarray | None) -> dict[str, Any]:
        if samples is None:
            heard = _microphone(self.pipeline, self.microphone, self.seconds, self.streams)
            return self._hear(None, None, heard)
        self.pipeline.reset()
        return self._hear(path, samples, on_pc(self.pipeline, samples, self.streams))

    def plays_to(self, kind: str) -> bool:
        """Whether a target of this kind hears files with its microphone, and not over the link."""
        return kind in ("simulator", "renode") and self._fits_line()

    def on_target(
        self, where: target.Target, path: Path | None, samples: np.ndarray | None
    ) -> dict[str, Any]:
        device, labels = where.device, self.pipeline.labels
        if samples is None:
            self._warn_of_slow_line()
            end_ms = None if self.seconds is None else int(self.seconds * 1000)
            heard = listening.microphone(device, self.streams, end_ms, labels=labels)
        elif self.plays_to(where.kind):
            play = target.player(where, self.chosen.board, samples)
            heard = listening.played(
                device, samples.size, self.pipeline.frontend, self.streams, play, labels=labels
            )
        else:
            heard = listening.injected(device, samples, self.streams, labels=labels)
        return {**self._hear(path, samples, heard), **statistics(where)}

    def _hear(self, path: Path | None, samples: np.ndarray | None, events: Iterator[Heard]) -> dict[str, Any]:
        display = Display(self.pipeline.labels, self.say, verbose=self.verbose, live=self.live)
        name = "microphone" if path is None else path.stem
        recording = Recording(self.folders, name, self.pipeline.sample_rate_hz)
        try:
            found = gather(events, (display.show, recording.take))
        finally:
            display.end()
            dumped = recording.write()
        for what, values in dumped.items():
            if values["missing"]:
                unit = "samples" if what == "audio" else "columns"
                name = what.replace("_", " ")
                print(f"warning: {values['missing']} {unit} of the {name} were lost", file=sys.stderr)
        value: dict[str, Any] = {"audio": "microphone" if path is None else str(path), **found}
        if samples is not None:
            value["duration_ms"] = self._ms(samples)
            self._warn_of_short(path, samples.size)
        return {**value, "dumped": dumped} if dumped else value

    def _warn_of_short(self, path: Path | None, samples: int) -> None:
        """Of a file in which nothing can be detected whatever is said in it, as of one word of a dataset."""
        settings, frontend = self.pipeline.settings, self.pipeline.frontend
        inferences = len(inference_columns(settings, frontend.settings, frontend.frames(samples)))
        needed = max(1, settings.minimum_count)
        if inferences < needed:
            print(
                f"warning: {path}: too short to detect anything: inferences {inferences}, a detection needs "
                f"{needed} (the model hears {frontend.settings.sample_length_ms} ms at a time, one in "
                f"{settings.latency_ms} ms)",
                file=sys.stderr,
            )

    def _ms(self, samples: np.ndarray) -> int:
        return 1000 * samples.size // self.pipeline.sample_rate_hz

    def _bytes_a_second(self) -> float:
        """What a target sends at most: every inference a detection."""
        s, streams, labels = self.pipeline.frontend.settings, self.folders.streams, self.pipeline.labels
        columns = 1000 / s.window_step_ms
        inferences = s.sample_rate_hz / period_samples(self.pipeline.settings, s)
        longest = "y" * min(max(len(label.encode()) for label in labels), m.Detection.room("label"))
        total = _LEVELS_A_SECOND * _frame_bytes(m.Level())
        total += inferences * _frame_bytes(m.Scores(values=bytes(len(labels))))
        total += inferences * _frame_bytes(m.Detection(label=longest))
        if streams & m.Stream.AUDIO:
            piece = _frame_bytes(m.Audio(samples=(0,) * _AUDIO_PIECE))
            total += piece * s.sample_rate_hz / _AUDIO_PIECE
        if streams & m.Stream.SPECTROGRAM:
            total += columns * _frame_bytes(m.Spectrogram(values=(0,) * s.channels))
        if streams & m.Stream.FEATURES:
            total += columns * _frame_bytes(m.Features(values=(0,) * s.channels))
        return total

    def _fits_line(self) -> bool:
        return self._bytes_a_second() < 0.9 * self.chosen.line_rate / 10

    def _warn_of_slow_line(self) -> None:
        if not self._fits_line():
            print(
                f"warning: dumps and scores need {self._bytes_a_second():.0f} bytes a second, more than the "
                "serial line carries: parts will be lost (not with --audio FILE)",
                file=sys.stderr,
            )


def _frame_bytes(message: Message) -> int:
    """What a message takes on the serial line."""
    return len(Encoder(0).encode(message.TYPE, message.encode()))


def _microphone(
    pipeline: Pipeline, name: str | None, seconds: float | None, streams: m.Stream
) -> Iterator[Heard]:
    """What a microphone of this PC hears, by its name, part of it, or its number (None: the default one)."""
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        raise TokayError(
            "no way to listen to a microphone",
            hint="pip install 'tokay[mic]'; Debian and Ubuntu: apt-get install libportaudio2",
        ) from error
    rate = pipeline.sample_rate_hz
    step = rate * _CHUNK_MS // 1000
    which = int(name) if name is not None and name.isdigit() else name
    observer = listening.Observer(pipeline, streams)
    try:
        stream = sounddevice.InputStream(
            samplerate=rate, channels=1, dtype="int16", blocksize=step, device=which
        )
    except (sounddevice.PortAudioError, ValueError) as error:
        raise TokayError(f"microphone: {error}", hint="--microphone NAME, or a file with --audio") from error
    with stream:
        heard = 0
        while seconds is None or heard < seconds * rate:
            try:
                block, lost = stream.read(step)
            except sounddevice.PortAudioError as error:
                raise TokayError(f"microphone: {error}", hint="was it unplugged?") from error
            if lost:
                print("warning: the microphone lost samples", file=sys.stderr)
            yield from observer.process(np.ascontiguousarray(block[:, 0]))
            heard += step


if __name__ == "__main__":
    sys.exit(cli.run(main))
