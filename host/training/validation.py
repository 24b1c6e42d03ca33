"""What an epoch is judged by: clips, and streams in which the detector must hear words and nothing else.

The streams are made of the validation split. While a network learns it is judged in floats; in the end
the best epochs are, as int8 models: clips in the accelerator's arithmetic, the streams on the core's
kernels, which are fifty times as fast on a PC and differ in a rounding here and there.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from host.dataset.store import Store
from host.detector import DetectorSettings, detector_settings
from host.errors import TokayError
from host.metrics import sweep, trials
from host.metrics.classification import balanced_accuracy
from host.metrics.scoring import Network, as_scores, int8_network
from host.metrics.streaming import StreamResult
from host.metrics.streams import KeywordStream
from host.metrics.trials import Trials
from host.specification import Specification
from host.training.examples import Examples

_SEED = 7001  # of the streams; evaluation draws others
_KEYWORDS_A_MINUTE, _OTHERS_A_MINUTE = 5, 15
_KEYWORD_SHARE = 0.25  # of the minutes, in streams with keywords

Logits = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Validation:
    """What the validation split says of a network."""

    balanced_accuracy: float
    loss: float  # each class counts the same
    false_accepts_per_hour: float | None = None  # on the streams
    miss_rate: float | None = None

    @property
    def rank(self) -> tuple[float, ...]:
        """The greater the better: a point of accuracy weighs as much as ten points of misses, or as four
        times the false accepts an hour (where there are so many that the one beside them hardly counts)."""
        alarms, misses = self.false_accepts_per_hour or 0.0, self.miss_rate or 0.0
        return self.balanced_accuracy - 0.005 * math.log2(1 + alarms) - 0.1 * misses, -self.loss


class Validator:
    """The validation clips and streams of a training."""

    def __init__(self, spec: Specification, store: Store, clips: Examples) -> None:
        self.clips = clips
        self._detector: DetectorSettings = detector_settings(spec.application)
        self._trials = _streams(spec, store)

    def in_float(self, logits: Logits, streams: bool = True) -> Validation:
        """Of a network in floats; ``streams`` costs a second or two."""
        result = on_clips(logits(self.clips.features), self.clips.labels)
        scores = Network(lambda x: as_scores(softmax(logits(x))))
        return self._with_streams(result, scores) if streams else result

    def on_device(self, tflite: bytes) -> Validation:
        """Of an int8 model."""
        scores = int8_network(tflite, "mvp")(self.clips.features)
        result = on_clips(np.log((scores + 0.5) / 256), self.clips.labels)
        return self._with_streams(result, int8_network(tflite))

    def _with_streams(self, validation: Validation, network: Network) -> Validation:
        if self._trials is None:
            return validation
        scored = trials.score(self._trials, network)
        heard = sweep.measure(scored.with_keywords, self._detector)
        total: StreamResult = heard + sweep.measure(scored.without, self._detector)
        return dataclasses.replace(
            validation, false_accepts_per_hour=total.false_accepts_per_hour, miss_rate=heard.miss_rate
        )


def on_clips(logits: np.ndarray, labels: np.ndarray) -> Validation:
    """Accuracy and loss on clips, each class (or word) that occurs counting the same."""
    logits = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    logarithms = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    classes = logits.shape[1]
    surprise = -logarithms[np.arange(len(labels)), labels]
    by_class = [surprise[labels == k].mean() for k in range(classes) if np.any(labels == k)]
    accuracy = balanced_accuracy(labels, logarithms.argmax(axis=1), classes)
    return Validation(accuracy, float(np.mean(by_class)))


def softmax(logits: np.ndarray) -> np.ndarray:
    """float[n, classes] logits to shares of the same shape and type."""
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def _streams(spec: Specification, store: Store) -> Trials | None:
    minutes = 0.0 if spec.test_run else spec.schedule.validation_minutes
    if not minutes:
        return None
    spoken = _KEYWORD_SHARE * minutes
    plan = trials.Plan(
        (_SEED,),
        (minutes - spoken) / 60,
        KeywordStream(spoken, round(_KEYWORDS_A_MINUTE * spoken), round(_OTHERS_A_MINUTE * spoken)),
    )
    try:
        return trials.prepare(store, "validation", spec.classes, spec.frontend, spec.application, plan)
    except TokayError as error:
        print(f"warning: epochs are chosen on clips alone: {error.message}", file=sys.stderr)
        return None
