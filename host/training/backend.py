"""TensorFlow and Keras as training uses them: seeded, deterministic, and quiet."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from host.errors import TokayError


def import_keras(seed: int) -> Any:
    """Keras with its seeds set; TokayError with what to install where it is missing."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if "amx" in _cpu_flags():  # oneDNN's AMX kernels end the process where the kernel refuses their state
        os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX2")
    try:
        with silenced():  # whatever the log level, it tells of oneDNN as it is loaded
            import keras
            import tensorflow as tf
    except ImportError as error:
        raise TokayError(
            f"training needs {error.name or 'TensorFlow'}", hint="pip install 'tokay[train]'"
        ) from error
    tf.get_logger().setLevel("ERROR")
    keras.utils.clear_session()  # else the names of layers count on from an earlier model
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    return keras


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Hides what TensorFlow's C++ writes to stderr; errors still come as exceptions."""
    saved = os.dup(2)
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(sink)


def unwritable(folder: str, error: Exception) -> TokayError:
    """Of a temporary folder that cannot be written: the system's reason, around which TensorFlow puts the
    names of the operation and the file."""
    reason = getattr(error, "strerror", None) or str(error).rpartition("; ")[2].partition(" [Op:")[0]
    return TokayError(f"cannot write to {folder}: {reason}", hint="TMPDIR names another place")


def _cpu_flags() -> str:
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as stream:
            return next((line for line in stream if line.startswith("flags")), "")
    except OSError:
        return ""
