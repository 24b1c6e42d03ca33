"""Recordings given by the user, with labels that say which word is where.

Labels are lines ``start end word`` in seconds, as Audacity exports a label track (tabs or spaces; ``#``
begins a comment, ``\\`` the frequencies of the label above, which say nothing here), or JSON with a list
``keywords`` of objects with ``word``, ``start_ms``, ``end_ms``.
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from host.audio import read_audio
from host.errors import TokayError
from host.metrics.streaming import Spoken
from host.metrics.streams import Stream

_AROUND_MS = 250  # of what follows a word in a clip of a second: a detection may come so much later
_LATE_MS = 1000 + _AROUND_MS  # a word may go on after the recording: it was cut, or labelled generously
_HINT = "a line is: start end word, in seconds"


def load(
    audio: Path, labels: Path | None, rate: int, *, resample: bool = False, keywords: Sequence[str] = ()
) -> Stream:
    """A recording as a stream; without labels nothing counts as said. TokayError where they belong to
    another recording, or have one of ``keywords`` in other letters: it would count as another word."""
    samples = read_audio(audio, rate, resample=resample)
    spoken = read_labels(labels) if labels else ()
    for word in spoken:
        meant = [keyword for keyword in keywords if keyword.casefold() == word.label.casefold()]
        if meant and word.label not in keywords:
            raise TokayError(
                f"{labels}: {word.label!r} at {word.start_ms / 1000:g} s, the model says {meant[0]!r}",
                hint="it would count as another word: write it as the model does",
            )
    end_ms = 1000 * len(samples) // rate
    late = next((word for word in spoken if word.end_ms > end_ms + _LATE_MS or word.start_ms >= end_ms), None)
    if late is not None:
        from_to = f"from {late.start_ms / 1000:g} to {(late.end_ms - _AROUND_MS) / 1000:g} s"
        raise TokayError(
            f"{labels}: {late.label!r} {from_to}, {audio} ends at {end_ms / 1000:g} s",
            hint="do the labels belong to another recording?",
        )
    return Stream(audio.name, samples, tuple(spoken))


def read_labels(path: Path) -> tuple[Spoken, ...]:
    """The words of a label file, in the order of their starts."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors on Windows mark a file's beginning
    except (OSError, UnicodeDecodeError) as error:
        raise TokayError(f"cannot read {path}: {error}") from error
    words = _from_json(path, text) if path.suffix == ".json" else list(_from_lines(path, text))
    return tuple(sorted(words, key=lambda word: word.start_ms))


def _from_lines(path: Path, text: str) -> Iterable[Spoken]:
    for number, line in enumerate(text.splitlines(), 1):
        parts = line.split("#")[0].split(None, 2)
        if not parts or parts[0] == "\\":
            continue
        where = f"{path}:{number}"
        if len(parts) != 3:
            raise TokayError(f"{where}: {line.strip()!r} is not a label", hint=_HINT)
        try:
            start, end = float(parts[0]), float(parts[1])
        except ValueError as error:
            raise TokayError(f"{where}: {' '.join(parts[:2])!r} are not times", hint=_HINT) from error
        yield _word(where, parts[2].strip(), 1000 * start, 1000 * end)


def _from_json(path: Path, text: str) -> list[Spoken]:
    try:
        value: Any = json.loads(text)
        listed = value["keywords"] if isinstance(value, dict) else value
        return [
            _word(f"{path}: word {i}", str(item["word"]), float(item["start_ms"]), float(item["end_ms"]))
            for i, item in enumerate(listed, 1)
        ]
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise TokayError(
            f"{path}: not a list of labels: {type(error).__name__} {error}",
            hint='{"keywords": [{"word": "on", "start_ms": 1500, "end_ms": 2014}]}',
        ) from error


def _word(where: str, label: str, start_ms: float, end_ms: float) -> Spoken:
    if not 0 <= start_ms < end_ms < math.inf:  # no number is none of these
        span = f"from {start_ms / 1000:g} to {end_ms / 1000:g} s, which is not a span of a recording"
        raise TokayError(f"{where}: {label!r} {span}", hint=_HINT)
    if any(0xD800 <= ord(sign) < 0xE000 for sign in label):  # JSON can name half of a pair
        raise TokayError(f"{where}: {label!a} is not text: half of a surrogate pair", hint=_HINT)
    composed = unicodedata.normalize("NFC", label)  # as a specification has its classes
    return Spoken(composed, round(start_ms), round(end_ms) + _AROUND_MS, round(end_ms))
