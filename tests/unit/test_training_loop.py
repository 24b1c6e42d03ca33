"""The training loop on a problem of features alone: what it learns, and that it goes on after an end at
any epoch with the same result, bit for bit."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from host.errors import TokayError
from host.specification import (
    Auxiliary,
    Distillation,
    Mixup,
    QuantizationAware,
    Schedule,
    Specification,
    Transfer,
)
from host.training import loop
from host.training.validation import Validation, on_clips
from host.training.work import Work
from tests.unit.small_training import (
    WORDS,
    Patterns,
    batches_of,
    loaded,
    needs_tensorflow,
    small_network,
    spec,
)

pytestmark = pytest.mark.xdist_group("tensorflow")  # one process pays for the import


def everything() -> Specification:
    """A recipe with all there is."""
    return spec(
        schedule=Schedule(epochs=2, batch_size=32, learning_rate=0.01, averaging=0.9, muon=5.0),
        auxiliary=Auxiliary(0.3), mixup=Mixup(0.3), transfer=Transfer(1, 0.01), class_bias="validation",
        distillation=Distillation(teachers=1, epochs=1, learning_rate=0.01),
        quantization_aware=QuantizationAware(1, 1e-3),
    )  # fmt: skip


class Judge:
    """Validates on clips alone."""

    def __init__(self) -> None:
        self.clips = Patterns(99, 20).epoch(0)

    def in_float(self, logits: Any, streams: bool = True) -> Validation:
        return on_clips(logits(self.clips.features), self.clips.labels)


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
    from host.training import backend, network

    def mistaken(features: np.ndarray) -> list[np.ndarray]:
        after = np.roll(np.arange(len(WORDS)), -1)[(features.mean(axis=1).argmax(axis=1) - 1) % len(WORDS)]
        return [np.zeros((len(after), 4), np.float32), 8 * np.eye(len(WORDS), dtype=np.float32)[after]]

    wanted, heard = spec(), Judge().clips
    backend.import_keras(1)
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
