"""The accelerator's model against recordings of the vendor's simulator.

``vectors/mvp_programs.npz`` holds 200 random programs with what Silicon Labs' own simulator (in the
silabs-mltk wheel, driven as a black box) made of them: all operations, modifiers, types, index wraps,
nested loops, special values.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from codegen.mvp import isa
from host.simulator.mvp import Machine, run_program
from tests.places import SHARED

RECORDED = Path(__file__).parent / "vectors" / "mvp_programs.npz"


def test_recorded_programs():
    data = np.load(RECORDED)
    operations = set()
    for words, changes, cost in zip(data["words"], data["changes"], data["run_and_stall"], strict=True):
        memory = data["memory"].copy()
        machine = Machine("vendor")
        machine.attach(0, memory)
        counters = machine.run(words)
        np.testing.assert_array_equal(memory ^ data["memory"], changes)
        assert (counters.cycles, counters.stalls) == tuple(cost)
        operations |= {int(w) >> 20 & 0x1FF for w in words[isa.INSTRUCTION_WORD + 2 : isa.COMMAND_WORD : 3]}
    assert operations == set(isa.OPCODES.values()), "every operation is covered"


def test_shared_vectors():
    """All 1,000; the recording ran them in this order, and its pipeline remembers the last result."""
    path = SHARED / "vectors" / "mvp_programs.npz"
    if not path.is_file():
        pytest.skip(f"no {path}")
    data = np.load(path)
    run_program(_idle_program(), np.zeros(16, np.uint8))
    for words, before, after, cost in zip(
        data["words"], data["mem_in"], data["mem_out"], data["perf"], strict=True
    ):
        memory, counters = run_program(words, before)
        np.testing.assert_array_equal(memory, after)
        assert (counters.cycles, counters.stalls) == tuple(cost)


def _idle_program() -> np.ndarray:
    """A NOOP: after it no result is under way."""
    words = np.zeros(isa.PROGRAM_WORDS, np.uint32)
    words[isa.INSTRUCTION_WORD + 2] = 1 << 31
    return words
