"""The card of a model: what it was made from and how, and what it can do.

Nothing in it varies between two equal trainings, nor says where this machine keeps its files.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import numpy as np

from host.dataset import synthetic
from host.dataset.folder import SPLITS
from host.dataset.store import Store
from host.runtime import Model
from host.specification import Specification
from host.training.choose import Chosen
from host.training.fit import Fit


def card(
    spec: Specification, store: Store, seed: int, examples: int, fit: Fit, chosen: Chosen, tflite: bytes,
    accuracy: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """``examples`` are those of an epoch; ``accuracy`` is by split and arithmetic."""
    return {
        "name": spec.name,
        "version": spec.version,
        "description": spec.description,
        "classes": list(spec.classes),
        "data": _data(spec, store, examples),
        "training": {
            "seed": seed,
            "epochs": {stage: len(epochs) for stage, epochs in fit.epochs.items()},
            "chosen": {"stage": chosen.stage, "epoch": chosen.epoch.number},
            "bias": list(chosen.bias),
            **dataclasses.asdict(spec.recipe),
        },
        "accuracy": accuracy,
        "float_to_mvp_points": {split: gap(values) for split, values in accuracy.items()},
        "validation_streams": {
            "false_accepts_per_hour": chosen.validation.false_accepts_per_hour,
            "miss_rate": chosen.validation.miss_rate,
        },
        "cost": cost(tflite),
        "frontend": dataclasses.asdict(spec.frontend),
        "detector": dataclasses.asdict(spec.detector),
        "augmentation": dataclasses.asdict(spec.augmentation),
    }


def gap(accuracy: dict[str, Any]) -> float:
    """Points of balanced accuracy that the device's arithmetic costs."""
    lost = accuracy["float"]["balanced_accuracy"] - accuracy["mvp"]["balanced_accuracy"]
    return round(100 * lost, 3)


def cost(tflite: bytes) -> dict[str, Any]:
    """Size and work. The accelerator's cycles are those that the model of it counts: an estimate."""
    model = Model(tflite, accelerator="mvp")
    model.invoke(np.zeros(model.input.shape, model.input.dtype))
    counted = model.accelerator_counters()
    return {
        "model_bytes": len(tflite),
        "macs": model.macs,
        "arena_bytes": model.plan.memory.arena_bytes,
        "mvp_programs": counted.programs,
        "mvp_cycles_estimate": counted.cycles,
        "layers_not_on_mvp": [layer.name for layer in model.layers if layer.kernel != "mvp"],
    }


def _data(spec: Specification, store: Store, examples: int) -> dict[str, Any]:
    words = Counter(store.clips[i].word for i in store.select("training"))
    return {
        "licence": spec.data_licence,
        "clips": {split: len(store.select(split)) for split in SPLITS},
        "training_clips_by_word": dict(sorted(words.items())),
        "contents": store.key,
        "examples_an_epoch": examples,
        "synthetic_voices": synthetic.used(spec.augmentation.synthetic_voices),
    }
