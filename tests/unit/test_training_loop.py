"""The training loop on a problem of features alone: what it learns, and that it goes on after an end at
any epoch with the same result, bit for bit."""

from __future__ import annotations

import dataclasses
import errno
import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codegen.frontend import FrontendSettings
from host.dataset.folder import Clip
from host.dataset.store import Store
from host.errors import TokayError
from host.metrics.scoring import int8_network
from host.specification import (
    Auxiliary,
    Detector,
    Distillation,
    LoadedModel,
    Mixup,
    Perturbation,
    QuantizationAware,
    Schedule,
    Specification,
    Transfer,
)
from host.training import journal, loop, work
from host.training.batches import Batches, Piece, mixed
from host.training.examples import Examples, recorded
from host.training.validation import Validation, Validator, on_clips
from host.training.work import State, Work
from tests import tone_words

needs_tensorflow = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None, reason="TensorFlow is not installed"
)
pytestmark = pytest.mark.xdist_group("tensorflow")  # one process pays for the import

WORDS = ("on", "off", "_silence_", "one", "two")
CLASS_OF_WORD = np.array([0, 1, 3, 2, 2])


def spec(**changes: Any) -> Specification:
    plain = Specification(
        name="small",
        description="",
        classes=("on", "off", "_unknown_", "_silence_"),
        frontend=FrontendSettings(
            sample_rate_hz=8000, window_size_ms=60, window_step_ms=60, filterbank_n_channels=8,
            filterbank_upper_band_limit=3999.0,
        ),
        schedule=Schedule(epochs=3, batch_size=32, learning_rate=0.01, averaging=0.9),
        input_scale=1 / 64,
    )  # fmt: skip
    return dataclasses.replace(plain, **changes)


def everything() -> Specification:
    """A recipe with all there is."""
    return spec(
        schedule=Schedule(epochs=2, batch_size=32, learning_rate=0.01, averaging=0.9, muon=5.0),
        auxiliary=Auxiliary(0.3), mixup=Mixup(0.3), transfer=Transfer(1, 0.01), class_bias="validation",
        distillation=Distillation(teachers=1, epochs=1, learning_rate=0.01),
        quantization_aware=QuantizationAware(1, 1e-3),
    )  # fmt: skip


class Patterns:
    """Examples of words that differ in which channel is loud, with noise."""

    word_names = WORDS

    def __init__(self, seed: int = 1, each: int = 160) -> None:
        self._seed, self._each, self.asked = seed, each, []

    def __len__(self) -> int:
        return self._each * len(WORDS)

    def epoch(self, number: int) -> Examples:
        self.asked.append(number)
        rng = np.random.default_rng([self._seed, number])
        words = rng.permutation(np.repeat(np.arange(len(WORDS)), self._each))
        x = rng.normal(-60, 25, (len(words), *spec().feature_shape))
        x[np.arange(len(words)), :, words + 1] += 90
        return Examples(np.clip(x, -128, 127).astype(np.int8), CLASS_OF_WORD[words], words, WORDS)


class Judge:
    """Validates on clips alone."""

    def __init__(self) -> None:
        self.clips = Patterns(99, 20).epoch(0)

    def in_float(self, logits: Any, streams: bool = True) -> Validation:
        return on_clips(logits(self.clips.features), self.clips.labels)


def batches_of(size: int, mixup: Mixup | None = None) -> Batches:
    perturbation, alike = Perturbation(), lambda labels: np.ones(4, np.float32)
    return Batches(Patterns(), 1, 0, size, perturbation, mixup or Mixup(), alike)


def small_network(wanted: Specification, filters: int = 6) -> Any:
    import keras
    from keras import layers

    inputs = keras.Input((*wanted.feature_shape, 1))
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.8)(x))
    x = layers.Flatten()(layers.AveragePooling2D((4, 1))(x))
    x = layers.Dropout(0.1)(x)
    return keras.Model(inputs, layers.Dense(len(wanted.classes), activation="softmax")(x))


def loaded(wanted: Specification) -> LoadedModel:
    return LoadedModel(wanted, small_network, Path(__file__), lambda s: small_network(s, 8))


def trained(wanted: Specification, work: Work | None = None, report: Any = None, resumed: Any = None) -> Any:
    from host.training import fit

    return fit.fit(loaded(wanted), Patterns(), Judge(), 1, work, report, resumed)  # type: ignore[arg-type]


