"""firmware/ as a library in somebody else's project: what they write, what they may ask of their compiler."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from host import generation
from host.audio import read_audio
from host.pipeline import Pipeline
from tests.places import MODEL, ROOT

FIRMWARE = ROOT / "firmware"
AUDIO = ROOT / "host" / "models" / "demo" / "on_off.wav"
TOOLS = Path(sys.executable).parent
STRICT = "-Wall -Wextra -Wconversion -Wshadow -Wundef -Wpedantic -Werror"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copytree(FIRMWARE / "example", tmp_path, dirs_exist_ok=True)
    generation.write(generation.generate(str(MODEL)).files, tmp_path / "model")
    return tmp_path


def build(project: Path, *definitions: str) -> Path:
    """Builds the project as its owner would; the program."""
    folder = project / "build"
    definitions = (f"-DCMAKE_MAKE_PROGRAM={TOOLS / 'ninja'}", f"-DTOKAY={FIRMWARE}", *definitions)
    configure = [TOOLS / "cmake", "-S", project, "-B", folder, "-G", "Ninja", *definitions]
    for command in (configure, [TOOLS / "cmake", "--build", folder]):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "mine"


def test_a_project_of_the_pc_hears_what_the_pipeline_hears(project: Path):
    program = build(project, f"-DCMAKE_C_FLAGS=-O2 -std=c11 {STRICT}")
    pipeline = Pipeline(MODEL)
    samples = read_audio(AUDIO, pipeline.sample_rate_hz)
    done = subprocess.run([program], input=samples.tobytes(), capture_output=True, check=True)
    heard = [event.detection for event in pipeline.process(samples) if event.detection]
    assert heard
    assert done.stdout.decode().splitlines() == [f"{d.label} {d.score} {d.time_ms}" for d in heard]


def test_a_second_model_in_one_program_needs_other_names(project: Path):
    """As the README says."""
    yes_no = generation.generate(str(MODEL.with_stem("keyword_spotting_yes_no")))
    generation.write(yes_no.files, project / "yes_no")
    text = "".join(path.read_text() for path in sorted((project / "yes_no").glob("*.h")))
    variables = re.findall(r"^extern const .*?\b(model_\w+)[;\[]", text, re.MULTILINE)
    assert len(variables) == 5
    names = " ".join(f"{name}={name.replace('model', 'second')}" for name in variables)
    with (project / "CMakeLists.txt").open("a") as file:
        file.write(
            "file(GLOB sources yes_no/*.c)\nadd_library(second OBJECT main.c ${sources})\n"
            "target_include_directories(second PRIVATE yes_no)\ntarget_link_libraries(second PRIVATE tokay)\n"
            f"target_compile_definitions(second PRIVATE main=second_main {names})\n"
            "target_link_libraries(mine PRIVATE second)\n"
        )
    linked = subprocess.run(["nm", build(project)], capture_output=True, text=True, check=True).stdout
    assert all(f" {name}\n" in linked for name in ("model_plan", "second_plan", "second_main"))


@pytest.mark.parametrize(
    ("cpu", "definitions"),
    [("-mcpu=cortex-m33 -mfloat-abi=hard", ["-DTOKAY_M33=ON", "-DTOKAY_MVP=ON"]),
     ("-mcpu=cortex-m4 -mfloat-abi=softfp", ["-DTOKAY_M33=ON"]), ("-mcpu=cortex-m0plus", [])],
    ids=["m33", "m4", "m0plus"],
)  # fmt: skip
def test_a_project_of_a_microcontroller_builds(project: Path, cpu: str, definitions: list[str]):
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("no arm-none-eabi-gcc")
    flags = f"{cpu} -mthumb -O2 -std=c11 -ffunction-sections {STRICT} -Wno-sign-conversion"
    program = build(
        project, "-DCMAKE_SYSTEM_NAME=Generic", "-DCMAKE_C_COMPILER=arm-none-eabi-gcc",
        "-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY", f"-DCMAKE_C_FLAGS={flags}",
        "-DCMAKE_EXE_LINKER_FLAGS=--specs=nosys.specs -Wl,--gc-sections", *definitions,
    )  # fmt: skip
    names = subprocess.run(["arm-none-eabi-nm", program], capture_output=True, text=True, check=True).stdout
    assert "nn_kernel_conv_2d" in names and "nn_kernel_table" not in names


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
