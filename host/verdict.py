"""Whether a profile can be relied on: valid, degraded (look at the reasons) or invalid (measure again).

A good measurement repeats itself, covers what it says it covers, and is of the chip at its own clock. On
a board an interrupt, a debugger that halts the core, or another clock source spoil it silently.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from codegen.plan import KERNELS
from host.device import messages as m
from host.device.codec import value_name
from host.device.commands import Profile

VALID, DEGRADED, INVALID = "valid", "degraded", "invalid"
_ORDER = (VALID, DEGRADED, INVALID)
SPREAD = (0.05, 0.5)  # (most - least) / mean of a layer's repetitions
NEGLIGIBLE = 0.005  # of the whole network: a timer's interrupt in a small layer does not matter
GAP = (0.1, 0.25)  # layers one by one against the network in one go
_SOFTMAX = tuple(map(KERNELS.index, ("softmax", "log_softmax")))
"""Their time depends on values; in the place of its input, each repetition reads what the last one wrote."""
_FEW = 3  # repetitions that a spread needs on a board


@dataclass(frozen=True)
class Verdict:
    """The worst of what was found, and each finding in words."""

    verdict: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Conditions:
    """What was asked for, and how the connection did while it was measured."""

    repetitions: int
    core_clock_hz: int
    accelerator: str
    on_board: bool
    frames_lost: int = 0  # by either side, in frames
    frames_damaged: int = 0
    overruns: int = 0  # samples that the device had lost when the profile began
    dropped: int = 0  # frames that the device could not send


def judge(profile: Profile, asked: Conditions) -> Verdict:
    """Judges a complete profile."""
    found = [
        *_identity(profile, asked),
        *_consistency(profile, asked),
        *_spread(profile.layers),
        *_disturbed(profile),
        *_connection(asked),
    ]
    worst = max((_ORDER.index(grade) for grade, _ in found), default=0)
    return Verdict(_ORDER[worst], tuple(reason for _, reason in found))


Findings = list[tuple[str, str]]


def _graded(value: float, limits: tuple[float, float], reason: str) -> Findings:
    if value <= limits[0]:
        return []
    return [(INVALID if value > limits[1] else DEGRADED, reason)]


def _identity(profile: Profile, asked: Conditions) -> Findings:
    found, begin = [], profile.begin
    if begin.core_clock_hz != asked.core_clock_hz:
        found.append(
            (
                INVALID,
                f"the core runs at {begin.core_clock_hz / 1e6:g} MHz, not {asked.core_clock_hz / 1e6:g} MHz",
            )
        )
    ran_on = value_name(begin.accelerator)
    if ran_on != asked.accelerator:
        found.append((INVALID, f"the layers ran on accelerator {ran_on}, not {asked.accelerator}"))
    return found


def _consistency(profile: Profile, asked: Conditions) -> Findings:
    found: Findings = []
    for r in profile.layers:
        if not 0 < r.cpu_cycles_min <= r.cpu_cycles <= r.cpu_cycles_max:
            found.append(
                (INVALID, f"layer {r.index}: {r.cpu_cycles} cycles are no mean: did the counter run?")
            )
        elif r.wait_cycles > r.cpu_cycles:
            found.append((INVALID, f"layer {r.index} waited longer than it ran"))
        if r.repetitions < asked.repetitions:
            undisturbed = " undisturbed" if r.disturbances else ""
            found.append(
                (INVALID, f"layer {r.index} ran {r.repetitions} times{undisturbed}, not {asked.repetitions}")
            )
    if asked.on_board and asked.repetitions < _FEW:
        found.append((DEGRADED, f"fewer than {_FEW} repetitions show no spread"))
    total, network = sum(r.cpu_cycles for r in profile.layers), profile.end.network_cycles
    if network == 0:
        found.append((INVALID, "the network as a whole took no cycles: did the counter run?"))
    else:
        text = f"the layers take {total} cycles one by one, the network in one go {network}"
        found += _graded(abs(total - network) / network, GAP, text)
    return found


def _spread(layers: Sequence[m.ProfileLayer]) -> Findings:
    least = NEGLIGIBLE * sum(r.cpu_cycles for r in layers)
    found: Findings = []
    for r in layers:
        if r.kernel in _SOFTMAX:
            continue
        difference = r.cpu_cycles_max - r.cpu_cycles_min
        if difference > least:
            text = f"layer {r.index} took {r.cpu_cycles_min} to {r.cpu_cycles_max} cycles: what else ran?"
            found += _graded(difference / max(1, r.cpu_cycles), SPREAD, text)
    return found


def _disturbed(profile: Profile) -> Findings:
    count = sum(r.disturbances for r in profile.layers)
    found = [(DEGRADED, f"interrupts fell into {count} runs, which were repeated")] if count else []
    if profile.end.code == m.Result.OK and profile.end.text:
        found.append((DEGRADED, profile.end.text))
    return found


def _connection(asked: Conditions) -> Findings:
    found: Findings = []
    if asked.frames_lost or asked.frames_damaged or asked.dropped:
        found.append(
            (
                DEGRADED,
                f"the connection lost {asked.frames_lost} frames and damaged {asked.frames_damaged}, "
                f"the device dropped {asked.dropped}",
            )
        )
    if asked.overruns:
        found.append(
            (DEGRADED, f"the device was losing audio before ({asked.overruns} samples): is it busy?")
        )
    return found
