"""One stage of training: a network learns for some epochs, and its best epochs are kept.

After every epoch the whole state is written, so that a killed training goes on from there and ends as
if nothing had happened: an epoch is a function of the state before it, the seed and its number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from host.errors import TokayError
from host.specification import Mixup, Schedule
from host.training.batches import Batches
from host.training.network import Network
from host.training.optimizer import optimizer_of
from host.training.validation import Validation
from host.training.work import State, Work

_AVERAGE_EVERY = 4  # steps: following the weights at each of them would cost as much as it gives
# Share of the epochs that cannot be the best: while the learning rate is high, a lucky epoch on a few
# dozen validation clips is worth less than the rest of the schedule.
_UNSETTLED = 0.8


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to."""

    number: int  # from 1
    training_loss: float
    learning_rate: float  # at its end
    validation: Validation

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Epoch:
        return cls(**{**values, "validation": Validation(**values["validation"])})


@dataclass(frozen=True)
class Teaching:
    """The opinion of networks that learnt before: from perturbed features to the logits of each output."""

    teachers: Sequence[Callable[[np.ndarray], list[np.ndarray]]]
    weight: float
    temperature: float

    def logits(self, features: np.ndarray) -> list[np.ndarray]:
        """The teachers' mean, of the classes and, where they tell words apart, of the words."""
        said = zip(*(teacher(features) for teacher in self.teachers), strict=True)
        return [np.mean(outputs, axis=0, dtype=np.float32) for outputs in said]


@dataclass(frozen=True)
class Stage:
    """What is learnt, and how."""

    name: str
    number: int  # part of the seed of all that is drawn
    schedule: Schedule
    class_weight: float = 1.0  # of the classes' loss
    word_weight: float = 0.0  # of the words'
    mixup: Mixup = field(default_factory=Mixup)
    teaching: Teaching | None = None
    keep: int = 1  # best epochs


@dataclass(frozen=True)
class Candidate:
    """An epoch that may be the best, with the weights it came to."""

    epoch: Epoch
    weights: list[np.ndarray]


@dataclass(frozen=True)
class Outcome:
    """The best epochs of a stage, best first, and all epochs in order."""

    candidates: list[Candidate]
    epochs: list[Epoch]


Report = Callable[[Stage, Epoch], None]


def learn(
    stage: Stage, network: Network, batches: Batches, input_scale: float, seed: int, work: Work | None,
    validate: Callable[[bool], Validation], report: Report | None = None, resumed: Report | None = None,
) -> Outcome:  # fmt: skip
    """Trains ``network`` for a stage, from where an earlier process left it; ``resumed`` is called with the
    last epoch of that process. ``validate`` is told whether the epoch may be the best one. The network is
    left with the weights of the best epoch."""
    learner = _Learner(stage, network, batches, input_scale)
    state = work.load(stage.name) if work else None
    if state:
        learner.restore(state)
        if resumed and not learner.done:
            resumed(stage, learner.epochs[-1])
    while not learner.done:
        epoch = learner.epoch(seed, validate)
        if work:
            work.save(stage.name, learner.state())
            work.write(f"{stage.name}.csv", history(learner.epochs))
        if report:
            report(stage, epoch)
    network.assign(learner.candidates[0].weights)
    return Outcome(learner.candidates, learner.epochs)


def history(epochs: Sequence[Epoch]) -> str:
    """The epochs as CSV."""
    rows = [{**asdict(epoch), **asdict(epoch.validation)} for epoch in epochs]
    names = [name for name in rows[0] if name != "validation"] if rows else []
    lines = [",".join("" if row[name] is None else str(row[name]) for name in names) for row in rows]
    return "\n".join([",".join(names), *lines]) + "\n"


