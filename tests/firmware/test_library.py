"""firmware/ as a library in somebody else's project: what they write, what they may ask of their compiler."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from host import generation
from tests.places import ROOT

FIRMWARE = ROOT / "firmware"
MODEL = ROOT / "host" / "models" / "keyword_spotting_on_off.tflite"
STRICT = "-Wall -Wextra -Wconversion -Wshadow -Wpedantic -Werror"

@pytest.fixture
def project(tmp_path: Path) -> Path:
    generation.write(generation.generate(str(MODEL)).files, tmp_path / "model")
    return tmp_path


@pytest.mark.parametrize("cpu", ["-mcpu=cortex-m33", "-mcpu=cortex-m33+nodsp -mfloat-abi=hard"])
def test_kernels_of_the_m33_say_what_they_need(tmp_path: Path, cpu: str):
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("no arm-none-eabi-gcc")
    for source in sorted((FIRMWARE / "nn" / "kernels" / "cortex_m33").glob("*.c")):
        command = ["arm-none-eabi-gcc", *cpu.split(), "-mthumb", "-Wfatal-errors", f"-I{FIRMWARE / 'nn'}",
                   "-c", source, "-o", tmp_path / "x.o"]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode and "need the DSP instructions and the FPU" in done.stderr, source


def test_headers_are_taken_in_cxx(project: Path):
    compiler = shutil.which("g++") or shutil.which("arm-none-eabi-g++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    headers = ["audio_loop.h", "batch.h", "nn_kernels.h", "nn_mvp.h",
               "frontend_settings.h", "model_parameters.h", "model_plan.h"]  # fmt: skip
    (project / "main.cpp").write_text("".join(f'#include "{name}"\n' for name in headers))
    folders = [FIRMWARE / name for name in ("app", "detector", "frontend", "nn", "nn/kernels/mvp")]
    include = [f"-I{folder}" for folder in (*folders, project / "model")]
    for standard in ("c++11", "c++20"):
        command = [compiler, f"-std={standard}", "-fsyntax-only", *STRICT.split(), *include, "main.cpp"]
        done = subprocess.run(command, cwd=project, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
