"""espeak-ng: formant synthesis, always at hand, many accents and variants, no human's voice."""

from __future__ import annotations

import functools
import math
import shutil

import numpy as np

from host.dataset.synthesizers.base import Voice, decode, run

# espeak-ng ignores a variant after "en-gb", without a word; after "en", the same accent, it does not.
ACCENTS = ("en-us", "en", "en-gb-x-rp", "en-gb-scotland", "en-029", "en-us-nyc")
# Variants of the synthesizer's glottal source and formants that stay intelligible.
TRAINING_VARIANTS = (
    "m1", "m3", "m5", "m7", "f1", "f3", "f5", "Andrea", "Annie", "Denis", "Diogo", "Gene", "Jacky", "Lee",
    "Mario", "Michael", "steph", "steph2", "adam", "aunty", "david", "ed", "edward", "linda", "max",
    "norbert", "rob", "shelby", "steph3", "travis",
)  # fmt: skip
HELD_OUT_VARIANTS = ("m2", "m4", "f2", "f4", "Andy", "Alex", "belinda", "quincy")
_WORDS_A_MINUTE = 175  # its usual speed
_USUAL_PITCH, _PITCH_OCTAVE = 50, 50  # of its scale 0..99, on which 50 are about an octave


class Espeak:
    """A speaker is accent+variant."""

    name = "espeak-ng"
    licence = "GPL-3.0-or-later"
    install = "apt install espeak-ng"

    def problem(self) -> str | None:
        return None if shutil.which("espeak-ng") else "espeak-ng is not installed"

    @functools.cache  # noqa: B019 (one object for the whole run)
    def identity(self, speaker: str) -> str:
        return run(self.name, ["espeak-ng", "--version"]).decode().split("Data at")[0].strip()

    def speakers(self) -> tuple[str, ...]:
        variants = TRAINING_VARIANTS + HELD_OUT_VARIANTS
        return tuple(f"{accent}+{variant}" for variant in variants for accent in ACCENTS)

    def held_out(self, speaker: str) -> bool:
        return speaker.split("+")[-1] in HELD_OUT_VARIANTS

    def blend(self, first: str, second: str) -> str | None:
        return None

    def say(self, text: str, voice: Voice) -> tuple[np.ndarray, int]:
        speed = round(_WORDS_A_MINUTE * voice.speed)
        pitch = round(_USUAL_PITCH + _PITCH_OCTAVE * math.log2(voice.pitch))
        command = ["espeak-ng", "-v", voice.speaker, "-s", str(speed)]
        command += ["-p", str(min(max(pitch, 0), 99)), "--stdout", text + voice.mark]
        return decode(self.name, run(self.name, command))


def scaled(words_a_minute: int, pitch: int) -> tuple[float, float]:
    """espeak-ng's own numbers as a voice's factors; ``say`` turns them back into the same numbers."""
    return words_a_minute / _WORDS_A_MINUTE, 2 ** ((pitch - _USUAL_PITCH) / _PITCH_OCTAVE)


def ipa(text: str, accent: str) -> str:
    """How espeak-ng pronounces a text, for engines that take phonemes."""
    return run("espeak-ng", ["espeak-ng", "-q", "--ipa", "-v", accent, text]).decode().strip()
