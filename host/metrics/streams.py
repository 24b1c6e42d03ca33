"""Long streams to judge a detector by, generated from a split's clips: keywords among other words in
noise, and hours without any keyword.

The noise here is made apart from what training uses, so that a figure does not move when the
augmentation does. A stream is a function of its seed, its length and the clips alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from host.audio import to_int16
from host.augmentation import loudness
from host.dataset.store import Store
from host.metrics.streaming import Spoken
from host.specification import SILENCE

_LEVEL = 2000.0  # of speech, about the middle of the recordings'
_MINUTE_S = 60
_FADE_S = 0.2  # from one minute's noise to the next
_QUIET_RMS, _LOUD_RMS = 10.0, 2500.0  # of noise without speech
_VOICES = 5  # in babble
BABBLE = "_babble_"  # what is said where several voices talk at once; no keyword can be called so


@dataclass(frozen=True)
class Stream:
    """Audio and what is said in it."""

    name: str
    audio: np.ndarray  # int16[n]
    spoken: tuple[Spoken, ...]


@dataclass(frozen=True)
class Material:
    """What streams are made of: one split's clips and the background recordings (of no split)."""

    rate: int
    keywords: dict[str, np.ndarray]  # int16[clips, samples] by label
    others: np.ndarray  # int16[clips, samples]
    other_words: tuple[str, ...]
    quiet: np.ndarray  # of the class _silence_
    recordings: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class KeywordStream:
    """How a stream with keywords is made."""

    minutes: float = 20
    keywords: int = 50
    others: int = 150
    snr_db: tuple[float, float] = (10.0, 20.0)


def material(store: Store, split: str, keywords: Sequence[str], rate: int) -> Material:
    """The clips of a split, sorted by what they are for; words that are no keyword are the others."""
    chosen = store.select(split)
    words = [store.clips[i].word for i in chosen]

    def of(wanted: Sequence[bool]) -> np.ndarray:
        return store.audio[chosen[np.flatnonzero(wanted)]]

    other = [word not in keywords and word != SILENCE for word in words]
    return Material(
        rate,
        {label: of([word == label for word in words]) for label in keywords},
        of(other),
        tuple(word for word, wanted in zip(words, other, strict=True) if wanted),
        of([word == SILENCE for word in words]),
        tuple(np.asarray(recording) for recording in store.background),
    )


def keyword_stream(source: Material, seed: int, settings: KeywordStream | None = None) -> Stream:
    """Keywords, as many of each as of the others, among other words, in noise that changes each minute."""
    settings = settings or KeywordStream()
    rng = np.random.default_rng([seed, 0x57E])
    labels = [label for label, clips in source.keywords.items() if len(clips)]
    said: list[tuple[str, np.ndarray]] = []
    for k, label in enumerate(labels):
        share = settings.keywords // len(labels) + (k < settings.keywords % len(labels))
        clips = source.keywords[label]
        said += [(label, clips[i]) for i in _draw(rng, len(clips), share)]
    if len(source.others):
        chosen = _draw(rng, len(source.others), settings.others)
        said += [(source.other_words[i], source.others[i]) for i in chosen]
    said = [said[i] for i in rng.permutation(len(said))]
    audio, spoken = compose(
        said, source.rate, 60 * settings.minutes, settings.snr_db, source.recordings, rng,
        level_db=(-9.0, 3.0),
    )  # fmt: skip
    return Stream(f"keywords, seed {seed}", audio, tuple(spoken))


