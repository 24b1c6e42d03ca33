"""From a specification and examples to trained weights: teachers, words, classes, each a stage."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from host.specification import LoadedModel, Specification
from host.training import network as networks
from host.training import quantization_aware
from host.training.backend import import_keras
from host.training.batches import Batches, Source
from host.training.examples import examples_by_class
from host.training.loop import Candidate, Epoch, Outcome, Report, Stage, Teaching, learn
from host.training.network import Network
from host.training.validation import Validation, Validator, on_clips
from host.training.work import Work

_CANDIDATES = 3  # epochs that are converted and tried in the arithmetic of the device
_TRANSFER, _STUDENT, _QUANTIZED, _TEACHERS = 1, 0, 2, 10  # numbers of the stages


@dataclass(frozen=True)
class Trained:
    """An epoch that may be the best, of a network that other candidates may share."""

    network: Network
    stage: str
    candidate: Candidate

    def model(self) -> Any:
        """The Keras model with the candidate's weights."""
        self.network.assign(self.candidate.weights)
        return self.network.finish()


@dataclass(frozen=True)
class Fit:
    """The best epochs, and how training got there."""

    candidates: list[Trained]
    epochs: dict[str, list[Epoch]]  # by stage, in the order of training


def fit(
    loaded: LoadedModel, source: Source, validator: Validator, seed: int, work: Work | None = None,
    report: Report | None = None, resumed: Report | None = None,
) -> Fit:  # fmt: skip
    """Trains a model from its specification. ``report(stage, epoch)`` is called after each epoch."""
    return _Training(loaded, source, validator, seed, work, report, resumed).run()


class _Training:
    def __init__(
        self, loaded: LoadedModel, source: Source, validator: Validator, seed: int, work: Work | None,
        report: Report | None, resumed: Report | None,
    ) -> None:  # fmt: skip
        self._loaded, self._spec = loaded, loaded.spec
        self._source, self._validator, self._seed = source, validator, seed
        self._work, self._report, self._resumed = work, report, resumed
        self._epochs: dict[str, list[Epoch]] = {}

    def run(self) -> Fit:
        spec = self._spec
        teaching = self._teach() if spec.distillation.teachers else None
        network = self._network(networks.build, self._seed, learns_words(spec))
        if spec.transfer.epochs:
            self._transfer(network)
        stage = Stage(
            "classes", _STUDENT, spec.schedule, 1.0, spec.auxiliary.word_weight, spec.mixup, teaching,
            keep=_CANDIDATES,
        )  # fmt: skip
        outcome = self._learn(stage, network)
        candidates = [Trained(network, stage.name, candidate) for candidate in outcome.candidates]
        if spec.quantization_aware.epochs:
            candidates += self._quantized(candidates[0], teaching)
        return Fit(candidates, self._epochs)

    def _teach(self) -> Teaching:
        """Trains the teachers."""
        spec, settings = self._spec, self._spec.distillation
        teachers = []
        for index in range(settings.teachers):
            network = self._network(
                networks.build_teacher, self._seed + 1000 * (index + 1), spec.auxiliary.word_weight > 0
            )
            schedule = spec.schedule.of(settings.epochs, settings.learning_rate)
            stage = Stage(
                f"teacher {index + 1}", _TEACHERS + index, schedule, 1.0, spec.auxiliary.word_weight,
                spec.mixup,
            )  # fmt: skip
            self._learn(stage, network)
            teachers.append(networks.opinions(network, spec))
        return Teaching(teachers, settings.weight, settings.temperature)

    def _transfer(self, network: Network) -> None:
        """Lets the network learn all words, before it learns which of them are keywords."""
        settings, clips = self._spec.transfer, self._validator.clips
        schedule = self._spec.schedule.of(settings.epochs, settings.learning_rate)
        predict = networks.inference(network, self._spec, output=1)
        self._learn(
            Stage("words", _TRANSFER, schedule, 0.0, 1.0, self._spec.mixup), network,
            lambda _: on_clips(predict(clips.features), clips.words),
        )  # fmt: skip

    def _quantized(self, best: Trained, teaching: Teaching | None) -> list[Trained]:
        """Goes on from the best epoch with weights and activations rounded."""
        spec, settings = self._spec, self._spec.quantization_aware
        network = quantization_aware.rounded(best.model(), spec, self._source.epoch(0), self._loaded.path)
        schedule = spec.schedule.of(settings.epochs, settings.learning_rate)
        stage = Stage("rounded", _QUANTIZED, schedule, mixup=spec.mixup, teaching=teaching)
        outcome = self._learn(stage, network)
        return [Trained(network, stage.name, candidate) for candidate in outcome.candidates]

    def _network(self, build: Callable[[LoadedModel], Any], seed: int, words: bool) -> Network:
        import_keras(seed)
        count = len(self._source.word_names) if words else 0
        return networks.take_apart(build(self._loaded), count, self._loaded.path)

    def _learn(
        self, stage: Stage, network: Network, validate: Callable[[bool], Validation] | None = None
    ) -> Outcome:
        on_classes = functools.partial(self._validator.in_float, networks.inference(network, self._spec))
        batches = Batches(
            self._source, self._seed, stage.number, stage.schedule.batch_size, self._spec.perturbation,
            stage.mixup, functools.partial(class_weights, self._spec),
        )  # fmt: skip
        with batches:
            outcome = learn(
                stage, network, batches, self._spec.input_scale, self._seed, self._work,
                validate or on_classes, self._report, self._resumed,
            )  # fmt: skip
        self._epochs[stage.name] = outcome.epochs
        return outcome


def learns_words(spec: Specification) -> bool:
    """Whether the network has a second output, of all words, while it learns."""
    return spec.auxiliary.word_weight > 0 or spec.transfer.epochs > 0


def class_weights(spec: Specification, labels: np.ndarray) -> np.ndarray:
    """Weights by class: as if each had as many examples as the others, times the specification's."""
    counts = examples_by_class(spec, labels)
    wanted = np.array([spec.class_weights.get(name, 1.0) for name in spec.classes])
    return (wanted * len(labels) / (len(counts) * counts)).astype(np.float32)
