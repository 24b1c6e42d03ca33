"""Augmentation and training examples: deterministic, within their ranges, mid-stream where asked."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from codegen.frontend import FrontendSettings
from host.dataset import augment
from host.dataset.folder import Clip
from host.dataset.store import Store
from host.errors import TokayError
from host.features import Frontend
from host.training import examples
from host.training.feature_augmentation import perturb
from host.training.specification import Augmentation, Specification

RATE = 8000
PLAIN = Augmentation(
    shift_ms=0, unknown_shift_ms=0, speed=(1, 1), gain=(1, 1), noise_probability=0, lead_in_probability=0
)


def word(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    audio = np.zeros(8000)
    audio[2500:5500] = 6000 * np.sin(np.arange(3000) * (0.1 + 0.05 * seed)) * rng.uniform(0.5, 1, 3000)
    return audio.astype(np.int16)


def small_store(clips_each: int = 4) -> Store:
    clips, audio = [], []
    for index, label in enumerate(("on", "off", "tree", "_silence_")):
        for k in range(clips_each):
            split = "validation" if k == 0 else "testing" if k == 1 else "training"
            clips.append(Clip(Path(f"{k}.wav"), f"{label}/{k}.wav", label, split))
            silence = np.random.default_rng(k).normal(0, 3, 8000).astype(np.int16)
            audio.append(silence if label == "_silence_" else word(index + 4 * k))
    noise = (np.random.default_rng(9).normal(0, 500, 40000)).astype(np.int16)
    return Store(tuple(clips), np.stack(audio), (noise,), (), "key")


def small_spec(**changes: object) -> Specification:
    augmentation = Augmentation(
        keyword_copies=3, unknown_copies=2, silence_copies=2, background_crops=5, synthetic_voices=0
    )
    frontend = FrontendSettings(
        sample_rate_hz=RATE, window_size_ms=30, window_step_ms=20, filterbank_upper_band_limit=3999.0,
        noise_reduction_enable=True,
    )  # fmt: skip
    spec = Specification(
        name="small", description="", classes=("on", "off", "_unknown_", "_silence_"), frontend=frontend,
        augmentation=augmentation,
    )  # fmt: skip
    return dataclasses.replace(spec, **changes)  # type: ignore[arg-type]


def test_examples_are_a_function_of_the_seed() -> None:
    spec, store = small_spec(), small_store()
    one, same, other = (examples.augmented(spec, store, seed) for seed in (5, 5, 6))
    assert np.array_equal(one.features, same.features) and np.array_equal(one.labels, same.labels)
    assert not np.array_equal(one.features, other.features)


def test_examples_do_not_depend_on_how_they_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    spec, store = small_spec(), small_store()
    whole = examples.augmented(spec, store, 5)
    monkeypatch.setattr(examples, "_CHUNK", 3)
    assert np.array_equal(examples.augmented(spec, store, 5).features, whole.features)


def test_counts_by_class() -> None:
    made = examples.augmented(small_spec(), small_store(), 1)
    # two training clips of each word: 3 copies, 3 copies, 2 copies, 2 copies and 5 crops of noise
    assert np.bincount(made.labels).tolist() == [6, 6, 4, 9]
    assert made.features.shape == (25, 49, 32) and made.features.dtype == np.int8


def test_epochs_are_drawn_anew_and_each_can_be_made_again() -> None:
    spec, store = small_spec(), small_store()
    source = examples.Source(spec, store, 5)
    first, second = source.epoch(0), source.epoch(1)
    assert len(first) == len(second) == len(source)
    assert not np.array_equal(np.sort(first.features, axis=0), np.sort(second.features, axis=0))
    assert np.array_equal(examples.Source(spec, store, 5).epoch(1).features, second.features)


def test_words_are_those_of_the_clips() -> None:
    spec, store = small_spec(), small_store()
    made = examples.Source(spec, store, 1).epoch(0)
    assert made.word_names == ("on", "off", "_silence_", "tree")
    said = [made.word_names[i] for i in made.words]
    assert [spec.class_of(word) for word in said] == made.labels.tolist()
    assert {word: said.count(word) for word in set(said)} == {"on": 6, "off": 6, "tree": 4, "_silence_": 9}
    plain = examples.recorded(spec, store, "testing")
    assert [plain.word_names[i] for i in plain.words] == ["on", "off", "tree", "_silence_"]
    assert examples.validation(spec, store, 1).words.shape == examples.validation(spec, store, 1).labels.shape


def test_recorded_is_the_front_end_and_nothing_else() -> None:
    spec, store = small_spec(), small_store()
    made = examples.recorded(spec, store, "testing")
    chosen = store.select("testing")
    expected = [Frontend(spec.frontend).features(store.audio[i]) for i in chosen]
    assert np.array_equal(made.features, np.stack(expected))
    assert made.labels.tolist() == [0, 1, 2, 3]


def test_words_without_a_class_are_left_out() -> None:
    spec = dataclasses.replace(small_spec(), classes=("on", "off"))
    assert examples.recorded(spec, small_store(), "testing").labels.tolist() == [0, 1]


def test_no_validation_clips_is_an_error() -> None:
    store = small_store()
    clips = tuple(dataclasses.replace(clip, split="training") for clip in store.clips)
    with pytest.raises(TokayError, match="validation"):
        examples.validation(small_spec(), dataclasses.replace(store, clips=clips), 1)


def test_nothing_drawn_changes_nothing() -> None:
    clip = word()
    result = augment.utterance(clip, np.random.default_rng(1), PLAIN, RATE, ())
    assert np.max(np.abs(result.astype(int) - clip)) <= 8  # the noise floor


def test_shift_moves_and_does_not_wrap() -> None:
    clip = word()
    settings = dataclasses.replace(PLAIN, shift_ms=200)
    starts = []
    for seed in range(40):
        result = augment.utterance(clip, np.random.default_rng(seed), settings, RATE, ())
        loud = np.flatnonzero(np.abs(result) > 500)
        starts.append(loud[0] - np.flatnonzero(np.abs(clip) > 500)[0])
        assert loud[-1] - loud[0] < 3100
    assert min(starts) < -800 and max(starts) > 800 and max(map(abs, starts)) <= 1610


def test_speed_changes_the_pitch() -> None:
    tone = (8000 * np.sin(2 * np.pi * 500 * np.arange(8000) / RATE)).astype(np.int16)
    faster = augment.respeed(tone, 1.1)
    assert len(faster) == 8000
    middle = np.abs(np.fft.rfft(faster[1000:7000]))
    assert abs(np.argmax(middle) * RATE / 6000 - 550) < 3


@pytest.mark.parametrize("snr", [5.0, 25.0])
def test_noise_is_at_the_drawn_ratio(snr: float) -> None:
    settings = dataclasses.replace(PLAIN, noise_probability=1.0, noise_snr_db=(snr, snr))
    clip = word()
    result = augment.utterance(clip, np.random.default_rng(3), settings, RATE, ())
    noise = result.astype(float) - clip
    measured = 20 * np.log10(augment.loudness(clip) / np.sqrt(np.mean(noise**2)))
    assert abs(measured - snr) < 1.5


def test_lead_in_comes_before_the_clip() -> None:
    settings = dataclasses.replace(PLAIN, lead_in_probability=1.0, lead_in_ms=(300, 1500))
    clip = word()
    lengths = set()
    for seed in range(20):
        result = augment.utterance(clip, np.random.default_rng(seed), settings, RATE, (), before=word(3))
        lead_in = len(result) - len(clip)
        lengths.add(lead_in)
        assert 300 * 8 <= lead_in <= 1500 * 8 and lead_in % 160 == 0
        assert np.max(np.abs(result[lead_in:].astype(int) - clip)) <= 8
    assert len(lengths) > 5


def test_loud_examples_saturate() -> None:
    clip = np.full(8000, 30000, np.int16)
    settings = dataclasses.replace(PLAIN, gain=(2.0, 2.0))
    assert np.all(augment.utterance(clip, np.random.default_rng(0), settings, RATE, ()) == 32767)


@pytest.mark.parametrize("clip", [None, word()[2500:3000]])
def test_quiet_examples_have_the_length_asked_for(clip: np.ndarray | None) -> None:
    noise = (np.random.default_rng(0).normal(0, 100, 20000).astype(np.int16),)
    for seed in range(10):
        result = augment.quiet(clip, np.random.default_rng(seed), PLAIN, RATE, 8000, noise)
        assert result.shape == (8000,) and result.dtype == np.int16


def test_noise_has_loudness_one() -> None:
    recording = np.random.default_rng(0).normal(0, 100, 20000).astype(np.int16)
    for seed in range(12):
        made = augment.noise(8000, np.random.default_rng(seed), (recording,))
        assert abs(augment.loudness(made) - 1) < 1e-3


def test_perturbed_features_stay_in_range() -> None:
    features = np.random.default_rng(0).integers(-128, 128, (50, 49, 32), np.int8)
    made = perturb(features, np.random.default_rng(1))
    assert made.shape == features.shape and made.dtype == np.float32
    assert made.min() >= -128 and made.max() <= 127
    assert np.array_equal(made, perturb(features, np.random.default_rng(1)))
    floor = np.full((5, 49, 32), -128, np.int8)
    assert np.all(perturb(floor, np.random.default_rng(2)) == -128)
