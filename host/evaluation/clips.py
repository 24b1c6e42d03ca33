"""A model on a split's clips: accuracy with its intervals, curves, the gap between arithmetics, errors."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from host.dataset.store import Store
from host.features import Frontend
from host.metrics import curves, intervals
from host.metrics.classification import summary
from host.metrics.scoring import Network, clip_scores
from host.specification import Specification
from host.training import examples


@dataclass(frozen=True)
class Clips:
    """The clips of a split that belong to a class, as the network sees them."""

    split: str
    names: tuple[str, ...]  # relative to the dataset
    paths: tuple[str, ...]
    labels: np.ndarray  # int64[n]
    features: np.ndarray  # int8[n, frames, channels]
    of: int  # how many there are in the split

    def __len__(self) -> int:
        return len(self.labels)


def load(spec: Specification, store: Store, split: str, limit: int = 0, frames: int | None = None) -> Clips:
    """All clips, or ``limit`` of them at equal distances in the dataset's order (so of all words), as long as
    the specification's front end says. ``frames`` are the columns that the network is given at a time, all
    if not said: where features are scaled by the loudest value, it is the loudest of these."""
    places = examples.of_a_class(spec, store, split)
    if not places:
        raise examples.without_clips(split)
    total = len(places)
    if 0 < limit < total:
        places = [places[k] for k in np.linspace(0, total - 1, limit).round().astype(np.int64)]
    made = examples.as_they_are(spec, store, places)
    features = made.features
    if spec.frontend.quantize_dynamic_scale_enable and frames not in (None, spec.frontend.frames):
        features = _scaled_by_window(Frontend(spec.frontend), store.audio[places], frames)
    clips = [store.clips[i] for i in places]
    return Clips(
        split,
        tuple(clip.name for clip in clips),
        tuple(str(clip.path) for clip in clips),
        made.labels,
        features,
        total,
    )


def _scaled_by_window(frontend: Frontend, audio: np.ndarray, frames: int) -> np.ndarray:
    """int8[n, columns, channels] of int16[n, samples], each ``frames`` columns by their own scale; columns
    that fill no window any more are left out."""
    count = frontend.settings.frames // frames
    spectrograms = [frontend.spectrogram(clip)[: count * frames] for clip in audio]
    return np.stack([np.concatenate([*map(frontend.quantize, np.split(s, count))]) for s in spectrograms])


def evaluate(clips: Clips, scores: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """The figures of uint8 scores [n, classes], as JSON has them."""
    value = summary(clips.labels, scores.argmax(axis=1), classes)
    counts = np.array(list(value["class_samples"].values()))
    correct = np.diag(np.array(value["confusion"]))
    return value | {
        "intervals": {
            "accuracy": intervals.wilson(int(correct.sum()), int(counts.sum())),
            "balanced_accuracy": intervals.mean_recall(correct, counts),
            "class_accuracy": {
                label: intervals.wilson(int(hits), int(count)) if count else None
                for label, hits, count in zip(classes, correct, counts, strict=True)
            },
        },
        "curves": curves.by_keyword(scores, clips.labels, classes),
    }


def gap(
    clips: Clips, networks: Sequence[tuple[str, Network]], classes: Sequence[str]
) -> list[dict[str, Any]]:
    """The same clips in several arithmetics; each is compared with the first one given."""
    rows: list[dict[str, Any]] = []
    first: np.ndarray | None = None
    for name, network in networks:
        scores = clip_scores(network, clips.features)
        first = scores if first is None else first
        value = summary(clips.labels, scores.argmax(axis=1), classes)
        rows.append(
            {
                "arithmetic": name,
                **{key: value[key] for key in ("samples", "accuracy", "balanced_accuracy", "class_accuracy")},
                "compared_with": networks[0][0],
                "same_decision": float(np.mean(scores.argmax(axis=1) == first.argmax(axis=1))),
                "largest_score_difference": int(np.abs(scores.astype(int) - first.astype(int)).max()),
            }
        )
    return rows


def errors_csv(clips: Clips, scores: np.ndarray, classes: Sequence[str]) -> str:
    """The clips that were taken for another class, the most confident error first."""
    said = scores.argmax(axis=1)
    wrong = np.flatnonzero(said != clips.labels)
    wrong = wrong[np.argsort(-scores[wrong, said[wrong]].astype(int), kind="stable")]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("clip", "is", "heard_as", *(f"score_{label}" for label in classes), "file"))
    for i in wrong:
        row = (clips.names[i], classes[clips.labels[i]], classes[said[i]])
        writer.writerow((*row, *scores[i].tolist(), clips.paths[i]))
    return out.getvalue()
