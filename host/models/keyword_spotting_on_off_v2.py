"""Hears "on" and "off" by convolutions over time, the bands as channels (235k MACs).

    tokay train keyword_spotting_on_off_v2 --dataset DIR
    python host/models/keyword_spotting_on_off_v2.py --dataset DIR
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from host.models import keyword_spotting_on_off
from host.specification import Distillation, Specification

if TYPE_CHECKING:
    import keras

SPECIFICATION = dataclasses.replace(
    keyword_spotting_on_off.SPECIFICATION,
    name="keyword_spotting_on_off_v2",
    version=2,
    # Smoothed labels keep its scores lower.
    detector=dataclasses.replace(keyword_spotting_on_off.SPECIFICATION.detector, detection_threshold=190),
    # Recorded clips alone do as well here as with synthetic voices beside them, or better.
    augmentation=dataclasses.replace(
        keyword_spotting_on_off.SPECIFICATION.augmentation,
        silence_copies=16,
        background_crops=1500,
        synthetic_voices=0,
    ),
    schedule=dataclasses.replace(
        keyword_spotting_on_off.SPECIFICATION.schedule,
        epochs=80,
        learning_rate=2e-3,
        muon=10.0,
        label_smoothing=0.05,
    ),
    # What a network of four times the work holds for possible, labels do not say.
    distillation=Distillation(teachers=3, epochs=30, learning_rate=2e-3, weight=0.8, temperature=2.0),
)


def build_model(spec: Specification) -> keras.Model:
    """Six convolutions over time, which cost the accelerator no more than the vendor's three."""
    from host.training.topologies import temporal

    return temporal(spec, ((3, 24, 2), (3, 28, 2), (3, 32, 1), (3, 40, 2), (3, 48, 1), (3, 48, 1)))


def build_teacher(spec: Specification) -> keras.Model:
    """The same network, about twice as wide."""
    from host.training.topologies import temporal

    stages = ((3, 64, 2), (3, 64, 2), (3, 64, 1), (3, 96, 2), (3, 96, 1), (3, 96, 1))
    return temporal(spec, stages, dropout=0.4)


if __name__ == "__main__":
    import sys

    from host.cli import run
    from host.train import main

    sys.exit(run(main, [__file__, *sys.argv[1:]]))