def weights(result: Any) -> list[np.ndarray]:
    return [array for candidate in result.candidates for array in candidate.candidate.weights]


def same(a: Any, b: Any) -> bool:
    return len(weights(a)) == len(weights(b)) and all(map(np.array_equal, weights(a), weights(b)))


@needs_tensorflow
def test_every_part_of_a_recipe_at_once_learns_and_is_told() -> None:
    told: list[tuple[str, int]] = []
    result = trained(everything(), report=lambda stage, epoch: told.append((stage.name, epoch.number)))
    assert told == [
        ("teacher 1", 1), ("words", 1), ("classes", 1), ("classes", 2), ("rounded", 1),
    ]  # fmt: skip
    assert result.candidates[0].candidate.epoch.validation.balanced_accuracy > 0.9
    assert result.epochs["words"][-1].validation.balanced_accuracy > 0.7  # of five words
    assert result.candidates[-1].stage == "rounded"
    model = result.candidates[-1].model()
    outputs = model.predict(Judge().clips.features[..., None] / np.float32(64), verbose=0)
    assert np.allclose(outputs.sum(axis=1), 1, atol=1e-5)  # softmax is back
    assert np.mean(outputs.argmax(axis=1) == Judge().clips.labels) > 0.9
    assert not any("auxiliary" in layer.name for layer in model.layers)


class Stop(Exception):
    pass


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


@needs_tensorflow
def test_the_loss_of_a_taught_network_is_that_of_the_label_and_of_the_softened_opinion() -> None:
    rng = np.random.default_rng(7)
    wanted = np.eye(3, dtype=np.float32)[[0, 2, 1, 1]]
    logits, opinion = rng.normal(0, 2, (2, 4, 3)).astype(np.float32)
    label = -(wanted * log_softmax(logits)).sum(axis=1)
    taught = 9 * -(np.exp(log_softmax(opinion / 3)) * log_softmax(logits / 3)).sum(axis=1)
    teaching = loop.Teaching((), 0.75, 3.0)
    assert np.allclose(loop._loss(wanted, logits, [], None), label, rtol=1e-5)
    assert np.allclose(loop._loss(wanted, logits, [opinion], teaching), label / 4 + 0.75 * taught, rtol=1e-5)


@needs_tensorflow
def test_teachers_teach_words_too() -> None:
    """Two teachers that take each word for the one after it, against the labels."""
    from host.training import network

    def mistaken(features: np.ndarray) -> list[np.ndarray]:
        after = np.roll(np.arange(len(WORDS)), -1)[(features.mean(axis=1).argmax(axis=1) - 1) % len(WORDS)]
        return [np.zeros((len(after), 4), np.float32), 8 * np.eye(len(WORDS), dtype=np.float32)[after]]

    wanted, heard = spec(), Judge().clips
    network.import_keras(1)
    taught = network.take_apart(small_network(wanted), len(WORDS), Path(__file__))
    words = network.inference(taught, wanted, 1)
    stage = loop.Stage(
        "classes", 0, wanted.schedule, 0.0, 1.0, teaching=loop.Teaching((mistaken, mistaken), 0.9, 2.0)
    )
    with batches_of(32) as batches:
        loop.learn(
            stage, taught, batches, wanted.input_scale, 1, None,
            lambda _: on_clips(words(heard.features), heard.words),
        )  # fmt: skip
    said = words(heard.features).argmax(axis=1)
    assert np.mean(said == (heard.words + 1) % len(WORDS)) > 0.9


@needs_tensorflow
def test_ended_after_any_epoch_it_goes_on_with_the_same_result(tmp_path: Path) -> None:
    straight = trained(everything())
    assert same(straight, trained(everything()))
    left, notes, ends = 5, [], 0
    while True:

        def stop(stage: Any, epoch: Any) -> None:
            raise Stop

        with Work(tmp_path / "work") as work:
            try:
                result = trained(everything(), work, stop, lambda s, e: notes.append((s.name, e.number)))
                break
            except Stop:
                ends += 1
    assert ends == left and same(straight, result)
    # A stage that was through is not resumed, one that was under way is, at the epoch after its last.
    assert notes == [("classes", 1)]
    assert [c.candidate.epoch for c in result.candidates] == [c.candidate.epoch for c in straight.candidates]


