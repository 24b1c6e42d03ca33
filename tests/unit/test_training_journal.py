"""What is told of a training while it goes on: lines, a table, TensorBoard's curves."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from host.errors import TokayError
from host.specification import Schedule
from host.training import journal, loop
from host.training.validation import Validation
from tests.unit.small_training import needs_tensorflow

pytestmark = pytest.mark.xdist_group("tensorflow")  # one process pays for the import


STAGE = loop.Stage("classes", 0, Schedule(epochs=40))
EPOCHS = (
    loop.Epoch(7, 0.51234, 0.002, Validation(0.91239, 0.3, 12.34, 0.087)),
    loop.Epoch(8, 0.5, 0.001, Validation(0.92, 0.25)),  # not judged by streams
)


def test_an_epoch_is_told_in_a_line() -> None:
    assert [journal.line(STAGE, epoch) for epoch in EPOCHS] == [
        "classes: epoch 7/40: loss 0.512, validation 91.2 %, 12.3 false accepts an hour, 9 % missed",
        "classes: epoch 8/40: loss 0.500, validation 92.0 %",
    ]
    head, first, second = loop.history(EPOCHS).splitlines()
    assert head == (
        "number,training_loss,learning_rate,balanced_accuracy,loss,false_accepts_per_hour,miss_rate"
    )
    assert (first, second) == ("7,0.51234,0.002,0.91239,0.3,12.34,0.087", "8,0.5,0.001,0.92,0.25,,")


@needs_tensorflow
def test_tensorboard_gets_the_curves_of_each_stage(tmp_path: Path) -> None:
    import tensorflow as tf

    book = journal.Journal(str(tmp_path / "logs"))
    for epoch in EPOCHS:
        book.note(STAGE, epoch)
    book.note(dataclasses.replace(STAGE, name="words"), EPOCHS[1])
    seen: dict[str, dict[tuple[str, int], float]] = {}
    for stage in ("classes", "words"):
        (file,) = (tmp_path / "logs" / stage).iterdir()
        seen[stage] = {
            (value.tag, event.step): round(float(tf.make_ndarray(value.tensor)), 5)
            for event in tf.compat.v1.train.summary_iterator(str(file))
            for value in event.summary.value
        }
    last = {
        "loss/training": 0.5, "loss/validation": 0.25, "learning_rate": 0.001,
        "validation/balanced_accuracy": 0.92,
    }  # fmt: skip
    first = {
        "loss/training": 0.51234, "loss/validation": 0.3, "learning_rate": 0.002,
        "validation/balanced_accuracy": 0.91239, "validation/false_accepts_per_hour": 12.34,
        "validation/miss_rate": 0.087,
    }  # fmt: skip
    assert seen["words"] == {(tag, 8): value for tag, value in last.items()}
    assert seen["classes"] == seen["words"] | {(tag, 7): value for tag, value in first.items()}
    (tmp_path / "file").write_text("")
    with pytest.raises(TokayError, match=r"cannot write the TensorBoard logs in .*file"):
        journal.Journal(str(tmp_path / "file")).note(STAGE, EPOCHS[0])
