"""Augmentation and training examples: deterministic, within their ranges, mid-stream where asked."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from codegen.frontend import FrontendSettings
from host.augmentation import perturb
from host.dataset import synthetic
from host.dataset.folder import Clip
from host.dataset.store import Store
from host.errors import TokayError
from host.features import Frontend
from host.specification import Augmentation, Perturbation, Specification
from host.training import examples
from tests.sounds import word

RATE = 8000


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


def test_each_voice_says_the_near_words_and_some_others(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, synthetic.Voice]] = []

    def spoken(jobs: list[tuple[str, synthetic.Voice]], rate: int, samples: int) -> np.ndarray:
        said.extend(jobs)
        return np.zeros((len(jobs), samples), np.int16)

    voices = [synthetic.Voice("flite", "rms", pitch=pitch) for pitch in (1.0, 1.1)]
    monkeypatch.setattr(synthetic, "training_voices", lambda wanted, seed: voices)
    monkeypatch.setattr(synthetic, "spoken", spoken)
    spec = small_spec(
        augmentation=dataclasses.replace(
            small_spec().augmentation, synthetic_near_words=("up", "own", "on"), synthetic_unknown_words=3,
            synthetic_copies=2, synthetic_unknown_copies=1,
        )
    )  # fmt: skip
    source = examples.Source(spec, small_store(), 1)
    assert set(source.word_names) >= {"up", "own", *synthetic.UNKNOWN_WORDS}
    for voice in voices:
        words = [word for word, speaker in said if speaker == voice]
        assert len(set(words)) == len(words) <= 2 + 2 + 3  # keywords, near words, drawn
        assert set(words) >= {"on", "off", "up", "own"}


def test_words_without_a_class_are_left_out() -> None:
    spec = dataclasses.replace(small_spec(), classes=("on", "off"))
    assert examples.recorded(spec, small_store(), "testing").labels.tolist() == [0, 1]


def test_no_validation_clips_is_an_error() -> None:
    store = small_store()
    clips = tuple(dataclasses.replace(clip, split="training") for clip in store.clips)
    with pytest.raises(TokayError, match="validation"):
        examples.validation(small_spec(), dataclasses.replace(store, clips=clips), 1)


def test_perturbed_features_stay_in_range() -> None:
    features = np.random.default_rng(0).integers(-128, 128, (50, 49, 32), np.int8)
    made = perturb(features, Perturbation(), 1)
    assert made.shape == features.shape and made.dtype == np.float32
    assert made.min() >= -128 and made.max() <= 127
    assert np.array_equal(made, perturb(features, Perturbation(), 1))
    floor = np.full((5, 49, 32), -128, np.int8)
    assert np.all(perturb(floor, Perturbation(), 2) == -128)


def test_no_perturbation_leaves_features_alone() -> None:
    features = np.random.default_rng(0).integers(-128, 128, (50, 49, 32), np.int8)
    nothing = Perturbation(0.0, 0.0, 0, 0, 0)
    assert np.array_equal(perturb(features, nothing, 1), features)


@pytest.mark.parametrize("channels", [257, 4096])
def test_as_many_channels_as_the_front_end_makes_are_perturbed(channels: int) -> None:
    rng = np.random.default_rng(5)
    features = rng.integers(-100, 100, (3, 4, channels), np.int8)
    still = Perturbation(level=0.0, warp=0.0, shift_frames=0, mask_channels=0, mask_frames=0)
    assert np.array_equal(perturb(features, still, 1), features)
    flat = np.repeat(features[..., :1], channels, axis=2)
    assert np.array_equal(perturb(flat, dataclasses.replace(still, warp=0.5), 1), flat)
    with pytest.raises(TokayError, match="at most 4096 channels"):
        perturb(np.zeros((1, 1, 4097), np.int8), still, 1)