@needs_tensorflow
def test_stages_and_epochs_hear_different_examples() -> None:
    from host.training import fit

    source = Patterns()
    fit.fit(loaded(spec(transfer=Transfer(2))), source, Judge(), 1)  # type: ignore[arg-type]
    assert len(source.asked) == 5 and len(set(source.asked)) == 5


@needs_tensorflow
def test_patience() -> None:
    # Nothing is learnt at this rate, so no epoch is better than the first for long.
    schedule = Schedule(epochs=30, batch_size=32, learning_rate=1e-9, final_learning_rate=1e-9, patience=2)
    result = trained(spec(schedule=schedule))
    epochs, best = result.epochs["classes"], result.candidates[0].candidate.epoch.number
    assert len(epochs) == best + 2 < 30
    # The three best of all are kept, the best first, to be judged again as int8 models.
    ranks = [trained.candidate.epoch.validation.rank for trained in result.candidates]
    assert ranks == sorted((epoch.validation.rank for epoch in epochs), reverse=True)[:3]


@needs_tensorflow
def test_a_training_of_one_step_ends_with_what_it_learnt() -> None:
    schedule = Schedule(epochs=1, batch_size=4096, learning_rate=0.01, averaging=0.9, warmup_epochs=0.0)
    still = dataclasses.replace(schedule, learning_rate=1e-9, final_learning_rate=1e-9)
    assert not same(trained(spec(schedule=schedule)), trained(spec(schedule=still)))


@needs_tensorflow
def test_a_loss_without_bound_ends_a_training() -> None:
    schedule = Schedule(epochs=3, batch_size=32, learning_rate=1e38, averaging=0.9)
    with pytest.raises(TokayError, match=r"classes: epoch \d: the loss is (nan|inf)"):
        trained(spec(schedule=schedule))


def test_classes_weigh_the_same_however_many_examples_they_have() -> None:
    from host.training.fit import class_weights

    labels = np.repeat([0, 1, 2, 3], [10, 30, 100, 60])
    alike = class_weights(spec(), labels)
    assert alike.dtype == np.float32 and alike[labels].mean() == pytest.approx(1)
    assert np.bincount(labels, alike[labels]) == pytest.approx([50] * 4)
    wanted = class_weights(spec(class_weights={"off": 2.0, "_silence_": 0.5}), labels)
    assert np.bincount(labels, wanted[labels]) == pytest.approx([50, 100, 50, 25])


@needs_tensorflow
def test_a_class_without_examples_is_named() -> None:
    wanted = spec(classes=("on", "off", "_unknown_", "_silence_", "five"))
    with pytest.raises(TokayError, match="no clip of five"):
        trained(wanted)


@needs_tensorflow
@pytest.mark.parametrize("end", ["dense", "layer", "activation", "none", "convolution"])
def test_what_a_network_may_end_in(end: str) -> None:
    import keras
    from keras import layers

    from host.training import network

    inputs = keras.Input((4, 4, 1))
    x = layers.Dense(3, activation="softmax" if end == "dense" else None)(layers.Flatten()(inputs))
    if end == "convolution":
        x = layers.Flatten()(layers.Conv2D(3, 4)(inputs))
    last = {"layer": layers.Softmax, "activation": lambda: layers.Activation("softmax")}.get(end)
    if end == "convolution":
        last = layers.Softmax
    model = keras.Model(inputs, last()(x) if last else x)
    given = np.random.default_rng(1).normal(size=(5, 4, 4, 1)).astype(np.float32)
    before = model.predict(given, verbose=0)
    if end in ("none", "convolution"):
        message = "is no softmax" if end == "none" else "no Dense layer"
        with pytest.raises(TokayError, match=message):
            network.take_apart(model, 7, Path("m.py"))
        return
    apart = network.take_apart(model, 7, Path("m.py"))
    logits, words = apart.outputs.predict(given, verbose=0)
    assert words.shape == (5, 7)
    assert np.allclose(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), before, atol=1e-5)
    assert np.allclose(apart.finish().predict(given, verbose=0), before, atol=1e-6)


def test_an_error_in_build_model_is_placed(tmp_path: Path) -> None:
    from host import places, specification
    from host.training import network

    shipped = places.MODELS / "keyword_spotting_on_off.py"
    text = shipped.read_text()
    start = text.index("def build_model")
    path = tmp_path / "mine.py"
    path.write_text(text[:start] + "def build_model(spec):\n    return 1 / 0\n")
    line = text[:start].count("\n") + 2
    with pytest.raises(TokayError, match=rf"mine\.py:{line}: build_model: ZeroDivisionError"):
        network.build(specification.load(str(path)))
    path.write_text(text[:start] + "def build_model(spec):\n    return 5\n")
    with pytest.raises(TokayError, match=r"returned int"):
        network.build(specification.load(str(path)))


