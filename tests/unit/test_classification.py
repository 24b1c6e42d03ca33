"""Accuracy figures by hand-counted examples."""

from __future__ import annotations

import numpy as np

from host.metrics.classification import balanced_accuracy, confusion_matrix, summary

LABELS = np.array([0, 0, 0, 0, 1, 1, 2])
SAID = np.array([0, 0, 0, 1, 1, 0, 2])


def test_confusion() -> None:
    assert confusion_matrix(LABELS, SAID, 3).tolist() == [[3, 1, 0], [1, 1, 0], [0, 0, 1]]


def test_balanced_accuracy_is_over_the_classes_that_occur() -> None:
    assert balanced_accuracy(LABELS, SAID, 4) == (0.75 + 0.5 + 1.0) / 3
    assert balanced_accuracy(LABELS[:0], SAID[:0], 4) == 0.0


def test_summary() -> None:
    result = summary(LABELS, SAID, ["on", "off", "_unknown_", "_silence_"])
    assert result["samples"] == 7 and result["accuracy"] == 5 / 7
    assert result["class_accuracy"] == {"on": 0.75, "off": 0.5, "_unknown_": 1.0, "_silence_": None}
    assert result["class_samples"]["on"] == 4
