"""The profiler's sums, in C that runs on the PC with a clock and an accelerator of the test's."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.places import ROOT

FIRMWARE = ROOT / "firmware"
FOLDERS = ("app", "nn", "nn/kernels/mvp", "frontend")

STUBS = r"""
#include <stdbool.h>
#include <stdio.h>
#include "nn_mvp.h"
#include "profiler.h"

static nn_mvp_t mvp;
static uint32_t now, served, runs;

static uint32_t interrupts(void) { return served; }
nn_status_t nn_run_layer(const nn_t *nn, uint32_t layer) { return (void)layer, nn_run(nn); }
void frontend_reset(frontend_t *frontend) { (void)frontend; }
size_t frontend_process(frontend_t *f, const int16_t *s, size_t count, const uint16_t **column) {
    return (void)f, (void)s, (void)column, count;
}
void frontend_quantize(const uint16_t *s, size_t count, int8_t *out) { (void)s, (void)count, (void)out; }
"""
LONG = r"""
static uint32_t cycles(void) { return now; }
nn_status_t nn_run(const nn_t *nn) {
    (void)nn;
    now += 10000000u;
    mvp.counters.wait_cycles += 9000000u;
    return NN_OK;
}

int main(void) {
    const profiler_meter_t meter = {cycles, interrupts};
    const nn_t nn = {.accelerator = &mvp};
    profiler_record_t record;
    if (profiler_network(&nn, 1000, &meter, &record) != NN_OK)
        return 1;
    printf("%u %u %u\n", record.repetitions, record.mean, record.wait_cycles);
    return 0;
}
"""
# Runs of 200, 201 and so on, after `disturbed` ones of 1,000 and an interrupt; asking the clock takes 7.
UNEVEN = r"""
static uint32_t disturbed, fails_at;

static uint32_t cycles(void) { return now += 7; }
nn_status_t nn_run(const nn_t *nn) {
    (void)nn;
    bool hit = runs < disturbed;
    served += hit;
    now += hit ? 1000 : 200 + runs - disturbed;
    mvp.counters.wait_cycles += hit ? 900 : 50;
    if (mvp.counting) {
        mvp.counters.programs += 3;
        mvp.counters.run_cycles += 70;
        mvp.counters.stall_cycles += 20;
    }
    return ++runs == fails_at ? NN_ERROR_ACCELERATOR : NN_OK;
}

static void print(uint32_t wanted, uint32_t disturbances, uint32_t failing, void *accelerator) {
    const profiler_meter_t meter = {cycles, interrupts};
    const nn_t nn = {.accelerator = accelerator};
    profiler_record_t r;
    disturbed = disturbances;
    fails_at = failing;
    runs = 0;
    nn_status_t status = profiler_layer(&nn, 0, wanted, &meter, &r);
    printf("%d %u:", status, runs);
    if (status == NN_OK)
        printf(" %u %u %u %u %u %u %u %u %u", r.repetitions, r.disturbances, r.mean, r.minimum, r.maximum,
               r.wait_cycles, r.programs, r.accelerator_cycles, r.stall_cycles);
    printf("\n");
}

int main(void) {
    print(5, 0, 0, NULL);
    print(5, 0, 0, &mvp);
    print(5, 3, 0, &mvp);
    print(5, 12, 0, &mvp);
    print(5, 13, 0, &mvp);
    print(5, 0, 4, &mvp);
    print(5, 0, 6, &mvp);
    return 0;
}
"""


def told(main: str, folder: Path) -> list[str]:
    """The lines of a program around the profiler."""
    if shutil.which("cc") is None:
        pytest.skip("no compiler")
    (folder / "main.c").write_text(STUBS + main)
    program = folder / "main"
    sources = [folder / "main.c", FIRMWARE / "app" / "profiler.c"]
    subprocess.run(
        ["cc", "-std=c11", *(f"-I{FIRMWARE / name}" for name in FOLDERS), *sources, "-o", program], check=True
    )
    return subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines()


def test_a_long_network_run_often_waits_as_long_as_each_run_does(tmp_path: Path):
    """1,000 runs of 9 million cycles are more than 32 bits hold."""
    assert told(LONG, tmp_path) == ["1000 10000000 9000000"]


def test_what_is_measured_of_a_layer(tmp_path: Path):
    """Status and runs, then what profiler_record_t holds; one run more counts the accelerator's cycles."""
    assert told(UNEVEN, tmp_path) == [
        "0 5: 5 0 202 200 204 0 0 0 0",
        "0 6: 5 0 202 200 204 50 3 70 20",
        "0 9: 5 3 202 200 204 50 3 70 20",
        "0 18: 5 12 202 200 204 50 3 70 20",
        "0 14: 0 13 0 0 0 0 3 70 20",
        "4 4:",
        "4 6:",
    ]
