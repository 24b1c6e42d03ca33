"""When a profile can be relied on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from codegen.plan import KERNELS
from host.device import messages as m
from host.device.commands import Profile
from host.verdict import Conditions, judge

ASKED = Conditions(repetitions=5, core_clock_hz=78_000_000, accelerator="none", on_board=True)


def layer(index: int, cycles: int = 10_000, **other: int) -> m.ProfileLayer:
    values = {"repetitions": 5, "cpu_cycles_min": cycles, "cpu_cycles_max": cycles} | other
    return m.ProfileLayer(index=index, cpu_cycles=cycles, **values)


def measured(*layers: m.ProfileLayer, network: int | None = None, text: str = "", **begin: object) -> Profile:
    values = {"core_clock_hz": 78_000_000, "accelerator": m.Accelerator.NONE} | begin
    total = sum(r.cpu_cycles for r in layers) if network is None else network
    return Profile(m.ProfileBegin(**values), layers, m.ProfileEnd(network_cycles=total, text=text))


GOOD = measured(layer(0), layer(1))


@pytest.mark.parametrize("kernel", ["softmax", "log_softmax"])
def test_a_time_that_depends_on_values_may_spread(kernel):
    """That of a softmax, as in attention, where it writes over its input."""
    softmax = layer(0, kernel=KERNELS.index(kernel), cpu_cycles_max=11_000)
    assert judge(measured(softmax, layer(1)), ASKED).verdict == "valid"


def test_a_good_one_is_valid():
    assert judge(GOOD, ASKED) == judge(GOOD, replace(ASKED, on_board=False))
    assert (judge(GOOD, ASKED).verdict, judge(GOOD, ASKED).reasons) == ("valid", ())


@pytest.mark.parametrize(
    ("profile", "asked", "verdict", "reason"),
    [
        (measured(layer(0), core_clock_hz=19_000_000), ASKED, "invalid", "runs at 19 MHz, not 78 MHz"),
        (measured(layer(0), accelerator=m.Accelerator.MVP), ASKED, "invalid", "accelerator mvp, not none"),
        (measured(layer(0), layer(1, 0)), ASKED, "invalid", "layer 1: 0 cycles"),
        (measured(layer(0, cpu_cycles_max=9_000)), ASKED, "invalid", "no mean"),
        (measured(layer(0, repetitions=4)), ASKED, "invalid", "ran 4 times, not 5"),
        (measured(layer(0), text="interrupts fell"), ASKED, "degraded", "interrupts fell"),
        (measured(layer(0), network=0), ASKED, "invalid", "whole took no cycles"),
        (measured(layer(0), network=7_000), ASKED, "invalid", "in one go 7000"),
        (measured(layer(0), network=8_800), ASKED, "degraded", "in one go 8800"),
        (measured(layer(3, cpu_cycles_max=11_000)), ASKED, "degraded", "layer 3 took 10000 to 11000"),
        (measured(layer(0, cpu_cycles_max=90_000)), ASKED, "invalid", "layer 0 took 10000 to 90000"),
        (measured(layer(0, wait_cycles=10_001)), ASKED, "invalid", "waited longer"),
        (measured(layer(0, disturbances=2), layer(1, disturbances=1)), ASKED, "degraded", "3 runs"),
        (GOOD, replace(ASKED, frames_lost=2), "degraded", "lost 2 frames"),
        (GOOD, replace(ASKED, frames_damaged=1), "degraded", "damaged 1"),
        (GOOD, replace(ASKED, dropped=4), "degraded", "dropped 4"),
        (GOOD, replace(ASKED, overruns=99), "degraded", "99 samples"),
        (GOOD, replace(ASKED, repetitions=2), "degraded", "fewer than 3 repetitions"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_spoils_one(profile, asked, verdict, reason):
    judged = judge(profile, asked)
    assert judged.verdict == verdict and len(judged.reasons) == 1 and reason in judged.reasons[0], judged


def test_an_interrupt_in_a_small_layer_does_not_matter():
    small = layer(1, 500, cpu_cycles_max=580)
    assert judge(measured(layer(0, 100_000), small), ASKED).verdict == "valid"


def test_the_worst_finding_decides_and_all_are_named():
    spoilt = measured(layer(0, disturbances=1), core_clock_hz=1_000_000)
    judged = judge(spoilt, replace(ASKED, overruns=1))
    assert judged.verdict == "invalid" and len(judged.reasons) == 3


def test_simulated_cycles_need_no_repetitions():
    one = measured(layer(0, repetitions=1))
    assert judge(one, replace(ASKED, repetitions=1, on_board=False)).verdict == "valid"
