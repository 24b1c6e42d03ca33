"""The streaming trials: streams with keywords and hours without, for any network.

Training judges its checkpoints with them too, on features that are made once:

    trials = prepare(store, "validation", spec.classes, spec.frontend, settings)
    scored = score(trials, network)           # any network: int8 windows to uint8 scores
    point = sweep.suggest(scored.with_keywords, scored.without, detector).best
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from codegen.application import ApplicationSettings
from codegen.frontend import FrontendSettings
from host.dataset.store import Store
from host.detector import DetectorSettings, keywords_of
from host.errors import TokayError
from host.features import Frontend
from host.metrics import streams
from host.metrics.scoring import FeatureStream, Network, Scored, feature_stream, streaming_scores
from host.metrics.streaming import Heard, count, judge
from host.metrics.streams import KeywordStream
from host.metrics.sweep import hear, measure

_BACKGROUND_MINUTES = 20.0  # of one stream without keywords
_HELD_MS = 1500  # the features' second and then the detector's average know a word for about so long
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Plan:
    """How much is listened to. The seeds are those of the streams, one stream with keywords each."""

    seeds: tuple[int, ...] = (1, 2, 3)
    hours: float = 4.0  # without keywords
    keyword_stream: KeywordStream = field(default_factory=KeywordStream)


@dataclass(frozen=True)
class Trials:
    """Features of the streams of one split."""

    split: str
    with_keywords: tuple[FeatureStream, ...]
    without: tuple[FeatureStream, ...]


@dataclass(frozen=True)
class ScoredTrials:
    """The same with what a network said."""

    split: str
    with_keywords: tuple[Scored, ...]
    without: tuple[Scored, ...]


def prepare(
    store: Store, split: str, classes: Sequence[str], frontend: FrontendSettings,
    settings: ApplicationSettings, plan: Plan | None = None, progress: Progress | None = None,
) -> Trials:  # fmt: skip
    """Generates the streams of a split and their features, one stream in memory at a time."""
    plan = plan or Plan()
    source = material(store, split, classes, frontend.sample_rate_hz, plan.keyword_stream)
    front = Frontend(frontend)
    pieces = _pieces(plan.hours)
    total = len(plan.seeds) + len(pieces)
    with_keywords, without = [], []
    for seed in plan.seeds:
        made = streams.keyword_stream(source, seed, plan.keyword_stream)
        with_keywords.append(feature_stream(made, front, settings))
        if progress:
            progress(len(with_keywords), total)
    for number, minutes in enumerate(pieces):
        seed = 1000 * plan.seeds[0] + number
        without.append(feature_stream(streams.background_stream(source, seed, minutes), front, settings))
        if progress:
            progress(len(plan.seeds) + len(without), total)
    return Trials(split, tuple(with_keywords), tuple(without))


def material(
    store: Store, split: str, classes: Sequence[str], rate: int, wanted: KeywordStream
) -> streams.Material:
    """What the streams of a split are made of at ``rate`` Hz; TokayError where ``wanted`` cannot be made
    of it."""
    source = streams.material(store, split, keywords_of(classes), rate)
    missing = [label for label, clips in source.keywords.items() if not len(clips)]
    if missing:
        what = ", ".join(missing)
        hint = "host.dataset check counts the clips by split; for --stream there is --split all"
        raise TokayError(f"the {split} split has no clip of {what} to make a stream of", hint=hint)
    if wanted.others and not len(source.others):
        raise TokayError(
            f"the {split} split has no clip of other words to make a stream of",
            hint="--others 0 has keywords in noise alone",
        )
    _check(wanted, source)
    return source


def score(trials: Trials, network: Network, progress: Progress | None = None) -> ScoredTrials:
    """What a network says along all streams of the trials."""
    scored = streaming_scores(network, (*trials.with_keywords, *trials.without), progress)
    count = len(trials.with_keywords)
    return ScoredTrials(trials.split, tuple(scored[:count]), tuple(scored[count:]))


def detail(stream: Scored, settings: DetectorSettings) -> dict[str, Any]:
    """One stream: its figures, each detection with what it was, and the words that were missed."""
    return _detail(stream, hear(stream, settings), keywords_of(settings.labels))


def judged(stream: Scored, detections: Iterable[tuple[str, int]], keywords: Sequence[str]) -> dict[str, Any]:
    """The same of detections (label, time) that came from elsewhere: from a device."""
    return _detail(stream, judge(detections, stream.spoken, keywords), keywords)


def _detail(stream: Scored, heard: Sequence[Heard], keywords: Sequence[str]) -> dict[str, Any]:
    hit = {verdict.word for verdict in heard if verdict.verdict == "hit"}
    return {
        "name": stream.name,
        **count(heard, stream.spoken, keywords, stream.duration_ms).as_json(),
        "detections": [
            {"label": v.label, "time_ms": v.time_ms, "verdict": v.verdict, "said": _said(stream, v)}
            for v in heard
        ],
        "missed": [
            {"label": word.label, "start_ms": word.start_ms, "end_ms": word.end_ms}
            for i, word in enumerate(stream.spoken)
            if word.label in keywords and i not in hit
        ],
    }


def confusions(details: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What was said at the false accepts, the most frequent first."""
    pairs = Counter(
        (d["said"], d["label"])
        for stream in details
        for d in stream["detections"]
        if d["verdict"] == "false accept"
    )
    return [{"said": said, "heard": label, "times": n} for (said, label), n in pairs.most_common()]


def _said(stream: Scored, heard: Heard) -> str | None:
    """The word that a detection was made of, or just after; None where nothing was said."""
    near = [word for word in stream.spoken if word.start_ms < heard.time_ms <= word.end_ms + _HELD_MS]
    return near[-1].label if near else None


def report(scored: ScoredTrials, settings: DetectorSettings) -> dict[str, Any]:
    """The figures of one operating point: with keywords, all streams and each, and without."""
    streams = [detail(stream, settings) for stream in scored.with_keywords]
    without = [detail(stream, settings) for stream in scored.without]
    return {
        "split": scored.split,
        "keywords": measure(scored.with_keywords, settings).as_json() | {"streams": streams},
        "background": measure(scored.without, settings).as_json(),
        "confusions": confusions([*streams, *without]),
    }


def _pieces(hours: float) -> list[float]:
    minutes, pieces = 60 * hours, []
    while minutes > 0.01:
        pieces.append(min(minutes, _BACKGROUND_MINUTES))
        minutes -= pieces[-1]
    return pieces


def _check(wanted: KeywordStream, source: streams.Material) -> None:
    words = wanted.keywords + wanted.others
    clip_s = source.others.shape[1] / source.rate
    if words * clip_s > 60 * wanted.minutes:
        raise TokayError(
            f"{words} words of {clip_s:g} s do not fit in {wanted.minutes:g} minutes",
            hint="more minutes, or fewer keywords",
        )
