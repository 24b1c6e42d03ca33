"""The devices that Renode compiles at run time, compiled by Mono on stubs of Renode's interfaces: the
accelerator gives what the model gives, the microphone what its file holds. This is no run in Renode."""

from __future__ import annotations

import shutil
import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest

from codegen.mvp.assembler import Program
from codegen.mvp.isa import Type
from host.memory_map import FLASH_BASE, RAM_BASE
from host.native import library_path
from host.simulator.mvp import Machine

HERE = Path(__file__).parent
DEVICES = HERE.parents[1] / "boards" / "renode"
pytestmark = pytest.mark.skipif(
    not (shutil.which("mcs") and shutil.which("mono")),
    reason="mcs and mono are not installed (apt-get install mono-mcs)",
)


@pytest.fixture(scope="module")
def driver(tmp_path_factory) -> Path:
    program = tmp_path_factory.mktemp("devices") / "devices.exe"
    sources = [*DEVICES.glob("*.cs"), HERE / "stubs" / "Renode.cs", HERE / "Devices.cs"]
    done = subprocess.run(
        ["mcs", "-langversion:7", "-warnaserror", f"-out:{program}", *map(str, sources)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return program


def run(driver: Path, *arguments: object) -> None:
    done = subprocess.run(
        ["mono", str(driver), *map(str, arguments)], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr


def write_wav(path: Path, samples: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(samples.astype("<i2").tobytes())


def test_microphone(driver, tmp_path):
    write_wav(tmp_path / "speech.wav", np.arange(-7, 8) * 1000)
    write_wav(tmp_path / "stereo.wav", np.array([[11, 1], [22, 2], [33, 3]]))
    np.array([1, -2, 3], "<i2").tofile(tmp_path / "speech.raw")
    run(driver, "microphone", tmp_path)


def negate(source: int, target: int, count: int) -> np.ndarray:
    """A program that negates ``count`` complex int8 numbers."""
    p = Program("negate")
    p.set(1, -1.0)
    x = p.array("x", source, Type.INT8, complex=True, dims=[(count, 1)])
    y = p.array("y", target, Type.INT8, complex=True, dims=[(count, 1)])
    with p.loop(count):
        p.instruction("MULR2A", z=3, x=2, y=1, load0=x.to(2, 0), store=y.of(3, 0))
    return p.assemble()


def test_accelerator(driver, tmp_path):
    rng = np.random.default_rng(5)
    ram = rng.integers(0, 256, 0x40000, dtype=np.uint8)
    flash = rng.integers(0, 256, 0x17E000, dtype=np.uint8)
    # From flash, from RAM, and over the border of two of Renode's segments.
    programs = np.stack(
        [
            negate(FLASH_BASE + 0x1FF00, RAM_BASE + 0x100, 200),
            negate(RAM_BASE + 0xFFF0, RAM_BASE + 0x1FFC0, 100),
            negate(RAM_BASE + 0x100, RAM_BASE + 0x3FF00, 64),
        ]
    )
    ram.tofile(tmp_path / "ram.bin")
    flash.tofile(tmp_path / "flash.bin")
    programs.astype("<u4").tofile(tmp_path / "programs.bin")
    run(driver, "mvp", library_path(), tmp_path)

    model, expected = Machine("ports"), ram.copy()
    model.attach(RAM_BASE, expected)
    model.attach(FLASH_BASE, flash, writable=False)
    counted = [model.run(program) for program in programs]
    assert np.array_equal(np.fromfile(tmp_path / "ram.out", np.uint8), expected)
    assert not np.array_equal(expected, ram)
    lines = [list(map(int, line.split())) for line in (tmp_path / "counts.txt").read_text().splitlines()]
    for (run_cycles, stalls, flags, duration), c in zip(lines, counted, strict=True):
        assert (run_cycles, stalls, flags) == (c.cycles, c.stalls, c.flags)
        assert duration == c.cycles
