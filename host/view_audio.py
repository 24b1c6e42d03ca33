"""Shows and plays what a specification's augmentation does to a clip: before, after, and what was drawn.

    tokay view_audio keyword_spotting_on_off --dataset DIR --word on -o page.html
    tokay view_audio clip.wav -o picture.png

The page needs nothing but itself: pictures and sound are inside.
"""

from __future__ import annotations

import argparse
import base64
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from host import augmentation, cli, specification
from host.audio import read_audio
from host.augmentation import Augmenter, Draw, Job, picture
from host.augmentation.layout import MADE_NOISE, NO_NOISE
from host.dataset import find
from host.dataset.store import fit_length
from host.errors import TokayError
from host.features import Frontend
from host.files import require_writable, write_atomic
from host.media import png, wav
from host.specification import SILENCE, Specification

_MODEL = "keyword_spotting_on_off"
_SUFFIXES = (".wav", ".flac")
_STYLE = """body{font:15px/1.45 system-ui,sans-serif;color:#222;max-width:1300px;margin:2em auto}
section{border-top:1px solid #ccc;padding:.8em 0}h2{font-size:1.1em;margin:.2em 0}
img{display:block;max-width:100%}audio{display:block;margin:.4em 0}
td{padding:0 1em 0 0}td:first-child{color:#666}"""


@dataclass(frozen=True)
class Shown:
    """One row of the page: a clip as it is, or after a draw."""

    title: str
    pcm: np.ndarray
    lead_in: int
    effects: dict[str, str]
    features: np.ndarray


@dataclass(frozen=True)
class _Clips:
    """The clips that may be heard, and the background they may be heard in."""

    audio: np.ndarray
    chosen: int
    word: str
    recordings: tuple[np.ndarray, ...]


def main(argv: Sequence[str]) -> int:
    """The command."""
    p = cli.parser("view_audio", __doc__.splitlines()[0])
    p.add_argument("source", metavar="MODEL|FILE", help="name in host/models, a .py specification, or audio")
    p.add_argument("--model", metavar="MODEL", help=f"whose settings a FILE gets (default {_MODEL})")
    p.add_argument("--dataset", metavar="DIR", help="where clips and background noise are from")
    p.add_argument("--word", metavar="W", help="a word of the dataset, or what a FILE is taken for "
                   "(default: the first keyword)")  # fmt: skip
    p.add_argument("--seed", type=int, default=1, metavar="N", help="other draws, another clip (default 1)")
    p.add_argument("--count", type=int, default=6, metavar="N", help="draws to show (default 6)")
    p.add_argument("-o", "--output", default="augmentation.html", metavar="OUT", help=".html or .png")
    args = p.parse_args(argv)
    output = Path(args.output)
    if output.suffix not in (".html", ".png"):
        raise TokayError(f"{output}: the output is a .html or a .png", hint="-o page.html")
    require_writable(output)
    if not 1 <= args.count <= 100 or args.seed < 0:
        raise TokayError("--count is 1 to 100, --seed 0 or more")
    of_file = args.source.lower().endswith(_SUFFIXES)
    if args.model and not of_file:
        raise TokayError("--model goes with a FILE", hint="name the model instead of the file, or drop it")
    model = (args.model or _MODEL) if of_file else args.source
    spec = specification.load(model).spec
    clips = _of_file(args.source, spec, args) if of_file else _of_dataset(spec, args)
    shown, draws = show(spec, clips.audio, clips.chosen, clips.word, clips.recordings, args.seed, args.count)
    what = f"{Path(args.source).name} as {clips.word}" if of_file else clips.word
    title = f"{spec.name}: {what}, seed {args.seed}"
    write = page if output.suffix == ".html" else image
    write_atomic(output, write(title, shown, spec))
    if args.json != "-":
        print(f"{output}: {args.count} draws of {what}")
    fields = [name for name, _ in Draw._fields_]
    result = {"model": spec.name, "word": clips.word, "seed": args.seed}
    result["draws"] = [{name: getattr(draw, name) for name in fields} for draw in draws]
    cli.emit_json(args.json, result)
    return 0


def show(
    spec: Specification, audio: np.ndarray, chosen: int, word: str, recordings: Sequence[np.ndarray],
    seed: int, count: int,
) -> tuple[list[Shown], list[Draw]]:  # fmt: skip
    """The clip as it is and after ``count`` draws."""
    frontend = Frontend(spec.frontend)
    augmenter = Augmenter(spec.augmentation, frontend, audio, recordings)
    shown = [Shown("the clip", audio[chosen], 0, {}, frontend.features(audio[chosen]))]
    draws = []
    job = Job(chosen, _kind(spec, word))
    features = augmenter.features(np.array([[job.clip, job.kind]] * count, np.int32).reshape(-1, 2), (seed,))
    for number, seen in enumerate(features):
        draw = augmenter.draw(job, (seed,), number)
        pcm = augmenter.pcm(job, draw)
        effects = told(draw, job.kind, spec.sample_rate_hz)
        shown.append(Shown(f"draw {number}", pcm, draw.lead_in_samples, effects, seen))
        draws.append(draw)
    return shown, draws


