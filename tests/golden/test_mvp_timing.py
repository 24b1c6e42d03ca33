"""The accelerator's clock against published measurements of silicon, and pinned.

Run as a script, this file prints the table of errors by family of layers.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from host.simulator.mvp import cycles
from tests.places import SHARED

LAYERS = SHARED / "vectors" / "vendor_layer_programs.json"
SEED = "keyword_spotting_on_off"
RECORDED = Path(__file__).parent / "vectors" / "mvp_programs.npz"


def family(layer: dict) -> str:
    if layer["op"] != "conv_2d":
        return layer["op"]
    return "conv_2d, odd channels" if layer["ic"] % 2 else "conv_2d"


def errors(timing: str) -> dict[str, list[tuple[float, dict]]]:
    """Relative errors by family; a layer measured in several models counts once, by their mean."""
    programs = np.load(LAYERS.with_suffix(".npz"))
    found = defaultdict(list)
    for entry in json.loads(LAYERS.read_text()):
        measured = np.mean([s["accelerator_cycles"] for s in entry["silicon"]])
        error = cycles(programs[entry["key"]], timing) / measured - 1
        found[family(entry["layer"])].append((error, entry))
    return found


def table(timing: str) -> str:
    found = errors(timing)
    found["all"] = [e for family_errors in list(found.values()) for e in family_errors]
    head = f"{'family':24}{'layers':>7}{'mean':>8}{'median':>8}{'worst':>8}"
    lines = [f"{timing}: relative error in %", head]
    for name, values in sorted(found.items(), key=lambda item: (item[0] == "all", item[0])):
        e = 100 * np.array([value for value, _ in values])
        lines.append(f"{name:24}{len(e):7}{e.mean():8.2f}{np.median(abs(e)):8.2f}{e[abs(e).argmax()]:8.2f}")
    return "\n".join(lines)


needs_layers = pytest.mark.skipif(not LAYERS.is_file(), reason=f"no {LAYERS}")


@needs_layers
@pytest.mark.parametrize("timing", ["ports", "shared"])
def test_silicon(timing):
    found = errors(timing)
    everything = np.abs([e for values in found.values() for e, _ in values])
    assert np.median(everything) < 0.006
    for name, values in found.items():
        assert np.mean(np.abs([e for e, _ in values])) < 0.08, name


@needs_layers
@pytest.mark.parametrize("timing", ["ports", "shared"])
def test_seed_layers(timing):
    """Every layer of the smallest model."""
    values = [
        e for found in errors(timing).values() for e, entry in found
        if any(s["model"] == SEED for s in entry["silicon"])
    ]  # fmt: skip
    assert len(values) == 5
    assert np.abs(values).max() < 0.04


def test_pinned():
    """The recorded random programs, moved to RAM and to flash: a change of the rules shows here."""
    words = np.load(RECORDED)["words"].copy()
    totals = []
    for base in (0x20000000, 0x08000000):
        moved = words.copy()
        moved[:, [8, 12, 16, 20, 24]] += np.uint32(base)
        totals.append((cycles(moved, "ports"), cycles(moved, "shared"), cycles(moved, "vendor")))
    assert totals == PINNED


PINNED = [(7281, 7586, 5718), (8910, 8910, 5718)]


if __name__ == "__main__":
    print(table("ports"), table("shared"), sep="\n\n")
