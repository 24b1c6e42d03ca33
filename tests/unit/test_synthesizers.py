"""Synthetic voices: each installed engine speaks, the same each time; held-out voices never train."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from host import specification
from host.dataset import synthetic
from host.dataset.synthesizers import ENGINES, Voice
from host.errors import TokayError


def _voices(engine: str) -> list[Voice]:
    """Two speakers where there are two."""
    return [Voice(engine, name) for name in ENGINES[engine].speakers()[:2]]


def said_by(
    words: list[str], voices: list[Voice], rate: int, samples: int, cache: Path | None = None
) -> np.ndarray:
    """int16[words, voices, samples]: every word by every voice."""
    jobs = [(word, voice) for word in words for voice in voices]
    return synthetic.spoken(jobs, rate, samples, cache).reshape(len(words), len(voices), samples)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_speaks_and_repeats_itself(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason := ENGINES[engine].problem():
        pytest.skip(reason)
    voices = _voices(engine)
    said = said_by(["off", "yes"], voices, 8000, 8000, tmp_path / "a")
    assert said.shape == (2, len(voices), 8000) and said.dtype == np.int16
    assert len({clip.tobytes() for clip in said.reshape(-1, 8000)}) == 2 * len(voices)
    for clip in said.reshape(-1, 8000):
        assert np.abs(clip.astype(int)).max() > 500 and np.count_nonzero(np.abs(clip) > 50) > 800
    # Another cache folder, so said again: the words in another order, the first in other company.
    again = said_by(["yes", "off"], voices[:1], 8000, 8000, tmp_path / "b")
    assert np.array_equal(again[::-1, 0], said[:, 0])
    monkeypatch.setattr(synthetic, "say", lambda *_: pytest.fail("said again in spite of the cache"))
    assert np.array_equal(said_by(["off", "yes"], voices, 8000, 8000, tmp_path / "a"), said)


@pytest.mark.parametrize("engine", ["espeak-ng", "flite", "piper", "kokoro"])
def test_speed_and_pitch_are_heard(engine: str) -> None:
    if reason := ENGINES[engine].problem():
        pytest.skip(reason)
    speaker = ENGINES[engine].speakers()[0]
    usual, slow, high = (
        synthetic.say("hello", Voice(engine, speaker, speed, pitch), 8000)
        for speed, pitch in ((1.0, 1.0), (0.7, 1.0), (1.0, 1.25))
    )
    assert len(slow) > 1.15 * len(usual)
    assert abs(len(high) - len(usual)) < 0.2 * len(usual)
    assert not np.array_equal(high[: len(usual)], usual[: len(high)])


def test_held_out_voices_never_train() -> None:
    drawn = synthetic.training_voices(dict.fromkeys(ENGINES, 60), seed=3)
    assert drawn or synthetic.missing(tuple(ENGINES))
    assert not [voice for voice in drawn if synthetic.held_out(voice)]
    keywords = specification.load("keyword_spotting_on_off").spec.keywords
    assert not set(synthetic.UNKNOWN_WORDS) & set(keywords)


@pytest.mark.parametrize("engine", ["espeak-ng", "kokoro"])
def test_an_engine_of_many_speakers_holds_some_out(engine: str) -> None:
    if reason := ENGINES[engine].problem():
        pytest.skip(reason)
    speakers = ENGINES[engine].speakers()
    out = [name for name in speakers if ENGINES[engine].held_out(name)]
    assert len(out) < len(speakers) / 2 and (out or engine == "kokoro")


def test_a_drawing_is_the_same_for_a_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    for engine in ("espeak-ng", "kokoro", "flite"):  # nothing is said here, so none need be installed
        monkeypatch.setattr(type(ENGINES[engine]), "problem", lambda self: None)
    wanted = {"espeak-ng": 5, "kokoro": 5, "flite": 5}
    assert synthetic.training_voices(wanted, 1) == synthetic.training_voices(wanted, 1)
    assert synthetic.training_voices(wanted, 1) != synthetic.training_voices(wanted, 2)
    assert synthetic.training_voices(5, 1) == synthetic.training_voices({"espeak-ng": 5}, 1)


def test_more_voices_than_speakers_are_voices_between_two(monkeypatch: pytest.MonkeyPatch) -> None:
    kokoro = type(ENGINES["kokoro"])
    monkeypatch.setattr(kokoro, "problem", lambda self: None)
    alone = len([name for name in kokoro().speakers() if not kokoro().held_out(name)])
    drawn = [voice.speaker for voice in synthetic.training_voices({"kokoro": 3 * alone}, seed=1)]
    assert len(set(drawn)) == 3 * alone
    assert not any("+" in name for name in drawn[:alone]) and all("+" in name for name in drawn[alone:])
    pairs = {frozenset(name.split("+")) for name in drawn[alone:]}
    assert len(pairs) == 2 * alone and all(len(pair) == 2 for pair in pairs)
    assert drawn[:7] == [voice.speaker for voice in synthetic.training_voices({"kokoro": 7}, seed=1)]


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(ENGINES["flite"]), "problem", lambda self: "flite is not installed")
    assert synthetic.missing(("flite",)) == ["flite: flite is not installed; apt install flite"]
    assert synthetic.training_voices({"flite": 3}, 1) == []
    with pytest.raises(TokayError, match="flite is not installed"):
        said_by(["on"], [Voice("flite", "rms")], 8000, 8000)
    with pytest.raises(TokayError, match="no synthesizer 'cepstral'"):
        synthetic.missing(("cepstral",))


class Hummer:
    """An engine that hums and needs nothing."""

    install = ""

    def problem(self) -> str | None:
        return None

    def identity(self, speaker: str) -> str:
        return "1.0"

    def say(self, text: str, voice: Voice) -> tuple[np.ndarray, int]:
        return np.sin(np.arange(4000) / 7).astype(np.float32), 8000


@pytest.mark.parametrize("scale", [1.0, 8000.0, 1e6])
def test_silence_around_a_word_is_cut_off(scale: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins and ends where it is above a hundredth of its peak, up or down; shares of full scale stay
    as they are, other units fill it."""
    word = -0.5 * np.hanning(2002)[1:-1]
    word[700:900] *= -1

    def say(self: Hummer, text: str, voice: Voice) -> tuple[np.ndarray, int]:
        silence = np.full(500, 0.0045)
        return (scale * np.concatenate((silence, word, silence[:300]))).astype(np.float32), 8000

    monkeypatch.setattr(Hummer, "say", say)
    monkeypatch.setitem(synthetic.ENGINES, "hummer", Hummer())
    said = synthetic.say("on", Voice("hummer", "a"), 8000)
    assert said.dtype == np.int16 and len(said) == np.count_nonzero(np.abs(word) > 0.005)
    assert said[0] < 0 and said[-1] < 0
    assert np.max(np.abs(said.astype(int))) == (16383 if scale == 1.0 else 32767)
    monkeypatch.setattr(Hummer, "say", lambda *_: (np.zeros(100, np.float32), 8000))
    with pytest.raises(TokayError, match="said nothing for 'on'"):
        synthetic.say("on", Voice("hummer", "a"), 8000)


def test_a_damaged_clip_in_the_cache_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(synthetic.ENGINES, "hummer", Hummer())
    voices = [Voice("hummer", "a")]
    said = said_by(["on"], voices, 8000, 8000, tmp_path)
    (stored,) = (tmp_path / "synthetic" / "hummer").iterdir()
    whole = stored.read_bytes()
    flipped = [whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :] for i in (0, 8, 9, 21, 64, 1000)]
    for damage in (b"", whole[:200], whole[:-4], b"not an array", b"PK\5\6" + bytes(18), *flipped):
        stored.write_bytes(damage)
        assert np.array_equal(said_by(["on"], voices, 8000, 8000, tmp_path), said)


def test_a_program_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    if not synthetic.available():
        pytest.skip("espeak-ng is not installed")
    with pytest.raises(TokayError, match="espeak-ng"):
        synthetic.say("on", Voice("espeak-ng", "tlh-nowhere+nobody"), 8000)
