"""Clip accuracy: confusion matrix, recall of each class, their mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """int64[classes, classes]: row the truth, column what was said."""
    cells = np.asarray(labels, np.int64) * classes + np.asarray(predictions, np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def balanced_accuracy(labels: np.ndarray, predictions: np.ndarray, classes: int) -> float:
    """Mean recall over the classes that occur; 0 where none does."""
    confusion = confusion_matrix(labels, predictions, classes)
    counts = confusion.sum(axis=1)
    recalls = np.diag(confusion)[counts > 0] / counts[counts > 0]
    return float(recalls.mean()) if len(recalls) else 0.0


def summary(labels: np.ndarray, predictions: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """The accuracy part of an evaluation. A class without samples has accuracy None."""
    confusion = confusion_matrix(labels, predictions, len(names))
    counts = confusion.sum(axis=1)
    total = int(counts.sum())
    return {
        "samples": total,
        "accuracy": float(np.trace(confusion)) / total if total else 0.0,
        "balanced_accuracy": balanced_accuracy(labels, predictions, len(names)),
        "class_accuracy": {
            name: float(confusion[i, i] / counts[i]) if counts[i] else None for i, name in enumerate(names)
        },
        "class_samples": {name: int(counts[i]) for i, name in enumerate(names)},
        "confusion": confusion.tolist(),
    }