def told(draw: Draw, kind: int, rate: int) -> dict[str, str]:
    """What a draw does, effect by effect, in the order of the chain; what is off is left out."""
    effects: dict[str, str] = {}

    def tell(name: str, on: bool, what: str) -> None:
        if on:
            effects[name] = what

    ms = 1000 / rate
    spoken = kind != augmentation.SILENCE
    tell("speed", draw.speed != 1, f"{draw.speed:.3f}")
    tell("pitch", draw.pitch_semitones != 0, f"{draw.pitch_semitones:+.2f} semitones")
    tell("shift", draw.shift_samples != 0, f"{draw.shift_samples * ms:+.0f} ms")
    tell("lead-in", draw.lead_in_samples > 0, f"{draw.lead_in_samples * ms:.0f} ms")
    settled = f"noise reduction as after {draw.settled_ms / 1000:.1f} s of it"
    tell("settled", draw.settled_ms > 0, settled)
    level = f"at {draw.lead_in_level:.2f} of its loudness"
    tell("word before", draw.lead_in_clip >= 0, f"clip {draw.lead_in_clip}, {level}")
    room = f"60 dB in {draw.room_rt60_s:.2f} s, direct {draw.room_direct_db:+.1f} dB"
    tell("room", draw.room_rt60_s > 0, room)
    slope = -6 * draw.noise_row / (augmentation.NOISE_ROWS - 1)
    origin = f"{slope:.1f} dB/octave" if draw.noise == MADE_NOISE else f"recording {draw.noise}"
    loud = f"SNR {draw.noise_snr_db:.1f} dB" if spoken else f"RMS {draw.noise_loudness:.0f}"
    tell("noise", draw.noise != NO_NOISE, f"{loud}, {origin}")
    tell("level", not spoken and draw.noise == NO_NOISE, f"{draw.noise_loudness:.2f}")
    filters = f"high-pass {draw.highpass_hz:.0f} Hz, {draw.shelf_db:+.1f} dB from {draw.shelf_hz:.0f} Hz"
    filters += f", peak {draw.peak_db:+.1f} dB at {draw.peak_hz:.0f} Hz"
    tell("microphone", draw.highpass_hz > 0, filters)
    how = "bent" if draw.clipping_soft else "cut off"
    tell("clipping", draw.clipping_db > 0, f"{draw.clipping_db:.1f} dB, {how}")
    tell("gain", draw.gain != 1, f"{draw.gain:.2f}")
    tell("floor", True, f"RMS {draw.floor_rms:.1f}")
    return effects


def page(title: str, shown: Sequence[Shown], spec: Specification) -> str:
    """The HTML page."""
    parts = []
    for one in shown:
        rows = "".join(f"<tr><td>{escape(k)}<td>{escape(v)}" for k, v in one.effects.items())
        parts.append(
            f"<section><h2>{escape(one.title)}</h2>"
            f"{_embedded('img', 'image/png', png(_picture(one, spec)))}"
            f"{_embedded('audio controls', 'audio/wav', wav(one.pcm, spec.sample_rate_hz))}"
            f"<table>{rows}</table></section>"
        )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1><p>Waveform (the lead-in grey), "
        "spectrogram up to half the rate over 80 dB, and the features that the network sees.</p>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def image(title: str, shown: Sequence[Shown], spec: Specification) -> bytes:
    """The PNG: the same without sound."""
    parts = [picture.text(title, 3)]
    for one in shown:
        parts += [picture.text(line) for line in _lines(one)] + [_picture(one, spec)]
    widest = max(part.shape[1] for part in parts)
    padded = [np.pad(p, ((0, 0), (0, widest - p.shape[1]), (0, 0)), constant_values=255) for p in parts]
    return png(picture.stack(padded))


def _picture(one: Shown, spec: Specification) -> np.ndarray:
    rate = spec.sample_rate_hz
    return picture.stack(
        [
            picture.waveform(one.pcm, rate, one.lead_in),
            picture.spectrogram(one.pcm, rate),
            picture.features(one.features, 1000 * spec.frontend.step_samples / rate),
        ]
    )


def _lines(one: Shown) -> list[str]:
    """A title and its effects, in lines that a picture has room for."""
    lines = [one.title]
    for name, what in one.effects.items():
        more = f"{name}: {what}"
        if len(lines) > 1 and len(lines[-1]) + len(more) < 100:
            lines[-1] += f"   {more}"
        else:
            lines.append(more)
    return lines


def _embedded(tag: str, kind: str, data: bytes) -> str:
    closing = "</audio>" if tag.startswith("audio") else ""
    return f'<{tag} src="data:{kind};base64,{base64.b64encode(data).decode()}">{closing}'


def _kind(spec: Specification, word: str) -> int:
    if word == SILENCE:
        return augmentation.SILENCE
    return augmentation.KEYWORD if word in spec.keywords else augmentation.UNKNOWN


def _of_file(path: str, spec: Specification, args: argparse.Namespace) -> _Clips:
    audio = fit_length(read_audio(path, spec.sample_rate_hz, resample=True), spec.clip_samples)
    dataset = args.dataset
    recordings = find.load(dataset, spec).background if dataset else ()
    return _Clips(audio[None], 0, args.word or spec.keywords[0], tuple(recordings))


def _of_dataset(spec: Specification, args: argparse.Namespace) -> _Clips:
    store = find.load(args.dataset, spec)
    word = args.word or spec.keywords[0]
    wanted = [i for i, clip in enumerate(store.clips) if clip.word == word]
    if not wanted:
        words = ", ".join(sorted({clip.word for clip in store.clips}))
        raise TokayError(f"the dataset has no clip of {word!r}", hint=f"it has {words}")
    chosen = wanted[int(np.random.default_rng(args.seed).integers(len(wanted)))]
    others = np.random.default_rng(0).permutation(len(store.clips))[:500]  # for the words before
    audio = np.concatenate((store.audio[[chosen]], store.audio[np.sort(others)]))
    return _Clips(audio, 0, word, store.background)


if __name__ == "__main__":
    sys.exit(cli.run(main))
