"""Training examples: augmented PCM through the firmware's own front end to int8 features.

An example is a function of the seed, the epoch and its place in the plan alone; they are made by the
native library on all cores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from host import augmentation
from host.augmentation import Augmenter
from host.dataset import synthetic
from host.dataset.store import Store
from host.errors import TokayError
from host.features import Frontend
from host.specification import SILENCE, UNKNOWN, Specification


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
class _Plan:
    """Examples to make, in order."""

    jobs: np.ndarray  # int32[n, 2], as augmentation.Augmenter takes them
    labels: np.ndarray  # int64[n]
    words: np.ndarray  # int64[n]

    def __add__(self, other: _Plan) -> _Plan:
        return _Plan(
            np.concatenate((self.jobs, other.jobs)),
            np.concatenate((self.labels, other.labels)),
            np.concatenate((self.words, other.words)),
        )


class Source:
    """The training split: its augmented copies, background crops and synthetic voices, drawn anew and
    shuffled anew each epoch. An epoch is a function of the specification, the store, the seed and its
    number alone."""

    def __init__(self, spec: Specification, store: Store, seed: int) -> None:
        names = word_names(spec, store)
        clips, said = _recorded_clips(spec, store, names), _synthetic_clips(spec, names)
        settings = spec.augmentation
        copies = {SILENCE: settings.silence_copies, UNKNOWN: settings.unknown_copies}
        plan = _plan(spec, clips, copies, settings.keyword_copies)
        copies = {UNKNOWN: settings.synthetic_unknown_copies}
        plan += _plan(spec, said, copies, settings.synthetic_copies, first=len(clips.labels))
        if SILENCE in spec.classes:
            plan += _crops(spec, names, settings.background_crops)
        if not len(plan.labels):
            raise without_clips("training")
        self.word_names, self._seed, self._plan = names, seed, plan
        self._augmenter = _augmenter(spec, store, np.concatenate((clips.audio, said.audio)))

    def __len__(self) -> int:
        """Examples of an epoch."""
        return len(self._plan.labels)

    def epoch(self, number: int) -> Examples:
        """The examples of epoch ``number``, 0 or more."""
        if number < 0:
            raise ValueError(f"epoch {number} is negative")
        plan = self._plan
        features = self._augmenter.features(plan.jobs, (self._seed, 2, number))
        order = np.random.default_rng([self._seed, 1, number]).permutation(len(plan.labels))
        return Examples(features[order], plan.labels[order], plan.words[order], self.word_names)


def word_names(spec: Specification, store: Store) -> tuple[str, ...]:
    """The words that examples of this store can say, keywords first: what ``Examples.words`` counts in."""
    others = {clip.word for clip in store.clips if spec.class_of(clip.word) >= 0}
    if UNKNOWN in spec.classes and voices_of(spec):
        others |= {*synthetic.UNKNOWN_WORDS, *spec.augmentation.synthetic_near_words}
    if SILENCE in spec.classes:
        others.add(SILENCE)
    return (*spec.keywords, *sorted(others - set(spec.keywords)))


def recorded(spec: Specification, store: Store, split: str) -> Examples:
    """The clips of a split as they are, in the store's order; clips of no class are left out."""
    return as_they_are(spec, store, of_a_class(spec, store, split))


def as_they_are(spec: Specification, store: Store, chosen: Sequence[int]) -> Examples:
    """The clips at these places of the store, each of some class."""
    names = word_names(spec, store)
    clips = _clips(spec, store, chosen, names)
    return Examples(Frontend(spec.frontend).features_batch(clips.audio), clips.labels, clips.words, names)


def augmented(spec: Specification, store: Store, seed: int) -> Examples:
    """The first epoch of the training split."""
    return Source(spec, store, seed).epoch(0)


def examples_by_class(spec: Specification, labels: np.ndarray) -> np.ndarray:
    """How many training examples each class has, int64[classes]; TokayError where one has none."""
    counts = np.bincount(labels, minlength=len(spec.classes))
    if np.any(counts == 0):
        missing = ", ".join(name for name, n in zip(spec.classes, counts, strict=True) if n == 0)
        raise TokayError(f"the training split has no clip of {missing}", hint="check the dataset's folders")
    return counts


def validation(spec: Specification, store: Store, seed: int) -> Examples:
    """What the best epoch is chosen on: the validation clips as they are and under augmentation.

    The copies make the choice less of a draw where a class has a few dozen clips.
    """
    plain = recorded(spec, store, "validation")
    if not len(plain):
        raise without_clips("validation")
    if spec.test_run:
        return plain
    names = plain.word_names
    clips = _clips(spec, store, of_a_class(spec, store, "validation"), names)
    plan = _plan(spec, clips, {SILENCE: 3, UNKNOWN: 1}, 8)
    copies = _augmenter(spec, store, clips.audio).features(plan.jobs, (seed, 4))
    return Examples(
        np.concatenate((plain.features, copies)),
        np.concatenate((plain.labels, plan.labels)),
        np.concatenate((plain.words, plan.words)),
        names,
    )