def test_mixup_keeps_one_in_front_and_the_sums() -> None:
    n, rng = 2000, np.random.default_rng(1)
    x = rng.normal(size=(n, 3, 2)).astype(np.float32)
    labels = np.eye(4, dtype=np.float32)[rng.integers(4, size=n)]
    result = mixed(Piece(x, labels, labels, np.ones(n, np.float32)), Mixup(0.25, 0.4), rng)
    changed = np.any(result.features != x, axis=(1, 2))
    assert 0.2 < changed.mean() < 0.3
    assert np.allclose(result.labels.sum(axis=1), 1)
    assert np.all((result.labels * labels).sum(axis=1) >= 0.5)  # the example's own label has the most


def test_pieces_cover_an_epoch_and_are_the_same_again() -> None:
    def pieces() -> list[Piece]:
        with batches_of(48, Mixup(0.5)) as batches:
            assert batches.steps == 16  # 800 examples
            return list(batches.epoch(1, 2))

    first, second = pieces(), pieces()
    assert sum(len(piece.weights) for piece in first) == 16 * 48
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a.features, b.features) and np.array_equal(a.words, b.words)


@pytest.mark.parametrize(
    ("batch", "lengths"), [(48, [4080, 4080, 1824]), (5000, [5000, 5000]), (9999, [9999])]
)
def test_pieces_are_the_epoch_in_its_order(batch: int, lengths: list[int]) -> None:
    """Made ahead or not: an epoch that a training begins with is what it is after the one before."""
    still, weights = Perturbation(0.0, 0.0, 0, 0, 0), np.array([1, 2, 3, 4], np.float32)
    source = Patterns(each=2000)

    def batches() -> Batches:
        return Batches(source, 1, 7, batch, still, Mixup(), lambda labels: weights)

    with batches() as after:
        first, second = list(after.epoch(1, 3)), list(after.epoch(2, 3))
        list(after.epoch(3, 3))
    with batches() as begun:
        again = list(begun.epoch(2, 2))
    assert sorted(set(source.asked)) == [700_000, 700_001, 700_002] and len(source.asked) == 4
    for pieces, number in ((first, 700_000), (second, 700_001), (again, 700_001)):
        wanted = Patterns(each=2000).epoch(number)
        assert [len(piece.weights) for piece in pieces] == lengths
        used = sum(lengths)
        for name, values in (
            ("features", wanted.features), ("labels", np.eye(4)[wanted.labels]),
            ("words", np.eye(5)[wanted.words]), ("weights", weights[wanted.labels]),
        ):  # fmt: skip
            made = np.concatenate([getattr(piece, name) for piece in pieces])
            assert made.dtype == np.float32 and np.array_equal(made, values[:used]), name


@pytest.mark.parametrize("probability", [0.3, 1.0])
def test_a_share_of_the_examples_is_laid_over_others(probability: float) -> None:
    n = 4000
    labels = np.random.default_rng(0).integers(0, 4, n)
    plain = Piece(
        labels[:, None, None].astype(np.float32) * np.ones((1, 2, 3), np.float32),
        np.eye(4, dtype=np.float32)[labels], np.eye(4, dtype=np.float32)[labels], labels + np.float32(1),
    )  # fmt: skip
    made = mixed(plain, Mixup(probability, 0.4), np.random.default_rng(1))
    own = made.labels[np.arange(n), labels]  # at least its larger half
    assert own.min() >= 0.5 and np.allclose(made.labels.sum(axis=1), 1)
    assert np.array_equal(made.labels, made.words)
    # Features and weights are mixed with the same shares as the labels.
    assert np.allclose(made.features[:, 1, 2], made.labels @ np.arange(4), atol=1e-5)
    assert np.allclose(made.weights, made.labels @ np.arange(1, 5), atol=1e-5)
    changed = np.mean(own < 1)  # three of four others are of another class
    assert abs(changed - 0.75 * probability) < 0.05


