"""Training examples: augmented PCM through the firmware's own front end to int8 features.

An example is a function of the seed and its place in the plan alone; batches are made on all cores.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from host.dataset import augment, synthetic
from host.dataset.store import Store
from host.errors import TokayError
from host.features import Frontend
from host.training.specification import SILENCE, UNKNOWN, Specification

_CHUNK = 256  # examples a worker makes at a time
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Examples:
    """Features of many examples: int8[n, frames, channels], the class of each and the word it says."""

    features: np.ndarray
    labels: np.ndarray  # int64[n]
    words: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # int64[n], into word_names
    word_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class _Clips:
    """Clips of one length with the class and the word of each."""

    audio: np.ndarray  # int16[n, samples]
    labels: np.ndarray  # int64[n]
    words: np.ndarray  # int64[n]


@dataclass(frozen=True)
class _Job:
    """One example to make: from a clip (an index), or from noise alone (-1)."""

    clip: int
    label: int
    word: int


class Source:
    """The training split: its augmented copies, background crops and synthetic voices, drawn anew and
    shuffled anew each epoch. An epoch is a function of the specification, the store, the seed and its
    number alone."""

    def __init__(self, spec: Specification, store: Store, seed: int) -> None:
        self.word_names = word_names(spec, store)
        self._spec, self._background, self._seed = spec, store.background, seed
        settings = spec.augmentation
        clips, said = (
            _recorded_clips(spec, store, self.word_names),
            _synthetic_clips(spec, seed, self.word_names),
        )
        copies = {SILENCE: settings.silence_copies, UNKNOWN: settings.unknown_copies}
        jobs = _plan(spec, clips, copies, settings.keyword_copies)
        copies = {UNKNOWN: settings.synthetic_unknown_copies}
        jobs += _plan(spec, said, copies, settings.synthetic_copies, first=len(clips.labels))
        if SILENCE in spec.classes:
            crop = _Job(-1, spec.classes.index(SILENCE), self.word_names.index(SILENCE))
            jobs += [crop] * settings.background_crops
        self._jobs = jobs
        self._audio = np.concatenate((clips.audio, said.audio))

    def __len__(self) -> int:
        """Examples of an epoch."""
        return len(self._jobs)

    def epoch(self, number: int, progress: Progress | None = None) -> Examples:
        """The examples of epoch ``number``, 0 or more."""
        if number < 0:
            raise ValueError(f"epoch {number} is negative")
        seed = (self._seed, 2, number)
        made = _make(self._spec, self._audio, self._background, self._jobs, seed, progress)
        order = np.random.default_rng([self._seed, 1, number]).permutation(len(made))
        return Examples(made.features[order], made.labels[order], made.words[order], self.word_names)


def word_names(spec: Specification, store: Store) -> tuple[str, ...]:
    """The words that examples of this store can say, keywords first: what ``Examples.words`` counts in."""
    others = {clip.word for clip in store.clips if spec.class_of(clip.word) >= 0}
    if UNKNOWN in spec.classes and _voices(spec):
        others |= set(synthetic.UNKNOWN_WORDS)
    if SILENCE in spec.classes:
        others.add(SILENCE)
    return (*spec.keywords, *sorted(others - set(spec.keywords)))


def recorded(spec: Specification, store: Store, split: str) -> Examples:
    """The clips of a split as they are, in the store's order; clips of no class are left out."""
    names = word_names(spec, store)
    clips = _clips(
        spec, store, [i for i in store.select(split) if spec.class_of(store.clips[i].word) >= 0], names
    )
    frontend = Frontend(spec.frontend)
    parts = [
        frontend.features_batch(clips.audio[start : start + _CHUNK])
        for start in range(0, len(clips.audio), _CHUNK)
    ]
    features = np.concatenate(parts) if parts else np.zeros((0, *spec.feature_shape), np.int8)
    return Examples(features, clips.labels, clips.words, names)


def augmented(spec: Specification, store: Store, seed: int, progress: Progress | None = None) -> Examples:
    """The first epoch of the training split."""
    return Source(spec, store, seed).epoch(0, progress)


def validation(spec: Specification, store: Store, seed: int) -> Examples:
    """What the best epoch is chosen on: the validation clips as they are and under augmentation.

    The copies make the choice less of a draw where a class has a few dozen clips.
    """
    plain = recorded(spec, store, "validation")
    if not len(plain):
        raise TokayError("the validation split has no clip of the model's classes", hint="check the lists")
    if spec.test_run:
        return plain
    names = plain.word_names
    chosen = [i for i in store.select("validation") if spec.class_of(store.clips[i].word) >= 0]
    clips = _clips(spec, store, chosen, names)
    jobs = _plan(spec, clips, {SILENCE: 3, UNKNOWN: 1}, 8)
    copies = _make(spec, clips.audio, store.background, jobs, (seed, 4), None)
    features = np.concatenate((plain.features, copies.features))
    labels, words = np.concatenate((plain.labels, copies.labels)), np.concatenate((plain.words, copies.words))
    return Examples(features, labels, words, names)