def without_clips(split: str) -> TokayError:
    """Of a split that there is nothing in for a model."""
    hint = "host.dataset check counts the clips by split"
    return TokayError(f"the {split} split has no clip of the model's classes", hint=hint)


def _augmenter(spec: Specification, store: Store, audio: np.ndarray) -> Augmenter:
    return Augmenter(spec.augmentation, Frontend(spec.frontend), audio, store.background)


def of_a_class(spec: Specification, store: Store, split: str) -> list[int]:
    """The places in the store of a split's clips that belong to a class, in its order."""
    return [i for i in store.select(split) if spec.class_of(store.clips[i].word) >= 0]


def _clips(spec: Specification, store: Store, chosen: Sequence[int], names: Sequence[str]) -> _Clips:
    said = [store.clips[i].word for i in chosen]
    labels = np.array([spec.class_of(word) for word in said], np.int64)
    return _Clips(store.audio[chosen], labels, np.array([names.index(word) for word in said], np.int64))


def _recorded_clips(spec: Specification, store: Store, names: Sequence[str]) -> _Clips:
    """The clips of the training split; a few of each class for a dry run."""
    chosen = of_a_class(spec, store, "training")
    if spec.test_run:
        chosen = _few_of_each(chosen, [spec.class_of(store.clips[i].word) for i in chosen], 8)
    return _clips(spec, store, chosen, names)


def voices_of(spec: Specification) -> list[synthetic.Voice]:
    """The specification's, as far as their synthesizers are installed; the same for every training, since
    some take seconds to say a word."""
    return synthetic.training_voices(spec.augmentation.synthetic_voices, seed=1)


def _synthetic_clips(spec: Specification, names: Sequence[str]) -> _Clips:
    """Keywords and, where there is such a class, other words in synthetic voices."""
    voices = voices_of(spec)
    if not voices:
        nothing = np.zeros(0, np.int64)
        return _Clips(np.zeros((0, spec.clip_samples), np.int16), nothing, nothing)
    said = [(word, voice) for word in spec.keywords for voice in voices]
    if UNKNOWN in spec.classes:
        said += _unknown_words(spec, voices)
    audio = synthetic.spoken(said, spec.sample_rate_hz, spec.clip_samples)
    labels = np.array([spec.class_of(word) for word, _ in said], np.int64)
    return _Clips(audio, labels, np.array([names.index(word) for word, _ in said], np.int64))


def _unknown_words(
    spec: Specification, voices: Sequence[synthetic.Voice]
) -> list[tuple[str, synthetic.Voice]]:
    """Which words each voice says beside the keywords: those near to them, and a draw that is the same for
    every specification, so that models share what was said once."""
    near = spec.augmentation.synthetic_near_words
    most = spec.augmentation.synthetic_unknown_words or len(synthetic.UNKNOWN_WORDS)
    said = []
    for place, voice in enumerate(voices):
        order = np.random.default_rng([place, 0x0DD]).permutation(len(synthetic.UNKNOWN_WORDS))
        words = dict.fromkeys((*near, *(synthetic.UNKNOWN_WORDS[i] for i in order[:most])))
        said += [(word, voice) for word in words if word not in spec.keywords]
    return said


def _few_of_each(chosen: Sequence[int], labels: Sequence[int], most: int) -> list[int]:
    kept: list[int] = []
    for label in sorted(set(labels)):
        kept += [i for i, k in zip(chosen, labels, strict=True) if k == label][:most]
    return kept


def _plan(
    spec: Specification, clips: _Clips, copies: Mapping[str, int], keyword_copies: int, first: int = 0
) -> _Plan:
    """Copies by class name, keyword_copies of the others. The first label is that of clip ``first``."""
    kinds = {SILENCE: augmentation.SILENCE, UNKNOWN: augmentation.UNKNOWN}
    by_class = np.array([copies.get(name, keyword_copies) for name in spec.classes])
    kind_of = np.array([kinds.get(name, augmentation.KEYWORD) for name in spec.classes])
    times = by_class[clips.labels]
    index = first + np.arange(len(clips.labels))
    jobs = np.stack((index, kind_of[clips.labels]), axis=1).astype(np.int32)
    return _Plan(*(np.repeat(values, times, axis=0) for values in (jobs, clips.labels, clips.words)))


def _crops(spec: Specification, names: Sequence[str], count: int) -> _Plan:
    """Examples of noise alone."""
    jobs = np.tile(np.array([[-1, augmentation.SILENCE]], np.int32), (count, 1))
    label, word = spec.classes.index(SILENCE), names.index(SILENCE)
    return _Plan(jobs, np.full(count, label, np.int64), np.full(count, word, np.int64))