class _Learner:
    """A stage under way."""

    def __init__(self, stage: Stage, network: Network, batches: Batches, input_scale: float) -> None:
        import tensorflow as tf

        self._stage, self._network, self._batches = stage, network, batches
        self.epochs: list[Epoch] = []
        self.candidates: list[Candidate] = []
        self._steps = 0
        self._optimizer = optimizer_of(stage.schedule, network.outputs)
        self._average = [tf.Variable(value, trainable=False) for value in network.values()]
        self._step = _step(stage, network, self._optimizer, batches.batch, input_scale)
        self._follow = tf.function(self._follow_weights)

    @property
    def done(self) -> bool:
        schedule, number = self._stage.schedule, len(self.epochs)
        if number >= schedule.epochs:
            return True
        if not schedule.patience or not self.candidates:
            return False
        return number - self.candidates[0].epoch.number >= schedule.patience

    def epoch(self, seed: int, validate: Callable[[bool], Validation]) -> Epoch:
        """Learns from one more epoch of examples, and validates the average of the weights."""
        import tensorflow as tf

        stage, number = self._stage, len(self.epochs) + 1
        self._network.seed([seed, 5, stage.number, number])
        losses: list[Any] = []
        for piece in self._batches.epoch(number, stage.schedule.epochs):
            arrays = (piece.features, piece.labels, piece.words, piece.weights)
            tensors = [tf.constant(array) for array in arrays]
            taught = stage.teaching.logits(piece.features) if stage.teaching else []
            opinions = [tf.constant(logits) for logits in taught]
            for start in range(0, len(piece.weights), self._batches.batch):
                rate = np.float32(self._learning_rate())
                losses.append(self._step(*tensors, opinions, tf.constant(start), tf.constant(rate)))
                self._steps += 1
                if self._steps % _AVERAGE_EVERY == 0:
                    self._follow(tf.constant(np.float32(self._keep())))
        loss = float(np.mean([float(value) for value in losses]))
        if not math.isfinite(loss):
            raise TokayError(
                f"{stage.name}: epoch {number}: the loss is {loss}, so training cannot go on",
                hint="a lower learning_rate helps where weights grew without bound",
            )
        if self._steps < _AVERAGE_EVERY:  # a stage as short as that would end with its first weights
            self._follow(tf.constant(np.float32(self._keep())))
        current = self._network.values()
        if stage.schedule.averaging:
            self._network.assign([value.numpy() for value in self._average])
        epoch = Epoch(number, loss, self._learning_rate(), validate(self._settled(number)))
        self.epochs.append(epoch)
        self._consider(epoch)
        self._network.assign(current)
        return epoch

    def state(self) -> State:
        """All that the next epoch depends on; once done, what is left of the stage."""
        arrays = {f"candidate {i}": c.weights for i, c in enumerate(self.candidates)}
        if not self.done:
            arrays["weights"] = self._network.values()
            arrays["average"] = [value.numpy() for value in self._average]
            arrays["optimizer"] = [value.numpy() for value in self._optimizer.variables]
        info = {
            "steps": self._steps,
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "candidates": [candidate.epoch.number for candidate in self.candidates],
        }
        return State(arrays, info)

    def restore(self, state: State) -> None:
        self._steps = state.info["steps"]
        self.epochs = [Epoch.from_dict(values) for values in state.info["epochs"]]
        self.candidates = [
            Candidate(self.epochs[number - 1], state.arrays[f"candidate {i}"])
            for i, number in enumerate(state.info["candidates"])
        ]
        if self.done:
            return
        self._network.assign(state.arrays["weights"])
        for variable, value in zip(self._average, state.arrays["average"], strict=True):
            variable.assign(value)
        for variable, value in zip(self._optimizer.variables, state.arrays["optimizer"], strict=True):
            variable.assign(value)

    def _consider(self, epoch: Epoch) -> None:
        """Keeps the weights that the network has now, if few epochs were better."""
        if not self._settled(epoch.number):
            return
        candidates = [*self.candidates, Candidate(epoch, self._network.values())]
        candidates.sort(key=lambda c: c.epoch.validation.rank, reverse=True)  # stable: the earlier one stays
        self.candidates = candidates[: self._stage.keep]

    def _settled(self, number: int) -> bool:
        schedule = self._stage.schedule
        return schedule.patience > 0 or number > _UNSETTLED * schedule.epochs

    def _learning_rate(self) -> float:
        """Rises over the warm-up, then falls along a cosine."""
        schedule, steps = self._stage.schedule, self._batches.steps
        warm = schedule.warmup_epochs * steps
        if self._steps < warm:
            return schedule.learning_rate * (self._steps + 1) / (warm + 1)
        done = (self._steps - warm) / max(schedule.epochs * steps - warm, 1)
        low, high = schedule.final_learning_rate, schedule.learning_rate
        return low + (high - low) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    def _keep(self) -> float:
        """What remains of the average: short at first, so that the start is forgotten."""
        longest = self._stage.schedule.averaging**_AVERAGE_EVERY
        return min(longest, (1 + self._steps) / (10 * _AVERAGE_EVERY + self._steps))

    def _follow_weights(self, keep: Any) -> None:
        for mean, weight in zip(self._average, self._network.weights, strict=True):
            mean.assign_sub((1 - keep) * (mean - weight.value))


def _step(
    stage: Stage, network: Network, optimizer: Any, batch: int, input_scale: float
) -> Callable[..., Any]:
    """One step, on the batch of a piece that begins at ``start``."""
    import tensorflow as tf

    outputs, variables = network.outputs, network.outputs.trainable_variables
    smoothing, teaching = stage.schedule.label_smoothing, stage.teaching

    @tf.function
    def step(
        features: Any, labels: Any, words: Any, weights: Any, opinions: list[Any], start: Any, rate: Any
    ) -> Any:
        x = features[start : start + batch, ..., None] * input_scale
        y, w, importance = (values[start : start + batch] for values in (labels, words, weights))
        y = y * (1 - smoothing) + smoothing / y.shape[1]
        with tf.GradientTape() as tape:
            logits, *said_words = network.logits(x, training=True)
            opinion = [output[start : start + batch] for output in opinions]
            loss = _loss(y, logits, opinion[:1], teaching)
            loss = stage.class_weight * tf.reduce_mean(loss * importance)
            if stage.word_weight:
                on_words = _loss(w, said_words[0], opinion[1:], teaching)
                loss += stage.word_weight * tf.reduce_mean(on_words)
            if outputs.losses:
                loss += tf.add_n(outputs.losses)
        gradients = tape.gradient(loss, variables)
        optimizer.learning_rate.assign(rate)
        optimizer.apply([tf.zeros_like(v) if g is None else g for g, v in zip(gradients, variables)])  # noqa: B905
        return loss

    return step


def _loss(wanted: Any, logits: Any, opinion: list[Any], teaching: Teaching | None) -> Any:
    """The cross entropy of each example, by its label and, where there is one, by the teachers' opinion
    (after Hinton et al., Distilling the Knowledge in a Neural Network, 2015)."""
    import tensorflow as tf

    cross_entropy = tf.nn.softmax_cross_entropy_with_logits
    loss = cross_entropy(wanted, logits)
    if teaching is None or not opinion:
        return loss
    hot = teaching.temperature
    taught = hot * hot * cross_entropy(tf.nn.softmax(opinion[0] / hot), logits / hot)
    return (1 - teaching.weight) * loss + teaching.weight * taught
