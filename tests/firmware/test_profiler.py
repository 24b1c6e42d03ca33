"""The profiler's sums, in C that runs on the PC with a clock and an accelerator of the test's."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.places import ROOT

FIRMWARE = ROOT / "firmware"
FOLDERS = ("app", "nn", "nn/kernels/mvp", "frontend")

MAIN = r"""
#include <stdio.h>
#include "nn_mvp.h"
#include "profiler.h"

static nn_mvp_t mvp;
static uint32_t now;

static uint32_t cycles(void) { return now; }
static uint32_t interrupts(void) { return 0; }
nn_status_t nn_run(const nn_t *nn) {
    (void)nn;
    now += 10000000u;
    mvp.counters.wait_cycles += 9000000u;
    return NN_OK;
}
nn_status_t nn_run_layer(const nn_t *nn, uint32_t layer) { return (void)layer, nn_run(nn); }
void frontend_reset(frontend_t *frontend) { (void)frontend; }
size_t frontend_process(frontend_t *f, const int16_t *s, size_t count, const uint16_t **column) {
    return (void)f, (void)s, (void)column, count;
}
void frontend_quantize(const frontend_config_t *c, const uint16_t *s, size_t count, int8_t *out) {
    (void)c, (void)s, (void)count, (void)out;
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


@pytest.mark.skipif(shutil.which("cc") is None, reason="no compiler")
def test_a_long_network_run_often_waits_as_long_as_each_run_does(tmp_path: Path):
    """1,000 runs of 9 million cycles are more than 32 bits hold."""
    (tmp_path / "main.c").write_text(MAIN)
    program = tmp_path / "main"
    sources = [tmp_path / "main.c", FIRMWARE / "app" / "profiler.c"]
    subprocess.run(
        ["cc", "-std=c11", *(f"-I{FIRMWARE / name}" for name in FOLDERS), *sources, "-o", program], check=True
    )
    done = subprocess.run([program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1000", "10000000", "9000000"]