@needs_tensorflow
def test_the_learning_rate_rises_over_the_warm_up_and_falls_along_a_cosine() -> None:
    schedule = Schedule(
        epochs=5, batch_size=400, learning_rate=0.01, final_learning_rate=0.002, warmup_epochs=2,
        averaging=0,
    )  # fmt: skip
    epochs = trained(spec(schedule=schedule)).epochs["classes"]  # of two steps each
    assert [epoch.number for epoch in epochs] == [1, 2, 3, 4, 5]
    assert [epoch.learning_rate for epoch in epochs] == pytest.approx([0.006, 0.01, 0.008, 0.004, 0.002])


@needs_tensorflow
def test_smoothing_mixes_the_labels_with_all_classes_alike() -> None:
    """The loss is linear in the labels, so each tenth that is mixed in moves it as far."""
    still = Schedule(epochs=1, batch_size=4096, learning_rate=1e-9, final_learning_rate=1e-9, averaging=0)
    losses = [
        trained(spec(schedule=dataclasses.replace(still, label_smoothing=share)))
        .epochs["classes"][0]
        .training_loss
        for share in (0.0, 0.4, 0.8)
    ]
    assert losses[1] - losses[0] == pytest.approx(losses[2] - losses[1], abs=1e-5)
    assert abs(losses[2] - losses[0]) > 1e-3


def test_state_to_bytes_and_back() -> None:
    state = State({"a": [np.arange(3.0), np.zeros((0, 2), np.int8)], "b": []}, {"x": 0.1})
    again = State.from_bytes(state.to_bytes())
    assert again.info == state.info and list(again.arrays) == ["a", "b"]
    for one, other in zip(again.arrays["a"], state.arrays["a"], strict=True):
        assert one.dtype == other.dtype and np.array_equal(one, other)


@pytest.mark.parametrize("keep", [0, 10, -1])
def test_a_damaged_state_is_refused(tmp_path: Path, keep: int) -> None:
    with Work(tmp_path / "w") as work:
        work.save("classes", State({"a": [np.arange(100)]}, {}))
        path = tmp_path / "w" / "classes.state"
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(TokayError, match=r"damaged.*\n?.*"):
            work.load("classes")