def _make(
    spec: Specification, audio: np.ndarray, background: Sequence[np.ndarray], jobs: Sequence[_Job],
    seed: tuple[int, ...], progress: Progress | None,
) -> Examples:  # fmt: skip
    """The jobs' examples, in their order."""
    frontend = Frontend(spec.frontend)
    parts: list[np.ndarray] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for part in pool.map(
            lambda start: _make_chunk(spec, audio, background, jobs, start, seed, frontend),
            range(0, len(jobs), _CHUNK),
        ):
            parts.append(part)
            if progress:
                progress(min(len(parts) * _CHUNK, len(jobs)), len(jobs))
    labels, words = ([getattr(job, name) for job in jobs] for name in ("label", "word"))
    return Examples(np.concatenate(parts), np.array(labels, np.int64), np.array(words, np.int64))


def _clips(spec: Specification, store: Store, chosen: Sequence[int], names: Sequence[str]) -> _Clips:
    said = [store.clips[i].word for i in chosen]
    labels = np.array([spec.class_of(word) for word in said], np.int64)
    return _Clips(store.audio[chosen], labels, np.array([names.index(word) for word in said], np.int64))


def _recorded_clips(spec: Specification, store: Store, names: Sequence[str]) -> _Clips:
    """The clips of the training split; a few of each class for a dry run."""
    chosen = [i for i in store.select("training") if spec.class_of(store.clips[i].word) >= 0]
    if spec.test_run:
        chosen = _few_of_each(chosen, [spec.class_of(store.clips[i].word) for i in chosen], 8)
    return _clips(spec, store, chosen, names)


def _voices(spec: Specification, seed: int = 0) -> list[synthetic.Voice]:
    """The specification's, as far as their synthesizers are installed."""
    return synthetic.training_voices(spec.augmentation.synthetic_voices, seed)


def _synthetic_clips(spec: Specification, seed: int, names: Sequence[str]) -> _Clips:
    """Keywords and, where there is such a class, other words in synthetic voices."""
    voices = _voices(spec, seed)
    if not voices:
        nothing = np.zeros(0, np.int64)
        return _Clips(np.zeros((0, spec.clip_samples), np.int16), nothing, nothing)
    words = list(spec.keywords)
    if UNKNOWN in spec.classes:
        words += [word for word in synthetic.UNKNOWN_WORDS if word not in words]
    audio = synthetic.clips(words, voices, spec.sample_rate_hz, spec.clip_samples)
    labels = np.repeat([spec.class_of(word) for word in words], len(voices))
    said = np.repeat([names.index(word) for word in words], len(voices))
    return _Clips(audio.reshape(-1, spec.clip_samples), labels, said)


def _few_of_each(chosen: Sequence[int], labels: Sequence[int], most: int) -> list[int]:
    kept: list[int] = []
    for label in sorted(set(labels)):
        kept += [i for i, k in zip(chosen, labels, strict=True) if k == label][:most]
    return kept


def _plan(
    spec: Specification, clips: _Clips, copies: Mapping[str, int], keyword_copies: int, first: int = 0
) -> list[_Job]:
    """Copies by class name, keyword_copies of the others. The first label is that of clip ``first``."""
    jobs: list[_Job] = []
    for clip, (label, word) in enumerate(
        zip(clips.labels.tolist(), clips.words.tolist(), strict=True), first
    ):
        jobs += [_Job(clip, label, word)] * copies.get(spec.classes[label], keyword_copies)
    return jobs


def _make_chunk(
    spec: Specification, audio: np.ndarray, background: Sequence[np.ndarray], jobs: Sequence[_Job],
    start: int, seed: tuple[int, ...], frontend: Frontend,
) -> np.ndarray:  # fmt: skip
    """Features of jobs[start : start + _CHUNK]. A lead-in makes longer audio: its last frames count."""
    made: dict[int, list[tuple[int, np.ndarray]]] = {}
    for index, signal in _signals(spec, audio, background, jobs, start, seed):
        made.setdefault(len(signal), []).append((index, signal))
    frames, channels = spec.feature_shape
    features = np.empty((min(_CHUNK, len(jobs) - start), frames, channels), np.int8)
    for group in made.values():
        indices = [index - start for index, _ in group]
        features[indices] = frontend.features_batch(np.stack([signal for _, signal in group]))[:, -frames:]
    return features


def _signals(
    spec: Specification, audio: np.ndarray, background: Sequence[np.ndarray], jobs: Sequence[_Job],
    start: int, seed: tuple[int, ...],
) -> Iterator[tuple[int, np.ndarray]]:  # fmt: skip
    settings, rate = spec.augmentation, spec.sample_rate_hz
    silence = spec.classes.index(SILENCE) if SILENCE in spec.classes else -1
    unknown = spec.classes.index(UNKNOWN) if UNKNOWN in spec.classes else -1
    for index in range(start, min(start + _CHUNK, len(jobs))):
        rng = np.random.default_rng([*seed, index])
        job = jobs[index]
        if job.label == silence:
            clip = audio[job.clip] if job.clip >= 0 else None
            yield index, augment.quiet(clip, rng, settings, rate, spec.clip_samples, background)
        else:
            before = audio[int(rng.integers(len(audio)))]
            shift_ms = settings.unknown_shift_ms if job.label == unknown else settings.shift_ms
            yield index, augment.utterance(audio[job.clip], rng, settings, rate, background, before, shift_ms)
