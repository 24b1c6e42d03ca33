"""Hears "up", "down", "left", "right", "stop" and "go" by convolutions over time (498k MACs).

    tokay train keyword_spotting_directions --dataset DIR
    python host/models/keyword_spotting_directions.py --dataset DIR
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from host.models import keyword_spotting_on_off_v2, keyword_spotting_yes_no
from host.specification import Specification

if TYPE_CHECKING:
    import keras

SPECIFICATION = dataclasses.replace(
    keyword_spotting_on_off_v2.SPECIFICATION,
    name="keyword_spotting_directions",
    version=1,
    description='Hears the keywords "up", "down", "left", "right", "stop" and "go" at 8 kHz',
    classes=("up", "down", "left", "right", "stop", "go", "_unknown_", "_silence_"),
    # Six keywords with more recorded clips each: fewer copies make examples enough.
    augmentation=dataclasses.replace(
        keyword_spotting_on_off_v2.SPECIFICATION.augmentation,
        keyword_copies=10,
        unknown_copies=7,
    ),
    schedule=dataclasses.replace(keyword_spotting_yes_no.SPECIFICATION.schedule, epochs=50),
    distillation=dataclasses.replace(keyword_spotting_yes_no.SPECIFICATION.distillation, teachers=2),
)


def build_model(spec: Specification) -> keras.Model:
    """The network of keyword_spotting_yes_no."""
    return keyword_spotting_yes_no.build_model(spec)


def build_teacher(spec: Specification) -> keras.Model:
    """The teacher of keyword_spotting_on_off_v2."""
    return keyword_spotting_on_off_v2.build_teacher(spec)


if __name__ == "__main__":
    import sys

    from host.cli import run
    from host.train import main

    sys.exit(run(main, [__file__, *sys.argv[1:]]))