@pytest.mark.parametrize("bits", [1, 0xFF])
def test_a_state_with_a_wrong_byte_is_refused_or_read_as_it_was(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "classes.state"
    with Work(tmp_path) as work:
        work.save("classes", State({"a": [np.arange(3.0)]}, {"x": 0.1}))
        whole = path.read_bytes()
        for i in range(len(whole)):
            path.write_bytes(whole[:i] + bytes([whole[i] ^ bits]) + whole[i + 1 :])
            try:
                read = work.load("classes")
            except TokayError as error:
                assert "damaged" in str(error)
                continue
            assert read is not None and read.info == {"x": 0.1}
            assert np.array_equal(read.arrays["a"][0], np.arange(3.0))


def test_one_training_at_a_time(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    with Work(tmp_path / "w"), pytest.raises(TokayError, match="already"):
        Work(tmp_path / "w")
    with Work(tmp_path / "w") as work:  # once it is through
        work.save("classes", State())
        with pytest.raises(TokayError, match="already"):
            Work(tmp_path / "w", fresh=True)
        assert work.load("classes") == State()
    with Work(tmp_path / "w", fresh=True) as work:
        assert work.load("classes") is None


def test_a_full_disk_leaves_the_last_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Work(tmp_path / "w") as work:
        work.save("classes", State({}, {"epoch": 1}))
        real = os.fdopen

        def full(descriptor: int, *mode: Any) -> Any:
            stream = real(descriptor, *mode)

            class Full:
                def __enter__(self) -> Full:
                    return self

                def __exit__(self, *error: object) -> None:
                    stream.close()

                def write(self, data: bytes) -> int:
                    stream.write(data[: len(data) // 2])
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            return Full()

        monkeypatch.setattr(os, "fdopen", full)
        with pytest.raises(TokayError, match="No space left"):
            work.save("classes", State({}, {"epoch": 2}))
        monkeypatch.undo()
        assert work.load("classes") == State({}, {"epoch": 1})
        assert sorted(p.name for p in (tmp_path / "w").iterdir()) == ["classes.state", "lock"]


@needs_tensorflow
def test_a_state_is_of_one_training_alone() -> None:
    """Of its data, its seed and its specification, each part of it."""
    plain = loaded(spec())
    key = work.key(plain, "data", 1)
    assert key == work.key(loaded(spec()), "data", 1)
    others = [
        work.key(plain, "data", 2), work.key(plain, "other", 1),
        *(
            work.key(loaded(spec(**change)), "data", 1)
            for change in (
                {"classes": ("on", "off", "_silence_", "_unknown_")}, {"mixup": Mixup(0.1)},
                {"schedule": dataclasses.replace(spec().schedule, averaging=0.91)}, {"input_scale": 1 / 32},
            )
        ),
    ]  # fmt: skip
    assert len({key, *others}) == 7


@needs_tensorflow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux's sched_setaffinity")
def test_a_state_is_of_as_many_cores() -> None:
    """TensorFlow uses those that the process may use, not those that there are, and its sums differ."""
    cores = os.sched_getaffinity(0)
    if len(cores) == 1:
        pytest.skip("there is only one core")
    key = work.key(loaded(spec()), "data", 1)
    os.sched_setaffinity(0, {min(cores)})
    try:
        assert work.key(loaded(spec()), "data", 1) != key
    finally:
        os.sched_setaffinity(0, cores)


def test_what_an_end_leaves_of_the_work_folder(tmp_path: Path) -> None:
    """A kill leaves all, --fresh takes all away, the end of a training what it went on from."""
    folder = tmp_path / "w"
    state = State({"weights": [np.arange(3.0)]}, {"epoch": 1})
    with Work(folder) as work:
        work.save("classes", state)
        work.write("classes.csv", "number\n1\n")
    with Work(folder) as work:
        found = work.load("classes")
        assert found is not None and np.array_equal(found.arrays["weights"][0], np.arange(3.0))
    with Work(folder, fresh=True) as work:
        assert [path.name for path in folder.iterdir()] == ["lock"]
        work.save("classes", state)
        work.write("classes.csv", "number\n1\n")
        work.finish(keep_history=True)
    assert [path.name for path in folder.iterdir()] == ["classes.csv"]
    with Work(folder) as work:
        work.save("classes", state)
        work.finish(keep_history=False)
    assert not folder.exists()


def test_rank() -> None:
    better = Validation(0.95, 0.2, 1.0, 0.1)
    assert better.rank > dataclasses.replace(better, false_accepts_per_hour=2.0).rank
    many = dataclasses.replace(better, false_accepts_per_hour=20.0)  # worse yet, however many there are
    assert many.rank > dataclasses.replace(many, false_accepts_per_hour=40.0).rank
    assert better.rank > dataclasses.replace(better, miss_rate=0.2).rank
    assert better.rank > dataclasses.replace(better, loss=0.3).rank
    assert Validation(0.9, 0.1).rank == (0.9, -0.1)  # without streams
    # A point of accuracy is worth ten of misses, or, where there are many, four times the false accepts.
    lucky = dataclasses.replace(better, balanced_accuracy=0.96)
    assert lucky.rank[0] == pytest.approx(
        dataclasses.replace(lucky, balanced_accuracy=0.97, miss_rate=0.2).rank[0]
    )
    assert many.rank[0] == pytest.approx(
        dataclasses.replace(many, balanced_accuracy=0.96, false_accepts_per_hour=80.0).rank[0], abs=5e-4
    )


STAGE = loop.Stage("classes", 0, Schedule(epochs=40))
EPOCHS = (
    loop.Epoch(7, 0.51234, 0.002, Validation(0.91239, 0.3, 12.34, 0.087)),
    loop.Epoch(8, 0.5, 0.001, Validation(0.92, 0.25)),  # not judged by streams
)


def test_an_epoch_is_told_in_a_line() -> None:
    assert [journal.line(STAGE, epoch) for epoch in EPOCHS] == [
        "classes: epoch 7/40: loss 0.512, validation 91.2 %, 12.3 false accepts an hour, 9 % missed",
        "classes: epoch 8/40: loss 0.500, validation 92.0 %",
    ]
    head, first, second = loop.history(EPOCHS).splitlines()
    assert head == (
        "number,training_loss,learning_rate,balanced_accuracy,loss,false_accepts_per_hour,miss_rate"
    )
    assert (first, second) == ("7,0.51234,0.002,0.91239,0.3,12.34,0.087", "8,0.5,0.001,0.92,0.25,,")


@needs_tensorflow
def test_tensorboard_gets_the_curves_of_each_stage(tmp_path: Path) -> None:
    import tensorflow as tf

    book = journal.Journal(str(tmp_path / "logs"))
    for epoch in EPOCHS:
        book.note(STAGE, epoch)
    book.note(dataclasses.replace(STAGE, name="words"), EPOCHS[1])
    seen: dict[str, dict[tuple[str, int], float]] = {}
    for stage in ("classes", "words"):
        (file,) = (tmp_path / "logs" / stage).iterdir()
        seen[stage] = {
            (value.tag, event.step): round(float(tf.make_ndarray(value.tensor)), 5)
            for event in tf.compat.v1.train.summary_iterator(str(file))
            for value in event.summary.value
        }
    last = {
        "loss/training": 0.5, "loss/validation": 0.25, "learning_rate": 0.001,
        "validation/balanced_accuracy": 0.92,
    }  # fmt: skip
    first = {
        "loss/training": 0.51234, "loss/validation": 0.3, "learning_rate": 0.002,
        "validation/balanced_accuracy": 0.91239, "validation/false_accepts_per_hour": 12.34,
        "validation/miss_rate": 0.087,
    }  # fmt: skip
    assert seen["words"] == {(tag, 8): value for tag, value in last.items()}
    assert seen["classes"] == seen["words"] | {(tag, 7): value for tag, value in first.items()}
    (tmp_path / "file").write_text("")
    with pytest.raises(TokayError, match=r"cannot write the TensorBoard logs in .*file"):
        journal.Journal(str(tmp_path / "file")).note(STAGE, EPOCHS[0])


def test_validation_by_hand() -> None:
    logits = np.log(np.array([[0.8, 0.2], [0.4, 0.6], [0.3, 0.7], [0.9, 0.1]]))
    found = on_clips(logits, np.array([0, 0, 0, 1]))
    assert found.balanced_accuracy == pytest.approx((1 / 3 + 0) / 2)
    assert found.loss == pytest.approx((-np.log([0.8, 0.4, 0.3]).mean() - np.log(0.1)) / 2)


def test_streams_judge_a_network_in_floats_as_they_judge_it_on_the_device() -> None:
    rng = np.random.default_rng(4)
    said = [word for word in tone_words.HERTZ for _ in range(8)]
    clips = tuple(Clip(Path(f"{i}.wav"), f"{w}/{i}.wav", w, "validation") for i, w in enumerate(said))
    store = Store(clips, np.stack([tone_words.say(word, rng) for word in said]), (), (), "key")
    wanted = Specification(
        name="tones", description="", classes=tone_words.CLASSES, frontend=tone_words.FRONTEND,
        schedule=Schedule(validation_minutes=6), detector=Detector(200, 150, (), 900, 2, latency_ms=100),
    )  # fmt: skip
    tflite = tone_words.model()
    network = int8_network(tflite)
    judge = Validator(wanted, store, recorded(wanted, store, "validation"))

    def logits(features: np.ndarray) -> np.ndarray:
        return np.log((network(features) + 0.01) / 256)

    found, on_device = judge.in_float(logits), judge.on_device(tflite)
    assert found.false_accepts_per_hour == on_device.false_accepts_per_hour
    assert found.miss_rate == on_device.miss_rate and found.miss_rate is not None and found.miss_rate < 0.5
    assert found.balanced_accuracy == on_device.balanced_accuracy > 0.9
    clips_alone = judge.in_float(logits, streams=False)
    assert (clips_alone.false_accepts_per_hour, clips_alone.miss_rate) == (None, None)
    deaf = judge.in_float(lambda x: np.tile(np.array([0.0, 0, 9, 9]), (len(x), 1)))
    assert (deaf.false_accepts_per_hour, deaf.miss_rate) == (0, 1)
    # What hears "on" whenever it may is wrong all the time: every 900 ms, in all the minutes.
    always = judge.in_float(lambda x: np.tile(np.array([9.0, 0, 0, 0]), (len(x), 1)))
    assert always.miss_rate == 0.5 and always.false_accepts_per_hour is not None
    assert 3000 < always.false_accepts_per_hour < 4000
    for other in (
        dataclasses.replace(wanted, schedule=Schedule(validation_minutes=0)),
        dataclasses.replace(wanted, test_run=True),
    ):
        assert Validator(other, store, judge.clips).in_float(logits) == clips_alone


def test_a_work_folder_that_cannot_be_written_names_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TokayError, match=r"cannot write the work folder .*file/w: Not a directory") as found:
        Work(tmp_path / "file" / "w")
    assert found.value.hint == "--work names another place"
