"""How a network learns: the parts of a model specification that say so, and what is wrong with them.

Everything but the schedule and the perturbation is off unless a specification asks for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

Require = Callable[[bool, str], None]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn."""

    epochs: int = 40
    batch_size: int = 64
    learning_rate: float = 2e-3
    final_learning_rate: float = 1e-5  # reached along a cosine
    # The learning rate of the convolutions' kernels under Muon, as a multiple of the other one, which is
    # Adam's; 0 leaves them to Adam too.
    muon: float = 0.0
    warmup_epochs: float = 0.0  # over which the learning rate rises from nothing
    label_smoothing: float = 0.0
    # Of the running average of the weights, by step, which is what is validated and kept: the choice of
    # the best epoch is less of a draw than with the weights of single steps. 0 is off.
    averaging: float = 0.998
    patience: int = 0  # epochs without a better one after which to stop; 0 goes on to the end
    validation_minutes: float = 40.0  # of the streams by which epochs are judged beside clips; 0 is none

    def of(self, epochs: int, learning_rate: float | None = None) -> Schedule:
        """The schedule of another length and, where given, another speed. The learning rate rises over as
        many epochs as before, and over half of them at most."""
        speed = self.learning_rate if learning_rate is None else learning_rate
        return dataclasses.replace(
            self, epochs=epochs, learning_rate=speed,
            final_learning_rate=min(self.final_learning_rate, speed),
            warmup_epochs=min(self.warmup_epochs, epochs / 2),
        )  # fmt: skip


@dataclass(frozen=True)
class Auxiliary:
    """A second output that tells all words apart while the network learns; it is not exported.

    What tells "four" from "off" helps to tell "off" from the rest.
    """

    word_weight: float = 0.0  # of its loss, beside the classes' 1


@dataclass(frozen=True)
class Perturbation:
    """What is done to the features of an example, drawn anew each epoch: augmentation that is cheaper there
    than on audio. A network that is too small to learn all this does better with less of it."""

    warp: float = 0.06  # share of the channel axis, either way: as if of another vocal tract
    level: float = 10.0  # units of the int8 features, either way; what is at their floor stays there
    shift_frames: int = 2  # either way
    mask_channels: int = 3  # at most, as if silent
    mask_frames: int = 5  # at most, ditto


@dataclass(frozen=True)
class Mixup:
    """Examples laid over each other, with their labels in the same shares."""

    probability: float = 0.0  # share of the examples that are mixed
    alpha: float = 0.4  # of the Beta distribution of the shares: small keeps one of the two dominant


@dataclass(frozen=True)
class Distillation:
    """Larger networks that learn first, and whose opinion of each example the small one learns too: of its
    class and, with auxiliary words, of its word."""

    teachers: int = 0  # networks, each from a seed of its own; their logits are averaged
    build: str = "build_teacher"  # the function of the specification's file that builds one
    epochs: int = 20
    learning_rate: float = 1e-3
    weight: float = 0.7  # of the teachers' opinion; the rest is the label's
    temperature: float = 2.0  # above 1 shows more of what the teachers held for possible


@dataclass(frozen=True)
class Transfer:
    """Learning to tell all words apart first, of which most have more clips than the keywords."""

    epochs: int = 0
    learning_rate: float = 2e-3


@dataclass(frozen=True)
class QuantizationAware:
    """A last stage in which weights and activations are rounded as on the device."""

    epochs: int = 0
    learning_rate: float = 1e-4


@dataclass(frozen=True)
class Recipe:
    """All of them; what a specification holds in fields of its own."""

    schedule: Schedule
    auxiliary: Auxiliary
    perturbation: Perturbation
    mixup: Mixup
    distillation: Distillation
    transfer: Transfer
    quantization_aware: QuantizationAware
    class_bias: str | None


def validate(recipe: Recipe, require: Require) -> None:
    """Calls ``require(condition, what is wrong)`` for everything that must hold."""
    _validate_schedule(recipe.schedule, require)
    require(recipe.auxiliary.word_weight >= 0, "auxiliary.word_weight is negative")
    _validate_perturbation(recipe.perturbation, require)
    require(0 <= recipe.mixup.probability <= 1, "mixup.probability is outside 0..1")
    require(recipe.mixup.alpha > 0, "mixup.alpha must be positive")
    teaching = recipe.distillation
    require(0 <= teaching.teachers <= 16, "distillation.teachers is outside 0..16")
    require(teaching.epochs >= 1, "distillation.epochs must be at least 1")
    require(teaching.learning_rate > 0, "distillation.learning_rate must be positive")
    require(0 <= teaching.weight <= 1, "distillation.weight is outside 0..1")
    require(teaching.temperature > 0, "distillation.temperature must be positive")
    is_name = teaching.build.isidentifier()
    require(is_name, f"distillation.build {teaching.build!r} is not the name of a function")
    for stage, name in ((recipe.transfer, "transfer"), (recipe.quantization_aware, "quantization_aware")):
        require(stage.epochs >= 0, f"{name}.epochs is negative")
        require(stage.learning_rate > 0, f"{name}.learning_rate must be positive")
    require(recipe.class_bias in (None, "validation"), 'class_bias is None or "validation"')


def _validate_perturbation(perturbation: Perturbation, require: Require) -> None:
    require(0 <= perturbation.warp <= 0.5, "perturbation.warp is outside 0..0.5")
    require(0 <= perturbation.level <= 255, "perturbation.level is outside 0..255")
    for name in ("shift_frames", "mask_channels", "mask_frames"):
        require(0 <= getattr(perturbation, name) <= 1000, f"perturbation.{name} is outside 0..1000")


def _validate_schedule(schedule: Schedule, require: Require) -> None:
    require(schedule.epochs >= 1 and schedule.batch_size >= 1, "epochs and batch_size must be at least 1")
    require(schedule.learning_rate > 0, "learning_rate must be positive")
    require(
        0 < schedule.final_learning_rate <= schedule.learning_rate,
        "final_learning_rate must be above 0 and at most learning_rate",
    )
    require(0 <= schedule.muon <= 1000, "muon is outside 0..1000")
    require(0 <= schedule.warmup_epochs < schedule.epochs, "warmup_epochs must be less than epochs")
    require(0 <= schedule.label_smoothing < 1, "label_smoothing is outside 0..1")
    require(0 <= schedule.averaging < 1, "averaging is outside 0..1")
    require(schedule.patience >= 0, "patience is negative")
    require(0 <= schedule.validation_minutes <= 600, "validation_minutes is outside 0..600")
