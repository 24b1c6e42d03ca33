"""The operating point of a model: found on one split's streams, judged on another's, written into it."""

from __future__ import annotations

from typing import Any

from codegen.parameters import read_parameters, write_parameters
from host import files
from host.detector import DetectorSettings, keywords_of
from host.errors import TokayError
from host.evaluation.subject import Subject
from host.metrics.sweep import Limits, Suggestion
from host.metrics.trials import ScoredTrials, report


def parameters(settings: DetectorSettings) -> dict[str, Any]:
    """A detector's settings under the names that a model carries them by."""
    by_label = dict(zip(settings.labels, settings.thresholds, strict=True))
    return {
        "average_window_duration_ms": settings.average_window_ms,
        "detection_threshold": min(by_label[keyword] for keyword in keywords_of(settings.labels)),
        "detection_threshold_list": list(settings.thresholds),
        "minimum_count": settings.minimum_count,
        "suppression_ms": settings.suppression_ms,
    }


def as_json(suggestion: Suggestion, found_on: str, limits: Limits, judged_on: ScoredTrials) -> dict[str, Any]:
    """The suggestion with its figures where it was found, and where it is judged."""
    return {
        "feasible": suggestion.feasible,
        "hears_nothing": suggestion.best.deaf,
        "limits": limits.as_json(),
        "parameters": parameters(suggestion.best.settings),
        "found_on": {"split": found_on} | suggestion.best.as_json(),
        "judged_on": report(judged_on, suggestion.best.settings),
        "sweep": [point.as_json() for point in suggestion.points],
    }


def require_writable(subject: Subject) -> None:
    """Refuses a model that no suggestion can be written into, before one is looked for."""
    if subject.tflite is None or subject.path.suffix != ".tflite":
        hint = f"host.update_params {subject.path} --output FILE.tflite takes the model out"
        raise TokayError(f"{subject.path} is not a .tflite: nothing was written", hint=hint)
    files.require_writable(subject.path)


def write(subject: Subject, suggestion: Suggestion, limits: Limits) -> None:
    """Puts the suggestion into the model's file, whole or not at all; refused where it breaks the limits."""
    require_writable(subject)
    if not suggestion.feasible:
        above = suggestion.best.background.false_accepts_per_hour > limits.background
        raise TokayError(
            f"no setting of the detector keeps to {limits.words()}: {subject.path} was not changed",
            hint=f"a better model, or {'a higher --false-accepts' if above else 'more --minutes to count'}",
        )
    if suggestion.best.deaf:
        raise TokayError(
            f"what keeps to the limits hears no keyword at all: {subject.path} was not changed",
            hint=f"a better model{', or a higher --false-accepts' if _may_hear(suggestion, limits) else ''}",
        )
    changed = read_parameters(subject.tflite).updated(parameters(suggestion.best.settings))
    files.write_atomic(subject.path, write_parameters(subject.tflite, changed))


def _may_hear(suggestion: Suggestion, limits: Limits) -> bool:
    """Whether some setting would hear keywords if only more false accepts were allowed without them."""
    return any(p.keywords.false_accepts_per_hour <= limits.keywords and not p.deaf for p in suggestion.points)
