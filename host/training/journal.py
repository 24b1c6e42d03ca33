"""What is told of a training while it goes on: a line for each epoch, and logs for TensorBoard."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from host.errors import TokayError
from host.training.loop import Epoch, Stage


class Journal:
    """Takes note of epochs; ``tensorboard`` is the folder of the logs, one below it for each stage."""

    def __init__(self, tensorboard: str | None = None) -> None:
        self._folder = tensorboard
        self._writers: dict[str, Any] = {}

    def note(self, stage: Stage, epoch: Epoch) -> None:
        """An epoch has come to its end."""
        print(line(stage, epoch), file=sys.stderr)
        if self._folder:
            self._log(stage, epoch)

    def resumed(self, stage: Stage, epoch: Epoch) -> None:
        """An earlier process left off after ``epoch``."""
        print(f"{stage.name}: resuming at epoch {epoch.number + 1}", file=sys.stderr)

    def _log(self, stage: Stage, epoch: Epoch) -> None:
        import tensorflow as tf

        validation = epoch.validation
        values = {
            "loss/training": epoch.training_loss,
            "loss/validation": validation.loss,
            "learning_rate": epoch.learning_rate,
            "validation/balanced_accuracy": validation.balanced_accuracy,
            "validation/false_accepts_per_hour": validation.false_accepts_per_hour,
            "validation/miss_rate": validation.miss_rate,
        }
        try:
            if stage.name not in self._writers:
                self._writers[stage.name] = tf.summary.create_file_writer(f"{self._folder}/{stage.name}")
            writer = self._writers[stage.name]
            with writer.as_default():
                for name, value in values.items():
                    if value is not None:
                        tf.summary.write(name, np.float32(value), step=epoch.number, metadata=_scalar())
            writer.flush()
        except (OSError, tf.errors.OpError) as error:
            raise TokayError(f"cannot write the TensorBoard logs in {self._folder}: {error}") from error


def _scalar() -> Any:
    """What makes TensorBoard draw a value as a curve; written so that TensorBoard need not be installed."""
    from tensorflow.core.framework.summary_pb2 import DATA_CLASS_SCALAR, SummaryMetadata

    plugin = SummaryMetadata.PluginData(plugin_name="scalars")
    return SummaryMetadata(plugin_data=plugin, data_class=DATA_CLASS_SCALAR)


def line(stage: Stage, epoch: Epoch) -> str:
    """An epoch for people."""
    validation = epoch.validation
    text = f"{stage.name}: epoch {epoch.number}/{stage.schedule.epochs}: loss {epoch.training_loss:.3f}, "
    text += f"validation {100 * validation.balanced_accuracy:.1f} %"
    if validation.false_accepts_per_hour is not None and validation.miss_rate is not None:
        text += f", {validation.false_accepts_per_hour:.1f} false accepts an hour, "
        text += f"{100 * validation.miss_rate:.0f} % missed"
    return text
