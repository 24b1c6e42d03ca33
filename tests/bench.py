"""Figures that vary with the machine, as ratios within one run, and the chip's estimated cycles beside
those of plain C: ``make bench``. Nothing here passes or fails; what must hold is pinned in the tests.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from codegen.frontend import FrontendSettings
from host import audio, board, demo, hearing, image, renode
from host.augmentation import Augmenter
from host.errors import TokayError
from host.features import Frontend
from host.native import library_path
from host.pipeline import Pipeline
from host.runtime import Model
from host.specification import Augmentation
from tests.firmware import m33_rig
from tests.firmware import test_frontend_targets as frontend_rig
from tests.places import ROOT

MODEL = "keyword_spotting_on_off"
REPETITIONS = 5


def seconds(work: Callable[[], object]) -> float:
    """Median wall time of `work`, after a run to warm up."""
    work()
    times = []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def cpu_seconds(work: Callable[[], object]) -> float:
    """The least processor time of `work`, of all its threads: what else the machine does hardly matters."""
    times = []
    for _ in range(REPETITIONS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def frontend_on_chip() -> None:
    settings = FrontendSettings(**frontend_rig.SEED)
    compiler = shutil.which("arm-none-eabi-gcc")
    assert compiler is not None, "arm-none-eabi-gcc is not installed"
    with tempfile.TemporaryDirectory() as folder:
        link = frontend_rig.linker(compiler, Path(folder))
        (dsp, dsp_cycles), (plain, plain_cycles) = (
            frontend_rig.step_cost(link(settings, build), settings) for build in ("dsp", "plain")
        )
    print("front end, one step of 20 ms at 8 kHz, 32 channels (cycles are estimates)")
    print(f"  DSP {dsp:,} instructions, {dsp_cycles:,} cycles; plain C {plain:,}, {plain_cycles:,}")
    print(f"  DSP / plain cycles: {dsp_cycles / plain_cycles:.2f}")


def network_on_chip() -> None:
    model = Model(MODEL)
    x = np.random.default_rng(1).integers(-128, 128, model.input.shape, np.int8)
    ours, plain = (
        m33_rig.Bench(m33_rig.build(optimized=optimized)).run(model.plan, x) for optimized in (True, False)
    )
    print(f"{MODEL} on the Cortex-M33 (cycles are estimates)")
    for layer, a, b in zip(model.layers, ours, plain, strict=True):
        rate = f"{layer.macs / a.cycles:.2f} MAC/cycle" if layer.macs else ""
        ratio = a.cycles / b.cycles
        print(f"  {layer.name:16} {a.cycles:9,} cycles, {ratio:.2f} of the portable kernel's  {rate}")
    total = sum(run.cycles for run in ours)
    print(f"  whole network    {total:9,} cycles, {model.macs / total:.2f} MAC/cycle")


def simulator_speed() -> None:
    built = image.build(MODEL, board.load("brd2601b"))
    samples = audio.read_audio(demo.DEMO.with_suffix(".wav"), 8000)
    frontend = Pipeline(MODEL).frontend

    def hear() -> None:
        hearing.hear_simulated(built.elf, "brd2601b", samples, frontend, lambda text: None)

    print(f"simulator: {samples.size / 8000 / seconds(hear):.0f} times real time on the demonstration's clip")


def renode_speed() -> None:
    """Simulated time by Renode's, its start left out: the longer of two runs less the other."""
    try:
        program = renode.find()
    except TokayError as error:
        print(f"Renode: not measured: {error}")
        return
    path = renode.monitor_path
    for accelerator in ("none", "mvp"):
        built = image.build(MODEL, board.load("brd2601b"), accelerator=accelerator)
        took = {}
        for simulated in (2, 22):
            with tempfile.TemporaryDirectory() as folder:
                script = Path(folder) / "run.resc"
                script.write_text(
                    f"logLevel 3\n$elf={path(built.elf)}\n$native={path(library_path())}\n"
                    f"$audio={path(demo.DEMO.with_suffix('.wav'))}\n"
                    f"include {path(ROOT / 'boards' / 'renode' / 'tokay.resc')}\n"
                    f'emulation SetAdvanceImmediately true\nemulation RunFor "{simulated}"\nquit\n'
                )
                command = [str(program), "--disable-xwt", "--console", "--plain", str(script)]
                nothing, place = subprocess.DEVNULL, {**os.environ, "TMPDIR": folder}
                start = time.perf_counter()
                done = subprocess.run(command, stdin=nothing, capture_output=True, env=place, timeout=900)
                took[simulated] = time.perf_counter() - start
                if b"Renode is quitting" not in done.stdout:  # where a command of the script failed
                    print(f"Renode: not measured: {done.stdout.decode(errors='replace').strip()}")
                    return
        print(f"Renode, accelerator {accelerator}: {20 / (took[22] - took[2]):.1f} times real time")


