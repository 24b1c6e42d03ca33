"""What is heard, for people: plain lines, and on a terminal a line below them that moves with the sound."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Callable, Sequence

from host.device import messages as m
from host.device.device import Gap
from host.listening import Heard
from host.pipeline import Event

_BAR = 20
_FLOOR_DB = -60.0
_WARNINGS_MS = 10_000  # a line that loses frames loses them all the time


def decibels(magnitude: int) -> float:
    """A sample's magnitude relative to full scale; silence is the bottom of the meter."""
    return max(_FLOOR_DB, 20 * math.log10(magnitude / 32768)) if magnitude else _FLOOR_DB


def meter(level: m.Level) -> str:
    """A bar of the loudness with a mark at the peak."""

    def place(magnitude: int) -> int:
        return round(_BAR * (1 - decibels(magnitude) / _FLOOR_DB))

    bar = ["#"] * place(level.rms) + [" "] * (_BAR - place(level.rms))
    if level.peak:
        bar[min(_BAR - 1, place(level.peak))] = "!" if level.peak >= 32767 else "|"
    return f"[{''.join(bar)}] {decibels(level.rms):4.0f} dB"


class Display:
    """Prints detections (and with ``verbose`` each inference) in the vendor's format through ``say``; with
    ``live`` it also keeps a line with the level and the newest scores at the bottom of the terminal."""

    def __init__(
        self, labels: Sequence[str], say: Callable[[str], None], *, verbose: bool = False, live: bool = False
    ) -> None:
        self._labels = labels
        self._say = say
        self._verbose = verbose
        self._live = live
        self._level = m.Level()
        self._scores: tuple[int, ...] = ()
        self._time_ms = 0
        self._lost = self._told = 0  # frames
        self._told_ms: int | None = None

    def show(self, event: Heard) -> None:
        """Shows one event."""
        if isinstance(event, Event):
            self._time_ms, self._scores = event.time_ms, event.scores or self._scores
            if self._verbose and event.scores:
                scores = " ".join(f"{score:3d}" for score in event.scores)
                self.line(f"[{event.time_ms:6d}] {scores}")
            if event.detection is not None:
                self.line(str(event.detection))
        elif isinstance(event, m.Level):
            self._time_ms, self._level = event.time_ms, event
        elif isinstance(event, m.Log):
            if self._verbose or event.level >= m.LogLevel.WARNING:
                self.line(event.text)
        elif isinstance(event, Gap):
            self._lost += event.frames
            if self._told_ms is None or self._time_ms - self._told_ms >= _WARNINGS_MS:
                self._warn()
        else:
            return
        self._paint()

    def line(self, text: str) -> None:
        """Prints a line that stays."""
        self._clear()
        self._say(text)

    def end(self) -> None:
        """Takes the moving line away; says what was lost since it was last said."""
        self._clear()
        if self._lost > self._told:
            self._warn()

    def _warn(self) -> None:
        self._clear()
        frames = "1 frame" if self._lost == 1 else f"{self._lost} frames"
        so_far = " so far" if self._told else ""
        verb = "was" if self._lost == 1 else "were"
        print(f"warning: {frames} of the device {verb} lost{so_far}", file=sys.stderr)
        self._told, self._told_ms = self._lost, self._time_ms

    def status(self) -> str:
        """The moving line."""
        scores = "  ".join(
            f"{label} {score:3d}" for label, score in zip(self._labels, self._scores, strict=False)
        )
        return f"{self._time_ms / 1000:7.1f} s {meter(self._level)}  {scores}"

    def _paint(self) -> None:
        if self._live:
            width = shutil.get_terminal_size().columns - 1
            sys.stdout.write("\r" + self.status()[:width] + "\x1b[K")
            sys.stdout.flush()

    def _clear(self) -> None:
        if self._live:
            sys.stdout.write("\r\x1b[K")
