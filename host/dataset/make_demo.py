"""Makes the demonstration's audio: a dialogue with pauses in light noise, said by voices that no model
was trained on, with a sidecar that says which word is where.

    python -m host.dataset.make_demo -o host/models/demo/on_off.wav

Needs espeak-ng; the result is part of the repository, so only its author runs this. It demonstrates,
it does not measure: the voices were picked from those held out so that the words can be understood, and
two that the model misheard ("stop" for "off", "off" for another word) gave way to others.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from host import cli
from host.audio import to_int16
from host.augmentation import coloured_noise, loudness
from host.dataset import synthetic
from host.dataset.synthesizers import Voice, espeak
from host.errors import TokayError
from host.files import write_atomic
from host.media import wav

RATE = 8000
LENGTH_S = 18.0
SPEECH_RMS = 2500.0
SNR_DB = 25.0


@dataclass(frozen=True)
class Line:
    """One word of the dialogue."""

    at_s: float
    word: str
    voice: Voice


def _espeak(speaker: str, words_a_minute: int, pitch: int) -> Voice:
    return Voice(synthetic.ESPEAK, speaker, *espeak.scaled(words_a_minute, pitch))


_MAN, _WOMAN = _espeak("en-us+m2", 140, 45), _espeak("en-us+f2", 140, 48)
_QUINCY, _BELINDA = _espeak("en+quincy", 140, 48), _espeak("en+belinda", 135, 55)
_ALEX = _espeak("en-gb-scotland+Alex", 140, 48)

DIALOGUE = (
    Line(1.5, "on", _MAN),
    Line(3.0, "yes", _WOMAN),
    Line(4.5, "off", _WOMAN),
    Line(6.1, "left", _MAN),
    Line(7.5, "on", _BELINDA),
    Line(9.2, "stop", _MAN),
    Line(10.6, "off", _QUINCY),
    Line(12.2, "seven", _BELINDA),
    Line(13.5, "on", _ALEX),
    Line(15.2, "tree", _WOMAN),
    Line(16.4, "off", _ALEX),
)


def main(argv: Sequence[str]) -> int:
    """The command."""
    p = cli.parser("dataset.make_demo", "Make the demonstration's audio.", json_output=False)
    p.add_argument("-o", "--output", required=True, metavar="WAV", help="writes WAV and a .json beside it")
    args = p.parse_args(argv)
    if not synthetic.available():
        raise TokayError("espeak-ng is not installed", hint="apt install espeak-ng")
    audio, words = render(DIALOGUE)
    output = Path(args.output)
    write_atomic(output, wav(audio, RATE))
    sidecar = {
        "audio": output.name,
        "sample_rate_hz": RATE,
        "duration_ms": round(1000 * len(audio) / RATE),
        "keywords": [w for w in words if w["word"] in ("on", "off")],
        "words": words,
        "source": f"espeak-ng, variants held out of training, noise at {SNR_DB:g} dB SNR",
    }
    write_atomic(output.with_suffix(".json"), json.dumps(sidecar, indent=2) + "\n")
    return 0


def render(dialogue: Sequence[Line]) -> tuple[np.ndarray, list[dict[str, object]]]:
    """The dialogue's int16 PCM, and each word with its start and end in milliseconds."""
    signal = np.zeros(round(LENGTH_S * RATE), np.float32)
    words: list[dict[str, object]] = []
    for line in dialogue:
        if not synthetic.held_out(line.voice):
            raise TokayError(f"{line.voice} is one that models are trained on")
        said = synthetic.say(line.word, line.voice, RATE).astype(np.float32)
        said *= SPEECH_RMS / loudness(said)
        start = round(line.at_s * RATE)
        signal[start : start + len(said)] += said
        times = {"start_ms": round(1000 * line.at_s), "end_ms": round(1000 * (start + len(said)) / RATE)}
        words.append({"word": line.word, **times, "voice": asdict(line.voice)})
    signal += coloured_noise(len(signal), 24, 0.5, RATE) * (SPEECH_RMS * 10 ** (-SNR_DB / 20))
    return to_int16(signal), words


if __name__ == "__main__":
    sys.exit(cli.run(main))
