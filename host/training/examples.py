"""Training examples: augmented PCM through the firmware's own front end to int8 features.

An example is a function of the seed and its place in the plan alone; batches are made on all cores.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

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
    """Features of many examples: int8[n, frames, channels], and the class of each."""

    features: np.ndarray
    labels: np.ndarray  # int64[n]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class _Job:
    """One example to make: from a clip (an index), or from noise alone (-1)."""

    clip: int
    label: int


def recorded(spec: Specification, store: Store, split: str) -> Examples:
    """The clips of a split as they are, in the store's order; clips of no class are left out."""
    chosen = [i for i in store.select(split) if spec.class_of(store.clips[i].word) >= 0]
    labels = np.array([spec.class_of(store.clips[i].word) for i in chosen], np.int64)
    frontend = Frontend(spec.frontend)
    parts = [
        frontend.features_batch(store.audio[chosen[start : start + _CHUNK]])
        for start in range(0, len(chosen), _CHUNK)
    ]
    features = np.concatenate(parts) if parts else np.zeros((0, *spec.feature_shape), np.int8)
    return Examples(features, labels)


def augmented(spec: Specification, store: Store, seed: int, progress: Progress | None = None) -> Examples:
    """The training split with its augmented copies, background crops and synthetic voices, shuffled."""
    settings = spec.augmentation
    audio, labels = _recorded_audio(spec, store)
    copies = {SILENCE: settings.silence_copies, UNKNOWN: settings.unknown_copies}
    jobs = _plan(spec, labels, copies, settings.keyword_copies, settings.background_crops)
    said, said_labels = _synthetic_audio(spec, seed)
    copies = {UNKNOWN: settings.synthetic_unknown_copies}
    jobs += _plan(spec, said_labels, copies, settings.synthetic_copies, 0, first=len(labels))
    audio = np.concatenate((audio, said))
    examples = _make(spec, audio, store.background, jobs, (seed, 2), progress)
    order = np.random.default_rng([seed, 1]).permutation(len(jobs))
    return Examples(examples.features[order], examples.labels[order])


def validation(spec: Specification, store: Store, seed: int) -> Examples:
    """What the best epoch is chosen on: the validation clips as they are and under augmentation.

    The copies make the choice less of a draw where a class has a few dozen clips.
    """
    plain = recorded(spec, store, "validation")
    if not len(plain):
        raise TokayError("the validation split has no clip of the model's classes", hint="check the lists")
    chosen = [i for i in store.select("validation") if spec.class_of(store.clips[i].word) >= 0]
    if spec.test_run:
        return plain
    jobs = _plan(spec, plain.labels, {SILENCE: 3, UNKNOWN: 1}, 8, 0)
    copies = _make(spec, store.audio[chosen], store.background, jobs, (seed, 4), None)
    return Examples(
        np.concatenate((plain.features, copies.features)), np.concatenate((plain.labels, copies.labels))
    )


def _make(
    spec: Specification, audio: np.ndarray, background: Sequence[np.ndarray], jobs: Sequence[_Job],
    seed: tuple[int, int], progress: Progress | None,
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
    return Examples(np.concatenate(parts), np.array([job.label for job in jobs], np.int64))


def _recorded_audio(spec: Specification, store: Store) -> tuple[np.ndarray, np.ndarray]:
    """The clips of the training split with their labels; a few of each class for a dry run."""
    chosen = [i for i in store.select("training") if spec.class_of(store.clips[i].word) >= 0]
    if spec.test_run:
        chosen = _few_of_each(chosen, [spec.class_of(store.clips[i].word) for i in chosen], 8)
    return store.audio[chosen], np.array([spec.class_of(store.clips[i].word) for i in chosen], np.int64)


def _synthetic_audio(spec: Specification, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Keywords and, where there is such a class, other words in synthetic voices, with their labels."""
    voices = spec.augmentation.synthetic_voices if synthetic.available() else 0
    if not voices:
        return np.zeros((0, spec.clip_samples), np.int16), np.zeros(0, np.int64)
    words = list(spec.keywords)
    if UNKNOWN in spec.classes:
        words += [word for word in synthetic.UNKNOWN_WORDS if word not in words]
    chosen = synthetic.training_voices(voices, seed)
    audio = synthetic.clips(words, chosen, spec.sample_rate_hz, spec.clip_samples)
    labels = np.repeat([spec.class_of(word) for word in words], voices)
    return audio.reshape(-1, spec.clip_samples), labels


def _few_of_each(chosen: Sequence[int], labels: Sequence[int], most: int) -> list[int]:
    kept: list[int] = []
    for label in sorted(set(labels)):
        kept += [i for i, k in zip(chosen, labels, strict=True) if k == label][:most]
    return kept


def _plan(
    spec: Specification, labels: np.ndarray, copies: Mapping[str, int], keyword_copies: int, crops: int,
    first: int = 0,
) -> list[_Job]:  # fmt: skip
    """Copies by class name, keyword_copies of what is not named, and crops of noise alone. The first
    label is that of clip ``first``."""
    jobs: list[_Job] = []
    for clip, label in enumerate(labels.tolist(), first):
        jobs += [_Job(clip, label)] * copies.get(spec.classes[label], keyword_copies)
    if SILENCE in spec.classes:
        jobs += [_Job(-1, spec.classes.index(SILENCE))] * crops
    return jobs


def _make_chunk(
    spec: Specification, audio: np.ndarray, background: Sequence[np.ndarray], jobs: Sequence[_Job],
    start: int, seed: tuple[int, int], frontend: Frontend,
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
    start: int, seed: tuple[int, int],
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
