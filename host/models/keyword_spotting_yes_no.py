"""Hears "yes" and "no" by convolutions over time, with twice the work of keyword_spotting_on_off_v2
(498k MACs).

    tokay train keyword_spotting_yes_no --dataset DIR
    python host/models/keyword_spotting_yes_no.py --dataset DIR
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from host.models import keyword_spotting_on_off_v2
from host.specification import Specification

if TYPE_CHECKING:
    import keras

SPECIFICATION = dataclasses.replace(
    keyword_spotting_on_off_v2.SPECIFICATION,
    name="keyword_spotting_yes_no",
    version=1,
    description='Hears the keywords "yes" and "no" at 8 kHz',
    classes=("yes", "no", "_unknown_", "_silence_"),
    # Four of fifty keywords may be missed; at that, the fewest other words are taken for one.
    detector=dataclasses.replace(keyword_spotting_on_off_v2.SPECIFICATION.detector, detection_threshold=205),
    # More recorded clips of each keyword than of "on" and "off": fewer copies of each make as many examples.
    augmentation=dataclasses.replace(
        keyword_spotting_on_off_v2.SPECIFICATION.augmentation,
        keyword_copies=24,
        unknown_copies=7,
    ),
    schedule=dataclasses.replace(keyword_spotting_on_off_v2.SPECIFICATION.schedule, epochs=48),
    distillation=dataclasses.replace(keyword_spotting_on_off_v2.SPECIFICATION.distillation, teachers=4),
)


def build_model(spec: Specification) -> keras.Model:
    """Six convolutions over time, half as wide again as those of keyword_spotting_on_off_v2."""
    from host.training.topologies import temporal

    stages = ((3, 40, 2), (3, 48, 2), (3, 48, 1), (3, 64, 2), (3, 64, 1), (3, 64, 1))
    return temporal(spec, stages, dropout=0.2)


def build_teacher(spec: Specification) -> keras.Model:
    """The teacher of keyword_spotting_on_off_v2, half as wide again as this network."""
    return keyword_spotting_on_off_v2.build_teacher(spec)


if __name__ == "__main__":
    import sys

    from host.cli import run
    from host.train import main

    sys.exit(run(main, [__file__, *sys.argv[1:]]))
