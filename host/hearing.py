"""What was heard, as results: inferences, detections, and what a target counted meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from host import board as boards
from host import listening, target
from host.device import commands
from host.display import Display
from host.features import Frontend
from host.listening import Heard
from host.pipeline import Event


def gather(events: Iterator[Heard], sinks: Iterable[Callable[[Heard], None]]) -> dict[str, Any]:
    """Hands each event to the sinks; the inferences and detections. Ctrl-C ends the listening."""
    detections, inferences = [], []
    try:
        for event in events:
            for sink in sinks:
                sink(event)
            if not isinstance(event, Event):
                continue
            if event.scores:
                inferences.append({"time_ms": event.time_ms, "scores": list(event.scores)})
            d = event.detection
            if d is not None:
                detections.append(
                    {"class": d.class_index, "label": d.label, "score": d.score, "time_ms": d.time_ms}
                )
    except KeyboardInterrupt:
        return {"detections": detections, "inferences": inferences, "interrupted": True}
    return {"detections": detections, "inferences": inferences}


def collect(events: Iterator[Heard], say: Callable[[str], None]) -> dict[str, Any]:
    """Prints detections as they come, in the vendor's format, and gathers them and the inferences. Ctrl-C is
    the caller's: part of what was said is not what was heard."""
    heard = gather(events, (Display((), say).show,))
    if heard.get("interrupted"):
        raise KeyboardInterrupt
    return heard


def hear_simulated(
    elf: Path,
    board: str,
    samples: np.ndarray,
    frontend: Frontend,
    say: Callable[[str], None],
    *,
    labels: Sequence[str] = (),
) -> dict[str, Any]:
    """Plays int16 samples to an image in the simulator until it has heard all of them. ``frontend`` is its
    model's, ``labels`` as for :func:`host.listening.microphone`."""
    boards.load(board).require_microphone(frontend.settings.sample_rate_hz)
    with target.simulate(elf, board) as where:
        play = target.player(where, board, samples)
        heard = listening.played(
            where.device, samples.size, frontend, listening.RESULTS, play, labels=labels
        )
        return {**collect(heard, say), **statistics(where)}


def statistics(where: target.Target) -> dict[str, Any]:
    """What the device counted while it listened, and what its simulation took."""
    counted = asdict(commands.statistics(where.device))
    value: dict[str, Any] = {
        "statistics": {k: v for k, v in counted.items() if k != "request"},
        "frames_lost": where.device.counters.lost,
    }
    if where.machine is not None:
        names = ("instructions", "cycles", "sleep_cycles")
        value["simulator"] = {"seconds": where.machine.time_s} | {
            name: getattr(where.machine, name) for name in names
        }
    return value
