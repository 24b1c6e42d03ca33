"""A model in the image that is shipped, booted in the simulator: its network on features that are put in
place, and its whole audio loop on injected audio."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from host import board as boards
from host import listening, target
from host.device import commands
from host.device import messages as m
from host.device.device import Gap
from host.errors import TokayError
from host.metrics.scoring import Network, Scored
from host.metrics.streams import Stream
from host.pipeline import Event, Pipeline
from host.runtime import Model

_ATTEMPTS = 3  # where the simulated line lost a report


@dataclass(frozen=True)
class Heard:
    """A stream as the image heard it, and whether the PC's pipeline hears the same."""

    scored: Scored
    detections: tuple[tuple[str, int], ...]
    same_as_pc: bool


@contextmanager
def booted(model: str, board: str, accelerator: str) -> Iterator[target.Target]:
    """The model's image in the simulator, silent and without a source."""
    elf = target.build_image(model, board, accelerator)
    with target.simulate(elf, board) as where:
        target.require_model(where, Model(model, accelerator).plan.sha256, boards.load(board).key)
        yield where


def network(where: target.Target, on_pc: Network) -> Network:
    """The image's network, of the kind that it is on the PC: features go in over the link, scores come back.
    The image is silent and without a source from then on."""
    device = where.device

    def silence() -> None:
        commands.set_source(device, m.Source.NONE)

    def invoke(features: np.ndarray) -> np.ndarray:
        outputs = []
        for x in features:
            commands.inject_features(device, x)
            outputs.append(commands.run_network(device))
        return np.array(outputs, np.int8).view(np.uint8) ^ np.uint8(128)

    commands.take_over(device)
    return Network(invoke, silence, on_pc.frames)


def hear(where: target.Target, pipeline: Pipeline, stream: Stream) -> Heard:
    """The stream's audio through the image's audio loop, and through the PC's for comparison."""
    pipeline.reset()
    expected = pipeline.process(stream.audio)
    found = _events(where, stream.audio, pipeline.labels)
    scores = np.array([event.scores for event in found], np.uint8).reshape(len(found), len(pipeline.labels))
    times = np.array([event.time_ms for event in found], np.int64)
    duration_ms = 1000 * len(stream.audio) // pipeline.sample_rate_hz
    detections = tuple((e.detection.label, e.detection.time_ms) for e in found if e.detection)
    return Heard(
        Scored(stream.name, scores, times, stream.spoken, duration_ms), detections, found == expected
    )


def _events(where: target.Target, audio: np.ndarray, labels: Sequence[str]) -> list[Event]:
    streams = m.Stream.DETECTIONS | m.Stream.SCORES
    for _ in range(_ATTEMPTS):
        heard = list(listening.injected(where.device, audio, streams, labels=labels))
        if not any(isinstance(event, Gap) for event in heard):
            return [event for event in heard if isinstance(event, Event)]
    raise TokayError(f"the simulated line lost reports, {_ATTEMPTS} times over")