def features_against_tensorflow() -> None:
    """TensorFlow's operator is the vendor's front end in the same C; it makes features only, one clip at
    a time. The vendor's generator augments too, before that, so ours is faster against it than told here.
    Without speed and pitch it changes a clip's place and level and adds background noise, no more."""
    import tensorflow as tf
    from tensorflow.lite.experimental.microfrontend.python.ops import audio_microfrontend_op as operator

    rng = np.random.default_rng(0)
    clips = np.clip(rng.normal(0, 3000, (200, 8000)), -32768, 32767).astype(np.int16)
    background = [rng.normal(0, 300, 80000).astype(np.int16)]
    ours = Frontend({"sample_rate_hz": 8000, "window_size_ms": 30, "window_step_ms": 20,
                     "filterbank_upper_band_limit": 3999.0, "noise_reduction_enable": True})  # fmt: skip
    few = Augmentation(speed=(1.0, 1.0), pitch_probability=0, room_probability=0, microphone_probability=0,
                       clipping_probability=0, lead_in_probability=0)  # fmt: skip
    jobs = np.stack((np.arange(800) % 200, np.zeros(800)), axis=1).astype(np.int32)
    tensors = [tf.constant(clip) for clip in clips]

    def reference() -> None:
        for tensor in tensors:
            operator.audio_microfrontend(
                tensor, sample_rate=8000, window_size=30, window_step=20, upper_band_limit=3999.0
            )

    one = cpu_seconds(reference) / 200
    alone = cpu_seconds(lambda: ours.features_batch(clips)) / 200
    augmented, with_few = (
        cpu_seconds(partial(Augmenter(settings, ours, clips, background).features, jobs, (1,))) / 800
        for settings in (Augmentation(), few)
    )
    cores = os.cpu_count() or 1
    print("training examples on the PC, in processor time of all threads (TensorFlow's operator: 1 core)")
    print(f"  TensorFlow's operator, features only     {1e6 * one:6.0f} us a clip")
    print(f"  ours, features only                      {1e6 * alone:6.0f} us, {one / alone:.1f} times")
    print(f"  ours, place, level, noise and features   {1e6 * with_few:6.0f} us, {one / with_few:.1f} times")
    ratio = one / augmented
    print(f"  ours, augmentation, lead-in and features {1e6 * augmented:6.0f} us, {ratio:.1f} times")
    print(f"  on {cores} idle cores {cores / augmented:,.0f} examples/s, {cores * ratio:.1f} times")


def network_against_reference() -> None:
    from tflite_micro.python.tflite_micro import runtime

    model = Model(MODEL)
    reference = runtime.Interpreter.from_bytes(model.tflite)
    x = np.random.default_rng(1).integers(-128, 128, model.input.shape, np.int8)

    def micro() -> None:
        for _ in range(50):
            reference.set_input(x, 0)
            reference.invoke()

    ratio = seconds(micro) / seconds(lambda: [model.invoke(x) for _ in range(50)])
    print(f"network on the PC: {ratio:.1f} times as fast as TensorFlow Lite Micro's reference kernels")


def main() -> None:
    for figure in (
        frontend_on_chip, network_on_chip, simulator_speed, renode_speed, features_against_tensorflow,
        network_against_reference,
    ):  # fmt: skip
        figure()


if __name__ == "__main__":
    main()