def background_stream(source: Material, seed: int, minutes: float = 20) -> Stream:
    """No keyword: minutes of other words, one after the other, at 5 to 30 dB above noise, and minutes of
    noise alone, from a quiet room's to a loud one's, babble included (which counts as said)."""
    rng = np.random.default_rng([seed, 0xBAC])
    rate, total = source.rate, round(60 * minutes * source.rate)
    pieces: list[np.ndarray] = []
    spoken: list[Spoken] = []
    at = 0
    while at < total:
        samples = min(_MINUTE_S * rate, total - at)
        talk = rng.random() < 0.5 and len(source.others) > 0
        rms = 10 ** rng.uniform(np.log10(_QUIET_RMS), np.log10(_LOUD_RMS))
        if talk:
            count = samples // max(2 * rate, source.others.shape[1])
            chosen = _draw(rng, len(source.others), count)
            level = float(_LEVEL * 10 ** (rng.uniform(-12, 6) / 20))
            piece, words = _talk(
                [(source.other_words[i], source.others[i]) for i in chosen], samples, level, rate, rng
            )
            spoken += [_moved(word, at, rate) for word in words]
            rms = level * 10 ** (-rng.uniform(5, 30) / 20)
            piece += rms * _any_noise(samples, rng, source)[0]
        else:
            noise, babble = _any_noise(samples, rng, source)
            piece = np.float32(rms) * noise
            if babble:
                spoken.append(Spoken(BABBLE, 1000 * at // rate, 1000 * (at + samples) // rate))
        pieces.append(piece)
        at += samples
    signal = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
    return Stream(f"no keyword, seed {seed}", to_int16(signal), tuple(spoken))


def cut(stream: Stream, seconds: float, rate: int) -> Stream:
    """The start of a stream, with the words that end in it."""
    audio = stream.audio[: round(seconds * rate)]
    end_ms = 1000 * len(audio) // rate
    return Stream(stream.name, audio, tuple(word for word in stream.spoken if word.end_ms <= end_ms))


def compose(
    words: Sequence[tuple[str, np.ndarray]], rate: int, seconds: float, snr_db: tuple[float, float],
    noises: Sequence[np.ndarray], rng: np.random.Generator, level_db: tuple[float, float] = (0.0, 0.0),
) -> tuple[np.ndarray, list[Spoken]]:  # fmt: skip
    """A stream with the words spread over it in their order, in noise that changes each minute.

    Within a minute words are as loud as each other, and the noise below them by a ratio drawn for the
    minute; ``level_db`` is how much louder or less loud than usual a minute may be. Returns int16 PCM
    and where each word is.
    """
    total = round(seconds * rate)
    minutes = -(-total // (_MINUTE_S * rate))
    levels = _LEVEL * 10 ** (rng.uniform(*level_db, minutes) / 20)
    ratios = rng.uniform(*snr_db, minutes)
    faded = (_MINUTE_S * rate) + round(_FADE_S * rate)
    loud = [np.float32(level * 10 ** (-db / 20)) for level, db in zip(levels, ratios, strict=True)]
    signal = _minutes([rms * _noise(faded, rng, noises) for rms in loud], rate)[:total]
    slot = total // max(len(words), 1)
    spoken = []
    for index, (label, clip) in enumerate(words):
        room = slot - len(clip)
        if room < 0:
            raise ValueError(f"{len(words)} clips do not fit in {seconds:g} s")
        start = index * slot + int(rng.integers(room + 1))
        level = levels[(start + len(clip) // 2) // (_MINUTE_S * rate)]
        spoken.append(_say(signal, label, clip, start, level, rate))
    return to_int16(signal), spoken


def _talk(
    words: Sequence[tuple[str, np.ndarray]], samples: int, level: float, rate: int, rng: np.random.Generator
) -> tuple[np.ndarray, list[Spoken]]:
    signal, spoken = np.zeros(samples, np.float32), []
    slot = samples // max(len(words), 1)
    for index, (label, clip) in enumerate(words):
        start = index * slot + int(rng.integers(slot - len(clip) + 1))
        spoken.append(_say(signal, label, clip, start, level, rate))
    return signal, spoken


def _say(signal: np.ndarray, label: str, clip: np.ndarray, start: int, level: float, rate: int) -> Spoken:
    """Adds a clip, made as loud as ``level``, to a signal."""
    signal[start : start + len(clip)] += clip * np.float32(level / max(loudness(clip), 1.0))
    ms = 1000 / rate
    return Spoken(
        label, round(start * ms), round((start + len(clip)) * ms), round((start + voice_end(clip, rate)) * ms)
    )


def voice_end(clip: np.ndarray, rate: int) -> int:
    """The sample after which a clip's 20 ms blocks stay 20 dB below its loudest: an estimate."""
    block = rate // 50
    usable = len(clip) // block * block
    power = (clip[:usable].astype(np.float64).reshape(-1, block) ** 2).mean(axis=1)
    loud = np.flatnonzero(power >= 0.01 * power.max(initial=0))
    return int(loud[-1] + 1) * block if len(loud) else len(clip)


def _moved(word: Spoken, samples: int, rate: int) -> Spoken:
    by = round(1000 * samples / rate)
    end = None if word.voice_end_ms is None else word.voice_end_ms + by
    return Spoken(word.label, word.start_ms + by, word.end_ms + by, end)


def _minutes(pieces: Sequence[np.ndarray], rate: int) -> np.ndarray:
    """Joins pieces that are each a fade longer than a minute."""
    fade, minute = round(_FADE_S * rate), _MINUTE_S * rate
    signal = np.zeros(minute * len(pieces) + fade, np.float32)
    ramp = np.linspace(0, 1, fade, dtype=np.float32)
    for index, piece in enumerate(pieces):
        faded = piece.copy()
        if index > 0:
            faded[:fade] *= ramp
        faded[minute:] *= 1 - ramp
        signal[index * minute : index * minute + len(faded)] += faded
    return signal


def _draw(rng: np.random.Generator, count: int, wanted: int) -> np.ndarray:
    """Indices below ``count``, each used again only when all were."""
    rounds = [rng.permutation(count) for _ in range(-(-wanted // count))] if count else []
    return np.concatenate(rounds)[:wanted] if rounds else np.zeros(0, np.int64)


def _noise(samples: int, rng: np.random.Generator, recordings: Sequence[np.ndarray]) -> np.ndarray:
    """Noise of RMS 1: two times in three a recording, where there is one, else coloured noise."""
    if recordings and rng.random() < 2 / 3:
        return _looped(recordings[int(rng.integers(len(recordings)))], samples, rng)
    return coloured(samples, rng.uniform(0.0, 1.0), rng)


def _any_noise(samples: int, rng: np.random.Generator, source: Material) -> tuple[np.ndarray, bool]:
    """Noise of RMS 1, and whether it is babble."""
    kind = rng.random()
    if kind < 0.2 and len(source.quiet):
        return _looped(source.quiet[int(rng.integers(len(source.quiet)))], samples, rng), False
    if kind < 0.35 and len(source.others):
        return _babble(samples, rng, source), True
    return _noise(samples, rng, source.recordings), False


def _looped(recording: np.ndarray, samples: int, rng: np.random.Generator) -> np.ndarray:
    """A piece of a recording that goes on forward and backward, so that no seam is heard."""
    there_and_back = np.concatenate((recording, recording[::-1])).astype(np.float32)
    start = int(rng.integers(len(there_and_back)))
    return _unit(np.resize(np.roll(there_and_back, -start), samples))


def _babble(samples: int, rng: np.random.Generator, source: Material) -> np.ndarray:
    """Several voices at once, each saying other words without a pause."""
    signal = np.zeros(samples, np.float32)
    length = source.others.shape[1]
    for _ in range(_VOICES):
        clips = source.others[_draw(rng, len(source.others), samples // length + 2)].astype(np.float32)
        clips /= np.maximum([[loudness(clip)] for clip in clips], 1.0)
        start = int(rng.integers(length))
        signal += clips.reshape(-1)[start : start + samples]
    return _unit(signal)


def coloured(samples: int, slope: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise of RMS 1 that falls by ``slope`` times 6 dB an octave, flat below 20 Hz or so."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    lowest = max(1.0, 0.005 * len(spectrum))
    spectrum *= np.maximum(np.arange(len(spectrum)), lowest) ** -slope
    return _unit(np.fft.irfft(spectrum, samples).astype(np.float32))


def _unit(signal: np.ndarray) -> np.ndarray:
    rms = float(np.sqrt(np.mean(signal.astype(np.float64) ** 2))) if len(signal) else 0.0
    return (signal / max(rms, 1e-9)).astype(np.float32)
